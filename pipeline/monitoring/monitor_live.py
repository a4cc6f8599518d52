"""How the champion does on the games decided since its cut-off, beside what it claims and beside Elo-logistic.

A calibrated forecaster's expected log loss, and how far chance moves it, follow from its own probabilities: so the live
loss is judged against the champion's own claim, and against a reference rating on the same games, never against another
season's number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import metrics
from pipeline.monitoring.monitor_evidence import Forecasts

FloatArray = NDArray[np.float64]

MIN_WEEKS: Final = 4  # a bootstrap of fewer weeks knows too little of how weeks differ
SEED: Final = 20_151_027
_SIMULATIONS: Final = 400
_Z_95: Final = 1.959964


@dataclass(frozen=True)
class Expected:
    """What a number should be if the champion is right, with the 95 % range of chance."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Score:
    """One number of the champion's: as seen, with its 95 % interval (bootstrap over weeks), and as it should be."""

    value: float
    interval: tuple[float, float] | None  # None: too few weeks
    expected: Expected

    @property
    def as_claimed(self) -> bool:
        """Whether the value lies in the range of chance."""
        return self.expected.lower <= self.value <= self.expected.upper


@dataclass(frozen=True)
class LivePerformance:
    """Scores on all games since the cut-off."""

    n_rows: int
    first_day: int
    last_day: int
    log_loss: Score
    brier: Score
    home_win_rate: Score
    calibration_error: Score
    reference_log_loss: float | None
    difference: metrics.Difference | None  # champion's log loss less the reference's: negative is better
    reliability: tuple[metrics.ReliabilityBin, ...]


def live_performance(forecasts: Forecasts) -> LivePerformance:
    """Score decided games; raises ValueError where there is none."""
    p, y = forecasts.p, forecasts.target
    score = metrics.score(p, y)
    losses = metrics.log_losses(p, y)
    reference = None if forecasts.p_reference is None else metrics.log_losses(forecasts.p_reference, y)
    weeks = (forecasts.day + 3) // 7  # Monday to Sunday: 1970-01-01 was a Thursday
    enough = len(np.unique(weeks)) >= MIN_WEEKS
    both = metrics.log_losses(p, np.ones_like(p)), metrics.log_losses(p, np.zeros_like(p))
    squares = (1 - p) ** 2, p**2
    sure = np.ones_like(p), np.zeros_like(p)

    def scored(value: float, of_game: FloatArray, if_won_lost: tuple[FloatArray, FloatArray]) -> Score:
        interval = metrics.paired_difference(of_game, np.zeros_like(p), weeks, SEED) if enough else None
        return Score(value, (interval.lower, interval.upper) if interval else None, _expected(p, *if_won_lost))

    return LivePerformance(
        n_rows=len(forecasts),
        first_day=int(forecasts.day[0]),
        last_day=int(forecasts.day[-1]),
        log_loss=scored(score.log_loss, losses, both),
        brier=scored(score.brier, (p - y) ** 2, squares),
        home_win_rate=scored(float(y.mean()), y, sure),
        calibration_error=Score(score.calibration_error, None, _expected_calibration_error(p)),
        reference_log_loss=None if reference is None else float(reference.mean()),
        difference=metrics.paired_difference(losses, reference, weeks, SEED)
        if reference is not None and enough
        else None,
        reliability=tuple(metrics.reliability_bins(p, y, 5)),
    )


def _expected(p: FloatArray, if_won: FloatArray, if_lost: FloatArray) -> Expected:
    """Mean of a quantity over the games, if each is won with its probability; exact mean and variance."""
    mean = float((p * if_won + (1 - p) * if_lost).mean())
    deviation = float(np.sqrt((p * (1 - p) * (if_won - if_lost) ** 2).sum()) / len(p))
    return Expected(mean, mean - _Z_95 * deviation, mean + _Z_95 * deviation)


def _expected_calibration_error(p: FloatArray) -> Expected:
    """By simulation: a right forecaster's calibration error is not zero, and only its upper end says something."""
    rng = np.random.default_rng(SEED)
    outcomes = (rng.random((_SIMULATIONS, len(p))) < p).astype(np.float64)
    errors = np.array([metrics.calibration_error(p, y) for y in outcomes])
    return Expected(float(errors.mean()), 0.0, float(np.quantile(errors, 0.95)))
