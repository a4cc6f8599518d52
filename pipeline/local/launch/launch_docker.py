"""Runs a job's program in SageMaker local mode: a real container of the image, started through the SDK.

A caller who is not root is the container's user, so that what it writes is the caller's. For root the container starts
as in SageMaker, as root, and the image's entry point gives that up.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pipeline.jobs.entrypoint import RUN_AS
from pipeline.local.launch import container_runtime
from pipeline.local.launch.container_request import image_of, is_isolated, local_request
from pipeline.local.launch.container_runtime import ContainerRuntimeError
from pipeline.local.launch.exit_reason import exit_reason, last_lines, written_message
from pipeline.local.launch.hosts import Host, HostsResult, hosts_of, log_size, show_log, with_host_name
from pipeline.local.launch.job import Job, JobOutcome, LaunchFault
from pipeline.local.plan.plan import Step
from pipeline.local.store.locks import try_lock
from pipeline.local.store.store import remove

RUN_LABEL: Final = "retraining.run"  # the folder of the run that a container belongs to
USER_LABEL: Final = "retraining.user"  # who started it
_LINKS: Final = "retraining-job-"  # links to base directories, in the folder of temporary files
_LOOK_AGAIN_SECONDS: Final = 0.3
_KILLED: Final = 137  # exit code of a container that SIGKILL has ended
_import_lock = threading.Lock()


class DockerLauncher:
    """Runs each job in containers, one a host; what must stop gets SIGTERM, and SIGKILL `grace_seconds` later.

    Raises ContainerRuntimeError without an engine, compose, or an image of this code. Removes what killed runs of this
    user have left in the engine.
    """

    def __init__(self, image: str, *, content: str, grace_seconds: int = 3) -> None:
        container_runtime.require_container_runtime()
        container_runtime.require_compose()
        self.image_id = container_runtime.require_image(image, content)
        self.grace_seconds = grace_seconds
        self._rootless = container_runtime.is_rootless()
        remove_orphans()

    def check(self, step: Step) -> None:
        """There is nothing that a container cannot do and a plan can tell."""

    def launch(self, job: Job) -> JobOutcome:
        """Runs the containers to their end, time limit or stop; raises LaunchFault where they could not be run."""
        image = image_of(job.request)
        if container_runtime.image_details(image) is None:  # compose would look for it in a registry
            return JobOutcome("Failed", f"there is no image {image}: {container_runtime.BUILD}")
        local_mode = _local_mode()
        if job.stop.requested:  # while the SDK was imported
            return JobOutcome("Stopped", "stopped on request")
        job.log_path.parent.mkdir(parents=True, exist_ok=True)
        hosts = hosts_of(job)
        names = container_names(job, hosts)
        starts = {host: log_size(host.log_path) for host in hosts}
        with _short_path(job.base_dir) as base:
            settings = local_mode.ContainerSettings(
                names=tuple(names.values()),
                base_dir=base,
                output_dirs=tuple(host.base_dir / "output" for host in hosts),
                labels=_labels(job),
                **self._identity(),
                isolated=is_isolated(job.request),
                peers=job.step_type == "Training" and len(hosts) > 1,
            )
            request = local_request(job, base)
            try:
                end = self._run(job, names, lambda: local_mode.run_job(job.step_type, job.name, request, settings))
                states = {host: container_runtime.container_state(name) for host, name in names.items()}
                said = local_mode.compose_said(settings)
            except ContainerRuntimeError as error:
                raise LaunchFault("SageMaker.JOB_INTERNAL_ERROR", str(error)) from error
            finally:
                for name in reversed(names.values()):  # the first one's goes with the network of all
                    with suppress(ContainerRuntimeError):  # one that has died says so in the next call
                        container_runtime.remove(name)
        if end.cause == "stopped":
            return JobOutcome("Stopped", "stopped on request")
        if end.cause == "timeout":
            return JobOutcome("Failed", f"stopped after its MaxRuntimeInSeconds of {job.timeout_seconds:g}")
        culprit = end.failed or next((h for h, s in states.items() if s is None or s.exit_code), hosts[0])
        state = states[culprit]
        if state is None:
            raise LaunchFault("SageMaker.JOB_INTERNAL_ERROR", f"no container was started: {said or end.fault}")
        outcome = _outcome(job, culprit, state, end.fault, starts[culprit])
        for host in hosts[1:]:
            remove(host.base_dir)
        if outcome.status == "Completed":
            return outcome
        show_log(culprit, hosts[0])
        return JobOutcome(outcome.status, with_host_name(culprit, hosts, outcome.message or ""))

    def _identity(self) -> dict[str, Any]:
        if self._rootless:  # the container's root is the caller, and its other users are not mapped
            return {"user": "0:0", "environment": (f"{RUN_AS}=",)}
        return {"user": None if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"}

    def _run(self, job: Job, names: Mapping[Host, str], work: Callable[[], None]) -> HostsResult:
        """Does the work; a stop, the time limit and the first host that fails end all containers."""
        wake, ended = threading.Event(), threading.Event()
        causes: list[str] = []
        failed: list[tuple[Host, int]] = []

        def watch() -> None:
            wake.wait(job.timeout_seconds)
            if ended.is_set():
                return
            if failed:  # other hosts that failed by themselves are noticed in this time
                ended.wait(_LOOK_AGAIN_SECONDS)
            causes.append("stopped" if job.stop.requested else "failed" if failed else "timeout")
            while not ended.is_set():  # it may not have been started yet
                with suppress(ContainerRuntimeError):
                    container_runtime.stop(tuple(names.values()), self.grace_seconds)
                ended.wait(_LOOK_AGAIN_SECONDS)

        def follow(host: Host) -> None:
            last = False
            while not container_runtime.copy_log(names[host], host.log_path) and not last:
                last = ended.wait(_LOOK_AGAIN_SECONDS)  # once more after the end, for a container that was very quick

        def notice(host: Host) -> None:
            with suppress(ContainerRuntimeError):  # one that has died says so to the next who asks
                while (code := container_runtime.wait_for(names[host])) is None and not ended.is_set():
                    ended.wait(_LOOK_AGAIN_SECONDS)
                if code and not causes:
                    failed.append((host, code))
                    wake.set()

        job.stop.subscribe(wake.set)
        threads = [threading.Thread(target=watch, name=job.step_name, daemon=True)]
        for host in names:
            threads += [threading.Thread(target=follow, args=(host,), name=f"log of {host.name}", daemon=True)]
            if len(names) > 1:
                threads += [threading.Thread(target=notice, args=(host,), name=f"end of {host.name}", daemon=True)]
        for thread in threads:
            thread.start()
        fault: Exception | None = None
        try:
            work()
        except Exception as error:  # the SDK raises RuntimeError for a bad exit, and others for faults of its own
            fault = error
        ended.set()
        wake.set()
        for thread in threads:
            thread.join()
        killed = (host for host, code in failed if code == _KILLED)  # before those that only noticed it
        culprit = next(killed, failed[0][0] if failed else None)
        return HostsResult(next(iter(causes), None), culprit, fault)


def _outcome(
    job: Job, host: Host, state: container_runtime.ContainerState, fault: Exception | None, start: int
) -> JobOutcome:
    message = written_message(job.step_type, host.base_dir)
    if state.exit_code == 0 and fault is None:
        return JobOutcome("Completed", message)
    if state.exit_code == 0:
        return JobOutcome("Failed", f"its results could not be taken over: {fault}")
    if message is None and state.out_of_memory:
        message = "the container ran out of memory: give the engine more"
    code = 128 - state.exit_code if state.exit_code > 128 else state.exit_code
    return JobOutcome("Failed", message or exit_reason(code, last_lines(host.log_path, 1, start)))


def container_names(job: Job, hosts: tuple[Host, ...]) -> dict[Host, str]:
    """The first host's container has the job's name."""
    return {host: job.name if host is hosts[0] else f"{job.name}-{host.name}" for host in hosts}


def _labels(job: Job) -> dict[str, str]:
    return {RUN_LABEL: str(_run_folder(job.base_dir)), USER_LABEL: str(os.getuid())}


def _run_folder(base_dir: Path) -> Path:
    return base_dir.absolute().parents[2]  # runs/<id>/steps/<Step>/base


@contextmanager
def _short_path(base_dir: Path) -> Iterator[Path]:
    """A link to the base directory whose path holds nothing that the SDK or compose refuses or reads as syntax.

    The SDK mounts nothing from below /root or /etc, an address cannot hold `#`, and a mount's path no colon.
    """
    with tempfile.TemporaryDirectory(prefix=_LINKS) as folder:
        link = Path(folder) / "base"
        link.symlink_to(base_dir.absolute())
        yield link


def _local_mode() -> ModuleType:
    """The module that imports the SDK, once, and when the first container is wanted."""
    with _import_lock:
        from pipeline.local.launch import local_mode  # noqa: PLC0415 - 5 s that a run from the cache need not spend
    return local_mode


def remove_orphans() -> None:
    """Remove this user's containers, networks and links whose run is no longer alive."""
    found = container_runtime.labelled(USER_LABEL, str(os.getuid()), RUN_LABEL)
    for name, folder in reversed(found):  # the first of a job's containers, whose name is the shortest, has the network
        if not _alive(Path(folder)):
            container_runtime.remove(name)
    for link in Path(tempfile.gettempdir()).glob(f"{_LINKS}*/base"):
        with suppress(OSError):
            if link.is_symlink() and not _alive(_run_folder(link.readlink())):
                link.unlink()
                link.parent.rmdir()


def _alive(run_folder: Path) -> bool:
    lock = run_folder / "lock"
    if not lock.exists():
        return False
    descriptor = try_lock(lock)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None
