"""Makes champion/ what the registry says.

Notices come at least once, in any order, and several at a time. So hardly anything is taken from a notice: each call
reads the registry, writes, and looks again until champion/ and the registry agree. `champion.json` is written only
over the one that was read before the registry was (S3's If-Match), so that of two calls one wins and the other looks
again. Where calls with opposite decisions overlap, champion.json may be behind the registry for the moment until one
looks again.

When each version was approved is kept in approvals/approvals.json, written likewise (`pipeline.contract.promotion` says
why).
A champion.json without a version names the one that left: each call that finds it records the notice, also before it is
overwritten.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.lambda_shared.bucket import Objects, Stored
from infra.lambda_shared.environment import APPROVALS_KEY, CHAMPION_PREFIX
from infra.lambda_shared.registry import Registry
from pipeline.contract import names as c
from pipeline.contract.promotion import (
    NO_CHAMPION,
    Approvals,
    UnusablePackageError,
    approvals_as_json,
    artifact_uri,
    by_approval,
    champion_metadata,
    read_approvals,
    update_approvals,
)

POINTER: Final = CHAMPION_PREFIX + c.CHAMPION_FILE
MAX_ROUNDS: Final = 20  # each round but the last saw another call's change
WITHDRAWN: Final = "withdrawn"  # in champion.json: the version that left, and an id of its leaving
Package = Mapping[str, Any]


class PromotionError(Exception):
    """Other calls kept changing things; it will be tried again."""


@dataclass(frozen=True)
class Reports:
    """How people are told; each is called before what it tells of can be forgotten, and maybe again."""

    withdrawn: Callable[[int, str], None]  # the version that left without a successor, an id of that leaving
    problem: Callable[[str, str], None]  # what is wrong, an id of it


@dataclass(frozen=True)
class Wanted:
    """What champion/ should hold: champion.json's content and, unless there is none, where the artifact comes from."""

    metadata: dict[str, Any]
    source: str | None

    @property
    def version(self) -> int | None:
        """The version to be in use."""
        version: int | None = self.metadata["version"]
        return version

    @property
    def artifact(self) -> str | None:
        """The artifact's key."""
        return CHAMPION_PREFIX + str(self.metadata["artifact"]) if self.source else None

    @property
    def sha256(self) -> str | None:
        """Of the artifact; None for a version of before there were digests."""
        sha256: str | None = self.metadata.get("sha256")
        return sha256

    @property
    def keys(self) -> set[str]:
        """All that may be in champion/."""
        return {key for key in (POINTER, self.artifact) if key}


@dataclass(frozen=True)
class Look:
    """What was read in one round, champion.json and the record of approvals before the registry."""

    stored: Stored
    packages: list[dict[str, Any]]
    approvals: Approvals


def converge(
    registry: Registry, objects: Objects, reports: Reports, *, named: str | None, renewed: Mapping[int, float]
) -> tuple[int | None, list[dict[str, Any]]]:
    """Make champion/ what the registry says, and return the version in use and the packages that were seen.

    `named` is the package that the event is about, `renewed` the approval that it tells of (`update_approvals`). A
    version whose artifact cannot be used, or is not the one that was evaluated, is reported, and the one approved
    before it is used. Raises PromotionError when others kept changing things.
    """
    lost: set[str] = set()
    brought: set[str] = set()
    for _ in range(MAX_ROUNDS):
        look = _look(registry, objects, reports, named, renewed)
        if look is None:
            continue
        stored, wanted = look.stored, _wanted(look, lost, reports)
        present = objects.keys(CHAMPION_PREFIX)
        agreed = stored.json == wanted.metadata
        copied = wanted.artifact in present
        intact = copied and objects.holds(str(wanted.artifact), wanted.sha256)
        _report_pointer(stored, reports)
        if agreed and present == wanted.keys and intact == copied:
            return wanted.version, look.packages
        missing = wanted.artifact is not None and not intact
        if wanted.source and (missing or not (agreed or wanted.source in brought)):
            if copied and not intact:
                reports.problem(
                    f"{wanted.artifact} held other bytes than the model that was evaluated, and is put back or given "
                    "up. Who wrote it? See the versions of that object.",
                    f"replaced-{uuid.uuid4().hex}",
                )
            # Of the version in use, the copy is as good as the original, which may have expired with its run.
            in_use = not missing and _version(stored) == wanted.version
            found = objects.copy(wanted.source, str(wanted.artifact), sha256=wanted.sha256) or in_use
            (brought if found else lost).add(wanted.source)
            continue  # a copy takes a while: look again before champion.json names it
        if agreed or objects.write(POINTER, json.dumps(wanted.metadata, indent=1) + "\n", over=stored):
            objects.remove(present - wanted.keys)
    raise PromotionError(f"champion/ and the registry still differ after {MAX_ROUNDS} rounds: it will be tried again")


def _look(
    registry: Registry, objects: Objects, reports: Reports, named: str | None, renewed: Mapping[int, float]
) -> Look | None:
    """One look, with the record of approvals brought up to date; None where another call has changed it meanwhile."""
    stored, recorded = objects.read(POINTER), objects.read(APPROVALS_KEY)
    try:
        known = read_approvals(json.loads(recorded.text or "{}"))
    except ValueError:
        known = {}
        reports.problem(
            f"{APPROVALS_KEY} could not be read: when versions were approved is taken from the registry's times, and "
            "the version in use stays",
            f"approvals-{_digest(recorded)}",
        )
    before = [approval.arn for approval in known.values() if approval.approved]
    packages = registry.packages(*before, *([named] if named else []))
    approvals = update_approvals(known, packages, renewed=renewed, in_use=_version(stored))
    text = json.dumps(approvals_as_json(approvals), indent=1) + "\n"
    if text != recorded.text and not objects.write(APPROVALS_KEY, text, over=recorded):
        return None
    return Look(stored, packages, approvals)


def _wanted(look: Look, lost: set[str], reports: Reports) -> Wanted:
    """The version that was approved last of those whose artifact can be used; the others are reported."""
    for package in by_approval(look.packages, look.approvals):
        version = int(package["ModelPackageVersion"])
        named = f"{version}-{look.approvals[version].at:.3f}"  # once an approval
        try:
            source = artifact_uri(package)
        except UnusablePackageError as error:
            reports.problem(f"version {version} is approved, but cannot be the champion: {error}", f"unusable-{named}")
            continue
        if source not in lost:
            return Wanted(champion_metadata(package), source)
        reports.problem(
            f"version {version} is approved, but has lost its artifact, or it is not the one that was evaluated: "
            f"{source}. The version approved before it is used. Put the artifact back, or reject version {version}.",
            f"lost-{named}",
        )
    left = _version(look.stored)
    if left is not None:
        return Wanted({"version": None, WITHDRAWN: {"version": left, "id": uuid.uuid4().hex}}, None)
    return Wanted(look.stored.json if _is_pointer(look.stored) else dict(NO_CHAMPION), None)  # type: ignore[arg-type]


def _report_pointer(stored: Stored, reports: Reports) -> None:
    """Tell of what champion.json shows and the next write to it would forget."""
    if stored.text is not None and not _is_pointer(stored):
        reports.problem(f"{POINTER} could not be read, and is written again", f"pointer-{_digest(stored)}")
    left = (stored.json or {}).get(WITHDRAWN)
    if isinstance(left, dict):
        reports.withdrawn(left["version"], left["id"])


def _is_pointer(stored: Stored) -> bool:
    content = stored.json or {}
    return "version" in content and isinstance(content["version"], int | None)


def _version(stored: Stored) -> int | None:
    """The version that champion.json names."""
    version: int | None = (stored.json or {}).get("version")
    return version if _is_pointer(stored) else None


def _digest(stored: Stored) -> str:
    return hashlib.sha256((stored.text or "").encode()).hexdigest()[:16]
