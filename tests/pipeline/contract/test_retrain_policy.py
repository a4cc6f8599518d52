"""When a training is due, on numbers and on arrays alike."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contract.retrain_policy import training_is_due

CASES = [
    (True, False, 0, 30, True),  # without a champion it always is
    (False, True, 0, 30, True),
    (False, False, 29, 30, False),
    (False, False, 30, 30, True),
    (False, False, 5, float("inf"), False),
]


@pytest.mark.parametrize(("no_champion", "urgent", "days", "minimum", "due"), CASES)
def test_due(no_champion: bool, urgent: bool, days: int, minimum: float, due: bool) -> None:
    found = training_is_due(no_champion=no_champion, urgent=urgent, days_since_training=days, min_days=minimum)
    assert found is due


def test_arrays_are_judged_one_by_one() -> None:
    no_champion, urgent, days, minimum, due = (np.array(column) for column in zip(*CASES, strict=True))
    found = training_is_due(no_champion=no_champion, urgent=urgent, days_since_training=days, min_days=minimum)
    assert (found == due).all()
