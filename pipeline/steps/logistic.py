"""Logistic regression by Newton's method: for a handful of columns it needs a few milliseconds and no library."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_STEPS = 25
_CONVERGED = 1e-7  # the next step would be its square
_DECIMALS = 9  # of a coefficient: what lies beyond differs between machines' linear algebra


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Probability of given log-odds, any shape."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * log_odds), dtype=np.float64)


def fit_logistic(X: FloatArray, y: FloatArray, ridge: float = 0.0) -> FloatArray:
    """Coefficients of the shape (columns,) that minimise the summed log loss plus `ridge` / 2 x their squared norm.

    `X` has the shape (games, columns): put a column of ones in for an intercept. The ridge counts per column's root
    mean square, so that it does not depend on units. Raises ValueError when there is no game.
    """
    if len(y) == 0:
        raise ValueError("a logistic regression needs games to fit, and there are none")
    scale = np.sqrt(np.mean(X**2, axis=0))
    scale[scale == 0.0] = 1.0
    Z = X / scale
    penalty = (ridge + 1e-9) * np.eye(X.shape[1])
    coefficients = np.zeros(X.shape[1])
    for _ in range(_STEPS):
        p = sigmoid(Z @ coefficients)
        gradient = Z.T @ (p - y) + penalty @ coefficients
        hessian = (Z * (p * (1.0 - p))[:, None]).T @ Z + penalty
        step = np.linalg.solve(hessian, gradient)
        coefficients -= np.clip(step, -5.0, 5.0)  # outcomes that are all alike would send it to infinity
        if np.abs(step).max() < _CONVERGED:
            break
    return np.asarray(np.round(coefficients / scale, _DECIMALS))
