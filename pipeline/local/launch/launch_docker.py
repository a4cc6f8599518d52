"""Runs a job's program in SageMaker local mode: a real container of the image, started through the SDK.

A caller who is not root is the container's user, so that what it writes is the caller's. For root the container starts
as in SageMaker, as root, and the image's entry point gives that up.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pipeline.contract.names import DEFAULT_BASE_DIR
from pipeline.jobs.entrypoint import RUN_AS
from pipeline.local.launch import container_runtime
from pipeline.local.launch.container_runtime import ContainerRuntimeError
from pipeline.local.launch.hosts import Host, bad_end, host_count, hosts_of, wait_for_hosts, written_message
from pipeline.local.launch.job import STOPPED_ON_REQUEST, Job, JobOutcome, LaunchFault, image_of
from pipeline.local.plan.plan import Step
from pipeline.local.store.locks import is_held
from pipeline.local.store.store import remove

RUN_LABEL: Final = "retraining.run"  # the folder of the run that a container belongs to
USER_LABEL: Final = "retraining.user"  # who started it
_LINKS: Final = "retraining-job-"  # links to base directories, in the folder of temporary files
_LOOK_AGAIN_SECONDS: Final = 0.3
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
            return STOPPED_ON_REQUEST
        hosts = hosts_of(job)
        names = {host: f"{job.name}-{host.name}" if n else job.name for n, host in enumerate(hosts)}
        try:
            return self._run(job, names, local_mode)
        except ContainerRuntimeError as error:
            raise LaunchFault("SageMaker.JOB_INTERNAL_ERROR", str(error)) from error
        finally:
            for name in reversed(names.values()):  # the first one's goes with the network of all
                with suppress(ContainerRuntimeError):  # an engine that has died says so in the next call
                    container_runtime.remove(name)
            for host in hosts[1:]:
                remove(host.base_dir)

    def _run(self, job: Job, names: Mapping[Host, str], local_mode: ModuleType) -> JobOutcome:
        hosts = tuple(names)
        done = threading.Event()
        faults: list[Exception] = []

        def work() -> None:
            try:
                local_mode.run_job(job.step.type, job.name, local_request(job, base), settings)
            except Exception as error:  # the SDK raises RuntimeError for a bad exit, and others for its own faults
                faults.append(error)
            finally:
                done.set()

        def send(ending: Collection[Host], number: signal.Signals) -> None:
            with suppress(ContainerRuntimeError):  # an engine that has died says so to the next who asks
                for host in ending:
                    while not container_runtime.kill(names[host], number) and not done.wait(_LOOK_AGAIN_SECONDS):
                        pass

        with _short_path(job.base_dir) as base:
            settings = local_mode.ContainerSettings(
                names=tuple(names.values()),
                base_dir=base,
                output_dirs=tuple(host.base_dir / "output" for host in hosts),
                labels={RUN_LABEL: str(_run_folder(job.base_dir)), USER_LABEL: str(os.getuid())},
                **self._identity(),
                isolated=_is_isolated(job.request),
                peers=job.step.type == "Training" and len(hosts) > 1,
            )
            threads = [threading.Thread(target=work, name=job.step.name, daemon=True)]
            for host, name in names.items():
                threads += [threading.Thread(target=_follow, args=(name, host.log_path, done), daemon=True)]
            for thread in threads:
                thread.start()
            waits = {host: partial(_exit_code, name, done) for host, name in names.items()}
            end = wait_for_hosts(job, waits, send, self.grace_seconds)
            for thread in threads:
                thread.join()
            states = [container_runtime.container_state(name) for name in names.values()]
            said = local_mode.compose_said(settings)
        fault = faults[0] if faults else None
        ran = all(state and state["Status"] == "exited" and state["ExitCode"] == 0 for state in states)
        if end.cause is None and end.failed is None and not ran:
            raise LaunchFault("SageMaker.JOB_INTERNAL_ERROR", f"its program did not run to its end: {said or fault}")
        state = states[hosts.index(end.failed)] if end.failed else None
        guess = "the container ran out of memory: give the engine more" if state and state["OOMKilled"] else None
        if outcome := bad_end(job, hosts, end, guess):
            return outcome
        if fault:
            return JobOutcome("Failed", f"its results could not be taken over: {fault}")
        return JobOutcome("Completed", written_message(job.step.type, job.base_dir))

    def _identity(self) -> dict[str, Any]:
        if self._rootless:  # the container's root is the caller, and its other users are not mapped
            return {"user": "0:0", "environment": (f"{RUN_AS}=",)}
        return {"user": None if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"}


def _exit_code(name: str, done: threading.Event) -> int | None:
    """Waits for a container; its exit code, negative for a signal. None where there is none when the SDK is done."""
    with suppress(ContainerRuntimeError):  # an engine that has died says so to the next who asks
        last = False
        while (code := container_runtime.wait_for(name)) is None and not last:
            last = done.wait(_LOOK_AGAIN_SECONDS)  # once more after the end, for a container that was very quick
        if code is None and (state := container_runtime.container_state(name)):
            code = int(state["ExitCode"]) or None  # of one that could not be started; 0 where nothing tried to
        return 128 - code if code and code > 128 else code
    return None


def _follow(name: str, log: Path, done: threading.Event) -> None:
    last = False
    while not container_runtime.copy_log(name, log) and not last:
        last = done.wait(_LOOK_AGAIN_SECONDS)  # once more after the end, for a container that was very quick


def local_request(job: Job, base: Path) -> dict[str, Any]:
    """The request as local mode takes it: inputs and outputs below `base` instead of in S3, and this machine."""

    def placed(folder: str) -> str:
        return f"file://{base}/{folder}"

    request = {name: value for name, value in job.request.items() if name not in ("NetworkConfig", "StoppingCondition")}
    kind = job.step.type.upper()
    names = {f"{kind}_JOB_NAME": job.name, f"{kind}_JOB_ARN": job.arn}
    request["Environment"] = {**names, **(request.get("Environment") or {})}
    cluster = {"InstanceType": "local", "InstanceCount": host_count(job.request)}
    if job.step.type == "Training":
        request["ResourceConfig"] = cluster
        request["OutputDataConfig"] = {"S3OutputPath": ""}  # the archives are made by the runner
        kinds = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated"}
        request["InputDataConfig"] = [
            {"ChannelName": item.name, "DataSource": {"S3DataSource": {**kinds, "S3Uri": placed(item.folder)}}}
            for item in job.inputs
        ]
        return request
    request["ProcessingResources"] = {"ClusterConfig": cluster}
    request["ProcessingInputs"] = [
        {**entry, "S3Input": {**entry["S3Input"], "S3Uri": placed(item.folder)}}
        for entry, item in zip(request.get("ProcessingInputs", []), job.inputs, strict=True)
    ]
    # Local mode refuses Continuous. The folder is this machine's: the runner has what a failed job wrote.
    request["ProcessingOutputConfig"] = {
        "Outputs": [
            {
                "OutputName": item.name,
                "S3Output": {
                    "S3Uri": placed(item.folder),
                    "LocalPath": f"{DEFAULT_BASE_DIR}/{item.folder}",
                    "S3UploadMode": "EndOfJob",
                },
            }
            for item in job.outputs
        ]
    }
    return request


def _is_isolated(request: Mapping[str, Any]) -> bool:
    processing = (request.get("NetworkConfig") or {}).get("EnableNetworkIsolation")
    return bool(processing or request.get("EnableNetworkIsolation"))


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
        if not is_held(Path(folder, "lock")):
            container_runtime.remove(name)
    for link in Path(tempfile.gettempdir()).glob(f"{_LINKS}*/base"):
        with suppress(OSError):
            if link.is_symlink() and not is_held(_run_folder(link.readlink()) / "lock"):
                link.unlink()
                link.parent.rmdir()
