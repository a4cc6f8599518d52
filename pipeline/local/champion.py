"""Tells the next run what the registry holds, as a function does in the cloud: the champion, the last registration."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from pipeline import contract as c
from pipeline.local.digests import file_digest
from pipeline.local.faults import StoreError, shown
from pipeline.local.locks import locked
from pipeline.local.registry import Registry
from pipeline.local.store import Store, remove
from pipeline.promotion import NO_CHAMPION, artifact_uri, champion_metadata, choose_champion
from pipeline.registration import MARKER_KEY, REGISTERED_KEY, is_unregistered, registration


def read_champion(store: Store, bucket: str) -> dict[str, Any]:
    """champion.json; without a version when nothing was promoted yet. Raises StoreError for a damaged one."""
    path = store.object_path(f"s3://{bucket}/{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}")
    try:
        metadata = dict(json.loads(path.read_bytes())) if path.is_file() else dict(NO_CHAMPION)
        _ = metadata["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{shown(path)} is damaged ({error}): approve a version again to write it") from error
    return metadata


def note_registration(store: Store, group: str, bucket: str) -> None:
    """Write evaluated/registered.json if the candidate that was to be registered is in the registry; idempotent."""
    marker, noted = (_read(store, f"s3://{bucket}/{key}") for key in (MARKER_KEY, REGISTERED_KEY))
    if marker and is_unregistered(marker, noted):
        found = registration(marker, reversed(Registry(store).packages(group)))
        if found:
            store.write_json(store.object_path(f"s3://{bucket}/{REGISTERED_KEY}"), found)


def _read(store: Store, uri: str) -> dict[str, Any] | None:
    """A JSON object; None where there is none, which a step refuses in its own words, if it needs it."""
    try:
        content = store.read_json(uri)
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def promote(store: Store, group: str, bucket: str) -> dict[str, Any]:
    """Make champion/ what the registry says now, and return champion.json's content.

    Idempotent; the artifact is written before champion.json, which names it. Raises StoreError when the approved
    version's artifact is missing, or not the one that was evaluated: the champion then stays what it was. It also stays
    where its own version's file in the registry is damaged and no newer version is approved.
    """
    prefix = f"s3://{bucket}/{c.CHAMPION_CHANNEL}"
    pointer = store.object_path(f"{prefix}/{c.CHAMPION_FILE}")
    with locked(store.root / "registry" / ".champion.lock"):
        registry = Registry(store)
        package = choose_champion(registry.packages(group))
        before: dict[str, Any] = dict(NO_CHAMPION)
        with suppress(StoreError):  # a damaged one is replaced
            before = read_champion(store, bucket)
        newer = package is not None and package["ModelPackageVersion"] > (before["version"] or 0)
        if before["version"] in registry.damaged(group) and not newer:
            return before  # whether it is still approved cannot be read: an older one must not take its place
        metadata = champion_metadata(package) if package else dict(NO_CHAMPION)
        if package:
            source = store.object_path(artifact_uri(package))
            if not source.is_file():
                raise StoreError(
                    f"version {package['ModelPackageVersion']} has lost its artifact {source}: put it back, or reject "
                    "that version"
                )
            if metadata["sha256"] not in (None, file_digest(source)):
                raise StoreError(
                    f"version {package['ModelPackageVersion']}'s artifact {source} is not the one that was evaluated "
                    f"(its SHA-256 is not {metadata['sha256'][:12]}...): put it back, or reject that version"
                )
            store.copy(source, store.object_path(f"{prefix}/{metadata['artifact']}"))
        store.write_json(pointer, metadata, durable=True)
        for entry in pointer.parent.iterdir():
            if entry.name not in (c.CHAMPION_FILE, str(metadata["version"])):
                remove(entry)
    return metadata
