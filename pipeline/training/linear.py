"""The linear part of a model: logistic regression or least squares on the first features, the trees' base margin."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import Task
from pipeline.training.lean_xgboost import xgb
from pipeline.training.logistic import Batches, FloatArray, Reducer, fit_logistic_in_batches
from pipeline.training.training_sets import FeatureMatrix, Rows

Precision = TypeVar("Precision", np.float32, np.float64)

_RIDGE: Final = 1.0
_ATTRIBUTE: Final = "linear_part"  # of the booster: JSON, so that one file holds the whole model


@dataclass(frozen=True)
class LinearPart:
    """Coefficients of the shape (linear features,), the model's task, and how many numbers it predicts for a row.

    `low` and `high` are the ends of a regression's target.
    """

    task: Task
    coefficients: FloatArray
    intercept: float = 0.0
    n_outputs: int = 1
    low: float | None = None
    high: float | None = None

    def margin(self, X: FeatureMatrix) -> FloatArray:
        """Log-odds or target by the linear part alone, of the shape (rows,) for `X` of the shape (rows, features)."""
        linear = X[:, : len(self.coefficients)].astype(np.float64)
        return np.asarray(linear @ self.coefficients + self.intercept)

    def within_ends(self, predicted: NDArray[Precision]) -> NDArray[Precision]:
        """The nearest numbers that the target can be."""
        return np.clip(predicted, self.low, self.high)

    def store(self, booster: xgb.Booster) -> xgb.Booster:
        fields = {**vars(self), "coefficients": self.coefficients.tolist()}
        booster.set_attr(**{_ATTRIBUTE: json.dumps(fields)})
        return booster

    @classmethod
    def of(cls, booster: xgb.Booster) -> LinearPart:
        """Read what `store` wrote; raises ValueError where there is none."""
        text = booster.attr(_ATTRIBUTE)
        if text is None:
            raise ValueError("this booster is not a model of this pipeline: it has no linear part")
        fields: dict[str, Any] = json.loads(text)
        return cls(**{**fields, "coefficients": np.array(fields["coefficients"], dtype=np.float64)})


def fit_linear(rows: Rows, reducer: Reducer) -> LinearPart:
    """Fit on the rows of all hosts behind `reducer`. Raises StepError for a missing value, ValueError without a row."""
    layout = rows.layout
    ones = layout.task == "binary" and layout.intercept

    def batches() -> Iterator[tuple[FloatArray, FloatArray]]:
        for X, y in rows.batches(layout.linear):
            check_complete(X, layout.linear)
            yield np.column_stack([X, np.ones(len(y))]) if ones else X.astype(np.float64), y

    if layout.task == "regression":
        fitted = fit_least_squares(batches, layout.n_linear, _RIDGE, reducer)
        return LinearPart("regression", *fitted, low=layout.low, high=layout.high)
    coefficients = fit_logistic_in_batches(batches, layout.n_linear + ones, _RIDGE, reducer)
    intercept = float(coefficients[-1]) if ones else 0.0
    return LinearPart("binary", coefficients[: layout.n_linear], intercept)


def check_complete(X: FeatureMatrix, linear: Sequence[str]) -> None:
    """Raises StepError that names the first of the linear features (X's first columns) that lacks a value."""
    missing = np.isnan(X[:, : len(linear)]).any(axis=0)
    if missing.any():
        raise StepError(
            f"feature {linear[int(missing.argmax())]} has missing values, which a linear feature may not have: fill "
            "them, or leave it to the trees (missing=True in its Column; in a layout, after the first n_linear)"
        )


def fit_least_squares(batches: Batches, columns: int, ridge: float, reducer: Reducer) -> tuple[FloatArray, float]:
    """Coefficients of the shape (columns,) and intercept of a ridge regression on `X`, `y` in batches.

    Columns are centred, and the ridge counts per column's standard deviation, so that it does not depend on units and
    leaves the target's mean alone. Raises ValueError when there is no row.
    """
    sums = np.zeros(columns + 2)
    for X, y in batches():
        sums += np.concatenate([X.sum(axis=0), [y.sum(), len(y)]])
    sums = reducer.allreduce_sum(sums)
    n_rows = sums[-1]
    if n_rows == 0:
        raise ValueError("a regression needs rows to fit, and there are none")
    means = sums[:-1] / n_rows
    products = np.zeros((columns + 1, columns + 1))
    for X, y in batches():
        centred = np.column_stack([X, y]) - means
        products += centred.T @ centred
    products = reducer.allreduce_sum(products)
    scale = np.sqrt(np.diag(products)[:-1] / n_rows)
    scale[scale == 0.0] = 1.0
    gram = products[:-1, :-1] / np.outer(scale, scale) + ridge * np.eye(columns)
    coefficients = reducer.broadcast(np.linalg.solve(gram, products[:-1, -1] / scale) / scale)
    return coefficients, float(means[-1] - means[:-1] @ coefficients)
