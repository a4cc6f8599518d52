"""Features of bike demand: what they are, on days of 23 and 25 hours too, and that none sees its own day or later."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.ingest.moments import hours_of, id_of
from pipeline.workloads.bike_demand.baseline import forecast
from pipeline.workloads.bike_demand.data import results
from pipeline.workloads.bike_demand.features import features, signature, with_lags
from pipeline.workloads.bike_demand.spec import SPEC

ZONE = ZoneInfo("America/New_York")
LAGS = [column.name for column in SPEC.columns if column.made]


def hours(first: date, days: int, *, seed: int = 1) -> pd.DataFrame:
    """All hours of consecutive local days, with random rentals."""
    moments = [hour for day in range(days) for hour in hours_of(first + timedelta(days=day), ZONE)]
    rentals = np.random.default_rng(seed).integers(200, size=len(moments))
    local = np.array([hour.replace(tzinfo=None) for hour in moments], dtype="datetime64[s]")
    rows = pd.DataFrame({ROW_ID: map(id_of, moments), TIME: local, TARGET: rentals})
    return rows.astype({TARGET: "Float64"})


def at(rows: pd.DataFrame, moment: str) -> pd.Series:
    """The one row of a local time."""
    (number,) = np.flatnonzero(rows[TIME] == pd.Timestamp(moment))
    return rows.iloc[number]


def test_each_feature_is_what_its_name_says() -> None:
    rows = hours(date(2025, 5, 1), 40)
    made = at(with_lags(rows), "2025-06-05 08:00")  # a Thursday

    def rentals(day: str, hour: str = "08:00") -> float:
        return float(at(rows, f"{day} {hour}")[TARGET])

    week = rows[(rows[TIME] >= "2025-05-29") & (rows[TIME] < "2025-06-05")]
    assert (made["hour_of_day"], made["weekday"]) == (8, 3)
    assert made["same_hour_day_before"] == rentals("2025-06-04")
    assert made["same_hour_week_before"] == rentals("2025-05-29")
    thursdays = ("2025-05-29", "2025-05-22", "2025-05-15", "2025-05-08")
    assert made["same_hour_four_weeks"] == np.mean([rentals(day) for day in thursdays])
    assert made["mean_day_before"] == week[week[TIME] >= "2025-06-04"][TARGET].mean()
    assert made["mean_week_before"] == pytest.approx(week[TARGET].mean())


@settings(max_examples=25, deadline=None)
@given(row=st.integers(0, 24 * 45), value=st.integers(0, 100_000))
def test_an_hour_changes_no_feature_and_no_baseline_of_its_day_or_before(row: int, value: int) -> None:
    rows = hours(date(2025, 2, 20), 46)  # over a day of 23 hours
    edited = rows.copy()
    edited.loc[row, TARGET] = value
    earlier = (rows[TIME].dt.normalize() <= rows.loc[row, TIME].normalize()).to_numpy()
    before, after = (with_lags(table).loc[earlier, LAGS] for table in (rows, edited))
    pd.testing.assert_frame_equal(before, after)
    ids = rows.loc[earlier, ROW_ID].tolist()
    same = [forecast(results(table), ids, date(2025, 2, 20)) for table in (rows, edited)]
    assert np.array_equal(same[0], same[1])


def test_an_hour_that_clocks_show_twice_counts_with_its_mean_and_one_they_skip_is_missing() -> None:
    rows = hours(date(2025, 11, 1), 3)
    twice = rows.loc[rows[TIME] == "2025-11-02 01:00", TARGET]
    assert len(twice) == 2
    assert at(with_lags(rows), "2025-11-03 01:00")["same_hour_day_before"] == twice.mean()
    skipped = at(with_lags(hours(date(2025, 3, 8), 3)), "2025-03-10 02:00")
    assert np.isnan(skipped["same_hour_day_before"])
    assert not np.isnan(skipped["mean_day_before"])


def test_missing_hours_are_missing_features_and_stop_nothing() -> None:
    rows = hours(date(2025, 1, 1), 120)
    gap = rows[~rows[TIME].between("2025-02-01", "2025-03-15 23:00")].reset_index(drop=True)
    made = at(with_lags(gap), "2025-03-16 12:00")
    unknown = ["same_hour_day_before", "same_hour_week_before", "mean_day_before", "mean_week_before"]
    assert made[unknown].isna().all()
    noons = gap[(gap[TIME].dt.hour == 12) & (gap[TIME] < "2025-02-01")]
    assert made["same_hour_four_weeks"] == pytest.approx(noons[TARGET].mean()), "a linear feature has no gaps"
    assert at(with_lags(gap), "2025-03-24 12:00")[LAGS].notna().all()


def test_an_hour_that_never_was_before_has_the_mean_of_all_hours_before() -> None:
    rows = hours(date(2025, 5, 1), 40)
    rows = rows[(rows[TIME].dt.hour != 3) | (rows[TIME] >= "2025-06-05")].reset_index(drop=True)
    made = at(with_lags(rows), "2025-06-05 03:00")
    assert made["same_hour_four_weeks"] == pytest.approx(rows[rows[TIME] < "2025-06-05"][TARGET].mean())


def test_the_first_four_weeks_are_not_trained_on() -> None:
    table = features(SPEC, hours(date(2025, 5, 1), 40), date(2025, 6, 10), {}).labelled
    assert table[TIME][0].as_py().date() == date(2025, 5, 29)


def test_the_signature_changes_with_what_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signature(SPEC)
    assert signature(SPEC) == before
    monkeypatch.setattr("pipeline.workloads.bike_demand.features.with_lags", lambda rows: rows)
    assert signature(SPEC) != before


def test_the_baseline_is_the_week_before_or_the_last_that_is_known() -> None:
    rows = hours(date(2025, 5, 1), 30)
    rows = rows[rows[TIME].dt.normalize() != "2025-05-20"].reset_index(drop=True)
    asked = [at(rows, moment) for moment in ("2025-05-26 09:00", "2025-05-27 09:00")]
    week_before, two_weeks_before = forecast(results(rows), [row[ROW_ID] for row in asked], date(2025, 5, 1))
    assert week_before == at(rows, "2025-05-19 09:00")[TARGET]
    assert two_weeks_before == at(rows, "2025-05-13 09:00")[TARGET], "the 20th is missing"
