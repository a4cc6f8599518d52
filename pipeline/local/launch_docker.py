"""Runs a job's program in SageMaker local mode: a real container of the image, started through the SDK.

A caller who is not root is the container's user, so that what it writes is the caller's. For root the container starts
as in SageMaker, as root, and the image's entry point gives that up.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pipeline.entrypoint import RUN_AS
from pipeline.local import engine
from pipeline.local.container_request import image_of, is_isolated, local_request
from pipeline.local.engine import EngineError
from pipeline.local.job import Job, JobOutcome, LaunchFault
from pipeline.local.locks import try_lock
from pipeline.local.parameters import PlanError
from pipeline.local.plan import Step
from pipeline.local.reasons import exit_reason, last_lines, left_message

RUN_LABEL: Final = "retraining.run"  # the folder of the run that a container belongs to
USER_LABEL: Final = "retraining.user"  # who started it
_LINKS: Final = "retraining-job-"  # links to base directories, in the folder of temporary files
_LOOK_AGAIN_SECONDS: Final = 0.3
_import_lock = threading.Lock()


class DockerLauncher:
    """Runs each job in a container; one that must stop gets SIGTERM, and SIGKILL `grace_seconds` later.

    Raises EngineError where there is no engine, no compose, or no image of this code. Removes what killed runs of this
    user have left in the engine.
    """

    def __init__(self, image: str, *, content: str, grace_seconds: int = 3) -> None:
        engine.require_engine()
        engine.require_compose()
        self.image_id = engine.require_image(image, content)
        self.grace_seconds = grace_seconds
        self._rootless = engine.is_rootless()
        remove_orphans()

    def check(self, step: Step) -> None:
        """Refuses what the SDK's local mode would not do: more than one machine."""
        resources = step.arguments.get("ResourceConfig") or (step.arguments.get("ProcessingResources") or {}).get(
            "ClusterConfig", {}
        )
        if resources.get("InstanceCount", 1) != 1:
            raise PlanError(f"step {step.name} asks for {resources['InstanceCount']} machines; a container is one")

    def launch(self, job: Job) -> JobOutcome:
        """Runs the container to its end, time limit or stop; raises LaunchFault where it could not be run."""
        image = image_of(job.request)
        if engine.image_details(image) is None:  # compose would look for it in a registry
            return JobOutcome("Failed", f"there is no image {image}: {engine.BUILD}")
        local_mode = _local_mode()
        if job.stop.requested:  # while the SDK was imported
            return JobOutcome("Stopped", "stopped on request")
        job.log_path.parent.mkdir(parents=True, exist_ok=True)
        start = job.log_path.stat().st_size if job.log_path.exists() else 0
        with _short_path(job.base_dir) as base:
            settings = local_mode.ContainerSettings(
                name=job.name,
                base_dir=base,
                labels=_labels(job),
                **self._identity(),
                isolated=is_isolated(job.request),
            )
            request = local_request(job, base)
            try:
                failure, cause = self._run(job, lambda: local_mode.run_job(job.step_type, job.name, request, settings))
                state = engine.container_state(job.name)
                said = local_mode.compose_said(settings)
            except EngineError as error:
                raise LaunchFault("SageMaker.JOB_INTERNAL_ERROR", str(error)) from error
            finally:
                with suppress(EngineError):  # one that has died says so in the next call
                    engine.remove(job.name)
        if cause == "stopped":
            return JobOutcome("Stopped", "stopped on request")
        if cause == "timeout":
            return JobOutcome("Failed", f"stopped after its MaxRuntimeInSeconds of {job.timeout_seconds:g}")
        if state is None:
            raise LaunchFault("SageMaker.JOB_INTERNAL_ERROR", f"no container was started: {said or failure}")
        return _outcome(job, state, failure, start)

    def _identity(self) -> dict[str, Any]:
        if self._rootless:  # the container's root is the caller, and its other users are nobody's
            return {"user": "0:0", "environment": (f"{RUN_AS}=",)}
        return {"user": None if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"}

    def _run(self, job: Job, work: Callable[[], None]) -> tuple[Exception | None, str | None]:
        """Does the work; returns how it failed, and "stopped" or "timeout" if the container was made to end."""
        wake, ended = threading.Event(), threading.Event()
        causes: list[str] = []

        def watch() -> None:
            wake.wait(job.timeout_seconds)
            if ended.is_set():
                return
            causes.append("stopped" if job.stop.requested else "timeout")
            while not ended.is_set():  # it may not have been started yet
                with suppress(EngineError):
                    engine.stop(job.name, self.grace_seconds)
                ended.wait(_LOOK_AGAIN_SECONDS)

        def follow() -> None:
            last = False
            while not engine.copy_log(job.name, job.log_path) and not last:
                last = ended.wait(_LOOK_AGAIN_SECONDS)  # once more after the end, for a container that was very quick

        job.stop.subscribe(wake.set)
        threads = [threading.Thread(target=target, name=job.step_name, daemon=True) for target in (watch, follow)]
        for thread in threads:
            thread.start()
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # the SDK raises RuntimeError for a bad exit, and others for faults of its own
            failure = error
        ended.set()
        wake.set()
        for thread in threads:
            thread.join()
        return failure, causes[0] if causes else None


def _outcome(job: Job, state: engine.ContainerState, failure: Exception | None, log_start: int) -> JobOutcome:
    message = left_message(job)
    if state.exit_code == 0 and failure is None:
        return JobOutcome("Completed", message)
    if state.exit_code == 0:
        return JobOutcome("Failed", f"its results could not be taken over: {failure}")
    if message is None and state.out_of_memory:
        message = "the container ran out of memory: give the engine more"
    code = 128 - state.exit_code if state.exit_code > 128 else state.exit_code
    return JobOutcome("Failed", message or exit_reason(code, last_lines(job.log_path, 1, log_start)))


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
        from pipeline.local import local_mode  # noqa: PLC0415 - 5 s that a run from the cache need not spend
    return local_mode


def remove_orphans() -> None:
    """Remove this user's containers, networks and links whose run is no longer alive."""
    for name, folder in engine.labelled(USER_LABEL, str(os.getuid()), RUN_LABEL):
        if not _alive(Path(folder)):
            engine.remove(name)
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
