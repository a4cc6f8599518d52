"""Moments on local clocks: with and without their offset, where clocks change, from CSV and Parquet."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pipeline.contract.names import ROW_ID, TIME
from pipeline.contract.spec import Column
from pipeline.ingest import declared
from pipeline.ingest.moments import hours_of, id_of, moment_of
from pipeline.ingest.validated import LoadRequest, ValidatedRows
from pipeline.workloads.bike_demand.spec import SPEC as BIKES

ZONE = ZoneInfo("Europe/Berlin")
SPEC = replace(BIKES, columns=(Column("hour", role="time", type="moment"), Column("rentals", role="target")))


def read(folder: Path) -> ValidatedRows:
    return declared.load(SPEC, LoadRequest(folder, date(2025, 12, 1), date(2025, 12, 1), time_zone=ZONE.key))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-07-01 08:00", "2025-07-01T06:00:00Z"),
        ("2025-07-01T08:00:30+02:00", "2025-07-01T06:00:30Z"),
        ("2025-07-01T06:00Z", "2025-07-01T06:00:00Z"),
        ("2025-10-26 02:30", "2025-10-26T00:30:00Z"),  # shown twice: the first
        ("2025-10-26T02:30+01:00", "2025-10-26T01:30:00Z"),
        ("2025/07/01 08:00:30", "2025-07-01T06:00:30Z"),  # as R and databases write it
        ("2025.07.01T08:00", "2025-07-01T06:00:00Z"),
        ("2025-07-01 06:00:00 UTC", "2025-07-01T06:00:00Z"),
        ("2025/07.01 08:00", None),
        ("2025-03-30 02:30", None),  # skipped
        ("2025/7/1 8:00", "2025-07-01T06:00:00Z"),
        ("2025.07.01 08:00:30.123456789", "2025-07-01T06:00:30Z"),
        ("2025-07-01 06:00:00 UTC", "2025-07-01T06:00:00Z"),
        ("2025-07-01 08:00 +0200", "2025-07-01T06:00:00Z"),
        ("20250701T080000", "2025-07-01T06:00:00Z"),
        ("1510102800000", None),  # milliseconds, not 28 October 1510
        ("2025-07-01", None),
        ("8 o'clock", None),
        ("0001-01-01T00:00+10:00", None),
    ],
)
def test_a_text_is_a_moment_or_none(text: str, utc: str | None) -> None:
    moment = moment_of(text, ZONE)
    assert (id_of(moment) if moment else None) == utc


@pytest.mark.parametrize(
    ("day", "n_hours"), [(date(2025, 3, 30), 23), (date(2025, 10, 26), 25), (date(2025, 5, 1), 24)]
)
def test_a_day_has_its_hours(day: date, n_hours: int) -> None:
    hours = hours_of(day, ZONE)
    assert len({id_of(hour) for hour in hours}) == len(hours) == n_hours
    assert {hour.date() for hour in hours} == {day}


def test_an_hour_that_comes_twice_is_two_rows_and_one_that_is_skipped_is_bad(tmp_path: Path) -> None:
    lines = ["hour,rentals", "2025-10-26T02:00+02:00,5", "2025-10-26T02:00+01:00,7", "2025-03-30 02:00,1"]
    (tmp_path / "hours.csv").write_text("\n".join(lines), encoding="utf-8")
    read_rows = read(tmp_path)
    assert read_rows.rows["target"].tolist() == [5, 7]
    assert read_rows.rows[TIME].nunique() == 1
    (bad,) = read_rows.quarantine.to_dict("records")
    assert (bad["line"], bad["value"]) == (4, "2025-03-30 02:00")
    assert "is not a time that clocks of Europe/Berlin show, written YYYY-MM-DD HH:MM" in bad["rule"]


def test_an_hour_that_comes_twice_without_offset_says_what_to_write(tmp_path: Path) -> None:
    lines = ["hour,rentals", "2025-10-26 02:00,5", "2025-10-26 02:00,7", "2025-10-26 03:00,7"]
    (tmp_path / "hours.csv").write_text("\n".join(lines), encoding="utf-8")
    read_rows = read(tmp_path)
    assert read_rows.n_bad_rows == 2
    rule = "contradicts another row of the same hour; write times that clocks show twice with their offset from UTC"
    assert set(read_rows.quarantine["rule"]) == {rule}
    assert set(read_rows.quarantine["value"]) == {"2025-10-26 02:00"}


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "Asia/Tokyo"])
def test_midnights_of_parquet_stay_moments_of_their_zone(tmp_path: Path, zone: str | None) -> None:
    hours = pd.date_range("2025-07-01", periods=3, freq="h", tz=zone)
    pd.DataFrame({"hour": hours, "rentals": [1.0, 2.0, 3.0]}).to_parquet(tmp_path / "hours.parquet")
    utc = hours.tz_localize(ZONE) if zone is None else hours
    expected = [id_of(hour.to_pydatetime()) for hour in utc]
    assert read(tmp_path).rows[ROW_ID].tolist() == expected


@pytest.mark.parametrize("mark", ["-", "Z", "1:", "T", " ", "-1"])
@pytest.mark.timeout(10)  # where each mark is a place to begin anew, one such text takes minutes
def test_a_long_text_of_marks_is_looked_at_once(mark: str) -> None:
    assert moment_of(f"2024-01-01T1:{mark * (130_000 // len(mark))}\nx", ZoneInfo("UTC")) is None
