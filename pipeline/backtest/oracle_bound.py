"""The best that any policy could have done with these candidates, had it known all labels: a bound, not a policy.

A candidate may be promoted only by the run that made it, and serves from the next run until another one does. The
dynamic programme runs over the same losses as the policies' scores; with m promotions allowed,

    best(m, d) = min over s of  best(m - 1, start(s)) + loss of candidate s on the days [start(s), d)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.backtest.world import FloatArray, IntArray


@dataclass(frozen=True)
class Bound:
    """Least summed loss with at most so many promotions."""

    promotions: int
    loss: float


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
    found = [Bound(0, float(best[-1]))]
    for m in range(1, most + 1):
        with_one_more = np.minimum(best, (total + best[start][:, None]).min(axis=0))
        if not (with_one_more < best).any():
            break
        best = with_one_more
        found.append(Bound(m, float(best[-1])))
    return found
