"""Runs a job's program as a child process of this machine: no container, the same folders."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.contract.names import BASE_DIR_VARIABLE, CLUSTER_PORT_VARIABLE, DEFAULT_BASE_DIR
from pipeline.local.launch.exit_reason import exit_reason, last_lines, written_message
from pipeline.local.launch.host_processes import HostProcesses, signal_group
from pipeline.local.launch.hosts import Host, collect, hosts_of, lay_out, log_size, show_log, with_host_name
from pipeline.local.launch.job import Job, JobOutcome, LaunchFault
from pipeline.local.launch.spark import COMMANDS
from pipeline.local.plan.parameters import PlanError
from pipeline.local.plan.plan import JOB_TYPES, Step
from pipeline.local.run.orphans import TEMPORARY, StepLock, lock_step
from pipeline.local.run.staging import outputs_of
from pipeline.local.store.store import remove

# A program sees only these of the operator's environment, as a container would: what else it needs, its request says.
# The last ones tell numeric libraries how many threads to use, which changes their speed and not their task.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|VIRTUAL_ENV|(DY)?LD_.*|SSL_CERT_.*|"
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
        """Runs the program on each of the job's hosts to its end; raises LaunchFault where the system cannot start it.

        Each host is a process with its own base directory. Where one fails, the others are stopped.
        """
        hosts = hosts_of(job)
        job.log_path.parent.mkdir(parents=True, exist_ok=True)
        starts = {host: log_size(host.log_path) for host in hosts}
        try:
            with lock_step(job.base_dir.parent) as hold:
                running = self._start_all(job, hosts, hold)
        except (FileNotFoundError, PermissionError) as error:
            return JobOutcome("Failed", f"cannot start {error.filename}: {error.strerror}")
        except OSError as error:
            raise LaunchFault(_exception_type(error), f"cannot start a process: {error}") from error
        end = HostProcesses(running, self.grace_seconds).wait(job)
        for host in hosts:
            remove(host.base_dir / TEMPORARY)
        if end.cause == "stopped":
            return JobOutcome("Stopped", "stopped on request")
        if end.cause == "timeout":
            return JobOutcome("Failed", f"stopped after its MaxRuntimeInSeconds of {job.timeout_seconds:g}")
        if end.failed:
            code, lines = running[end.failed].returncode, last_lines(end.failed.log_path, 1, starts[end.failed])
            show_log(end.failed, hosts[0])
            reason = written_message(job.step_type, end.failed.base_dir) or exit_reason(code, lines)
            return JobOutcome("Failed", with_host_name(end.failed, hosts, reason))
        folders = [output.folder for output in outputs_of(job.step_type, job.request, job.name)]
        if conflict := collect(hosts, folders):
            return JobOutcome("Failed", conflict)
        return JobOutcome("Completed", written_message(job.step_type, job.base_dir))

    def _start_all(self, job: Job, hosts: tuple[Host, ...], hold: StepLock) -> dict[Host, subprocess.Popen[bytes]]:
        lay_out(job, hosts)
        cluster = {CLUSTER_PORT_VARIABLE: str(_free_port())} if len(hosts) > 1 else {}
        running: dict[Host, subprocess.Popen[bytes]] = {}
        try:
            for host in hosts:
                running[host] = self._start(job, host, cluster, hold.descriptor)
                hold.record(process.pid for process in running.values())
        except OSError:
            for process in running.values():
                signal_group(process.pid, signal.SIGKILL)
                process.wait()
            raise
        return running

    def _start(self, job: Job, host: Host, cluster: Mapping[str, str], hold: int) -> subprocess.Popen[bytes]:
        container = container_of(job.step_type, job.request)
        command = [*container["ContainerEntrypoint"], *container.get("ContainerArguments", [])]
        command = [localise(str(part), host.base_dir) for part in command]
        if command[0] in {"python", "python3"}:
            command[0] = sys.executable
        (host.base_dir / TEMPORARY).mkdir(exist_ok=True)
        with host.log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.project_root,
                env={**self._environment(job, host.base_dir), **cluster},
                start_new_session=True,
                pass_fds=(hold,),
            )

    def _environment(self, job: Job, base_dir: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
        requested = {
            name: localise(str(value), base_dir) for name, value in (job.request.get("Environment") or {}).items()
        }
        programs = [str(COMMANDS), str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
        return {
            **inherited,
            "PATH": os.pathsep.join(programs),  # smspark-submit's stand-in, and this environment's spark-submit
            "TZ": "UTC",  # a container's clock
            "PYTHONUNBUFFERED": "1",  # keeps the last lines before a kill
            "PYTHONPATH": str(self.project_root),
            f"{job.step_type.upper()}_JOB_NAME": job.name,
            f"{job.step_type.upper()}_JOB_ARN": job.arn,
            **requested,
            BASE_DIR_VARIABLE: str(base_dir),
            "TMPDIR": str(base_dir / TEMPORARY),
        }


def container_of(step_type: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    specification: Mapping[str, Any] = request.get(_CONTAINERS[step_type]) or {}
    return specification


def localise(text: str, base_dir: Path) -> str:
    """`text` with each path at or below /opt/ml moved to the base directory."""
    return _BASE_DIR.sub(lambda _: str(base_dir), text)


def _free_port() -> int:
    """A free port; if another program takes it before the hosts do, they fail with that error."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _exception_type(error: OSError) -> str:
    busy = error.errno in {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
    return "SageMaker.CAPACITY_ERROR" if busy else "SageMaker.JOB_INTERNAL_ERROR"
