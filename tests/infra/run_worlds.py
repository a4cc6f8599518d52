"""Runs of a pipeline in memory, with the calls that the function behind failure emails makes of SageMaker."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from approval_worlds import ALERTS, BUCKET, FUNCTION_ARN, PIPELINE, MemoryWorld, _call, refused
from sagemaker_emulation import ACCOUNT, GENERIC_REASON, REGION

from infra.failure_notifications.function import handler
from infra.lambda_shared.bucket import Bucket

PIPELINE_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/{PIPELINE}"
VARIABLES = {
    "ARTIFACT_BUCKET": BUCKET,
    "PIPELINE_NAME": PIPELINE,
    "ENVIRONMENT": "prod",
    "ALERTS_TOPIC_ARN": ALERTS,
}


class RunWorld(MemoryWorld):
    """Runs begin, steps fail, people stop and retry runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, str] = {}
        self.behind: set[str] = set()  # runs whose list of steps does not show the last failure yet
        self.services = handler.RunServices(  # type: ignore[assignment]
            sagemaker=self, bucket=Bucket(self, BUCKET), sns=self, clock=self.now, pause=self.pass_time
        )

    def begin(self) -> str:
        """A run starts."""
        arn = f"{PIPELINE_ARN}/execution/run{len(self.runs) + 1}"
        self.pass_time(60)
        self.runs[arn] = {"status": "Executing", "steps": {}, "started": self.clock, "changed": self.clock}
        return arn

    def fail_step(self, arn: str, name: str, message: str | None = "bad data") -> dict[str, Any]:
        """A processing step fails (again, after a retry of the run); returns its event."""
        self.pass_time(60)
        run = self.runs[arn]
        job = f"pipelines-{arn.rsplit('/', maxsplit=1)[-1]}-{name}-{len(self.jobs)}"
        self.jobs[job] = message or ""
        run["steps"][name] = {
            "StepName": name,
            "StepStatus": "Failed",
            "StartTime": self.clock - timedelta(seconds=50),
            "EndTime": self.clock,
            "FailureReason": GENERIC_REASON,
            "Metadata": {"ProcessingJob": {"Arn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job/{job}"}},
        }
        run["changed"] = self.clock
        return self.event(arn, stepName=name, currentStepStatus="Failed")

    def end(self, arn: str, status: str) -> dict[str, Any]:
        """A run ends; returns its event."""
        self.pass_time(60)
        self.runs[arn] |= {"status": status, "changed": self.clock}
        return self.event(arn, currentPipelineExecutionStatus=status)

    def event(self, arn: str, **detail: str) -> dict[str, Any]:
        """What of an event is used."""
        return {
            "source": "aws.sagemaker",
            "detail": {"pipelineArn": PIPELINE_ARN, "pipelineExecutionArn": arn, **detail},
        }

    def deliver(self, notice: dict[str, Any], request_id: str | None = None) -> dict[str, Any]:
        """Invoke the handler as Lambda does."""
        context = SimpleNamespace(aws_request_id=request_id or "r", invoked_function_arn=FUNCTION_ARN)
        return handler.handler(copy.deepcopy(notice), context)

    # --- what the handler calls -----------------------------------------------------------------------------------

    def _pages(self, operation: str, **given: Any) -> Iterator[dict[str, Any]]:
        if operation == "list_objects_v2":
            yield from super()._pages(operation, **given)
            return
        self.interrupt()
        self.fails("before", operation)
        if operation == "list_pipeline_executions":
            for arn, run in self.runs.items():
                if run["started"].timestamp() >= given["CreatedAfter"]:
                    summary = {"PipelineExecutionArn": arn, "PipelineExecutionStatus": run["status"]}
                    yield {"PipelineExecutionSummaries": [summary]}
        elif operation == "list_pipeline_execution_steps":
            arn = given["PipelineExecutionArn"]
            shown = [] if arn in self.behind else list(self.runs[arn]["steps"].values())
            yield {"PipelineExecutionSteps": copy.deepcopy(shown)}
        else:
            yield {"PipelineParameters": [{"Name": "TriggerReason", "Value": "schedule"}]}

    @_call
    def describe_pipeline_execution(self, *, PipelineExecutionArn: str) -> dict[str, Any]:  # noqa: N803
        run = self.runs[PipelineExecutionArn]
        return {
            "PipelineExecutionArn": PipelineExecutionArn,
            "PipelineExecutionStatus": run["status"],
            "CreationTime": run["started"],
            "LastModifiedTime": run["changed"],
            "FailureReason": "Step failure: One or multiple steps failed." if run["steps"] else "No such role.",
        }

    @_call
    def describe_processing_job(self, *, ProcessingJobName: str) -> dict[str, Any]:  # noqa: N803
        if ProcessingJobName not in self.jobs:
            raise refused("ValidationException")
        message = self.jobs[ProcessingJobName]
        return {"FailureReason": GENERIC_REASON, **({"ExitMessage": message} if message else {})}
