"""Detects runs that were killed, and marks them as stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from pipeline.local.launch.launch_process import end_orphan
from pipeline.local.store.history import KILLED, lock_file, note_run
from pipeline.local.store.locks import try_lock, wait_for_lock
from pipeline.local.store.run_record import EXECUTING, STOPPED, DamagedRecordError, RunError, load_run, save_run
from pipeline.local.store.store import Store, remove

# Another run may hold the lock for a moment, to mark the run as stopped.
_SECONDS_FOR_LOCK = 2.0


@contextmanager
def run_lock(store: Store, execution_id: str) -> Iterator[Path]:
    """Shows other processes that a run is alive; the operating system releases the lock when this process ends.

    Yields the run's marker: to be made before its record says that the run executes, and removed after the record has
    its end. A run that has left its marker counts as killed; the next run removes one that is out of date.
    """
    descriptor = wait_for_lock(lock_file(store, execution_id), _SECONDS_FOR_LOCK)
    if descriptor is None:
        raise RunError(f"run {execution_id} is still executing in another process; wait for its end")
    try:
        yield store.root / "executing" / execution_id
    finally:
        os.close(descriptor)


def mark_killed_runs(store: Store) -> None:
    """Marks each run whose process has died as Stopped, and ends its orphaned programs."""
    for marker in list((store.root / "executing").iterdir()):
        descriptor = try_lock(lock_file(store, marker.name))
        if descriptor is None:
            continue  # alive
        try:
            _mark_killed(store, marker.name)
            marker.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _mark_killed(store: Store, execution_id: str) -> None:
    with suppress(FileNotFoundError):
        for folder in list((store.run_folder(execution_id) / "steps").iterdir()):
            end_orphan(folder)
    try:
        mark_stopped(store, execution_id, KILLED)
    except DamagedRecordError:
        pass  # named when a run starts; not to be lost
    except RunError:
        remove(store.run_folder(execution_id))  # killed before its first record, or removed by hand


def mark_stopped(store: Store, execution_id: str, reason: str) -> None:
    """Marks a run that no longer executes as stopped, unless its record has an end already.

    Raises RunError where there is no record, or it is damaged.
    """
    run = load_run(store, execution_id)
    if run.status != EXECUTING:
        return
    now = time.time()
    steps = tuple(
        replace(step, status=STOPPED, ended_at=now, reason=reason) if step.status == EXECUTING else step
        for step in run.steps
    )
    stopped = replace(run, status=STOPPED, ended_at=now, steps=steps)
    save_run(store, stopped)
    note_run(store, stopped)
