"""Runs a Step Functions definition in moto's interpreter; SageMaker's runs, where a test needs them, are `Runs`."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import validate_parameters
from resolved_template import ACCOUNT, REGION

from pipeline.contract.workload import default_workload, read_definition


def iso(moment: datetime) -> str:
    """A time as Step Functions writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_workflow(definition: dict[str, Any], given: dict[str, Any], seconds: float = 30) -> dict[str, Any]:
    """Run a workflow to its end in the emulated account; the DescribeExecution response."""
    return finish(start_workflow(definition, given), seconds)


def start_workflow(definition: dict[str, Any], given: dict[str, Any]) -> str:
    """Start a workflow, and return the execution's ARN."""
    text = json.dumps(definition)
    client = boto3.client("stepfunctions", region_name=REGION)
    role = f"arn:aws:iam::{ACCOUNT}:role/any"
    name = f"workflow-{uuid.uuid4().hex}"  # a second one of the same name would lose the first one's executions
    machine = client.create_state_machine(name=name, definition=text, roleArn=role)["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine, name=uuid.uuid4().hex, input=json.dumps(given))
    return str(execution["executionArn"])


def finish(execution: str, seconds: float = 30) -> dict[str, Any]:
    """Wait for an execution's end; the DescribeExecution response."""
    client = boto3.client("stepfunctions", region_name=REGION)
    until = time.monotonic() + seconds
    while (found := client.describe_execution(executionArn=execution))[
        "status"
    ] == "RUNNING" and time.monotonic() < until:
        time.sleep(0.02)
    return dict(found)


@dataclass
class Runs:
    """SageMaker's runs of one pipeline, as its API shows them, with what moto's lacks: a token starts one run.

    Requests are checked against botocore's model. Times are ISO text, as Step Functions passes them on.
    """

    pipeline: str
    found: list[dict[str, Any]] = field(default_factory=list)  # newest first
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    starts: list[dict[str, Any]] = field(default_factory=list)
    definition: dict[str, Any] = field(default_factory=lambda: read_definition(default_workload()))
    seconds: dict[str, float] = field(default_factory=dict)  # that each step takes in each run

    def begin(self, name: str | None = None, status: str = "Executing") -> dict[str, Any]:
        """A run begins."""
        pipeline = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/{self.pipeline}"
        run = {
            "PipelineExecutionArn": f"{pipeline}/execution/{len(self.found)}",
            "PipelineExecutionStatus": status,
            "StartTime": iso(datetime.now(UTC)),
            **({"PipelineExecutionDisplayName": name} if name else {}),
        }
        self.found.insert(0, run)
        return run

    def list_pipeline_executions(self, **request: Any) -> dict[str, Any]:
        """As the API, newest first."""
        _check("ListPipelineExecutions", request)
        assert request["PipelineName"] == self.pipeline
        assert (request["SortBy"], request["SortOrder"]) == ("CreationTime", "Descending")
        return {"PipelineExecutionSummaries": [dict(run) for run in self.found]}

    def describe_pipeline(self, **request: Any) -> dict[str, Any]:
        """As the API, with the definition alone."""
        _check("DescribePipeline", request)
        return {"PipelineDefinition": json.dumps(self.definition)}

    def list_pipeline_execution_steps(self, **request: Any) -> dict[str, Any]:
        """As the API: each step succeeded."""
        _check("ListPipelineExecutionSteps", request)
        begin = datetime.now(UTC)
        times = {step: {"StartTime": begin, "EndTime": begin + timedelta(0, s)} for step, s in self.seconds.items()}
        return {
            "PipelineExecutionSteps": [
                {"StepName": step, "StepStatus": "Succeeded", **both} for step, both in times.items()
            ]
        }

    def start_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        """As the API: the same request with a known token returns its run, another one is refused."""
        _check("StartPipelineExecution", request)
        token = request["ClientRequestToken"]
        if token in self.tokens:
            if self.tokens[token]["request"] != request:
                error = {
                    "Error": {"Code": "ConflictException", "Message": "the token was used"},
                    "ResponseMetadata": {},
                }
                error["ResponseMetadata"] = {"HTTPStatusCode": 400, "RequestId": "1"}
                raise ClientError(error, "StartPipelineExecution")  # type: ignore[arg-type]
            return {"PipelineExecutionArn": self.tokens[token]["arn"]}
        run = self.begin(request["PipelineExecutionDisplayName"])
        self.starts.append(request)
        self.tokens[token] = {"request": request, "arn": run["PipelineExecutionArn"]}
        return {"PipelineExecutionArn": run["PipelineExecutionArn"]}


def _check(operation: str, request: dict[str, Any]) -> None:
    model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"))
    validate_parameters(request, model.operation_model(operation).input_shape)
