"""A job as a launcher gets it: its resolved request, its folders on this machine, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.contract.names import DEFAULT_BASE_DIR
from pipeline.local.plan.expressions import LOCAL_ARN, ExpressionError
from pipeline.local.plan.plan import Step
from pipeline.local.store.store import join_uri

OUTPUT_ARCHIVE = "output.tar.gz"
MODEL_ARCHIVE = "model.tar.gz"


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
class Input:
    """An S3 prefix and the folder of the container that receives it."""

    name: str
    uri: str
    folder: str  # relative to the base directory


@dataclass(frozen=True)
class Output:
    """A folder of the container and the S3 location that receives it when the job has succeeded."""

    name: str
    folder: str  # relative to the base directory
    uri: str
    archive: str | None = None  # the folder is sent as one archive of this name
    continuous: bool = False  # it receives what a failed job has written as well


@dataclass(frozen=True)
class Job:
    """A Processing or Training step with its request resolved. Its inputs are below `base_dir` when it is launched."""

    step: Step
    name: str
    request: Mapping[str, Any]
    folder: Path  # of the step
    stop: StopSignal
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    @property
    def arn(self) -> str:
        return f"{LOCAL_ARN}:{self.step.type.lower()}-job/{self.name}"

    @property
    def base_dir(self) -> Path:
        """What the container sees as /opt/ml."""
        return self.folder / "base"

    @property
    def log_path(self) -> Path:
        return self.folder / "logs" / "job.log"

    @property
    def timeout_seconds(self) -> float | None:
        limit = (self.request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
        return None if limit is None else float(limit)


def new_job(step: Step, name: str, request: Mapping[str, Any], folder: Path) -> Job:
    """The job of a step; raises ExpressionError for a resolved request that is not one of its type."""
    try:
        return Job(step, name, request, folder, StopSignal(), _inputs(request), _outputs(step.type, request, name))
    except (KeyError, TypeError, AttributeError) as error:
        raise ExpressionError(f"the request is not one of a {step.type} job: {error!r}") from error


def _inputs(request: Mapping[str, Any]) -> tuple[Input, ...]:
    processing = [
        Input(entry["InputName"], entry["S3Input"]["S3Uri"], below_base(entry["S3Input"]["LocalPath"]))
        for entry in request.get("ProcessingInputs", [])
    ]
    channels = [
        Input(entry["ChannelName"], entry["DataSource"]["S3DataSource"]["S3Uri"], f"input/data/{entry['ChannelName']}")
        for entry in request.get("InputDataConfig", [])
    ]
    return (*processing, *channels)


def _outputs(step_type: str, request: Mapping[str, Any], job_name: str) -> tuple[Output, ...]:
    """Those of a training job are archives below S3OutputPath/<job name>/output."""
    if step_type == "Training":
        uri = join_uri(request["OutputDataConfig"]["S3OutputPath"], job_name, "output")
        return (Output("model", "model", uri, MODEL_ARCHIVE), Output("output", "output/data", uri, OUTPUT_ARCHIVE))
    return tuple(
        Output(
            entry["OutputName"],
            below_base(entry["S3Output"]["LocalPath"]),
            entry["S3Output"]["S3Uri"],
            continuous=entry["S3Output"].get("S3UploadMode") == "Continuous",
        )
        for entry in request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    )


def below_base(path: str) -> str:
    """A path of a container relative to /opt/ml; raises ExpressionError for one that is not below it."""
    if not path.startswith(f"{DEFAULT_BASE_DIR}/") or ".." in path.split("/"):
        raise ExpressionError(f'LocalPath "{path}" must be below {DEFAULT_BASE_DIR}, and cannot hold ".."')
    return path.removeprefix(DEFAULT_BASE_DIR).strip("/")


def container_of(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a request says of the container: image, command and arguments."""
    specification: Mapping[str, Any] = request.get("AlgorithmSpecification") or request.get("AppSpecification") or {}
    return specification


def image_of(request: Mapping[str, Any]) -> str:
    container = container_of(request)
    return str(container.get("TrainingImage") or container["ImageUri"])


@dataclass(frozen=True)
class JobOutcome:
    status: str  # Completed, Failed or Stopped
    message: str | None = None  # the failure reason, or what a successful processing job left as ExitMessage


STOPPED_ON_REQUEST = JobOutcome("Stopped", "stopped on request")


class Launcher(Protocol):
    """Runs jobs: in child processes or in containers."""

    def check(self, step: Step) -> None:
        """Raises PlanError for a step that this launcher cannot run, before anything runs."""

    def launch(self, job: Job) -> JobOutcome:
        """Runs the job's program to its end; raises LaunchFault where it could not be run."""
