"""The hosts of a job: what each of them has on this machine, how all of them end, and why."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from pipeline.contract.names import (
    PROCESSING_FAILURE_FILE,
    PROCESSING_HOSTS_FILE,
    TRAINING_FAILURE_FILE,
    TRAINING_HOSTS_FILE,
)
from pipeline.contract.reasons import shorten
from pipeline.local.launch.job import STOPPED_ON_REQUEST, Job, JobOutcome
from pipeline.local.store.store import remove

_LINES_OF_ANOTHER_HOST: Final = 20


@dataclass(frozen=True)
class Host:
    """One of a job's hosts; the first has the job's own folder and log."""

    name: str
    base_dir: Path
    log_path: Path
    log_start: int  # bytes of the log before this attempt


@dataclass(frozen=True)
class HostsEnd:
    """How the hosts of a job ended; the one that failed first with its exit code, which is negative for a signal."""

    cause: str | None  # stopped, timeout
    failed: Host | None
    code: int


def host_count(request: Mapping[str, Any]) -> int:
    cluster = request.get("ResourceConfig") or (request.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    return int(cluster.get("InstanceCount", 1))


def host_names(count: int) -> tuple[str, ...]:
    """The names that SageMaker gives."""
    return tuple(f"algo-{number}" for number in range(1, count + 1))


def hosts_file(request: Mapping[str, Any]) -> str:
    """Where SageMaker says to a container of the job who is there."""
    return TRAINING_HOSTS_FILE if "AlgorithmSpecification" in request else PROCESSING_HOSTS_FILE


def hosts_of(job: Job) -> tuple[Host, ...]:
    """The hosts of a job, the first one first, at the beginning of an attempt; the folder of their logs is there."""
    job.log_path.parent.mkdir(parents=True, exist_ok=True)
    hosts = []
    for number, name in enumerate(host_names(host_count(job.request))):
        other = f"-{name}" if number else ""
        log = job.log_path.with_stem(f"{job.log_path.stem}{other}")
        start = log.stat().st_size if log.exists() else 0
        hosts.append(Host(name, job.base_dir.with_name(f"{job.base_dir.name}{other}"), log, start))
    return tuple(hosts)


def lay_out(job: Job, hosts: tuple[Host, ...]) -> None:
    """Gives each further host a copy of the first one's folder, and the file that says who is there."""
    first, *others = hosts
    for host in others:
        remove(host.base_dir)
        shutil.copytree(first.base_dir, host.base_dir)
        path = host.base_dir / hosts_file(job.request)
        path.write_text(json.dumps({**json.loads(path.read_text()), "current_host": host.name}))


def collect(job: Job, hosts: tuple[Host, ...]) -> str | None:
    """Moves what further hosts wrote to the first one's folders; returns an error where two wrote one file differently.

    In SageMaker all hosts write to one place, and which of two files stays is chance.
    """
    first, *others = hosts
    for host in others:
        for folder in (output.folder for output in job.outputs):
            source = host.base_dir / folder
            for path in sorted(p for p in source.rglob("*") if p.is_file()):
                target = first.base_dir / folder / path.relative_to(source)
                if target.exists() and not filecmp.cmp(path, target, shallow=False):
                    file = f"{folder}/{path.relative_to(source)}"
                    both = f"{first.name} and {host.name} both wrote {file}, and not the same"
                    return f"{both}: let one host write it, or give each its own name"
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        remove(host.base_dir)
    return None


def wait_for_hosts(
    job: Job,
    waits: Mapping[Host, Callable[[], int | None]],
    send: Callable[[Collection[Host], signal.Signals], None],
    grace_seconds: float,
) -> HostsEnd:
    """Waits until all hosts have ended: one that fails, the time limit and a stop end the others.

    What `waits` holds waits for a host and returns its exit code. `send` sends SIGTERM, and SIGKILL `grace_seconds`
    later. Of those that failed by themselves one that was killed is the reason, before one that only noticed it.
    """
    events: SimpleQueue[tuple[Host, int | None] | None] = SimpleQueue()  # None: a stop

    def report(host: Host) -> None:
        code = None
        try:
            code = waits[host]()
        finally:  # else the job would never end
            events.put((host, code))

    for host in waits:
        # A thread each: Popen's own wait with a time limit polls, and notices an end up to 50 ms late.
        threading.Thread(target=report, args=(host,), name=host.name, daemon=True).start()
    job.stop.subscribe(lambda: events.put(None))
    alive, failed = set(waits), dict[Host, int]()
    cause: str | None = None
    sent: signal.Signals | None = None
    deadline = None if job.timeout_seconds is None else time.monotonic() + job.timeout_seconds
    while alive:
        try:
            event = events.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            cause = cause if sent else "timeout"
        else:
            if event is None:
                cause = cause if sent else "stopped"
            else:
                host, code = event
                alive.discard(host)
                if code and sent != signal.SIGKILL:
                    failed[host] = code
            if sent or not alive or not (failed or cause):
                continue
        sent = signal.SIGKILL if sent else signal.SIGTERM
        send(alive, sent)
        deadline = time.monotonic() + grace_seconds
    killed = [host for host, code in failed.items() if code == -signal.SIGKILL]
    first = next(iter([*killed, *failed]), None)
    return HostsEnd(cause, first, failed[first] if first else 0)


def bad_end(job: Job, hosts: tuple[Host, ...], end: HostsEnd, guess: str | None = None) -> JobOutcome | None:
    """Why a job has not run to its end; None if it has. `guess`: the reason, where the program has written none."""
    if end.cause == "stopped":
        return STOPPED_ON_REQUEST
    if end.cause == "timeout":
        return JobOutcome("Failed", f"stopped after its MaxRuntimeInSeconds of {job.timeout_seconds:g}")
    if end.failed is None:
        return None
    host, first = end.failed, hosts[0]
    lines = last_lines(host.log_path, _LINES_OF_ANOTHER_HOST, host.log_start)
    if host is not first and lines:  # where people look for the reason
        with first.log_path.open("a", encoding="utf-8") as log:
            log.write("\n".join([f"the last lines of {host.name} (whole log: {host.log_path.name}):", *lines, ""]))
    reason = written_message(job.step.type, host.base_dir) or guess or exit_reason(end.code, lines)
    return JobOutcome("Failed", with_host_name(host, hosts, reason))


def with_host_name(host: Host, hosts: tuple[Host, ...], reason: str) -> str:
    """The reason with the name of the host that gave it, where there are several; a container may have put it there."""
    name = f"{host.name}: "
    return shorten(f"{name}{reason.removeprefix(name)}") if len(hosts) > 1 else reason


def written_message(step_type: str, base_dir: Path) -> str | None:
    """The message that the program wrote for SageMaker, without a traceback."""
    path = base_dir / (TRAINING_FAILURE_FILE if step_type == "Training" else PROCESSING_FAILURE_FILE)
    try:
        text = path.read_text(errors="replace").strip()
    except OSError:
        return None
    if "Traceback (most recent call last)" in text:
        text = text.splitlines()[-1].strip()
    return shorten(text) or None


def exit_reason(code: int, lines: tuple[str, ...]) -> str:
    """Why a program ended, from its exit code (negative: a signal) and the last line of its log."""
    names = {number.value: number.name for number in signal.Signals}
    if -code in names:
        end = f"ended by signal {names[-code]}"
        if -code == signal.SIGKILL:
            end += ", which the system sends when memory runs out"
    else:  # a container's exit code above 128 need not be a signal
        end = f"exit code {code if code > 0 else 128 - code}"
    return shorten(f"{end}: {lines[-1].strip()}") if lines else f"{end}, and no output"


def last_lines(path: Path, count: int, start: int = 0) -> tuple[str, ...]:
    """The last lines that are not empty of a log, from byte `start` on; at most its last 64 KiB are read."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start, size - 65536))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple([line.rstrip() for line in text.splitlines() if line.strip()][-count:])
