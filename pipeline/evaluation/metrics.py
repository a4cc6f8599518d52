"""Losses and scores of predictions against targets, and the paired comparison of two models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.spec import Task, Unit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CALIBRATION_BINS = 5
_EPSILON = 1e-15  # a certain forecast that fails costs 34.5, not infinity
Z_95 = 1.959964
_BOOTSTRAPS = 2_000
_MAX_BLOCKS = 4_096  # drawn in each: 65 MB; the interval is then as good as of any number


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of similar predictions: mean prediction, observed share with its 95 % Wilson interval."""

    predicted: float
    observed: float
    lower: float
    upper: float
    n_rows: int


@dataclass(frozen=True)
class Difference:
    """Mean difference of two losses with its 95 % interval; negative: the first is better."""

    mean: float
    lower: float
    upper: float


def log_losses(p: FloatArray, y: FloatArray) -> FloatArray:
    """Log loss of each row, in nats, of the shape (rows,)."""
    safe = np.clip(p, _EPSILON, 1.0 - _EPSILON)
    return np.asarray(-(y * np.log(safe) + (1.0 - y) * np.log1p(-safe)))


def row_losses(task: Task, prediction: FloatArray, target: FloatArray) -> FloatArray:
    """The loss whose mean is the task's primary metric, of each row: log loss, or squared error."""
    return log_losses(prediction, target) if task == "binary" else np.asarray((prediction - target) ** 2)


def scores(
    task: Task, prediction: FloatArray, target: FloatArray, quantiles: Mapping[float, FloatArray] | None = None
) -> dict[str, float | int | None]:
    """All metrics of the task by key (pipeline.contract.metrics) on rows of the shape (rows,); None for a NaN.

    `quantiles`: the predicted value below which a target lies with each probability. Raises ValueError when there is
    no row, shapes differ or a probability lies outside 0 to 1.
    """
    if task == "binary":
        return {name: None if np.isnan(value) else value for name, value in score(prediction, target).items()}
    if len(prediction) == 0 or prediction.shape != target.shape:
        raise ValueError(f"cannot score {len(prediction):,} predictions for {len(target):,} targets")
    error = prediction - target
    squared = float((error**2).mean())
    result: dict[str, float | int | None] = {
        "squared_error": squared,
        "rmse": squared**0.5,
        "absolute_error": float(np.abs(error).mean()),
        "bias": float(error.mean()),
    }
    if quantiles:
        gaps = {q: target - value for q, value in quantiles.items()}
        result["quantile_loss"] = float(np.mean([np.maximum(q * gap, (q - 1) * gap).mean() for q, gap in gaps.items()]))
        result["coverage_error"] = max(
            _outside(q, float((g < 0).mean()), float((g <= 0).mean())) for q, g in gaps.items()
        )
    return {**result, "n_rows": len(target)}


def _outside(q: float, below: float, not_above: float) -> float:
    """How far `q` is from the shares that it lies between if the quantile is right; many targets may be equal to it."""
    return max(below - q, q - not_above, 0.0)


def score(p: FloatArray, y: FloatArray) -> dict[str, float | int]:
    """All metrics of probabilities `p` for outcomes `y` (0 or 1), both of the shape (rows,).

    A probability of exactly one half is half accurate; the AUC is NaN when all outcomes are alike. Raises ValueError
    when there is no row, the shapes differ or a probability lies outside 0 to 1 (a NaN does).
    """
    if len(p) == 0 or p.shape != y.shape:
        raise ValueError(f"cannot score {len(p):,} probabilities for {len(y):,} outcomes")
    if not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError("cannot score: a probability is not a number from 0 to 1")
    return {
        "log_loss": float(log_losses(p, y).mean()),
        "brier": float(((p - y) ** 2).mean()),
        "accuracy": float(np.where(p == 0.5, 0.5, (p > 0.5) == (y == 1.0)).mean()),
        "roc_auc": roc_auc(p, y),
        "calibration_error": calibration_error(p, y),
        "n_rows": len(p),
    }


def roc_auc(p: FloatArray, y: FloatArray) -> float:
    """Chance that a row of outcome 1 had the higher prediction than one of 0, ties one half (Mann-Whitney U)."""
    won = int(y.sum())
    lost = len(y) - won
    if won == 0 or lost == 0:
        return float("nan")
    return float((_mean_ranks(p)[y == 1.0].sum() - won * won / 2.0) / (won * lost))


def calibration_error(p: FloatArray, y: FloatArray) -> float:
    """Expected calibration error over five bins of equal counts: mean |mean prediction - share observed|, by rows.

    Equal counts, because equal widths leave bins of a few rows whose noise rules the sum (Nixon et al. 2019,
    "Measuring Calibration in Deep Learning"). Five rather than ten, because noise alone gives a perfect forecaster
    0.023 on 1,312 rows with five bins (95 % below 0.038), but 0.032 (0.045) with ten; a model that is really off by
    0.05 shows it in both.
    """
    bins = reliability_bins(p, y, _CALIBRATION_BINS)
    return float(sum(abs(b.predicted - b.observed) * b.n_rows for b in bins) / len(p))


def reliability_bins(p: FloatArray, y: FloatArray, n_bins: int = 10) -> list[ReliabilityBin]:
    """At most `n_bins` bins of nearly equal counts by ascending forecast; equal forecasts share a bin."""
    position = (_mean_ranks(p) * n_bins / len(p)).astype(np.int64)
    return [_bin(p[position == number], y[position == number]) for number in np.unique(position)]


def _mean_ranks(p: FloatArray) -> FloatArray:
    """Rank of each value from 0.5 upwards, equal values at their mean."""
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - counts / 2.0)[inverse])


def _bin(p: FloatArray, y: FloatArray) -> ReliabilityBin:
    n, observed = len(y), float(y.mean())
    centre = (observed + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 * np.sqrt(observed * (1 - observed) / n + Z_95**2 / (4 * n**2)) / (1 + Z_95**2 / n)
    return ReliabilityBin(float(p.mean()), observed, float(centre - half), float(centre + half), n)


def blocks_of(unit: Unit, day: IntArray) -> IntArray:
    """Number of the unit of independence that each row is in, from days since 1970-01-01; weeks begin on Mondays."""
    if unit == "row":
        return np.arange(len(day))
    return (day + 3) // 7 if unit == "week" else day  # 1970-01-01 was a Thursday


def paired_difference(loss_a: FloatArray, loss_b: FloatArray, blocks: IntArray, seed: int) -> Difference:
    """Mean of `loss_a - loss_b` over the rows with a 95 % percentile interval, bootstrapped over blocks.

    Whole blocks are drawn, because the rows of a block are not independent. One block says nothing of chance: then the
    interval is all that losses, which are at least 0, allow. All inputs have the shape (rows,). Raises ValueError when
    there is no row.
    """
    if len(loss_a) == 0:
        raise ValueError("cannot compare two models on no rows")
    difference = loss_a - loss_b
    _, week = np.unique(blocks, return_inverse=True)
    sums = np.bincount(week, weights=difference).astype(np.float64)
    counts = np.bincount(week).astype(np.float64)
    lower, upper = interval_of_mean(sums, counts, seed) if len(counts) > 1 else (-loss_b.max(), loss_a.max())
    return Difference(float(difference.mean()), float(lower), float(upper))


def interval_of_mean(sums: FloatArray, counts: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Both ends of the 95 % percentile interval of a mean over rows, bootstrapped over blocks.

    `sums` of what is averaged, by block, have the shape (blocks,) or (blocks, comparisons), `counts` of rows (blocks,);
    the ends have the shape () or (comparisons,). Of more than 4,096 blocks, neighbours are drawn together.
    """
    if len(counts) > _MAX_BLOCKS:
        first = np.arange(_MAX_BLOCKS) * len(counts) // _MAX_BLOCKS
        sums, counts = np.add.reduceat(sums, first), np.add.reduceat(counts, first)
    drawn = _times_drawn(len(counts), seed)
    rows = drawn @ counts
    means = (drawn @ sums) / (rows if sums.ndim == 1 else rows[:, None])
    lower, upper = np.quantile(means, [0.025, 0.975], axis=0)
    return lower, upper


@lru_cache(maxsize=8)
def _times_drawn(n_blocks: int, seed: int) -> FloatArray:
    """How often each block is in each bootstrap, of the shape (bootstraps, blocks); the same for equal arguments."""
    drawn = np.random.default_rng(seed).integers(n_blocks, size=(_BOOTSTRAPS, n_blocks))
    rows = np.arange(_BOOTSTRAPS)[:, None] * n_blocks
    times = np.bincount((rows + drawn).ravel(), minlength=drawn.size)
    return times.reshape(drawn.shape).astype(np.float64)
