"""Hours read from files, the hours to score that no file holds, and the sample."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.ingest.validated import LoadRequest, ValidatedRows
from pipeline.workloads.bike_demand.baseline import fallback
from pipeline.workloads.bike_demand.data import load, results
from pipeline.workloads.bike_demand.features import features
from pipeline.workloads.bike_demand.sample import write
from pipeline.workloads.bike_demand.spec import SPEC
from pipeline.workloads.simulated import FILE


def loaded(folder: Path, as_of: date) -> ValidatedRows:
    return load(SPEC, LoadRequest(folder, as_of, as_of, time_zone=SPEC.time_zone))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sample"), date(2023, 11, 7))


@pytest.mark.parametrize(("day", "n_hours"), [("2023-03-12", 23), ("2023-11-05", 25), ("2023-06-01", 24)])
def test_each_hour_of_the_day_that_begins_is_made_once(sample: Path, day: str, n_hours: int) -> None:
    as_of = date.fromisoformat(day)
    validated = loaded(sample, as_of)
    upcoming = features(SPEC, validated.rows, as_of, {}).upcoming
    assert upcoming.num_rows == n_hours == len(set(upcoming[ROW_ID].to_pylist()))
    assert {moment.date() for moment in upcoming[TIME].to_pylist()} == {as_of}
    assert f"the {n_hours} hours of {day} are to be predicted" in validated.notes[-1]
    later = loaded(sample, as_of + timedelta(days=1)).rows
    of_files = later[(later[TIME].dt.date == as_of) & later[TARGET].notna()]
    assert of_files[ROW_ID].tolist() == upcoming[ROW_ID].to_pylist(), "the files call them the same a day later"


def test_made_hours_are_no_results(sample: Path) -> None:
    rows = loaded(sample, date(2023, 6, 1)).rows
    assert results(rows).num_rows == len(rows) - 24


def test_without_a_champion_the_week_before_is_predicted(sample: Path) -> None:
    rows = loaded(sample, date(2023, 6, 1)).rows
    upcoming = features(SPEC, rows, date(2023, 6, 1), {}).upcoming
    week_before = rows.loc[rows[TIME].dt.date == date(2023, 5, 25), TARGET]
    assert fallback(upcoming).tolist() == week_before.tolist()


def test_the_past_of_the_sample_never_changes(sample: Path, tmp_path: Path) -> None:
    earlier, same = (
        write(tmp_path / str(as_of), as_of).joinpath(FILE).read_text(encoding="utf-8")
        for as_of in (date(2023, 3, 1), date(2023, 11, 7))
    )
    text = (sample / FILE).read_text(encoding="utf-8")
    assert text == same
    assert text.startswith(earlier)
    assert earlier.splitlines()[-1].startswith("2023-02-28T23:00-05:00,")


def test_rows_that_are_no_hours_are_bad_and_hours_that_are_nowhere_are_noted(tmp_path: Path) -> None:
    hours = [f"2023-05-{day:02d} {hour:02d}:00,{hour}" for day in range(1, 11) for hour in range(24)]
    (tmp_path / "a.csv").write_text("\n".join(["hour,rentals", *hours[:100], "2023-05-05 04:30,4", *hours[102:]]))
    found = loaded(tmp_path, date(2023, 5, 11))
    assert found.quarantine[["line", "value", "rule"]].to_numpy().tolist() == [
        [102, "2023-05-05 04:30", "is not the beginning of an hour"]
    ]
    assert "hours since 2023-05-01 that no good row is of: 2, the newest 2023-05-05 05:00" in found.notes
