"""Runs a job's program as a child process of this machine: no container, the same folders."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pipeline.contract import BASE_DIR_VARIABLE, DEFAULT_BASE_DIR
from pipeline.local.job import Job, JobOutcome, LaunchFault
from pipeline.local.orphans import hold_step
from pipeline.local.parameters import PlanError
from pipeline.local.plan import JOB_TYPES, Step
from pipeline.local.reasons import exit_reason, last_lines, left_message

# A program sees only these of the operator's environment, as a container would: what else it needs, its request says.
# The last ones tell numeric libraries how many threads to use, which changes their speed and not their task.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TMPDIR|TMP|TEMP|VIRTUAL_ENV|(DY)?LD_.*|SSL_CERT_.*|"
    r"(OMP|OPENBLAS|MKL|NUMEXPR)_.*|COVERAGE_.*"
)
_BASE_DIR = re.compile(rf"(?<![\w/.-]){re.escape(DEFAULT_BASE_DIR)}(?![\w.-])")
_CONTAINERS = {"Processing": "AppSpecification", "Training": "AlgorithmSpecification"}


class ProcessLauncher:
    """Starts each job in its own session, with `project_root` as working directory and import path.

    A job that must stop gets SIGTERM, and SIGKILL `grace_seconds` later, together with every process it started.
    """

    def __init__(self, project_root: Path, grace_seconds: float = 3.0) -> None:
        self.project_root = project_root.resolve()
        self.grace_seconds = grace_seconds

    def check(self, step: Step) -> None:
        """Refuses a job that leaves its command to the image."""
        if step.type in JOB_TYPES and not container_of(step.type, step.arguments).get("ContainerEntrypoint"):
            raise PlanError(
                f"step {step.name} has no {_CONTAINERS[step.type]}.ContainerEntrypoint: a child process cannot "
                "know the default command of an image; name the command in the definition, or run it in a container"
            )

    def launch(self, job: Job) -> JobOutcome:
        """Runs the program to its end, time limit or stop; raises LaunchFault where the system cannot start it."""
        job.log_path.parent.mkdir(parents=True, exist_ok=True)
        with job.log_path.open("ab") as log:
            start = log.tell()
            try:
                with hold_step(job.base_dir.parent) as hold:
                    process = self._start(job, log, hold.descriptor)
                    hold.record(process.pid)
            except (FileNotFoundError, PermissionError) as error:
                return JobOutcome("Failed", f"cannot start {error.filename}: {error.strerror}")
            except OSError as error:
                raise LaunchFault(_exception_type(error), f"cannot start a process: {error}") from error
            cause = self._wait(process, job)
        if cause == "stopped":
            return JobOutcome("Stopped", "stopped on request")
        if cause == "timeout":
            return JobOutcome("Failed", f"stopped after its MaxRuntimeInSeconds of {job.timeout_seconds:g}")
        message = left_message(job)
        if process.returncode == 0:
            return JobOutcome("Completed", message)
        return JobOutcome("Failed", message or exit_reason(process.returncode, last_lines(job.log_path, 1, start)))

    def _start(self, job: Job, log: IO[bytes], hold: int) -> subprocess.Popen[bytes]:
        container = container_of(job.step_type, job.request)
        command = [*container["ContainerEntrypoint"], *container.get("ContainerArguments", [])]
        command = [localise(str(part), job.base_dir) for part in command]
        if command[0] in {"python", "python3"}:
            command[0] = sys.executable
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.project_root,
            env=self._environment(job),
            start_new_session=True,
            pass_fds=(hold,),
        )

    def _environment(self, job: Job) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
        requested = {
            name: localise(str(value), job.base_dir) for name, value in (job.request.get("Environment") or {}).items()
        }
        return {
            **inherited,
            "TZ": "UTC",  # a container's clock
            "PYTHONUNBUFFERED": "1",  # the last lines before a kill are the ones somebody wants to read
            "PYTHONPATH": str(self.project_root),
            f"{job.step_type.upper()}_JOB_NAME": job.name,
            f"{job.step_type.upper()}_JOB_ARN": job.arn,
            **requested,
            BASE_DIR_VARIABLE: str(job.base_dir),
        }

    def _wait(self, process: subprocess.Popen[bytes], job: Job) -> str | None:
        """Waits for the end; returns "stopped" or "timeout" if the program was made to end."""
        wake, ended = threading.Event(), threading.Event()
        causes: list[str] = []

        def watch() -> None:
            wake.wait(job.timeout_seconds)
            if ended.is_set():
                return
            causes.append("stopped" if job.stop.requested else "timeout")
            _signal_group(process.pid, signal.SIGTERM)
            if not ended.wait(self.grace_seconds):
                _signal_group(process.pid, signal.SIGKILL)

        job.stop.subscribe(wake.set)
        watcher = threading.Thread(target=watch, name=f"watch {job.step_name}", daemon=True)
        watcher.start()
        process.wait()  # without a timeout: Popen polls up to 50 ms late when it has one
        ended.set()
        wake.set()
        watcher.join()
        _signal_group(process.pid, signal.SIGKILL)  # a container's end takes the program's own children with it
        return causes[0] if causes else None


def container_of(step_type: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    specification: Mapping[str, Any] = request.get(_CONTAINERS[step_type]) or {}
    return specification


def localise(text: str, base_dir: Path) -> str:
    """`text` with each path at or below /opt/ml moved to the base directory."""
    return _BASE_DIR.sub(lambda _: str(base_dir), text)


def _signal_group(process_group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says the latter of a group of zombies
        os.killpg(process_group, number)


def _exception_type(error: OSError) -> str:
    busy = error.errno in {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
    return "SageMaker.CAPACITY_ERROR" if busy else "SageMaker.JOB_INTERNAL_ERROR"
