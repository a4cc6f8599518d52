"""A run in the cloud as text: its steps, how long they took, why they failed, where their logs are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra.lambda_shared.console import job_log
from pipeline.contract.history.runs import SUCCEEDED, describe_execution
from pipeline.contract.reasons import failure_reason, processing_job
from scripts.cloud.connection import CommandError, DeployedPipeline

UNFINISHED: Final = ("Executing", "Stopping")
# Job in a step's metadata -> the log group that SageMaker writes to.
LOG_GROUPS: Final = {
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TransformJob": "/aws/sagemaker/TransformJobs",
}


@dataclass(frozen=True)
class ExecutionStep:
    """One step of a run, as ListPipelineExecutionSteps gives it."""

    name: str
    status: str
    started: datetime | None
    ended: datetime | None
    reason: str
    job: tuple[str, str] | None  # its kind, such as TrainingJob, and its name
    log: str | None
    attempts: int
    outcome: str | None  # of a condition: true, false
    version: str | None  # that was registered

    @classmethod
    def of(cls, entry: Mapping[str, Any], deployed: DeployedPipeline) -> ExecutionStep:
        """From the service's answer; a failed processing step needs one more, about its job."""
        metadata = entry.get("Metadata", {})
        kind = next((kind for kind in LOG_GROUPS if kind in metadata), None)
        job = (kind, str(metadata[kind]["Arn"]).rsplit("/", maxsplit=1)[-1]) if kind else None
        outcome, package = metadata.get("Condition", {}).get("Outcome"), metadata.get("RegisterModel", {}).get("Arn")
        return cls(
            name=entry["StepName"],
            status=entry["StepStatus"],
            started=entry.get("StartTime"),
            ended=entry.get("EndTime"),
            reason=reason_of(entry, deployed) if entry["StepStatus"] == "Failed" else "",
            job=job,
            log=job_log(deployed.region, deployed.partition, LOG_GROUPS[job[0]], job[1]) if job else None,
            attempts=entry.get("AttemptCount") or 0,
            outcome=None if outcome is None else str(outcome).lower(),
            version=str(package).rsplit("/", maxsplit=1)[-1] if package else None,
        )

    def summary(self, now: datetime) -> str:
        """`Train: Succeeded after 4 min 12 s`; of a condition, its outcome: `HasNewData: true`."""
        if self.outcome:
            return f"{self.name}: {self.outcome}"
        time = f" after {duration(self.started, self.ended or now)}" if self.started else ""
        again = f", {self.attempts} attempts" if self.attempts > 1 else ""
        version = f", version {self.version}" if self.version else ""
        return f"{self.name}: {self.status}{time}{again}{version}"

    def as_json(self) -> dict[str, Any]:
        seconds = (self.ended - self.started).total_seconds() if self.started and self.ended else None
        return {
            "name": self.name,
            "status": self.status,
            "outcome": None if self.outcome is None else self.outcome == "true",
            "seconds": seconds,
            "reason": self.reason or None,
            "log": self.log,
        }


@dataclass(frozen=True)
class PipelineExecution:
    """A run with its steps, oldest first."""

    arn: str
    status: str
    reason: str
    started: datetime
    changed: datetime
    version: int | None
    parameters: Mapping[str, str]
    steps: tuple[ExecutionStep, ...]

    @property
    def run_id(self) -> str:
        return self.arn.rsplit("/", maxsplit=1)[-1]

    @property
    def unfinished(self) -> bool:
        return self.status in UNFINISHED

    @property
    def failure(self) -> str:
        """The step that failed and why; else the reason of the run."""
        failed = (f"step {step.name}: {step.reason}" for step in self.steps if step.status == "Failed")
        return next(failed, self.reason or "no step has a reason")

    def as_json(self) -> dict[str, Any]:
        return {
            "arn": self.arn,
            "status": self.status,
            "reason": self.reason or None,
            "started": self.started.isoformat(),
            "version": self.version,
            "parameters": dict(self.parameters),
            "steps": [step.as_json() for step in self.steps],
        }


def read(deployed: DeployedPipeline, arn: str) -> PipelineExecution:
    described, steps, parameters = describe_execution(deployed.client, arn)
    return PipelineExecution(
        arn=arn,
        status=described["PipelineExecutionStatus"],
        reason=described.get("FailureReason", ""),
        started=described["CreationTime"],
        changed=described["LastModifiedTime"],
        version=described.get("PipelineVersionId"),
        parameters=parameters,
        steps=tuple(ExecutionStep.of(entry, deployed) for entry in steps),
    )


def newest(deployed: DeployedPipeline) -> str:
    """The ARN of the run that was started last; raises CommandError where no run was started."""
    runs = deployed.client.list_pipeline_executions(
        PipelineName=deployed.name, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )["PipelineExecutionSummaries"]
    if not runs:
        start = f"python -m scripts.start_execution {deployed.options}"
        raise CommandError(f"{deployed.name} has not run yet. Start it: {start}")
    return runs[0]["PipelineExecutionArn"]


def lines(execution: PipelineExecution, deployed: DeployedPipeline) -> Iterator[str]:
    now = datetime.now(tz=UTC)
    end = now if execution.unfinished else execution.changed
    version = f", version {execution.version} of the definition" if execution.version else ""
    yield execution.arn
    yield (
        f"{execution.status} after {duration(execution.started, end)}, "
        f"started {execution.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC{version}"
    )
    if execution.parameters:
        yield "with " + ", ".join(f"{name}={value}" for name, value in sorted(execution.parameters.items()))
    for step in execution.steps:
        yield f"  {step.summary(now)}"
        yield from (f"    {name}: {text}" for name, text in (("reason", step.reason), ("log", step.log)) if text)
    if execution.reason and not any(step.reason for step in execution.steps):
        yield f"reason: {execution.reason}"
    if execution.status not in (SUCCEEDED, *UNFINISHED):
        yield f"to run it again: {again(execution, deployed)}"


def again(execution: PipelineExecution, deployed: DeployedPipeline) -> str:
    chosen = [part for name, value in sorted(execution.parameters.items()) for part in ("--param", f"{name}={value}")]
    return shlex.join(["python", "-m", "scripts.start_execution", *chosen]) + f" {deployed.options} --wait"


def duration(start: datetime, end: datetime) -> str:
    """`4 min 12 s`."""
    seconds = max(round((end - start).total_seconds()), 0)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    parts = ((hours, "h"), (minutes, "min"), (seconds % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def reason_of(entry: Mapping[str, Any], deployed: DeployedPipeline) -> str:
    """Why a step failed: what the container of a processing step wrote, where there is one and you may read it."""
    written: str | None = None
    with suppress(deployed.client.exceptions.ClientError):
        if job := processing_job(entry):
            written = deployed.client.describe_processing_job(ProcessingJobName=job).get("ExitMessage")
    return failure_reason(entry, written)
