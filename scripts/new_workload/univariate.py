"""Which column tells the target: all of it (a leak), or more than any other (the baseline's)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pipeline.contract.names import TARGET, TIME
from pipeline.contract.spec import Task
from pipeline.evaluation.metrics import row_losses

PSEUDO_ROWS: Final = 20  # of the mean of all, in each group
ROWS_A_VALUE: Final = 5
MOST_GROUPS: Final = 50


@dataclass(frozen=True)
class UnivariateBaseline:
    """The column in whose groups the mean, or the newest known target, predicts best (empty: in one group of all).

    `shift`: how far the mean of the later targets is from what the best means predict, of a regression as a share of
    the targets' standard deviation.
    """

    by: str
    newest: bool
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


def find_baseline(
    rows: pd.DataFrame, fit_end: int, begin: int, columns: Sequence[str], task: Task, delay_days: int
) -> UnivariateBaseline:
    """The column whose means in the rows before `fit_end`, or newest targets, predict those from `begin` on best."""
    rows = rows.assign(day=rows[TIME].to_numpy().astype("datetime64[D]").astype(np.int64))
    past, later, known = rows[:fit_end], rows[begin:], rows.assign(day=rows["day"] + delay_days + 1)
    y = later[TARGET].to_numpy(dtype=np.float64)
    mean = float((past[TARGET].sum() + later[TARGET].mean()) / (len(past) + 1))
    found = {("", False): pd.Series(mean, later.index)}  # by column, and whether by the newest target
    for name in ["", *(name for name in columns if rows[name].nunique() <= MOST_GROUPS)]:
        by = [name] if name else []
        if name:
            groups = past.groupby(name)[TARGET].agg(["sum", "count"])
            means = (groups["sum"] + PSEUDO_ROWS * mean) / (groups["count"] + PSEUDO_ROWS)
            found[name, False] = later[name].map(means)
        if task == "regression" and not rows[by].isna().any(axis=None):
            newest = pd.merge_asof(later[["day", *by]], known[["day", *by, TARGET]], on="day", by=by or None)
            found[name, True] = newest[TARGET]
    predicted = {key: np.asarray(values.fillna(mean), dtype=np.float64) for key, values in found.items()}
    losses = {key: float(row_losses(task, values, y).mean()) for key, values in predicted.items()}
    best, of_means = (min(keys, key=losses.__getitem__) for keys in (losses, [key for key in losses if not key[1]]))
    shift = abs(float((predicted[of_means] - y).mean())) / (1.0 if task == "binary" else float(y.std()) or 1.0)
    return UnivariateBaseline(*best, losses[best], shift)
