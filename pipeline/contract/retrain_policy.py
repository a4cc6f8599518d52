"""When a training is due, and whether the candidate that was evaluated last counts. Standard library only.

Evaluate writes evaluated/last_evaluated.json before Register runs, and Register may fail. So a record that says
"registered" counts only with evaluated/registered.json beside it, written by those who see the registry: the local
runner before and after each run, the function behind approvals in the cloud. Both are pure functions of what the
registry holds now, so that a notice that is lost, late or repeated changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pipeline.contract.names import EVALUATED_CHANNEL, EVALUATED_FILE, REGISTERED, REGISTERED_FILE

Truth = TypeVar("Truth", bound=Any)

# Starts without a person's decision: they come whether or not anything calls for a training.
AUTOMATIC: Final = ("schedule", "data")


def training_is_due(*, no_champion: Truth, urgent: Truth, days_since_training: Any, min_days: Any) -> Truth:  # noqa: ANN401
    """Whether new rows may be trained on now: always without a champion or when it is urgent, else after a wait.

    Truths and numbers, or arrays of them of one shape. `days_since_training` counts from the last evaluated candidate,
    promoted or not: a candidate that lost is not trained again by the next run.
    """
    due: Truth = no_champion | urgent | (days_since_training >= min_days)
    return due


LAST_EVALUATED_KEY: Final = f"{EVALUATED_CHANNEL}/{EVALUATED_FILE}"
REGISTERED_KEY: Final = f"{EVALUATED_CHANNEL}/{REGISTERED_FILE}"


def is_unregistered(last_evaluated: Mapping[str, Any] | None, registered: Mapping[str, Any] | None) -> bool:
    """Whether the last-evaluated record's candidate was to be registered, and no registration of it is known."""
    if not last_evaluated or last_evaluated.get("decision") != REGISTERED:
        return False
    return bool((registered or {}).get("fingerprint") != last_evaluated.get("fingerprint"))


def registration(last_evaluated: Mapping[str, Any], packages: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The content of registered.json: which package (as DescribeModelPackage gives it) is the last candidate.

    None while there is no such package.
    """
    for package in packages:
        if package.get("CustomerMetadataProperties", {}).get("fingerprint") == last_evaluated["fingerprint"]:
            return {
                "fingerprint": last_evaluated["fingerprint"],
                "version": package["ModelPackageVersion"],
                "model_package_arn": package["ModelPackageArn"],
            }
    return None
