"""The hour, its weekday, and the rentals of earlier days: nothing of an hour's own day, whose morning is the run's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from pipeline.contract.feature_layout import FeatureTables
from pipeline.contract.names import TARGET, TIME
from pipeline.contract.spec import Spec
from pipeline.training import declared_features


def features(spec: Spec, rows: pd.DataFrame, as_of: date, parameters: Mapping[str, str]) -> FeatureTables:
    """Of the hours with a label, but for the first four weeks, and of those to be predicted."""
    first = rows.loc[rows[TARGET].notna(), TIME].min().normalize() + pd.Timedelta(weeks=4)
    return declared_features.features(spec, with_lags(rows)[rows[TIME] >= first], as_of, parameters)


def with_lags(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the features that are made of earlier days.

    By local time: an hour that the clocks showed twice counts with the mean of both, one that they skipped is missing.
    Where four weeks know nothing of an hour, the mean of that hour on all days before is used, or of all hours.
    """
    day, hour = rows[TIME].dt.normalize(), rows[TIME].dt.hour
    days = pd.date_range(day.min(), day.max())
    table = rows.astype({TARGET: "float64"}).pivot_table(TARGET, day, hour).reindex(index=days, columns=range(24))
    sums, counts = table.fillna(0.0).cumsum().shift(), table.notna().cumsum().shift()
    weeks = pd.concat([table.shift(lag) for lag in (7, 14, 21, 28)]).groupby(level=0).mean().fillna(sums / counts)
    weeks = weeks.T.fillna(sums.sum(axis=1) / counts.sum(axis=1)).T
    by_day = table.mean(axis=1)
    week = pd.concat([by_day.shift(lag) for lag in range(1, 8)], axis=1).mean(axis=1)
    place = days.get_indexer(day)
    return rows.assign(
        hour_of_day=hour,
        weekday=rows[TIME].dt.day_of_week,
        same_hour_day_before=table.shift(1).to_numpy()[place, hour],
        same_hour_week_before=table.shift(7).to_numpy()[place, hour],
        same_hour_four_weeks=weeks.to_numpy()[place, hour],
        mean_day_before=by_day.shift(1).to_numpy()[place],
        mean_week_before=week.to_numpy()[place],
    )


def signature(spec: Spec) -> str:
    """Changes with the declared columns, and with what is computed for them: of fixed hours."""
    hours = pd.date_range("2025-01-01", periods=60 * 24, freq="h")
    probe = with_lags(pd.DataFrame({TIME: hours, TARGET: np.arange(len(hours)) * 37 % 101}))
    text = declared_features.signature(spec) + probe.to_csv(float_format="%.5e")
    return hashlib.sha256(text.encode()).hexdigest()[:16]
