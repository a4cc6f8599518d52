"""Reconciles champion/ with the model registry.

Events come at least once, in any order, and several at a time. So hardly anything is taken from an event: each call
reads the registry, writes, and reads again until champion/ and the registry agree. `champion.json` is written only
over the one that was read before the registry was (S3's If-Match), so that of two calls one wins and the other reads
again. Where calls with opposite decisions overlap, champion.json may be behind the registry until one of them reads
again.

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

from infra.lambda_shared.bucket import Bucket, S3Object
from infra.lambda_shared.environment import APPROVALS_KEY, CHAMPION_PREFIX
from infra.lambda_shared.registry import ModelRegistry
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


class PromotionError(Exception):
    """Other calls kept changing things; it will be tried again."""


@dataclass(frozen=True)
class Notifier:
    """Sends notices; each is called before the state that it reports is overwritten, and may be called again."""

    withdrawn: Callable[[int, str], None]  # the version that left without a successor, an id of that leaving
    problem: Callable[[str, str], None]  # what is wrong, an id of it


@dataclass(frozen=True)
class DesiredChampion:
    """What champion/ should hold: champion.json's content and, unless there is none, where the artifact comes from."""

    metadata: dict[str, Any]
    source: str | None

    @property
    def version(self) -> int | None:
        version: int | None = self.metadata["version"]
        return version

    @property
    def artifact(self) -> str | None:
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
class Snapshot:
    """What one round read: champion.json and the approvals first, then the registry."""

    stored: S3Object
    packages: list[dict[str, Any]]
    approvals: Approvals


def reconcile_champion(
    registry: ModelRegistry, bucket: Bucket, notifier: Notifier, *, named: str | None, renewed: Mapping[int, float]
) -> tuple[int | None, list[dict[str, Any]]]:
    """Make champion/ what the registry says, and return the version in use and the packages that were seen.

    `named` is the package that the event is about, `renewed` the approval that it tells of (`update_approvals`). A
    version whose artifact cannot be used, or is not the one that was evaluated, is reported, and the one approved
    before it is used. Raises PromotionError when others kept changing things.
    """
    lost: set[str] = set()
    brought: set[str] = set()
    asked = {named} if named else set[str]()
    for _ in range(MAX_ROUNDS):
        snapshot = _snapshot(registry, bucket, notifier, asked, renewed)
        if snapshot is None:
            continue
        stored, desired = snapshot.stored, _desired(snapshot, lost, notifier)
        present = bucket.keys(CHAMPION_PREFIX)
        agreed = stored.json == desired.metadata
        copied = desired.artifact in present
        intact = copied and bucket.holds(str(desired.artifact), desired.sha256)
        _report_pointer(stored, notifier)
        if agreed and present == desired.keys and intact == copied:
            return desired.version, snapshot.packages
        missing = desired.artifact is not None and not intact
        if desired.source and (missing or not (agreed or desired.source in brought)):
            if copied and not intact:
                notifier.problem(
                    f"{desired.artifact} held other bytes than the model that was evaluated, and is put back or given "
                    "up. Who wrote it? See the versions of that object.",
                    f"replaced-{uuid.uuid4().hex}",
                )
            # Of the version in use, the copy is as good as the original, which may have expired with its run.
            in_use = not missing and _version(stored) == desired.version
            found = bucket.copy(desired.source, str(desired.artifact), sha256=desired.sha256) or in_use
            (brought if found else lost).add(desired.source)
            continue  # a copy takes a while: read again before champion.json names it
        if agreed or bucket.write(POINTER, json.dumps(desired.metadata, indent=1) + "\n", over=stored):
            bucket.remove(present - desired.keys)
    raise PromotionError(f"champion/ and the registry still differ after {MAX_ROUNDS} rounds: it will be tried again")


def _snapshot(
    registry: ModelRegistry, bucket: Bucket, notifier: Notifier, asked: set[str], renewed: Mapping[int, float]
) -> Snapshot | None:
    """A snapshot with updated approvals; None where another call has changed them meanwhile.

    Versions that were approved join those `asked` for: later rounds ask again, although the record has changed.
    """
    stored, recorded = bucket.read(POINTER), bucket.read(APPROVALS_KEY)
    try:
        known = read_approvals(json.loads(recorded.text or "{}"))
    except ValueError:
        known = {}
        notifier.problem(
            f"{APPROVALS_KEY} could not be read: when versions were approved is taken from the registry's times, and "
            "the version in use stays",
            f"approvals-{_digest(recorded)}",
        )
    asked |= {approval.arn for approval in known.values() if approval.approved}
    packages = registry.packages(*asked)
    approvals = update_approvals(known, packages, renewed=renewed, in_use=_version(stored))
    text = json.dumps(approvals_as_json(approvals), indent=1) + "\n"
    if text != recorded.text and not bucket.write(APPROVALS_KEY, text, over=recorded):
        return None
    return Snapshot(stored, packages, approvals)


def _desired(snapshot: Snapshot, lost: set[str], notifier: Notifier) -> DesiredChampion:
    """The version that was approved last of those whose artifact can be used; the others are reported."""
    for package in by_approval(snapshot.packages, snapshot.approvals):
        version = int(package["ModelPackageVersion"])
        named = f"{version}-{snapshot.approvals[version].at:.3f}"  # once an approval
        try:
            source = artifact_uri(package)
        except UnusablePackageError as error:
            notifier.problem(f"version {version} is approved, but cannot be the champion: {error}", f"unusable-{named}")
            continue
        if source not in lost:
            return DesiredChampion(champion_metadata(package), source)
        notifier.problem(
            f"version {version} is approved, but has lost its artifact, or it is not the one that was evaluated: "
            f"{source}. The version approved before it is used. Put the artifact back, or reject version {version}.",
            f"lost-{named}",
        )
    left = _version(snapshot.stored)
    if left is not None:
        return DesiredChampion({"version": None, WITHDRAWN: {"version": left, "id": uuid.uuid4().hex}}, None)
    return DesiredChampion(snapshot.stored.json if _is_pointer(snapshot.stored) else dict(NO_CHAMPION), None)  # type: ignore[arg-type]


def _report_pointer(stored: S3Object, notifier: Notifier) -> None:
    """Tell of what champion.json shows and the next write to it would forget."""
    if stored.text is not None and not _is_pointer(stored):
        notifier.problem(f"{POINTER} could not be read, and is written again", f"pointer-{_digest(stored)}")
    left = (stored.json or {}).get(WITHDRAWN)
    if isinstance(left, dict):
        notifier.withdrawn(left["version"], left["id"])


def _is_pointer(stored: S3Object) -> bool:
    content = stored.json or {}
    return "version" in content and isinstance(content["version"], int | None)


def _version(stored: S3Object) -> int | None:
    """The version that champion.json names."""
    version: int | None = (stored.json or {}).get("version")
    return version if _is_pointer(stored) else None


def _digest(stored: S3Object) -> str:
    return hashlib.sha256((stored.text or "").encode()).hexdigest()[:16]
