"""Detects runs that were killed, and marks them as stopped."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.local.run.orphans import end_orphan
from pipeline.local.store.history import KILLED, lock_file, note_run
from pipeline.local.store.locks import try_lock, wait_for_lock
from pipeline.local.store.run_record import EXECUTING, STOPPED, DamagedRecordError, RunError, load_run, save_run
from pipeline.local.store.store import Store, remove

# Another run may hold the lock for a moment, to mark the run as stopped.
_SECONDS_FOR_LOCK = 2.0


class RunLock:
    """Shows other processes that a run is alive; the operating system releases it when this process ends.

    A run that leaves the block without `withdraw` counts as killed.
    """

    def __init__(self, store: Store, execution_id: str) -> None:
        self._store, self._execution_id = store, execution_id
        descriptor = wait_for_lock(lock_file(store, execution_id), _SECONDS_FOR_LOCK)
        if descriptor is None:
            raise RunError(f"run {execution_id} is still executing in another process; wait for its end")
        self._descriptor = descriptor

    def announce(self) -> None:
        """Marks the run as executing, before its record says so."""
        _marker(self._store, self._execution_id).touch()

    def withdraw(self) -> None:
        """Says that the run has ended, after its record says so; a marker that stays is removed by the next run."""
        with suppress(OSError):
            _marker(self._store, self._execution_id).unlink(missing_ok=True)

    def __enter__(self) -> RunLock:
        """The lock was taken when it was made."""
        return self

    def __exit__(self, *_: object) -> None:
        """Releases the lock."""
        os.close(self._descriptor)


def _marker(store: Store, execution_id: str) -> Path:
    return store.root / "executing" / execution_id


def mark_killed_runs(store: Store) -> tuple[str, ...]:
    """Marks each run whose process has died as Stopped, ends its orphaned programs, and returns their execution ids."""
    killed = []
    for marker in list((store.root / "executing").iterdir()):
        descriptor = try_lock(lock_file(store, marker.name))
        if descriptor is None:
            continue  # alive
        try:
            if _mark_killed(store, marker.name):
                killed.append(marker.name)
            marker.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    return tuple(killed)


def _mark_killed(store: Store, execution_id: str) -> bool:
    with suppress(FileNotFoundError):
        for folder in list((store.run_folder(execution_id) / "steps").iterdir()):
            end_orphan(folder)
    try:
        return mark_stopped(store, execution_id, KILLED)
    except DamagedRecordError:
        return False  # named when a run starts; not to be lost
    except RunError:
        remove(store.run_folder(execution_id))  # killed before its first record, or removed by hand
        return False


def mark_stopped(store: Store, execution_id: str, reason: str) -> bool:
    """Marks a run that no longer executes as stopped; false if its record has an end already.

    Raises RunError where there is no record, or it is damaged.
    """
    run = load_run(store, execution_id)
    if run.status != EXECUTING:
        return False
    now = time.time()
    steps = tuple(
        replace(step, status=STOPPED, ended_at=now, reason=reason) if step.status == EXECUTING else step
        for step in run.steps
    )
    stopped = replace(run, status=STOPPED, ended_at=now, steps=steps)
    save_run(store, stopped)
    note_run(store, stopped)
    return True
