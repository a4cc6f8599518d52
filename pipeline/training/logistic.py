"""Logistic regression by Newton's method: for a handful of columns it needs a few milliseconds and no library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_STEPS = 25
_CONVERGED = 1e-7  # the next step would be its square
_DECIMALS = 9  # of a coefficient: what is beyond differs between processors


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Probability of given log-odds, any shape."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * log_odds), dtype=np.float64)


class Reducer:
    """How several hosts that hold rows of their own make one number of theirs; this one is of a single host."""

    def allreduce_sum(self, values: FloatArray) -> FloatArray:
        """The sum over all hosts, on each of them."""
        return values

    def broadcast(self, values: FloatArray) -> FloatArray:
        """The first host's numbers, on each of them."""
        return values


ONE_HOST: Final = Reducer()
Batches = Callable[[], Iterable[tuple[FloatArray, FloatArray]]]


def fit_logistic(X: FloatArray, y: FloatArray, ridge: float = 0.0) -> FloatArray:
    """Coefficients of the shape (columns,) that minimise the summed log loss plus `ridge` / 2 x their squared norm.

    `X` has the shape (rows, columns): put a column of ones in for an intercept. The ridge counts per column's root
    mean square, so that it does not depend on units. Raises ValueError when there is no row.
    """
    return fit_logistic_in_batches(lambda: [(X, y)], X.shape[1], ridge)


def fit_logistic_in_batches(
    batches: Batches, columns: int, ridge: float = 0.0, reducer: Reducer = ONE_HOST
) -> FloatArray:
    """The same of rows that come in batches (`X`, `y`), again at each call, and are on one host or on several.

    Newton's method needs sums over rows and nothing else, so this is the fit on all of them. A host may have none.
    """
    rows, squares = 0, np.zeros(columns)
    for X, y in batches():
        rows += len(y)
        squares += np.sum(X**2, axis=0)
    packed = reducer.allreduce_sum(np.append(squares, rows))
    if packed[-1] == 0:
        raise ValueError("a logistic regression needs rows to fit, and there are none")
    scale = np.sqrt(packed[:-1] / packed[-1])
    scale[scale == 0.0] = 1.0
    penalty = (ridge + 1e-9) * np.eye(columns)
    coefficients = np.zeros(columns)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(batches, scale, coefficients, reducer)
        step = np.asarray(np.linalg.solve(hessian + penalty, gradient + penalty @ coefficients), dtype=np.float64)
        step = reducer.broadcast(step)  # hosts that saw another last bit might stop one step apart, and wait for ever
        coefficients -= np.clip(step, -5.0, 5.0)  # outcomes that are all alike would send it to infinity
        if np.abs(step).max() < _CONVERGED:
            break
    return np.asarray(np.round(coefficients / scale, _DECIMALS))


def _derivatives(
    batches: Batches, scale: FloatArray, coefficients: FloatArray, reducer: Reducer
) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian of the summed log loss in scaled columns, over all rows of all hosts."""
    columns = len(scale)
    gradient, hessian = np.zeros(columns), np.zeros((columns, columns))
    for X, y in batches():
        Z = X / scale
        p = sigmoid(Z @ coefficients)
        gradient += Z.T @ (p - y)
        hessian += (Z * (p * (1.0 - p))[:, None]).T @ Z
    packed = reducer.allreduce_sum(np.concatenate([gradient, hessian.ravel()]))
    return packed[:columns], packed[columns:].reshape(columns, columns)
