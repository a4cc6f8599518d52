"""The history of a local store."""

from __future__ import annotations

from pathlib import Path
from time import time

from pipeline.contract import names as c
from pipeline.contract.history.runs import RunEntry, newest_first
from pipeline.contract.history.versions import VersionEvent, new_events, read_events
from pipeline.local.local_deployment import ARTIFACT_BUCKET, MODEL_PACKAGE_GROUP
from pipeline.local.store.history import read_history, read_text
from pipeline.local.store.local_champion import read_champion, versions_file
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import record_path
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError
from scripts.history.history import RunHistory


def local_history(store: Store) -> RunHistory:
    """All runs of a store; reading changes nothing."""
    entries, faults = read_history(store)
    events, champion, more = local_versions(store)
    return RunHistory(
        name=str(store.root),
        runs=newest_first(entries),
        events=events,
        faults=[*faults, *more],
        link=lambda run: _report(store, run),
        cost=lambda run: None,  # this machine has no price
        champion=champion,
    )


def local_versions(store: Store) -> tuple[list[VersionEvent], int | None, list[str]]:
    """What happened to versions, also where an earlier release kept no history; the version in use; faults."""
    path = versions_file(store, MODEL_PACKAGE_GROUP)
    known, faults = read_events(read_text(path), str(path))
    registry = LocalRegistry(store)
    faults += registry.damaged(MODEL_PACKAGE_GROUP).values()
    try:
        champion = read_champion(store, ARTIFACT_BUCKET)["version"]
    except StoreError as error:
        return known, None, [*faults, str(error)]
    return [*known, *new_events(known, registry.packages(MODEL_PACKAGE_GROUP), champion, time())], champion, faults


def _report(store: Store, run: RunEntry) -> str | None:
    """What the run has left to read: its report, or else the monitor's, or else its record; None once all are gone."""
    folder = store.run_folder(run.run_id)
    evaluated = [folder / c.REPORT_FILE, store.object_path(run.report)] if run.report else []
    found: list[Path] = [*evaluated, folder / c.MONITOR_REPORT_FILE, record_path(store, run.run_id)]
    return next((str(path) for path in found if path.is_file()), None)
