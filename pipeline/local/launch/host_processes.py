"""Waits for the processes of a job's hosts: one that fails, the time limit or a stop ends them all."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from pipeline.local.launch.hosts import Host, HostsResult
from pipeline.local.launch.job import Job

_STOP: Final = "stopped"


class HostProcesses:
    """The process groups of a job's hosts. What must end gets SIGTERM, and SIGKILL `grace_seconds` later."""

    def __init__(self, running: Mapping[Host, subprocess.Popen[bytes]], grace_seconds: float) -> None:
        self._running = running
        self._grace_seconds = grace_seconds
        self._alive = set(running)
        self._events: queue.SimpleQueue[Host | str] = queue.SimpleQueue()
        self._failed: list[Host] = []  # by themselves, in order of time
        self._killing = False

    def wait(self, job: Job) -> HostsResult:
        """Waits until all have ended."""
        for host, process in self._running.items():
            # A thread each: Popen's own wait with a time limit polls, and notices an end up to 50 ms late.
            threading.Thread(target=self._report, args=(host, process), name=host.name, daemon=True).start()
        job.stop.subscribe(lambda: self._events.put(_STOP))
        cause: str | None = None
        deadline = None if job.timeout_seconds is None else time.monotonic() + job.timeout_seconds
        ending = False
        while self._alive:
            event = self._next(deadline)
            if isinstance(event, Host):
                self._ended(event)
                if not self._failed or ending:
                    continue
            elif ending:
                if event is None:  # the grace period is over
                    self._signal_all(signal.SIGKILL)
                    deadline = None
                continue
            else:
                cause = event or "timeout"
            ending, deadline = True, time.monotonic() + self._grace_seconds
            self._signal_all(signal.SIGTERM)
        return HostsResult(cause, None if cause else self._culprit())

    def _report(self, host: Host, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._events.put(host)

    def _next(self, deadline: float | None) -> Host | str | None:
        """The next event, or None when the time is over."""
        try:
            return self._events.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None

    def _ended(self, host: Host) -> None:
        self._alive.discard(host)
        process = self._running[host]
        signal_group(process.pid, signal.SIGKILL)  # a container's end takes the program's own children with it
        if process.returncode != 0 and not self._killing:
            self._failed.append(host)

    def _signal_all(self, number: signal.Signals) -> None:
        self._killing = number == signal.SIGKILL
        for host in self._alive:
            signal_group(self._running[host].pid, number)

    def _culprit(self) -> Host | None:
        """The host that failed first; one that was killed comes before one that only noticed it."""
        killed = (host for host in self._failed if self._running[host].returncode == -signal.SIGKILL)
        return next(killed, self._failed[0] if self._failed else None)


def signal_group(process_group: int, number: signal.Signals) -> None:
    """Sends a signal to a process group, if there still is one."""
    with suppress(ProcessLookupError, PermissionError):  # none is left; macOS raises the latter for zombies
        os.killpg(process_group, number)
