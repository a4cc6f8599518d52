"""The bound is the least loss of all schedules, found by trying every one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipeline.backtest.results import bounds


def loss_of(schedule: tuple[int, ...], losses: np.ndarray, start: np.ndarray, before: np.ndarray) -> float:
    """Summed loss when each candidate of `schedule` serves from its start until the next one's."""
    row = before.copy()
    for candidate in schedule:
        row[start[candidate] :] = losses[candidate, start[candidate] :]
    return float(row.sum())


@pytest.mark.parametrize("seed", range(8))
def test_bounds_equal_the_best_of_all_schedules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses, before = rng.random((6, 9)), rng.random(9) + 0.2
    start = np.sort(rng.choice(9, size=6, replace=False))
    found = bounds(losses, start, before, most=6)
    for bound in found:
        tried = itertools.chain.from_iterable(itertools.combinations(range(6), n) for n in range(bound.promotions + 1))
        assert bound.loss == pytest.approx(min(loss_of(s, losses, start, before) for s in tried))
    assert [b.loss for b in found] == sorted((b.loss for b in found), reverse=True)
