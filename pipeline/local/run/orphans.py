"""Finds and kills the processes of a killed run, before they disturb a resumed one.

A program inherits a locked file of its step's folder. As long as it, or a child that keeps its files, is alive, the
lock is held, and the file names its process group.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.local.store.locks import try_lock, wait_for_lock
from pipeline.local.store.store import remove

TEMPORARY: Final = "tmp"  # below a base directory: temporary files, which end with the program as a container's do
_LOCK_FILE = "process"
_SECONDS_TO_DIE = 5.0


@dataclass(frozen=True)
class StepLock:
    """The lock file of a step while its program is being started."""

    descriptor: int

    def record(self, process_groups: Iterable[int]) -> None:
        """Records the process groups to kill if this run is killed."""
        os.truncate(self.descriptor, 0)
        os.pwrite(self.descriptor, " ".join(map(str, process_groups)).encode(), 0)


@contextmanager
def lock_step(folder: Path) -> Iterator[StepLock]:
    """Locks a step's folder; the program started inside the block inherits the lock and keeps it until it ends."""
    end_orphan(folder)
    descriptor = try_lock(folder / _LOCK_FILE)
    if descriptor is None:
        raise BlockingIOError(f"an earlier program of {folder} is still running")
    try:
        yield StepLock(descriptor)
    finally:
        os.close(descriptor)


def end_orphan(folder: Path) -> None:
    """Kills the program of a step's folder with its process group, if alive, and removes its temporary files."""
    path = folder / _LOCK_FILE
    if not path.exists():
        return
    descriptor = try_lock(path)
    if descriptor is None:
        for process_group in path.read_text().split():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(int(process_group), signal.SIGKILL)
        descriptor = wait_for_lock(path, _SECONDS_TO_DIE)
    if descriptor is not None:
        for temporary in folder.glob(f"base*/{TEMPORARY}"):
            remove(temporary)
        os.close(descriptor)
