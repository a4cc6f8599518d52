"""What a store keeps: the newest runs, and of older ones what a registered version refers to.

A nightly run leaves some megabytes, and the copy of a data folder stays when that folder is no longer used. Of an older
run its record, logs and working files go, and below `objects/<bucket>/runs/<execution id>/` each object that no version
names. A version's model, evaluation and report stay for as long as its entry in the registry does, and so does the
record of the run that made it. Each run keeps its line in history.jsonl. Runs that execute are left alone.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.contract.history.runs import read_entries
from pipeline.contract.reasons import counted
from pipeline.local.local_deployment import COPY_FOLDERS, DATA_BUCKET
from pipeline.local.store.history import HISTORY_FILE, keep_entries, read_text
from pipeline.local.store.locks import try_lock
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import EXECUTING, RunResult, recent_runs, record_path
from pipeline.local.store.store import STALE_SECONDS, Store, remove
from pipeline.local.store.store_errors import StoreError

KEPT_RUNS: Final = 60  # two months of nightly runs
_RUNS: Final = "runs"  # of the store, and below a bucket: what belongs to one execution
_COPY: Final = re.compile(r".+-[0-9a-f]{8}")  # as local_deployment.data_prefix names the copy of a folder
_EXECUTION: Final = re.compile(r'/execution/([^/"]+)')


@dataclass
class Removal:
    runs: int = 0
    files: int = 0
    size: int = 0  # bytes
    paths: list[Path] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        return f"{counted(self.runs, 'run')}, {counted(self.files, 'file')}, {self.size / 1e6:,.1f} MB"


def clean(store: Store, *, keep: int = KEPT_RUNS, dry_run: bool = False) -> Removal:
    """Removes what neither the newest `keep` runs nor a registered version needs; with `dry_run` only says what.

    Raises StoreError where the file of a version is damaged: what it refers to cannot be known.
    """
    runs = recent_runs(store, None)  # before the versions: what one of them registers later, it registers executing
    registered = json.dumps(_packages(store))
    if not dry_run:
        keep_entries(store)
    removal = Removal()
    for path in _not_needed(store, runs, keep, registered):
        files = _files_below(path)
        removal.paths.append(path)
        removal.runs += path.parent == store.root / _RUNS
        removal.files += len(files)
        removal.size += sum(file.lstat().st_size for file in files)
        if not dry_run:
            _discard(store, path)
    return removal


def _not_needed(store: Store, found: Sequence[RunResult], keep: int, registered: str) -> Iterator[Path]:
    """What can go: while the caller has a path of a run, the run is locked. `registered`: all versions, as JSON."""
    executing = {run.execution_id for run in found if run.status == EXECUTING}
    lines, _ = read_entries(read_text(store.root / HISTORY_FILE), HISTORY_FILE)
    ended = {name: place for place, name in enumerate(lines)}  # in their order, whatever the clock said
    runs = sorted(found, key=lambda run: ended.get(run.execution_id, len(ended)), reverse=True)
    for execution_id in (*(run.execution_id for run in runs[keep:]), *_without_record(store)):
        folder = store.run_folder(execution_id)
        existed = folder.is_dir()
        lock = try_lock(folder / "lock") if existed else None
        if existed and lock is None:
            continue  # it executes
        if execution_id in executing:  # no more: it may have registered a version
            registered = json.dumps(_packages(store))
        try:
            yield from _unnamed_objects(store, execution_id, registered)  # first, so that a rest is found
            if existed and execution_id not in _EXECUTION.findall(registered):
                yield folder
        finally:
            if lock is not None:
                os.close(lock)
    if runs[:keep]:
        yield from _unused_copies(store, runs[:keep])


def _packages(store: Store) -> list[dict[str, Any]]:
    registry = LocalRegistry(store)
    packages: list[dict[str, Any]] = []
    for group in registry.groups():
        for fault in registry.damaged(group).values():
            raise StoreError(f"nothing was removed, because what version refers to what is not known: {fault}")
        packages.extend(registry.packages(group))
    return packages


def _without_record(store: Store) -> list[str]:
    """Executions that have left files, but no record: it was removed by hand, or its removal was interrupted."""
    places = [store.root / "runs", *(bucket / _RUNS for bucket in (store.root / "objects").iterdir())]
    folders = (folder for place in places if place.is_dir() for folder in place.iterdir())
    ids = {folder.name for folder in folders if _age(folder) > STALE_SECONDS}
    return sorted(name for name in ids if not record_path(store, name).exists())


def _unnamed_objects(store: Store, execution_id: str, registered: str) -> list[Path]:
    """The objects of a run that no version names; the folder as one where it names none."""
    paths: list[Path] = []
    for bucket in (store.root / "objects").iterdir():
        folder = bucket / _RUNS / execution_id
        files = _files_below(folder) if folder.is_dir() else []
        uris = [json.dumps(f"s3://{file.relative_to(bucket.parent).as_posix()}") for file in files]
        unnamed = [file for file, uri in zip(files, uris, strict=True) if uri not in registered]
        if folder.is_dir():
            paths.extend([folder] if len(unnamed) == len(files) else unnamed)
    return paths


def _unused_copies(store: Store, kept: Sequence[RunResult]) -> list[Path]:
    """Copies of data folders that none of the runs has read, and no run that is just beginning."""
    used = {str(run.parameters.get(name)) for run in kept for name in ("DataPrefix", "EventsPrefix")}
    bucket = store.root / "objects" / DATA_BUCKET
    copies = (copy for kind in COPY_FOLDERS for copy in bucket.glob(f"{kind}/*") if _COPY.fullmatch(copy.name))
    unused = (copy for copy in copies if copy.is_dir() and copy.relative_to(bucket).as_posix() not in used)
    return [copy for copy in unused if _age(copy) > STALE_SECONDS]


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _files_below(path: Path) -> list[Path]:
    return [file for file in (path, *path.rglob("*")) if not file.is_dir()]


def _discard(store: Store, path: Path) -> None:
    """Removes it atomically: it is renamed first."""
    outgoing = store.temporary()
    try:
        path.rename(outgoing)
    except FileNotFoundError:
        return  # another run was quicker
    remove(outgoing)
    for parent in (path.parent, path.parent.parent):
        if parent.name != _RUNS and _RUNS in parent.parts:
            try:
                parent.rmdir()  # if it is empty now
            except OSError:
                return
