"""The hour, its weekday, and the rentals of earlier days: nothing of an hour's own day, whose morning is the run's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contract.feature_layout import FeatureTables
from pipeline.contract.names import TARGET, TIME
from pipeline.contract.spec import Spec
from pipeline.training import declared_features, declared_layout

DAYS_BEFORE: Final = 28  # that the features look back at


def features(spec: Spec, rows: pd.DataFrame, as_of: date, parameters: Mapping[str, str]) -> FeatureTables:
    """Of the hours with a label, but for the first four weeks, and of those to be predicted."""
    first = rows.loc[rows[TARGET].notna(), TIME].min().normalize()
    after_the_first = rows[TIME] >= first + pd.Timedelta(days=DAYS_BEFORE)
    return declared_features.features(spec, with_lags(rows)[after_the_first], as_of, parameters)


def with_lags(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the features that are made of earlier days.

    By local time: an hour that the clocks showed twice counts with the mean of both, one that they skipped is missing.
    Where four weeks know nothing of an hour, the mean of that hour on all days before stands in, or of all hours.
    """
    day = rows[TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    day, hour = day - day.min() + DAYS_BEFORE, rows[TIME].dt.hour.to_numpy()
    target = rows[TARGET].to_numpy(dtype=np.float64, na_value=np.nan)
    counts, sums = (np.zeros((day.max() + 1, 24)) for _ in range(2))
    known = ~np.isnan(target)
    np.add.at(counts, (day[known], hour[known]), 1.0)
    np.add.at(sums, (day[known], hour[known]), target[known])
    table = mean(sums, counts)  # (days, hours)
    by_day = mean(np.nansum(table, axis=1), (counts > 0).sum(axis=1))
    four_weeks = mean_of([table[day - lag, hour] for lag in (7, 14, 21, 28)])
    earlier_sums, earlier_counts = (np.cumsum(values, axis=0) - values for values in (sums, counts))
    of_hour = mean(earlier_sums, earlier_counts)[day, hour]
    of_all = mean(earlier_sums.sum(axis=1), earlier_counts.sum(axis=1))[day]
    return rows.assign(
        hour_of_day=hour,
        weekday=rows[TIME].dt.day_of_week,
        same_hour_day_before=table[day - 1, hour],
        same_hour_week_before=table[day - 7, hour],
        same_hour_four_weeks=np.where(np.isnan(four_weeks), np.where(np.isnan(of_hour), of_all, of_hour), four_weeks),
        mean_day_before=by_day[day - 1],
        mean_week_before=mean_of([by_day[day - lag] for lag in range(1, 8)]),
    )


def mean(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where there is nothing to count."""
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def mean_of(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of the known ones of each row."""
    known = ~np.isnan(values)
    return mean(np.nansum(values, axis=0), known.sum(axis=0))


def signature(spec: Spec) -> str:
    """Changes with the declared columns, and with what is computed for them: of fixed hours."""
    hours = pd.date_range("2025-01-01", periods=60 * 24, freq="h")
    probe = with_lags(pd.DataFrame({TIME: hours, TARGET: np.arange(len(hours)) * 37 % 101}))
    text = declared_layout.signature(spec) + probe.to_csv(float_format="%.5e")
    return hashlib.sha256(text.encode()).hexdigest()[:16]
