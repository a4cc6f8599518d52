"""Whether a run's rows, training config and code are trained on: against the last evaluated candidate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.reasons import counted
from pipeline.contract.retrain_policy import AUTOMATIC, is_unregistered, training_is_due
from pipeline.contract.spec import Spec


def read_last_registered(folder: Path) -> dict[str, Any] | None:
    """What the registry's keeper wrote when it found the candidate there; None when it is missing or unreadable."""
    try:
        registered = json.loads((folder / c.REGISTERED_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):  # it is written again with the next look at the registry
        return None
    return registered if isinstance(registered, dict) else None


@dataclass(frozen=True)
class RetrainDecision:
    """Whether to train, and why (not)."""

    train: bool
    reason: str


@dataclass(frozen=True)
class RetrainInputs:
    """What a run has to go by, beside the last-evaluated record."""

    facts: Mapping[str, str]  # as_of_date, fingerprint, training_config_fingerprint
    champion: int | str | None  # the version in use
    trigger: str
    min_days: int
    limits: Mapping[str, float]
    spec: Spec


def should_retrain(
    last: Mapping[str, Any], registered: Mapping[str, Any] | None, inputs: RetrainInputs
) -> RetrainDecision:
    """New rows are trained on at once, but for an automatic run while the last training is recent.

    `last` is last_evaluated.json, `registered` registered.json. The last candidate counts only if what was decided
    about it has been done, and would be decided again: one that was to be registered, but is not in the registry, one
    that was compared with another champion, and one that the run's limits would let pass are trained again. A failure
    that stays is part of the reason.
    """
    facts, rows = inputs.facts, inputs.spec.rows
    if is_unregistered(last, registered):
        return RetrainDecision(True, "the last candidate was to be registered, but the registry does not have it")
    if last["fingerprint"] == facts["fingerprint"]:
        compared = last["comparison"]["champion_version"] if last.get("decision") == c.CHAMPION_KEPT else None
        if None not in (compared, inputs.champion) and compared != str(inputs.champion):
            return RetrainDecision(
                True, f"the last candidate did not replace version {compared}, but version {inputs.champion} is in use"
            )
        if _would_register(last, inputs):
            return RetrainDecision(
                True, f"the last candidate was not registered ({last['reason']}), but would be today"
            )
        return RetrainDecision(
            False, f"{rows}, training config and code are those of the last evaluated candidate{_failure(last)}"
        )
    last_day = last.get("as_of_date")
    days = (
        (date.fromisoformat(facts["as_of_date"]) - date.fromisoformat(last_day)).days if last_day else inputs.min_days
    )
    new_config = last.get("training_config_fingerprint") != facts["training_config_fingerprint"]
    due = training_is_due(
        no_champion=inputs.champion is None,
        urgent=inputs.trigger not in AUTOMATIC or new_config,
        days_since_training=days,
        min_days=inputs.min_days,
    )
    if due:
        return RetrainDecision(True, "training config or code is new" if new_config else f"{rows} are new")
    return RetrainDecision(
        False,
        f"{rows} are new, but the last training was {counted(days, 'day')} ago, and a run started by {inputs.trigger} "
        f"waits {inputs.min_days} (MinDaysBetweenTrainings){_failure(last)}",
    )


def _would_register(last: Mapping[str, Any], inputs: RetrainInputs) -> bool:
    """Whether the last candidate, which was not registered, would be: by other limits, or without a champion."""
    if last.get("decision") not in (c.FAILED, c.CHAMPION_KEPT):
        return False
    comparison = last["comparison"] if inputs.champion is not None else {**last["comparison"], "champion_exists": c.NO}
    return gates.decide(inputs.spec, {**last, "comparison": comparison}, inputs.limits) == c.REGISTERED


def _failure(last: Mapping[str, Any]) -> str:
    """What a run that trains nothing must not hide."""
    if last.get("decision") != c.FAILED:
        return ""
    return f"; that one, of {last['as_of_date']}, was below the quality limits: {last['reason']}"
