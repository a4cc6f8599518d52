"""Which column tells the target: all of it (a leak), or more than any other (the baseline's)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contract.names import TARGET
from pipeline.contract.spec import Task
from pipeline.evaluation.metrics import row_losses

PSEUDO_ROWS: Final = 20  # of the mean of all, in each group
ROWS_A_VALUE: Final = 5
MOST_GROUPS: Final = 50

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class UnivariateBaseline:
    """The column whose means predict best (empty: none does better than one mean), and how they did.

    `shift`: how far the mean of the later targets is from that of their predictions, of a regression as a share of the
    targets' standard deviation.
    """

    by: str
    loss: float
    shift: float


def find_leak(rows: pd.DataFrame, columns: Sequence[str]) -> tuple[str, str] | None:
    """The first column that determines the target, and in which way; None where there is none."""
    y = rows[TARGET].to_numpy(dtype=np.float64)
    for name in columns:
        codes, values = pd.factorize(rows[name], use_na_sentinel=False)
        if len(values) * ROWS_A_VALUE <= len(rows) and (rows.groupby(codes)[TARGET].nunique() <= 1).all():
            return name, "has one target for each of its values, and so determines"
        if rows[name].dtype.kind != "f" or rows[name].isna().any():
            continue
        x = rows[name].to_numpy(dtype=np.float64)
        if len(np.unique(y)) == 2:
            zero, one = x[y == y.min()], x[y == y.max()]
            if zero.max() < one.min() or one.max() < zero.min():
                return name, "is higher in all rows of one value of the target than in all others, and so determines"
        elif len(values) > 2 and abs(rows[name].rank().corr(rows[TARGET].rank())) > 1 - 1e-9:
            return name, "rises and falls one to one with"
    return None


def find_baseline(past: pd.DataFrame, later: pd.DataFrame, columns: Sequence[str], task: Task) -> UnivariateBaseline:
    """The column whose means in the rows of the past predict the later rows best."""
    y = later[TARGET].to_numpy(dtype=np.float64)
    mean = float((past[TARGET].sum() + later[TARGET].mean()) / (len(past) + 1))

    def judged(by: str, predicted: FloatArray) -> UnivariateBaseline:
        shift = abs(float((predicted - y).mean())) / (1.0 if task == "binary" else float(y.std()) or 1.0)
        return UnivariateBaseline(by, float(row_losses(task, predicted, y).mean()), shift)

    best = judged("", np.full(len(y), mean))
    for name in columns:
        groups = past.groupby(name)[TARGET].agg(["sum", "count"])
        if len(groups) <= MOST_GROUPS:
            means = (groups["sum"] + PSEUDO_ROWS * mean) / (groups["count"] + PSEUDO_ROWS)
            found = judged(name, later[name].map(means).fillna(mean).to_numpy(dtype=np.float64))
            best = min(best, found, key=lambda one: one.loss)
    return best
