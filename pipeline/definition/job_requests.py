"""What the steps have in common: a job's request to SageMaker, with the SDK's references and functions in it.

Imports the SageMaker SDK, for `pipeline.definition.compile` and its steps only.
"""

from __future__ import annotations

import os

# The SDK asks for a region and for IAM when it is imported or used; neither is needed to compile a definition.
REGION = "us-east-1"
os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import Parameter, ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.properties import Properties, PropertyFile
from sagemaker.mlops.workflow.steps import Step, StepTypeEnum

from pipeline.contract.names import REPORT_CHANNEL
from pipeline.contract.parameters import parameters_of, snake_case
from pipeline.contract.spec import Spec
from pipeline.contract.workload import WORKLOAD_VARIABLE
from pipeline.definition.service_rules.shapes import response_shape

# Eight times the unpacked image, should SageMaker keep it there; our files are some MB (job_needs.json).
VOLUME_GB: Final = 5
# An hour is ten times what the reference workload needs; a job that hangs must not run for SageMaker's default day.
MAX_RUNTIME_SECONDS: Final = 3600
PROCESSING: Final = "/opt/ml/processing"
# Named, although the image starts with it too: a child process does not know what an image starts with.
ENTRYPOINT: Final = ("python", "-m", "pipeline.jobs.entrypoint")
EXECUTION_ID: Final = ExecutionVariables.PIPELINE_EXECUTION_ID
# Backoff for throttling, service faults and (for jobs) capacity: never for a program that exits badly.
_BACKOFF: Final = {"BackoffRate": 2.0, "IntervalSeconds": 10, "MaxAttempts": 5}
SERVICE_RETRIES: Final = {**_BACKOFF, "ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"]}
JOB_RETRIES: Final = {
    **_BACKOFF,
    "IntervalSeconds": 60,
    "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"],
}


class Variables:
    """A workload's pipeline parameters as the SDK's variables, which requests refer to by name."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.parameters = parameters_of(spec)
        self._variables: dict[str, Parameter] = {
            p.name: {int: ParameterInteger, float: ParameterFloat, str: ParameterString}[type(p.default)](
                name=p.name, default_value=p.default, **({"enum_values": list(p.choices)} if p.choices else {})
            )
            for p in self.parameters.all
        }

    def __getitem__(self, name: str) -> Parameter:
        return self._variables[name]

    @property
    def all(self) -> list[Parameter]:
        """In the order of the definition."""
        return list(self._variables.values())

    def options(self, names: Mapping[str, str]) -> list[Any]:
        """Command-line options from pipeline parameters: option -> parameter name."""
        return [part for option, name in names.items() for part in (option, self[name].to_string())]

    def pairs(self, option: str, names: Iterable[str], *, as_option: Callable[[str], str] = str) -> list[Any]:
        """An option with `NAME=VALUE` for each of the parameters; nothing where there is none."""
        found = [Join(on="=", values=[as_option(name), self[name]]) for name in names]
        return [option, *found] if found else []

    def hyperparameters(self) -> dict[str, Any]:
        """Training's hyperparameters as SageMaker wants them: strings, in the steps' snake case."""
        return {snake_case(p.name): self[p.name].to_string() for p in self.parameters.hyperparameters}


class JobStep(Step):  # type: ignore[misc] # the SDK is not typed
    """A step given as the request of its API call, with retry policies for the service's own faults only."""

    def __init__(
        self, name: str, step_type: StepTypeEnum, request: dict[str, Any], property_files: Sequence[PropertyFile] = ()
    ) -> None:
        """`request` may hold pipeline variables."""
        super().__init__(name=name, step_type=step_type)
        self._request, self.property_files = request, list(property_files)
        # References into the Describe response of the job.
        self._properties = Properties(step_name=name, step=self, shape_name=response_shape(step_type.value))

    @property
    def arguments(self) -> dict[str, Any]:
        return self._request

    @property
    def properties(self) -> Properties:
        return self._properties

    def to_request(self) -> dict[str, Any]:
        no_job = self.step_type is StepTypeEnum.REGISTER_MODEL
        request = {
            **super().to_request(),
            "RetryPolicies": [SERVICE_RETRIES] if no_job else [SERVICE_RETRIES, JOB_RETRIES],
        }
        if self.property_files:
            request["PropertyFiles"] = [f.expr for f in self.property_files]
        return request


def run_uri(*parts: str) -> Join:
    """A place below this run's own prefix in the artifact bucket."""
    return Join(on="/", values=["s3://${ArtifactBucket}/runs", EXECUTION_ID, *parts])


def stable_output(channel: str) -> str:
    """A place in the artifact bucket that outlives the run."""
    return f"s3://${{ArtifactBucket}}/{channel}"


def stable_input(channel: str) -> str:
    """What is at that place, or below it. The slash ends the folder's name: S3 would take `champion-2/` for a match."""
    return f"{stable_output(channel)}/"


@dataclass(frozen=True)
class Instances:
    """Where a processing job runs; by default on one instance, in the project's image, without network."""

    image: str = "${ImageUri}"
    entrypoint: Sequence[str] = ()
    count: Any = 1
    volume_gb: int = VOLUME_GB
    max_runtime_seconds: int = MAX_RUNTIME_SECONDS
    # No step talks to anybody: SageMaker carries the data in and out.
    network: Mapping[str, bool] = field(default_factory=lambda: {"EnableNetworkIsolation": True})


ONE_INSTANCE: Final = Instances()


def processing_step(
    v: Variables,
    name: str,
    *,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    arguments: Iterable[Any] = (),
    environment: Mapping[str, str] | None = None,
    property_files: Sequence[PropertyFile] = (),
    instances: Instances = ONE_INSTANCE,
) -> JobStep:
    """A processing job; inputs and outputs map channel to URI."""
    request: dict[str, Any] = {
        "RoleArn": "${ExecutionRoleArn}",
        "AppSpecification": {
            "ImageUri": instances.image,
            "ContainerEntrypoint": list(instances.entrypoint or (*ENTRYPOINT, name.lower())),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": v[f"{name}InstanceType"],
                "InstanceCount": instances.count,
                "VolumeSizeInGB": instances.volume_gb,
                "VolumeKmsKeyId": "${KmsKeyId}",
            }
        },
        "ProcessingInputs": [_processing_input(channel, uri) for channel, uri in inputs.items()],
        "ProcessingOutputConfig": {
            "KmsKeyId": "${KmsKeyId}",
            "Outputs": [_processing_output(channel, uri) for channel, uri in outputs.items()],
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": instances.max_runtime_seconds},
        "NetworkConfig": dict(instances.network),
    }
    if arguments := list(arguments):
        request["AppSpecification"]["ContainerArguments"] = arguments
    request["Environment"] = {WORKLOAD_VARIABLE: v.spec.name, **(environment or {})}
    return JobStep(name, StepTypeEnum.PROCESSING, request, property_files)


def _processing_input(channel: str, uri: Any) -> dict[str, Any]:
    return {
        "InputName": channel,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{PROCESSING}/input/{channel}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def _processing_output(channel: str, uri: Any) -> dict[str, Any]:
    # A failed job's report is kept too: at the end of a job SageMaker uploads what successful ones have written.
    mode = "Continuous" if channel == REPORT_CHANNEL else "EndOfJob"
    return {
        "OutputName": channel,
        "S3Output": {"S3Uri": uri, "LocalPath": f"{PROCESSING}/output/{channel}", "S3UploadMode": mode},
    }


def output_of(step: JobStep, channel: str) -> Properties:
    """Where a processing step wrote a channel."""
    return step.properties.ProcessingOutputConfig.Outputs[channel].S3Output.S3Uri
