"""Which version was in service when, who approved it and why it went. Standard library only.

The registry keeps a version's last decision only, and champion.json the version of now. So each look at the registry
appends what is new since the last one: decisions, and what is in service. To look again changes nothing; where a
process died between the change and the line, the next look appends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

from pipeline.contract.history.runs import from_line, read_lines
from pipeline.contract.promotion import APPROVAL_ID, APPROVED, seconds

HISTORY_KEY: Final = "history/versions.jsonl"  # in the artifact bucket
REJECTED: Final = "Rejected"
IN_SERVICE: Final = "InService"


@dataclass(frozen=True)
class VersionEvent:
    """A decision about a version, or (IN_SERVICE) that it is the champion from then on; `at` is seconds since 1970."""

    event: str
    version: int | None  # None: no version is in service
    at: float
    by: str = ""
    reason: str = ""
    approval_id: str = ""
    created: float = 0.0  # the version's registration: tells it from one of a deleted group of the same name


@dataclass(frozen=True)
class Service:
    """A time in which a version was the champion."""

    version: int
    since: float
    until: float | None  # None: it still is
    approved: VersionEvent | None
    left: str  # why it went


def decider(package: Mapping[str, Any]) -> str:
    """Who changed a package last, as DescribeModelPackage says; empty where it does not."""
    who = package.get("LastModifiedBy") or {}
    return str(who.get("UserProfileName") or (who.get("IamIdentity") or {}).get("Arn") or "")


def new_events(
    known: Sequence[VersionEvent], packages: Iterable[Mapping[str, Any]], in_service: int | None, now: float
) -> list[VersionEvent]:
    """What a look at the registry finds that is not known yet, in its order; `now` is when the champion changed."""
    decisions = sorted((d for package in packages if (d := _decision(package))), key=lambda d: d.at)
    found = [decision for decision in decisions if not _is_known(decision, known)]
    last = next((event for event in reversed(known) if event.event == IN_SERVICE), None)
    if in_service != (last.version if last else None):
        approved = [decision.at for decision in decisions if decision.version == in_service]
        # A first look at an existing registry: it has been in service since its approval.
        found.append(VersionEvent(IN_SERVICE, in_service, approved[-1] if approved and not known else now))
    return found


def _decision(package: Mapping[str, Any]) -> VersionEvent | None:
    status = str(package.get("ModelApprovalStatus"))
    if status not in (APPROVED, REJECTED):
        return None
    return VersionEvent(
        status,
        int(package["ModelPackageVersion"]),
        seconds(package.get("LastModifiedTime") or package["CreationTime"]),
        decider(package),
        str(package.get("ApprovalDescription") or ""),
        str(package.get("CustomerMetadataProperties", {}).get(APPROVAL_ID, "")) if status == APPROVED else "",
        seconds(package["CreationTime"]),
    )


def _is_known(decision: VersionEvent, known: Sequence[VersionEvent]) -> bool:
    """Whether the last known decision about the version is this one: an edit of a package is none."""
    last = decision_about(known, decision.version)
    if last is None or (last.event, last.created) != (decision.event, decision.created):
        return False
    return decision.approval_id in ("", last.approval_id)


def decision_about(events: Iterable[VersionEvent], version: int | None) -> VersionEvent | None:
    found = [event for event in events if event.event != IN_SERVICE and event.version == version]
    return found[-1] if found else None


def services(events: Sequence[VersionEvent]) -> list[Service]:
    """The times in service, oldest first."""
    places = [number for number, event in enumerate(events) if event.event == IN_SERVICE]
    found = []
    for place, following in pairwise([*places, None]):
        if place is None or (version := events[place].version) is None:
            continue
        after = None if following is None else events[following]
        approvals = (e for e in reversed(events[:place]) if (e.event, e.version) == (APPROVED, version))
        left = "" if after is None else _why_it_went(version, after.version, events[:following])
        found.append(
            Service(version, events[place].at, None if after is None else after.at, next(approvals, None), left)
        )
    return found


def _why_it_went(version: int, successor: int | None, before: Sequence[VersionEvent]) -> str:
    last = decision_about(before, version)
    then = f"version {successor} followed" if successor else "none followed"
    if last and last.event == REJECTED:
        return f"rejected{f' by {last.by}' if last.by else ''}: {last.reason or 'no reason given'}; {then}"
    if successor is None:
        return "its entry was deleted, or its model could not be used any more; none followed"
    approved = decision_about(before, successor)
    by = f" by {approved.by}" if approved and approved.by else ""
    return f"version {successor} was approved{by}: {(approved and approved.reason) or 'no reason given'}"


def as_lines(events: Iterable[VersionEvent]) -> str:
    return "".join(json.dumps(asdict(event), separators=(",", ":")) + "\n" for event in events)


def read_events(text: str, name: str) -> tuple[list[VersionEvent], list[str]]:
    """The events in their order, and a sentence for each damaged line of the file `name`, which is ignored."""
    return read_lines(text, name, partial(from_line, VersionEvent))
