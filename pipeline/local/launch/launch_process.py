"""Runs a job's program as a child process of this machine: no container, the same folders.

A program inherits a locked file of its step's folder. As long as it, or a child that keeps its files, is alive, the
lock is held, and the file names its process groups: so the next run finds what a killed run has left.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from pipeline.contract.names import BASE_DIR_VARIABLE, CLUSTER_PORT_VARIABLE, DEFAULT_BASE_DIR
from pipeline.local.launch.hosts import Host, bad_end, collect, hosts_of, lay_out, wait_for_hosts, written_message
from pipeline.local.launch.job import Job, JobOutcome, LaunchFault, container_of
from pipeline.local.launch.spark import spark_folder
from pipeline.local.plan.parameters import PlanError
from pipeline.local.plan.plan import Step
from pipeline.local.store.locks import try_lock, wait_for_lock
from pipeline.local.store.store import remove

# A program sees only these of the operator's environment, as a container would: what else it needs, its request says.
# The last ones tell numeric libraries how many threads to use, which changes their speed and not their task.
_INHERITED: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|VIRTUAL_ENV|(DY)?LD_.*|SSL_CERT_.*|"
    r"(OMP|OPENBLAS|MKL|NUMEXPR)_.*|COVERAGE_.*"
)
_BASE_DIR: Final = re.compile(rf"(?<![\w/.-]){re.escape(DEFAULT_BASE_DIR)}(?![\w.-])")
_TEMPORARY: Final = "tmp"  # below a base directory: temporary files, which end with the program as a container's do
_LOCK_FILE: Final = "process"
_SECONDS_TO_DIE: Final = 5.0


class ProcessLauncher:
    """Starts each job in its own session, with `project_root` as working directory and import path.

    A job that must stop gets SIGTERM, and SIGKILL `grace_seconds` later, together with every process it started.
    """

    def __init__(self, project_root: Path, grace_seconds: float = 3.0) -> None:
        self.project_root = project_root.resolve()
        self.grace_seconds = grace_seconds

    def check(self, step: Step) -> None:
        """Refuses a job that leaves its command to the image."""
        if not container_of(step.arguments).get("ContainerEntrypoint"):
            raise PlanError(
                f"step {step.name} has no ContainerEntrypoint: a child process cannot know the default command of an "
                "image; name the command in the definition, or run it in a container"
            )

    def launch(self, job: Job) -> JobOutcome:
        """Runs the program on each of the job's hosts to its end; raises LaunchFault where the system cannot start it.

        Each host is a process with its own base directory. Where one fails, the others are stopped.
        """
        hosts = hosts_of(job)
        try:
            with _locked(job.folder) as lock:
                running = self._start_all(job, hosts, lock)
        except (FileNotFoundError, PermissionError) as error:
            return JobOutcome("Failed", f"cannot start {error.filename}: {error.strerror}")
        except OSError as error:
            busy = error.errno in {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
            kind = "SageMaker.CAPACITY_ERROR" if busy else "SageMaker.JOB_INTERNAL_ERROR"
            raise LaunchFault(kind, f"cannot start a process: {error}") from error

        def send(ending: Collection[Host], number: signal.Signals) -> None:
            for host in ending:
                _signal_group(running[host].pid, number)

        waits = {host: partial(_wait, process) for host, process in running.items()}
        end = wait_for_hosts(job, waits, send, self.grace_seconds)
        for host in hosts:
            remove(host.base_dir / _TEMPORARY)
        if outcome := bad_end(job, hosts, end):
            return outcome
        if conflict := collect(job, hosts):
            return JobOutcome("Failed", conflict)
        return JobOutcome("Completed", written_message(job.step.type, job.base_dir))

    def _start_all(self, job: Job, hosts: tuple[Host, ...], lock: int) -> dict[Host, subprocess.Popen[bytes]]:
        lay_out(job, hosts)
        cluster = {CLUSTER_PORT_VARIABLE: str(_free_port())} if len(hosts) > 1 else {}
        running: dict[Host, subprocess.Popen[bytes]] = {}
        try:
            for host in hosts:
                running[host] = self._start(job, host, cluster, lock)
                os.pwrite(lock, " ".join(str(process.pid) for process in running.values()).encode(), 0)
        except OSError:
            for process in running.values():
                _signal_group(process.pid, signal.SIGKILL)
                process.wait()
            raise
        return running

    def _start(self, job: Job, host: Host, cluster: Mapping[str, str], lock: int) -> subprocess.Popen[bytes]:
        container = container_of(job.request)
        command = [*container["ContainerEntrypoint"], *container.get("ContainerArguments", [])]
        command = [_localise(str(part), host.base_dir) for part in command]
        if command[0] in {"python", "python3"}:
            command[0] = sys.executable
        (host.base_dir / _TEMPORARY).mkdir(exist_ok=True)
        with host.log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.project_root,
                env={**self._environment(job, host.base_dir), **cluster},
                start_new_session=True,
                pass_fds=(lock,),
            )

    def _environment(self, job: Job, base_dir: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
        requested = job.request.get("Environment") or {}
        programs = [str(spark_folder() / "bin"), str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
        return {
            **inherited,
            "PATH": os.pathsep.join(programs),  # smspark-submit's replacement, and this environment's spark-submit
            "TZ": "UTC",  # a container's clock
            "PYTHONUNBUFFERED": "1",  # keeps the last lines before a kill
            "PYTHONPATH": str(self.project_root),
            f"{job.step.type.upper()}_JOB_NAME": job.name,
            f"{job.step.type.upper()}_JOB_ARN": job.arn,
            **{name: _localise(str(value), base_dir) for name, value in requested.items()},
            BASE_DIR_VARIABLE: str(base_dir),
            "TMPDIR": str(base_dir / _TEMPORARY),
        }


def _localise(text: str, base_dir: Path) -> str:
    """`text` with each path at or below /opt/ml moved to the base directory."""
    return _BASE_DIR.sub(lambda _: str(base_dir), text)


def _free_port() -> int:
    """A free port; if another program takes it before the hosts do, they fail with that error."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(process: subprocess.Popen[bytes]) -> int:
    code = process.wait()
    _signal_group(process.pid, signal.SIGKILL)  # a container's end takes the program's own children with it
    return code


def _signal_group(process_group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # none is left; macOS raises the latter for zombies
        os.killpg(process_group, number)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Locks a step's folder; programs started inside the block inherit the lock and keep it until they end."""
    end_orphan(folder)
    descriptor = try_lock(folder / _LOCK_FILE)
    if descriptor is None:
        raise BlockingIOError(f"an earlier program of {folder} is still running")
    try:
        os.truncate(descriptor, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def end_orphan(folder: Path) -> None:
    """Kills the programs of a step's folder with their process groups, if alive, and removes their temporary files."""
    path = folder / _LOCK_FILE
    if not path.exists():
        return
    descriptor = try_lock(path)
    if descriptor is None:
        for process_group in path.read_text().split():
            _signal_group(int(process_group), signal.SIGKILL)
        descriptor = wait_for_lock(path, _SECONDS_TO_DIE)
    if descriptor is not None:
        for temporary in folder.glob(f"base*/{_TEMPORARY}"):
            remove(temporary)
        os.close(descriptor)
