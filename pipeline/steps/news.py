"""Whether tonight's games, recipe and code are trained on: against the marker of the last evaluated candidate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline import contract as c
from pipeline.due import AUTOMATIC, training_is_due
from pipeline.steps.container import StepError


def last_evaluated(folder: Path) -> dict[str, Any]:
    """The marker that Evaluate wrote last; raises StepError when it is missing or unreadable."""
    try:
        marker: dict[str, Any] = json.loads((folder / c.EVALUATED_FILE).read_text(encoding="utf-8"))
        _ = marker["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepError(
            f'evaluated/{c.EVALUATED_FILE} is missing or unreadable ({error}): write {{"fingerprint": null}} there to '
            "train afresh"
        ) from error
    return marker


@dataclass(frozen=True)
class News:
    """Whether to train tonight, and why (not)."""

    train: bool
    reason: str


def judge_news(
    marker: Mapping[str, Any], facts: Mapping[str, str], *, champion: bool, trigger: str, min_days: int
) -> News:
    """New games are trained on at once, but for a run that nobody asked for while the last training is recent.

    `marker` is last_evaluated.json, `facts` are those of tonight; `champion`: whether a version is in use.
    """
    if marker["fingerprint"] == facts["fingerprint"]:
        return News(False, "games, recipe and code are those of the last evaluated candidate")
    last = marker.get("as_of_date")
    days = (date.fromisoformat(facts["as_of_date"]) - date.fromisoformat(last)).days if last else min_days
    other_recipe = marker.get("recipe_fingerprint") != facts["recipe_fingerprint"]
    due = training_is_due(
        no_champion=not champion,
        urgent=trigger not in AUTOMATIC or other_recipe,
        days_since_training=days,
        min_days=min_days,
    )
    if due:
        return News(True, "recipe or code is new" if other_recipe else "games are new")
    return News(
        False,
        f"games are new, but the last training was {days} day(s) ago, and a run started by {trigger} waits {min_days} "
        "(MinDaysBetweenTrainings)",
    )
