"""What a model must beat: Elo through a logistic regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.training.logistic import fit_logistic, sigmoid

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class EloLogistic:
    """Home-win log-odds as a line in Elo's own log-odds, which are proportional to the rating difference.

    The difference includes home advantage; Elo's formula itself is the line with intercept 0 and slope 1.
    """

    intercept: float
    slope: float

    @classmethod
    def fit(cls, p_elo: FloatArray, home_won: FloatArray) -> EloLogistic:
        """Maximum likelihood from games of the shape (games,); raises ValueError when there is none."""
        intercept, slope = fit_logistic(_columns(p_elo), home_won)
        return cls(float(intercept), float(slope))

    def predict(self, p_elo: FloatArray) -> FloatArray:
        """Home-win probabilities of the shape (games,)."""
        return sigmoid(_columns(p_elo) @ np.array([self.intercept, self.slope]))


def _columns(p_elo: FloatArray) -> FloatArray:
    return np.stack([np.ones(len(p_elo)), np.log(p_elo / (1.0 - p_elo))], axis=1)
