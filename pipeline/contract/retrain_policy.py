"""When a training is due: one rule for Prepare and for the replay of history. Standard library only."""

from __future__ import annotations

from typing import Any, Final, TypeVar

Truth = TypeVar("Truth", bound=Any)

# Starts that nobody decided on: they come whether or not anything calls for a training.
AUTOMATIC: Final = ("schedule", "data")


def training_is_due(*, no_champion: Truth, urgent: Truth, days_since_training: Any, min_days: Any) -> Truth:  # noqa: ANN401
    """Whether new rows may be trained on now: always without a champion or when it is urgent, else after a wait.

    Truths and numbers, or arrays of them of one shape. `days_since_training` counts from the last evaluated candidate,
    promoted or not: a candidate that lost is not trained again the next night.
    """
    due: Truth = no_champion | urgent | (days_since_training >= min_days)
    return due
