"""Walk-forward predictions: each of the last rows predicted by a model that saw only labels known before it.

On the first morning of each calendar month with rows, the model is fitted again on all rows whose label was known.
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
from pipeline.contract.feature_layout import Task
from pipeline.ingest.known import known_on
from pipeline.training.logistic import ONE_HOST, Reducer
from pipeline.training.model import Hyperparameters, fit_quantiles, fit_set, predict, predict_quantiles
from pipeline.training.training_rows import Labels
from pipeline.training.training_sets import FloatArray, MemoryRows, Rows, feature_layout, feature_matrix

# Below so many earlier rows a fit is mostly noise: predictions start in the first month that has them.
MIN_TRAINING_ROWS: Final = 500
THREADS: Final = 2  # XGBoost releases Python's lock; each fit has one thread, so this does not change the result
KEY_COLUMNS: Final = (c.ROW_ID, c.TIME, c.TARGET)


@dataclass(frozen=True)
class Checkpoint:
    """Rows [begin, end) are predicted from the rows before `fit_end`, whose days are before `trained_before`."""

    begin: int
    end: int
    fit_end: int
    trained_before: np.datetime64


def walk_forward(
    features: pa.Table, hyperparameters: Hyperparameters, n_rows: int, threads: int = THREADS, delay_days: int = 0
) -> pa.Table:
    """Predict the last `n_rows` rows of a table of features, each from labels known on the first of its month.

    `features` holds rows whose label is known, in order of time. Returns KEY_COLUMNS, prediction, the layout's
    quantiles, constant and trained_before (first day that the row's models had not seen); fewer rows where fewer have
    at least 500 known rows before. Raises ValueError when the rows are out of order or one has no target.
    """
    labels = Labels.of(features)
    points = checkpoints(labels.days, n_rows, delay_days)
    rows = MemoryRows(feature_matrix(features), labels.targets, feature_layout(features.schema))
    keys = features.select(KEY_COLUMNS).slice(points[0].begin if points else features.num_rows)
    return predict_walk_forward(keys, points, labels, rows, hyperparameters, threads=threads)


def predict_walk_forward(
    keys: pa.Table,
    points: Sequence[Checkpoint],
    labels: Labels,
    rows: Rows,
    hyperparameters: Hyperparameters,
    reducer: Reducer = ONE_HOST,
    threads: int = THREADS,
) -> pa.Table:
    """Walk-forward predictions of the rows in `keys` (KEY_COLUMNS): those from the first of `points` on.

    Each host predicts its own of `rows`. Several hosts must come to the fits in the same order: `threads` is 1 then.
    """
    layout = rows.layout
    predicted = (c.PREDICTION, *layout.quantile_columns)

    def forecast(point: Checkpoint) -> FloatArray:
        known = rows.before(point.fit_end)
        booster = fit_set(known, hyperparameters, reducer)
        quantile_booster = fit_quantiles(known, booster, hyperparameters)
        numbers, X = rows.rows(point.begin, point.end)
        values = np.zeros((point.end - point.begin, len(predicted)))  # zero where the row is another host's
        values[numbers - point.begin, 0] = predict(booster, X)
        if quantile_booster:
            values[numbers - point.begin, 1:] = predict_quantiles(quantile_booster, X)
        return values

    with ThreadPoolExecutor(threads) as pool:
        forecasts = list(pool.map(forecast, points) if threads > 1 else map(forecast, points))
    values = reducer.allreduce_sum(np.concatenate([np.empty((0, len(predicted))), *forecasts]))
    columns: dict[str, Any] = {name: keys[name] for name in keys.column_names}
    columns |= {name: values[:, position] for position, name in enumerate(predicted)}
    lengths = [point.end - point.begin for point in points]
    constants = [constant(labels.targets[: point.fit_end], layout.task) for point in points]
    columns[c.P_CONSTANT] = np.repeat(np.array(constants, dtype=np.float64), lengths)
    days = np.repeat(np.array([point.trained_before for point in points], dtype="datetime64[D]"), lengths)
    columns[c.TRAINED_BEFORE] = pa.array(days)
    return pa.table(columns)


def constant(earlier: FloatArray, task: Task) -> float:
    """The mean of earlier targets; of a classification with one pseudo-count each, so that it is never 0 or 1."""
    if task == "regression":
        return float(earlier.mean())
    return float((earlier.sum() + 1.0) / (len(earlier) + 2.0))


def checkpoints(days: NDArray[np.datetime64], n_rows: int, delay_days: int = 0) -> list[Checkpoint]:
    """Where the model is fitted again for the last `n_rows` of the rows of these days, which ascend."""
    first = max(0, len(days) - n_rows)
    months, counts = np.unique(days[first:].astype("datetime64[M]"), return_counts=True)
    ends = first + np.cumsum(counts)
    found = []
    for month, end, count in zip(months, ends.tolist(), counts.tolist(), strict=True):
        morning = month.astype("datetime64[D]")
        fit_end = int(np.count_nonzero(known_on(days, morning, delay_days)))
        if fit_end >= MIN_TRAINING_ROWS:
            found.append(Checkpoint(end - count, end, fit_end, morning - np.timedelta64(delay_days, "D")))
    return found
