"""Why a step of a run failed, from what SageMaker says in several places. Standard library only.

A step's FailureReason is the reason of a training job (which writes it) and of a Fail step. Of a processing job it
says no more than "AlgorithmError: See job logs for more information" (aws/sagemaker-spark-container,
test/integration/sagemaker/test_spark.py, asserts it of a live job): what the container wrote is the job's
ExitMessage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_GENERIC: Final = "AlgorithmError"


def processing_job(step: Mapping[str, Any]) -> str | None:
    """The name of the processing job of a step as ListPipelineExecutionSteps gives it; None for any other step."""
    arn = step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn")
    return str(arn).rsplit("/", maxsplit=1)[-1] if arn else None


def failure_reason(step: Mapping[str, Any], exit_message: str | None = None) -> str:
    """The reason of a failed step; `exit_message` is its processing job's. Empty where there is none.

    What SageMaker itself says (a time limit, no capacity) is kept beside what the container said.
    """
    given = str(step.get("FailureReason") or "").strip()
    told = str(step.get("Metadata", {}).get("Fail", {}).get("ErrorMessage") or "").strip()
    if told:  # up to 3,072 characters, of which FailureReason keeps 1,024
        return told if told.startswith(given) or not given else given
    message = (exit_message or "").strip()
    if not message:
        return given
    return message if not given or given.startswith(_GENERIC) else f"{message} (SageMaker: {given})"
