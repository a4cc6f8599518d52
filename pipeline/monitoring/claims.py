"""Predictions as claims that come true or not: what the sequential test judges, whatever the task.

A probability is a claim by itself. A regression's quantile claims how often the target is above it: above the 90 %
point in one row of ten. Where the model predicts no quantiles, those of its walk-forward residuals are used.
Outcomes of one unit (a day's hours, say) depend on each other, so a workload may ask for one claim a unit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.spec import Spec
from pipeline.evaluation.metrics import blocks_of
from pipeline.monitoring.monitor_evidence import Forecasts, Groups

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

RESIDUAL_QUANTILES: Final = (0.1, 0.9)


def claims_of(
    spec: Spec,
    ids: Sequence[str],
    day: IntArray,
    prediction: FloatArray,
    target: FloatArray,
    groups: Groups,
    *,
    baseline: FloatArray | None,
    quantiles: Mapping[float, FloatArray],
) -> Forecasts:
    """What decided rows claimed: a binary prediction itself, beside the baseline's; else one of its `quantiles`."""
    rows = claimed_rows(spec, ids, day)
    members = tuple((names[rows], sign) for names, sign in groups)
    if spec.task == "binary":
        return Forecasts(
            prediction[rows], target[rows], day[rows], members, None if baseline is None else baseline[rows]
        )
    p, came = above_quantile(ids, target, quantiles)
    return Forecasts(p[rows], came[rows], day[rows], members)


def claimed_rows(spec: Spec, ids: Sequence[str], day: IntArray) -> IntArray:
    """The rows that make a claim: all, or of each unit the one whose id has the least digest."""
    if spec.monitor.claims == "row":
        return np.arange(len(day))
    order = np.array([_number(row) for row in ids], dtype=np.uint64)
    by_unit = np.lexsort((order, blocks_of(spec.monitor.claims, day)))
    _, first = np.unique(blocks_of(spec.monitor.claims, day)[by_unit], return_index=True)
    return np.sort(by_unit[first])


def above_quantile(
    ids: Sequence[str], target: FloatArray, quantiles: Mapping[float, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """For each row the claimed probability that its target is above one of its quantiles, and whether it was (1, 0).

    Which of the lowest and the highest quantile a row claims follows from its id, so that both ends are watched.
    """
    ends = (min(quantiles), max(quantiles))
    chosen = np.array([_number(f"end {row}") % 2 for row in ids], dtype=np.int64)
    claimed = 1.0 - np.array(ends)[chosen]
    points = np.where(chosen == 0, quantiles[ends[0]], quantiles[ends[1]])
    return claimed, (target > points).astype(np.float64)


def residual_quantiles(prediction: FloatArray, residuals: FloatArray) -> dict[float, FloatArray]:
    """Quantiles around a prediction as the model's earlier residuals (target less prediction) were."""
    return {q: prediction + float(np.quantile(residuals, q)) for q in RESIDUAL_QUANTILES}


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
