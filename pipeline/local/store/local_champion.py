"""Makes champion/ and evaluated/registered.json follow the local registry, as the approval function does in AWS."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.contract import names as c
from pipeline.contract.code_version import file_digest
from pipeline.contract.history.versions import as_lines, new_events, read_events
from pipeline.contract.promotion import (
    NO_CHAMPION,
    Approval,
    Approvals,
    UnusablePackageError,
    approvals_as_json,
    artifact_sha256,
    artifact_uri,
    by_approval,
    champion_metadata,
    read_approvals,
    update_approvals,
)
from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY, REGISTERED_KEY, is_unregistered, registration
from pipeline.local.store.history import append, read_text
from pipeline.local.store.locks import locked
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.store import Store, parsed_json, remove, same_content, sync
from pipeline.local.store.store_errors import StoreError, shown


def read_champion(store: Store, bucket: str) -> dict[str, Any]:
    """champion.json; without a version when nothing was promoted yet. Raises StoreError for a damaged one."""
    path = store.object_path(f"s3://{bucket}/{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}")
    try:
        metadata: Any = parsed_json(path.read_bytes()) if path.is_file() else dict(NO_CHAMPION)
        if not isinstance(metadata["version"], int | None):
            raise ValueError(f"its version is {metadata['version']!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{shown(path)} is damaged ({error}): approve a version again to write it") from error
    return dict(metadata)


def note_registration(store: Store, group: str, bucket: str) -> None:
    """Write evaluated/registered.json if the candidate that was to be registered is in the registry; idempotent."""
    # What cannot be read, a step refuses in its own words, if it needs it.
    last_evaluated, noted = (
        store.readable_json(f"s3://{bucket}/{key}") for key in (LAST_EVALUATED_KEY, REGISTERED_KEY)
    )
    if last_evaluated and is_unregistered(last_evaluated, noted):
        found = registration(last_evaluated, reversed(LocalRegistry(store).packages(group)))
        if found:
            store.write_json(store.object_path(f"s3://{bucket}/{REGISTERED_KEY}"), found)


def _follow_approvals(
    store: Store, group: str, packages: Iterable[Mapping[str, Any]], *, in_use: int | None
) -> dict[int, Approval]:
    """The record of approvals after a look at the registry; a damaged one is made again, with the champion as last."""
    path = store.root / "registry" / f".{group}.approvals.json"
    try:
        known = read_approvals(parsed_json(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        known = {}
    approvals = update_approvals(known, packages, in_use=in_use)
    if approvals != known:
        store.write_json(path, approvals_as_json(approvals), durable=True)
    return approvals


def versions_file(store: Store, group: str) -> Path:
    return store.root / "registry" / f".{group}.history.jsonl"


def note_versions(store: Store, group: str, packages: Iterable[Mapping[str, Any]], version: int | None) -> None:
    """Append what the registry and champion.json say now and the history does not."""
    path = versions_file(store, group)
    known, _ = read_events(read_text(path), str(path))
    found = new_events(known, packages, version, time.time())
    if found:
        append(path, as_lines(found))


def unusable_reason(store: Store, package: Mapping[str, Any]) -> str | None:
    """Why a version cannot be the champion; None where it can."""
    version = package["ModelPackageVersion"]
    try:
        source = store.object_path(artifact_uri(package))
    except UnusablePackageError as error:
        return f"version {version} cannot be the champion: {error}"
    if not source.is_file():
        return f"version {version} has lost its artifact {source}: restore it, or reject that version"
    sha256 = artifact_sha256(package)
    if sha256 not in (None, file_digest(source)):
        return (
            f"version {version}'s artifact {source} is not the one that was evaluated (its SHA-256 is not "
            f"{str(sha256)[:12]}...): restore it, or reject that version"
        )
    return None


def _follows(approved: list[Mapping[str, Any]], version: int, approvals: Approvals) -> bool:
    """Whether a version was approved after another, whose file is damaged."""
    damaged = approvals.get(version)
    return bool(approved) and (damaged is None or approvals[int(approved[0]["ModelPackageVersion"])].at > damaged.at)


def promote(store: Store, group: str, bucket: str) -> list[str]:
    """Make champion/ what the registry says now; returns why approved versions were passed over.

    Idempotent; the artifact is written before champion.json, which names it. Where the version that was approved last
    cannot be used, it is the one before. The champion stays where its own version's file in the registry is damaged
    and no version was approved after it.
    """
    prefix = f"s3://{bucket}/{c.CHAMPION_CHANNEL}"
    pointer = store.object_path(f"{prefix}/{c.CHAMPION_FILE}")
    problems: list[str] = []
    with locked(store.root / "registry" / ".champion.lock"):
        registry = LocalRegistry(store)
        packages = registry.packages(group)
        before: dict[str, Any] = dict(NO_CHAMPION)
        with suppress(StoreError):  # a damaged one is replaced
            before = read_champion(store, bucket)
        approvals = _follow_approvals(store, group, packages, in_use=before["version"])
        approved = by_approval(packages, approvals)
        if before["version"] in registry.damaged(group) and not _follows(approved, before["version"], approvals):
            return problems  # whether it is still approved cannot be read: an older one must not take its place
        metadata: dict[str, Any] = dict(NO_CHAMPION)
        for package in approved:
            problem = unusable_reason(store, package)
            if problem is None:
                metadata = champion_metadata(package)
                source, target = map(store.object_path, (artifact_uri(package), f"{prefix}/{metadata['artifact']}"))
                if not same_content(source, target):
                    store.copy(source, target, durable=True)
                    sync(target.parent)
                break
            problems.append(problem)
        store.write_json(pointer, metadata, durable=True)
        note_versions(store, group, packages, metadata["version"])
        for entry in pointer.parent.iterdir():
            if entry.name not in (c.CHAMPION_FILE, str(metadata["version"])):
                remove(entry)
    return problems
