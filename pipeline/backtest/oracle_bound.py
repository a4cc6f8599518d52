"""The best that any policy could have done with these candidates, had it known all labels: a bound, not a policy.

A candidate may be promoted only on the night it was made, and serves from the next night until another one does. The
dynamic programme runs over the same losses as the policies' scores; with m promotions allowed,

    best(m, d) = min over s of  best(m - 1, start(s)) + loss of candidate s on the days [start(s), d)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Bound:
    """Least summed loss with at most so many promotions, and which candidates serve from which day to reach it."""

    promotions: int
    loss: float
    schedule: tuple[tuple[int, int], ...]  # (first day, candidate), positions in the inputs


def bounds(losses: FloatArray, start: IntArray, before: FloatArray, most: int) -> list[Bound]:
    """Bounds for 0, 1, ... `most` promotions.

    `losses` has the shape (candidates, days), candidates in order of `start`, the first day on which each may serve;
    `before` (days,) is the loss without any champion.
    """
    n, days = losses.shape
    serving = np.arange(days)[None, :] >= start[:, None]
    total = np.zeros((n, days + 1))
    np.cumsum(np.where(serving, losses, 0.0), axis=1, out=total[:, 1:])
    total[np.arange(days + 1)[None, :] <= start[:, None]] = np.inf  # not yet in service
    best = np.concatenate([[0.0], np.cumsum(before)])
    found = [Bound(0, float(best[-1]), ())]
    choices: list[NDArray[np.int32]] = []
    for m in range(1, most + 1):
        value = total + best[start][:, None]
        chosen = value.argmin(axis=0)
        with_one_more = value[chosen, np.arange(days + 1)]
        better = with_one_more < best
        if not better.any():
            break
        choices.append(np.where(better, chosen, -1).astype(np.int32))
        best = np.where(better, with_one_more, best)
        found.append(Bound(m, float(best[-1]), tuple(_schedule(choices, start, days))))
    return found


def _schedule(choices: Sequence[NDArray[np.int32]], start: IntArray, days: int) -> list[tuple[int, int]]:
    schedule: list[tuple[int, int]] = []
    day = days
    for chosen in reversed(choices):
        candidate = int(chosen[day])
        if candidate >= 0:  # -1: fewer promotions do as well up to this day
            day = int(start[candidate])
            schedule.append((day, candidate))
    return schedule[::-1]
