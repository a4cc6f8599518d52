"""Makes champion/ what the registry says.

Notices come at least once, in any order, and several at a time. So nothing is taken from a notice: each call reads the
registry, writes, and looks again until champion/ and the registry agree. `champion.json` is written only over the one
that was read before the registry was (S3's If-Match), so that of two calls one wins and the other looks again. Where
calls with opposite decisions overlap, champion.json may be behind the registry for the moment until one looks again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from infra.handlers.objects import Objects, Stored
from infra.handlers.place import CHAMPION_PREFIX
from infra.handlers.registry import Registry
from pipeline import contract as c
from pipeline.promotion import NO_CHAMPION, artifact_uri, champion_metadata, choose_champion

POINTER: Final = CHAMPION_PREFIX + c.CHAMPION_FILE
MAX_ROUNDS: Final = 20  # each round but the last saw somebody else's change


class PromotionError(Exception):
    """Something that a person must mend; the champion is the best of what is left."""


@dataclass(frozen=True)
class Wanted:
    """What champion/ should hold: champion.json's content and, unless there is none, where the artifact comes from."""

    metadata: dict[str, Any]
    source: str | None

    @classmethod
    def of(cls, packages: list[dict[str, Any]]) -> Wanted:
        """From the approved packages."""
        package = choose_champion(packages)
        if package is None:
            return cls(dict(NO_CHAMPION), None)
        return cls(champion_metadata(package), artifact_uri(package))

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
        """All that may lie in champion/."""
        return {key for key in (POINTER, self.artifact) if key}


def converge(
    registry: Registry, objects: Objects, *, named: str | None, on_withdrawal: Callable[[int], None]
) -> int | None:
    """Make champion/ what the registry says, and return the version in use.

    `named` is the package that the event is about, `on_withdrawal` is told the version that left without a successor,
    once. Raises PromotionError when an approved version has lost its artifact, or it is not the one that was evaluated
    (the version approved before it is used), when champion/ held other bytes (they are replaced), or when others kept
    changing things.
    """
    lost: set[str] = set()
    replaced: set[str] = set()
    brought: set[str] = set()
    for _ in range(MAX_ROUNDS):
        stored = objects.read(POINTER)  # before the registry: see the module's docstring
        usable = [package for package in registry.approved(named) if artifact_uri(package) not in lost]
        wanted = Wanted.of(usable)
        present = objects.keys(CHAMPION_PREFIX)
        agreed = stored.json == wanted.metadata
        copied = wanted.artifact in present
        intact = copied and objects.holds(str(wanted.artifact), wanted.sha256)
        if agreed and present == wanted.keys and intact == copied:
            _report(lost, replaced, wanted)
            return _version(stored)
        missing = wanted.artifact is not None and not intact
        if wanted.source and (missing or not (agreed or wanted.source in brought)):
            # Of the version in use, the copy is as good as the original, which may have expired with its run.
            in_use = not missing and _version(stored) == wanted.version
            found = objects.copy(wanted.source, str(wanted.artifact), sha256=wanted.sha256) or in_use
            (brought if found else lost).add(wanted.source)
            if copied and not intact:
                replaced.add(str(wanted.artifact))
            continue  # a copy takes a while: look again before champion.json names it
        if agreed or _switch(objects, wanted, stored, on_withdrawal):
            objects.remove(present - wanted.keys)
    raise PromotionError(f"champion/ and the registry still differ after {MAX_ROUNDS} rounds: it will be tried again")


def _version(stored: Stored) -> int | None:
    """The version that champion.json names."""
    version: int | None = (stored.json or {}).get("version")
    return version


def _switch(objects: Objects, wanted: Wanted, stored: Stored, on_withdrawal: Callable[[int], None]) -> bool:
    """Write champion.json over what was read; False when somebody else was first."""
    if not objects.write(POINTER, json.dumps(wanted.metadata, indent=1) + "\n", over=stored):
        return False
    before = _version(stored)
    if before is not None and wanted.version is None:
        on_withdrawal(before)
    return True


def _report(lost: set[str], replaced: set[str], wanted: Wanted) -> None:
    if lost:
        raise PromotionError(
            f"an approved version has lost its artifact, or it is not the one that was evaluated: "
            f"{', '.join(sorted(lost))}: champion is now version {wanted.version}. Put the artifact back, or reject "
            "that version."
        )
    if replaced:
        raise PromotionError(
            f"{', '.join(sorted(replaced))} held other bytes than the model that was evaluated, and was put back. "
            "Who wrote it? See the versions of that object."
        )
