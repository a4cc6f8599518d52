"""The failure function: an email for each failed step, and for a run that was stopped or failed without one.

It also keeps the history of runs: see infra.failure_notifications.function.run_history.

Called by EventBridge (a step failed, a run ended; every hour, for events that were lost). "SageMaker may send multiple
events for each state change", in any order: so an event only names the run. What an email says comes from the
service's own lists; each failure has its own name (`infra.lambda_shared.outbox`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from infra.failure_notifications.function.failure_emails import Run, run_failed, run_stopped, step_failed
from infra.failure_notifications.function.run_history import record_runs
from infra.lambda_shared.bucket import Bucket
from infra.lambda_shared.environment import (
    ALERTS_VARIABLE,
    BUCKET_VARIABLE,
    ENVIRONMENT_VARIABLE,
    PIPELINE_VARIABLE,
    RUNS_OUTBOX_PREFIX,
    Boto3Client,
    LambdaContext,
)
from infra.lambda_shared.outbox import Outbox, Services
from pipeline.contract.reasons import failure_reason, processing_job

# The hourly call reads runs that were started in this time: longer than a run takes, and a day without calls.
LOOK_BACK_SECONDS: Final = 2 * 24 * 3600
# "Failed, but no step did" is said only this long after the end: the list of steps may lag behind.
SETTLED_SECONDS: Final = 600
_ATTEMPTS: Final = 6  # to read the list of steps, until it shows the failure of the event
_PAUSE_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class RunServices(Services):
    """SageMaker, besides what sends emails."""

    sagemaker: Boto3Client


@cache
def connect(bucket: str) -> RunServices:
    """Clients of the region that the function runs in."""
    return RunServices(
        sagemaker=boto3.client("sagemaker"), bucket=Bucket(boto3.client("s3"), bucket), sns=boto3.client("sns")
    )


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry. Raises what went wrong, so that Lambda tries again, counts an error and keeps the event."""
    services = connect(os.environ[BUCKET_VARIABLE])
    outbox = services.outbox(RUNS_OUTBOX_PREFIX)
    pipeline, environment = os.environ[PIPELINE_VARIABLE], os.environ[ENVIRONMENT_VARIABLE]
    detail = event.get("detail", {})
    named = detail.get("pipelineExecutionArn")
    errors = list[Exception]()
    runs = {named: detail.get("currentPipelineExecutionStatus", "")} if named else _recent(services, pipeline)
    for arn, status in runs.items():
        if status == "Succeeded":
            continue
        try:
            run = Run(arn, pipeline, environment)
            _record(_read(services, run, detail.get("stepName")), services, outbox, os.environ[ALERTS_VARIABLE])
        except Exception as error:  # the other runs are reported
            errors.append(error)
    sent = outbox.deliver()
    try:
        record_runs(services.sagemaker, services.bucket, runs, partial(_reason, services), retried=bool(named))
    except Exception as error:  # the history may wait for the next hour, what was sent is logged now
        errors.append(error)
    sys.stdout.write(json.dumps({"run": named, "sent": sent}) + "\n")
    if errors:
        raise errors[0]
    return {"sent": sent}


def _recent(services: RunServices, pipeline: str) -> dict[str, str]:
    """The status of each run that may have a failure without an email, or be missing in the history, by ARN."""
    pages = services.sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline, CreatedAfter=services.clock() - LOOK_BACK_SECONDS, SortOrder="Descending"
    )
    return {
        summary["PipelineExecutionArn"]: str(summary.get("PipelineExecutionStatus", ""))
        for page in pages
        for summary in page["PipelineExecutionSummaries"]
    }


def _read(services: RunServices, run: Run, expected: str | None) -> Run:
    """The run as the service has it, as soon as it shows that the `expected` step has failed, or a minute later."""
    steps = _failed_steps(services, run.arn)
    for _ in range(_ATTEMPTS - 1):
        if expected is None or any(step["StepName"] == expected for step in steps):
            break
        services.pause(_PAUSE_SECONDS)
        steps = _failed_steps(services, run.arn)
    described = services.sagemaker.describe_pipeline_execution(PipelineExecutionArn=run.arn)
    return run.with_state(described, steps)


def _failed_steps(services: RunServices, arn: str) -> list[dict[str, Any]]:
    pages = services.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
    return [step for page in pages for step in page["PipelineExecutionSteps"] if step.get("StepStatus") == "Failed"]


def _record(run: Run, services: RunServices, outbox: Outbox, topic: str) -> None:
    """Record the emails about the run that are not recorded yet."""
    known = outbox.names(f"{run.id}-")
    for step in run.failed_steps:
        name = f"{run.id}-{step['StepName']}-{_attempt(step)}"
        if name not in known:
            outbox.record(name, topic, step_failed(run, step, _reason(services, step), _trigger(services, run.arn)))
    settled = services.clock() - run.changed >= SETTLED_SECONDS
    failed = run.status == "Failed" and not run.failed_steps and settled
    for is_due, what, email in ((failed, "failed", run_failed), (run.status == "Stopped", "stopped", run_stopped)):
        if is_due and f"{run.id}-{what}" not in known:
            outbox.record(f"{run.id}-{what}", topic, email(run, _trigger(services, run.arn)))


def _reason(services: RunServices, step: Mapping[str, Any]) -> str:
    return failure_reason(step, _exit_message(services, step))


def _attempt(step: Mapping[str, Any]) -> str:
    """Tells one failure of a step from the next one, after RetryPipelineExecution: by its job or else its start."""
    jobs = sorted(str(kind["Arn"]) for kind in step.get("Metadata", {}).values() if "Arn" in kind)
    what = jobs or [str(step.get("StartTime", ""))]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]


def _exit_message(services: RunServices, step: Mapping[str, Any]) -> str | None:
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


def _trigger(services: RunServices, arn: str) -> str:
    """What started the run; the parameter's default where none was given: only people start one without it."""
    pages = services.sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(
        PipelineExecutionArn=arn
    )
    given = {p["Name"]: p.get("Value") for page in pages for p in page.get("PipelineParameters", ())}
    return str(given.get("TriggerReason") or "manual")
