"""ARNs and times in the shape of SageMaker's Describe* calls, which a definition's expressions read."""

from __future__ import annotations

from datetime import UTC, datetime

# In the place of AWS's region and account. Nothing in AWS has this account number.
LOCAL_ARN = "arn:aws:sagemaker:local-store:000000000000"


def timestamp(seconds: float) -> str:
    """A moment (seconds since the epoch) in ISO 8601, UTC, as execution variables and Describe responses write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pipeline_arn(name: str) -> str:
    return f"{LOCAL_ARN}:pipeline/{name}"


def execution_arn(name: str, execution_id: str) -> str:
    return f"{pipeline_arn(name)}/execution/{execution_id}"
