"""The interface of a launcher: run one job's program in a prepared base directory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.local.plan.plan import Step


class LaunchFault(Exception):  # noqa: N818 (retry policies speak of faults)
    """A fault of the runtime, not of the job's program: only these are retried."""

    def __init__(self, exception_type: str, message: str) -> None:
        super().__init__(message)
        self.exception_type = exception_type  # as retry policies name it, such as SageMaker.CAPACITY_ERROR


class StopSignal:
    """Asks one running job to stop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self.requested = False

    def request(self) -> None:
        """Makes the request, once, and calls the subscribers."""
        with self._lock:
            self.requested, callbacks = True, self._callbacks
            self._callbacks = []
        for callback in callbacks:
            callback()

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Calls `callback` at the request; immediately if it was made already."""
        with self._lock:
            if not self.requested:
                self._callbacks.append(callback)
                return
        callback()


@dataclass(frozen=True)
class Job:
    """One attempt of a Processing or Training step, with its inputs already in place below `base_dir`."""

    step_name: str
    step_type: str
    name: str
    arn: str
    request: Mapping[str, Any]
    base_dir: Path  # what the container sees as /opt/ml
    log_path: Path  # stdout and stderr are appended
    timeout_seconds: float | None
    stop: StopSignal


@dataclass(frozen=True)
class JobOutcome:
    """How a job's program ended."""

    status: str  # Completed, Failed or Stopped
    message: str | None = None  # the failure reason, or what a successful processing job left as ExitMessage


class Launcher(Protocol):
    """Runs jobs: in child processes or in containers."""

    def check(self, step: Step) -> None:
        """Raises PlanError for a step that this launcher cannot run, before anything runs."""
        ...

    def launch(self, job: Job) -> JobOutcome:
        """Runs the job's program to its end; raises LaunchFault where it could not be run."""
        ...
