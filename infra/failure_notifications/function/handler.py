"""The function behind failure emails: one for each failed step, one for a run that was stopped or failed without one.

Called by EventBridge (a step failed, a run ended; every hour, for events that were lost). "SageMaker may send multiple
events for each state change", in any order: so an event says only which run to look at. What is told comes from the
service's own lists, under a name that is the failure's own (`infra.lambda_shared.outbox`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import boto3
from botocore.exceptions import ClientError
from botocore.paginate import Paginator

from infra.failure_notifications.function.failure_emails import Run, run_failed, run_stopped, step_failed
from infra.lambda_shared.bucket import Objects
from infra.lambda_shared.clients import Sns
from infra.lambda_shared.environment import (
    ALERTS_VARIABLE,
    BUCKET_VARIABLE,
    ENVIRONMENT_VARIABLE,
    PIPELINE_VARIABLE,
    RUNS_OUTBOX_PREFIX,
    Context,
)
from infra.lambda_shared.outbox import Outbox
from pipeline.contract.reasons import failure_reason, processing_job

# The hourly call looks at runs that were started in this time: longer than a run takes, with room for a day without
# calls.
LOOK_BACK_SECONDS: Final = 2 * 24 * 3600
# "Failed, but no step did" is said of a run that ended so long ago: the list of steps may be behind.
SETTLED_SECONDS: Final = 600
_LOOKS: Final = 6  # at the list of steps, until it shows the failure that an event tells of
_PAUSE_SECONDS: Final = 10.0


class SageMakerRuns(Protocol):
    """The calls that are made."""

    def get_paginator(self, operation_name: str) -> Paginator[Any]: ...
    def describe_pipeline_execution(self, **request: object) -> dict[str, Any]: ...
    def describe_processing_job(self, **request: object) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Services:
    """What the function talks to."""

    sagemaker: SageMakerRuns
    objects: Objects
    sns: Sns
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep

    def outbox(self) -> Outbox:
        """Of one invocation."""
        return Outbox(self.objects, self.sns, RUNS_OUTBOX_PREFIX, clock=self.clock, pause=self.pause)


@cache
def connect(bucket: str) -> Services:
    """Clients of the region that the function runs in."""
    sagemaker: Any = boto3.client("sagemaker")
    return Services(sagemaker, Objects(boto3.client("s3"), bucket), boto3.client("sns"))


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry. Raises what went wrong, so that Lambda tries again, counts an error and keeps the event."""
    services = connect(os.environ[BUCKET_VARIABLE])
    outbox = services.outbox()
    _, partition, _, region, *_ = context.invoked_function_arn.split(":")
    pipeline, environment = os.environ[PIPELINE_VARIABLE], os.environ[ENVIRONMENT_VARIABLE]
    detail = event.get("detail", {})
    named = detail.get("pipelineExecutionArn")
    errors = list[Exception]()
    for arn in [named] if named else _recent(services, pipeline):
        try:
            run = Run(arn, pipeline, environment, partition, region)
            _record(_read(services, run, detail.get("stepName")), services, outbox, os.environ[ALERTS_VARIABLE])
        except Exception as error:  # the other runs are told of
            errors.append(error)
    sent = outbox.deliver()
    sys.stdout.write(json.dumps({"run": named, "sent": sent}) + "\n")
    if errors:
        raise errors[0]
    return {"sent": sent}


def _recent(services: Services, pipeline: str) -> Iterator[str]:
    """The runs of which a failure may be untold."""
    pages = services.sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline, CreatedAfter=services.clock() - LOOK_BACK_SECONDS, SortOrder="Descending"
    )
    for page in pages:
        for summary in page["PipelineExecutionSummaries"]:
            if summary.get("PipelineExecutionStatus") != "Succeeded":
                yield summary["PipelineExecutionArn"]


def _read(services: Services, run: Run, expected: str | None) -> Run:
    """The run as the service has it, as soon as it shows that the `expected` step has failed, or a minute later."""
    steps = _failed_steps(services, run.arn)
    for _ in range(_LOOKS - 1):
        if expected is None or any(step["StepName"] == expected for step in steps):
            break
        services.pause(_PAUSE_SECONDS)
        steps = _failed_steps(services, run.arn)
    described = services.sagemaker.describe_pipeline_execution(PipelineExecutionArn=run.arn)
    return run.with_state(described, steps)


def _failed_steps(services: Services, arn: str) -> list[dict[str, Any]]:
    pages = services.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
    return [step for page in pages for step in page["PipelineExecutionSteps"] if step.get("StepStatus") == "Failed"]


def _record(run: Run, services: Services, outbox: Outbox, topic: str) -> None:
    """Record what is to be told of the run and is not told yet."""
    known = outbox.names(f"{run.id}-")
    for step in run.failed_steps:
        name = f"{run.id}-{step['StepName']}-{_attempt(step)}"
        if name not in known:
            reason = failure_reason(step, _exit_message(services, step))
            outbox.record(name, topic, step_failed(run, step, reason, _trigger(services, run.arn)))
    ended_for = services.clock() - run.changed
    if run.status == "Failed" and not run.failed_steps and ended_for >= SETTLED_SECONDS:
        name = f"{run.id}-failed"
        if name not in known:
            outbox.record(name, topic, run_failed(run, _trigger(services, run.arn)))
    if run.status == "Stopped" and f"{run.id}-stopped" not in known:
        outbox.record(f"{run.id}-stopped", topic, run_stopped(run, _trigger(services, run.arn)))


def _attempt(step: Mapping[str, Any]) -> str:
    """Tells one failure of a step from the next one, after RetryPipelineExecution: by its job or else its start."""
    jobs = sorted(str(kind["Arn"]) for kind in step.get("Metadata", {}).values() if "Arn" in kind)
    what = jobs or [str(step.get("StartTime", ""))]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]


def _exit_message(services: Services, step: Mapping[str, Any]) -> str | None:
    """What the step's container wrote; None where there is no processing job, or it cannot be read."""
    job = processing_job(step)
    if job is None:
        return None
    try:
        message: str | None = services.sagemaker.describe_processing_job(ProcessingJobName=job).get("ExitMessage")
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ValidationException", "ResourceNotFound"):
            return None
        raise
    return message


def _trigger(services: Services, arn: str) -> str:
    """What started the run; the parameter's default where none was given: only people start one without it."""
    pages = services.sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(
        PipelineExecutionArn=arn
    )
    given = {p["Name"]: p.get("Value") for page in pages for p in page.get("PipelineParameters", ())}
    return str(given.get("TriggerReason") or "manual")
