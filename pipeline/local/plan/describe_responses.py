"""Responses in the shape of SageMaker's Describe* calls: what a definition's expressions read as step properties."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.local.run.staging import MODEL_ARCHIVE, Output
from pipeline.local.store.store import join_uri

# Stands where AWS puts region and account. Nothing in AWS has this account number.
LOCAL_ARN = "arn:aws:sagemaker:local-store:000000000000"


def timestamp(seconds: float) -> str:
    """A moment (seconds since the epoch) in ISO 8601, UTC, as execution variables and Describe responses write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pipeline_arn(name: str) -> str:
    """The ARN of a pipeline of the local store."""
    return f"{LOCAL_ARN}:pipeline/{name}"


def execution_arn(name: str, execution_id: str) -> str:
    """The ARN of one execution of it."""
    return f"{pipeline_arn(name)}/execution/{execution_id}"


def job_arn(step_type: str, job_name: str) -> str:
    """The ARN of a Processing or Training job."""
    return f"{LOCAL_ARN}:{step_type.lower()}-job/{job_name}"


def describe_job(
    *,
    step_type: str,
    request: Mapping[str, Any],
    job_name: str,
    outputs: tuple[Output, ...],
    message: str | None,
    started_at: float,
) -> dict[str, Any]:
    """What DescribeProcessingJob or DescribeTrainingJob would say of a job that has completed just now."""
    described: dict[str, Any] = {
        **request,
        f"{step_type}JobName": job_name,
        f"{step_type}JobArn": job_arn(step_type, job_name),
        f"{step_type}JobStatus": "Completed",
        "CreationTime": timestamp(started_at),
        f"{step_type}StartTime": timestamp(started_at),
        f"{step_type}EndTime": timestamp(datetime.now(UTC).timestamp()),
    }
    if step_type == "Training":
        model = next(output for output in outputs if output.archive == MODEL_ARCHIVE)
        described["ModelArtifacts"] = {"S3ModelArtifacts": join_uri(model.uri, MODEL_ARCHIVE)}
        described["SecondaryStatus"] = "Completed"
    elif message:
        described["ExitMessage"] = message
    return described
