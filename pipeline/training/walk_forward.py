"""Walk-forward predictions: each of the last rows predicted by a model that saw only rows before it.

At the start of each calendar month with rows the training config is fitted anew on all rows before that month.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.training.logistic import ONE_HOST, Reducer
from pipeline.training.model import Hyperparameters, fit_set, predict
from pipeline.training.months import Months, targets
from pipeline.training.training_rows import MemoryRows, Rows
from pipeline.training.training_sets import feature_layout, feature_matrix

__all__ = ["KEY_COLUMNS", "checkpoints", "feature_matrix", "months_to_predict", "predict_walk_forward", "walk_forward"]

FloatArray = NDArray[np.float64]

# Below so many earlier rows a fit is mostly noise: predictions start in the first month that has them.
MIN_TRAINING_ROWS: Final = 500
THREADS: Final = 2  # XGBoost releases Python's lock; each fit has one thread, so this does not change the result
KEY_COLUMNS: Final = (c.ROW_ID, c.TIME, c.TARGET)
_SEASON_GAMES: Final = 1_312


@dataclass(frozen=True)
class Checkpoint:
    """Rows [begin, end) are predicted from the rows before `fit_end`, all of earlier months."""

    begin: int
    end: int
    fit_end: int
    first_day: np.datetime64


def walk_forward(
    features: pa.Table, hyperparameters: Hyperparameters, n_rows: int = _SEASON_GAMES, threads: int = THREADS
) -> pa.Table:
    """Predict the last `n_rows` rows of a table of features, each from rows of earlier months only.

    `features` holds rows whose label is known, in order of time. Returns KEY_COLUMNS, prediction, constant and
    trained_before (first day that the row's models had not seen); fewer rows where fewer have at least 500 rows in the
    months before. Raises ValueError when the rows are out of order or one has no target.
    """
    months = Months.of([features])
    points = months_to_predict(months, n_rows)
    rows = MemoryRows(
        feature_matrix(features), targets(features), np.arange(features.num_rows), feature_layout(features.schema)
    )
    keys = features.select(KEY_COLUMNS).slice(points[0].begin if points else features.num_rows)
    return predict_walk_forward(keys, points, months, rows, hyperparameters, threads=threads)


def predict_walk_forward(
    keys: pa.Table,
    points: Sequence[Checkpoint],
    months: Months,
    rows: Rows,
    hyperparameters: Hyperparameters,
    reducer: Reducer = ONE_HOST,
    threads: int = THREADS,
) -> pa.Table:
    """Walk-forward predictions of the rows in `keys` (KEY_COLUMNS): those from the first of `points` on.

    Each host predicts its own of `rows`. Several hosts must come to the fits in the same order: `threads` is 1 then.
    """

    def forecast(point: Checkpoint) -> FloatArray:
        booster = fit_set(rows.before(point.fit_end), hyperparameters, reducer)
        numbers, X = rows.rows(point.begin, point.end)
        found = np.zeros(point.end - point.begin)  # and zero where the row is another host's
        found[numbers - point.begin] = predict(booster, X)
        return found

    with ThreadPoolExecutor(threads) as pool:
        forecasts = list(pool.map(forecast, points) if threads > 1 else map(forecast, points))
    columns: dict[str, Any] = {name: keys[name] for name in keys.column_names}
    columns[c.PREDICTION] = reducer.allreduce_sum(np.concatenate(forecasts) if forecasts else np.empty(0))
    lengths = [point.end - point.begin for point in points]
    totals = months.sums_before[np.searchsorted(months.starts, [point.fit_end for point in points])]
    rates = [constant(total, point.fit_end) for total, point in zip(totals.tolist(), points, strict=True)]
    columns[c.P_CONSTANT] = np.repeat(np.array(rates, dtype=np.float64), lengths)
    days = np.repeat(np.array([point.first_day for point in points], dtype="datetime64[D]"), lengths)
    columns[c.TRAINED_BEFORE] = pa.array(days)
    return pa.table(columns)


def constant(total: float, n_rows: int) -> float:
    """The share of 1 among earlier targets, with one pseudo-count each, so that it is never 0 or 1."""
    return (total + 1.0) / (n_rows + 2.0)


def months_to_predict(months: Months, n_rows: int) -> list[Checkpoint]:
    """Where the training config is fitted anew for the last `n_rows` of the rows."""
    first = max(0, months.n_rows - n_rows)
    return _checkpoints(first, months.first_days, months.starts, months.ends)


def checkpoints(month: NDArray[np.datetime64], n_rows: int) -> list[Checkpoint]:
    """The same where `month` is the first day of each row's month."""
    first = max(0, len(month) - n_rows)
    first_days, counts = np.unique(month[first:], return_counts=True)
    return _checkpoints(first, first_days, np.searchsorted(month, first_days), first + np.cumsum(counts))


def _checkpoints(
    first: int, first_days: NDArray[np.datetime64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> list[Checkpoint]:
    return [
        Checkpoint(begin=max(first, int(start)), end=int(end), fit_end=int(start), first_day=day)
        for day, start, end in zip(first_days, starts, ends, strict=True)
        if end > first and start >= MIN_TRAINING_ROWS
    ]
