"""How the champion does on the rows decided since its cut-off, beside what it claims and beside the baseline.

A probability claims its own expected loss. A regression's predictions claim that they are as good as the walk-forward
predictions that the champion was approved with. Both are judged against that claim and the baseline on the same rows,
never against another time's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.spec import Task, Unit
from pipeline.evaluation import metrics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MIN_BLOCKS: Final = 4  # a bootstrap of fewer knows too little of how they differ
SEED: Final = 20_151_027
_SIMULATIONS: Final = 400


@dataclass(frozen=True)
class Approved:
    """The champion's walk-forward predictions, whose like its later ones claim to be; arrays of the shape (rows,)."""

    prediction: FloatArray
    target: FloatArray
    day: IntArray


@dataclass(frozen=True)
class Decided:
    """Rows decided since the cut-off, in order of day; arrays of the shape (rows,)."""

    task: Task
    unit: Unit
    day: IntArray  # since 1970-01-01
    prediction: FloatArray
    target: FloatArray
    baseline: FloatArray | None = None
    approved: Approved | None = None  # of a regression


@dataclass(frozen=True)
class Expected:
    """What a number should be if the champion is right, with the 95 % range of chance."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Score:
    """One number of the champion's: as seen, with its 95 % interval (bootstrap over blocks), and as it should be."""

    value: float
    interval: tuple[float, float] | None  # None: too few blocks
    expected: Expected
    as_claimed: bool  # whether the value is in the range of chance


@dataclass(frozen=True)
class LivePerformance:
    """Scores on all rows since the cut-off, by metric; `rate` is the share of the event."""

    first_date: str
    last_date: str
    scores: Mapping[str, Score]
    reference_loss: float | None
    difference: metrics.Difference | None  # champion's loss less the baseline's: negative is better
    reliability: tuple[metrics.ReliabilityBin, ...]


def live_performance(decided: Decided) -> LivePerformance:
    """Score decided rows; raises ValueError where there is none."""
    blocks = metrics.blocks_of(decided.unit, decided.day)
    enough = len(np.unique(blocks)) >= MIN_BLOCKS
    losses = metrics.row_losses(decided.task, decided.prediction, decided.target)
    reference = None
    if decided.baseline is not None:
        reference = metrics.row_losses(decided.task, decided.baseline, decided.target)

    def score(of_row: FloatArray, expected: Expected, with_interval: bool) -> Score:
        found = None
        if enough and with_interval:
            found = metrics.paired_difference(of_row, np.zeros_like(of_row), blocks, SEED)
        value = float(of_row.mean())
        interval = (found.lower, found.upper) if found else None
        return Score(value, interval, expected, expected.lower <= value <= expected.upper)

    binary = decided.task == "binary"
    return LivePerformance(
        first_date=str(np.datetime64(int(decided.day[0]), "D")),
        last_date=str(np.datetime64(int(decided.day[-1]), "D")),
        scores={name: score(*of) for name, of in (_binary if binary else _regression)(decided, losses).items()},
        reference_loss=None if reference is None else float(reference.mean()),
        difference=metrics.paired_difference(losses, reference, blocks, SEED)
        if reference is not None and enough
        else None,
        reliability=tuple(metrics.reliability_bins(decided.prediction, decided.target, 5)) if binary else (),
    )


Quantities = dict[str, tuple[FloatArray, Expected, bool]]  # of each row, what is to be expected, whether with interval


def _binary(decided: Decided, losses: FloatArray) -> Quantities:
    p, y = decided.prediction, decided.target
    one, zero = np.ones_like(p), np.zeros_like(p)
    error = np.full(len(p), metrics.calibration_error(p, y))
    return {
        "log_loss": (losses, _expected(p, metrics.log_losses(p, one), metrics.log_losses(p, zero)), True),
        "brier": ((p - y) ** 2, _expected(p, (1 - p) ** 2, p**2), True),
        "rate": (y, _expected(p, one, zero), True),
        "calibration_error": (error, _expected_calibration_error(p), False),
    }


def quantities(prediction: FloatArray, target: FloatArray) -> dict[str, FloatArray]:
    """What a regression is scored by, of each row."""
    return {
        "squared_error": (prediction - target) ** 2,
        "absolute_error": np.abs(prediction - target),
        "bias": prediction - target,
    }


def _regression(decided: Decided, losses: FloatArray) -> Quantities:
    now = quantities(decided.prediction, decided.target)
    approved = decided.approved or Approved(decided.prediction, decided.target, decided.day)
    then, blocks = quantities(approved.prediction, approved.target), metrics.blocks_of(decided.unit, approved.day)
    return {name: (of_row, _as_approved(then[name], blocks, len(of_row)), True) for name, of_row in now.items()}


def _as_approved(approved: FloatArray, blocks: IntArray, n: int) -> Expected:
    """The mean of as many rows as there are now, if they and their blocks are like those of the approved predictions.

    The rows of a block go together; and the approved ones are a sample, too.
    """
    mean = float(approved.mean())
    sums = np.bincount(np.unique(blocks, return_inverse=True)[1], weights=approved - mean)
    deviation = float(np.sqrt((sums**2).sum() / len(approved) * (1 / n + 1 / len(approved))))
    return Expected(mean, mean - metrics.Z_95 * deviation, mean + metrics.Z_95 * deviation)


def _expected(p: FloatArray, if_one: FloatArray, if_zero: FloatArray) -> Expected:
    """Mean of a quantity over the rows, if each target is 1 with its probability; exact mean and variance."""
    mean = float((p * if_one + (1 - p) * if_zero).mean())
    deviation = float(np.sqrt((p * (1 - p) * (if_one - if_zero) ** 2).sum()) / len(p))
    return Expected(mean, mean - metrics.Z_95 * deviation, mean + metrics.Z_95 * deviation)


def _expected_calibration_error(p: FloatArray) -> Expected:
    """By simulation: a right predictor's calibration error is not zero, and only its upper end says something."""
    rng = np.random.default_rng(SEED)
    outcomes = ((rng.random(len(p)) < p).astype(np.float64) for _ in range(_SIMULATIONS))
    errors = np.array([metrics.calibration_error(p, y) for y in outcomes])
    return Expected(float(errors.mean()), 0.0, float(np.quantile(errors, 0.95)))
