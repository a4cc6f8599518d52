"""Teaches moto the calls of SageMaker Pipelines and of the model registry that it lacks.

- ListPipelineVersions; PipelineVersionId in UpdatePipeline, DescribePipeline and StartPipelineExecution
- ClientRequestToken of StartPipelineExecution: the same token starts one run
- StopPipelineExecution, RetryPipelineExecution
- ListPipelineExecutionSteps, and ListPipelineExecutions newest first with MaxResults
- CreateModelPackage refuses metadata that the service's model refuses
- UpdateModelPackage keeps the metadata that it is not given (moto forgets it), and DeleteModelPackage
- ModelCard of CreateModelPackage, UpdateModelPackage and DescribeModelPackage, refused as the service's schema says
- UpdateEndpoint
- a processing job that fails: what its container wrote is its ExitMessage, and FailureReason is `GENERIC_REASON`; both
  are cut where the service cuts them
- no two changes of model packages carry the same LastModifiedTime (the service counts in milliseconds)

A started run stays Executing until a test says otherwise: see `Run`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import regex
from botocore.loaders import Loader
from model_card_schema import refusals
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import FakeProcessingJob, ModelPackage, SageMakerModelBackend, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

ACCOUNT = "123456789012"
# What a live job answered: aws/sagemaker-spark-container, test/integration/sagemaker/test_spark.py (until 2024-03).
GENERIC_REASON = "AlgorithmError: See job logs for more information"
REASON_CHARACTERS = 1024  # API_PipelineExecutionStep, FailureReason
EXIT_MESSAGE_BYTES = 1024  # API_DescribeProcessingJob, ExitMessage: "up to one KB in size"
FAIL_CHARACTERS = 3072  # API_FailStepMetadata, ErrorMessage
REGION = "eu-west-1"


def backend(region: str = REGION) -> SageMakerModelBackend:
    """moto's own state of SageMaker in a region."""
    return sagemaker_backends[ACCOUNT][region]


@dataclass
class Run:
    """A started run, to be moved on by a test."""

    arn: str
    region: str = REGION

    @property
    def execution(self) -> Any:
        """moto's own object."""
        return backend(self.region).pipelines[self.arn.split("/")[1]].pipeline_executions[self.arn]

    def step(self, name: str, status: str, *, seconds: float | None = None, **fields: Any) -> None:
        """Add a step or change it; `seconds` is how long it took, and ends it."""
        steps = self.execution.__dict__.setdefault("steps", {})
        entry = steps.setdefault(name, {"StepName": name, "StartTime": utcnow()})
        if "FailureReason" in fields:
            fields["FailureReason"] = fields["FailureReason"][:REASON_CHARACTERS]
        entry.update({"StepStatus": status, **fields})
        if seconds is not None:
            entry["EndTime"] = entry["StartTime"] + timedelta(seconds=seconds)

    def fail_processing(self, name: str, message: str | None, *, reason: str = GENERIC_REASON) -> None:
        """A step whose container writes a message, if any, and ends with an error."""
        job = processing_job(
            f"pipelines-{self.arn.rsplit('/', maxsplit=1)[-1]}-{name}-tmgxry49ug", message, reason, self.region
        )
        self.step(name, "Failed", seconds=60, FailureReason=reason, Metadata={"ProcessingJob": {"Arn": job}})

    def fail(self, name: str, message: str) -> None:
        """A Fail step: its message is the reason, too."""
        message = message[:FAIL_CHARACTERS]
        self.step(name, "Failed", seconds=0, FailureReason=message, Metadata={"Fail": {"ErrorMessage": message}})

    def follow(self, detail: dict[str, Any]) -> None:
        """Become what an event's detail says: the service sends it after the fact.

        Of a failed processing job that was created before, the container wrote its first argument as its message.
        """
        if "stepName" not in detail:
            self.end(detail["currentPipelineExecutionStatus"])
            return
        metadata = {
            f"{kind[0].upper()}{kind[1:]}": {"Arn": job["arn"]} for kind, job in detail.get("metadata", {}).items()
        }
        reason, failed = detail.get("failureReason"), detail["currentStepStatus"] == "Failed"
        if detail.get("stepType") == "Fail" and failed:
            metadata = {"Fail": {"ErrorMessage": reason[:FAIL_CHARACTERS]}}
        times = {
            f"{end}Time": datetime.fromisoformat(detail[f"step{end}Time"].replace("Z", "+00:00"))
            for end in ("Start", "End")
            if f"step{end}Time" in detail
        }
        given = {"FailureReason": reason} if reason else {}
        self.step(detail["stepName"], detail["currentStepStatus"], Metadata=metadata, **given, **times)
        created = backend(self.region).processing_jobs
        name = metadata.get("ProcessingJob", {}).get("Arn", "").rsplit("/", maxsplit=1)[-1]
        if failed and name in created:
            (message,) = created[name].app_specification["ContainerArguments"]
            _fail(created[name], message, reason or "")

    def end(self, status: str, reason: str | None = None) -> None:
        """End the run."""
        self.execution.pipeline_execution_status = status
        self.execution.pipeline_execution_failure_reason = reason
        self.execution.last_modified_time = utcnow()


def processing_job(name: str, message: str | None, reason: str = GENERIC_REASON, region: str = REGION) -> str:
    """A failed job; returns its ARN."""
    job = FakeProcessingJob(
        app_specification={},
        experiment_config={},
        network_config={},
        processing_inputs=[],
        processing_job_name=name,
        processing_output_config={},
        account_id=ACCOUNT,
        region_name=region,
        role_arn="",
        tags=[],
        stopping_condition={},
    )
    _fail(job, message, reason)
    backend(region).processing_jobs[name] = job
    return str(job.arn)


def _fail(job: FakeProcessingJob, message: str | None, reason: str) -> None:
    job.processing_job_status = "Failed"
    cut = message.encode()[:EXIT_MESSAGE_BYTES].decode(errors="ignore") if message else None
    vars(job).update({"failure_reason": reason, "exit_message": cut})


_originals: list[tuple[type, str, Any]] = []


def teach() -> None:
    """Add what is missing, for good; calling it again changes nothing."""
    if _originals:
        return
    _wrap(SageMakerModelBackend, "create_pipeline", _create_pipeline)
    _wrap(SageMakerModelBackend, "update_pipeline", _update_pipeline)
    _wrap(SageMakerModelBackend, "create_model_package", _create_model_package)
    _wrap(SageMakerModelBackend, "update_model_package", _update_model_package)
    _wrap(ModelPackage, "modifications_done", _modifications_done)
    _wrap(ModelPackage, "__init__", _new_package)
    _wrap(ModelPackage, "gen_response_object", _described_package)
    _wrap(SageMakerResponse, "create_model_package", _create_with_card)
    _wrap(SageMakerResponse, "update_model_package", _update_with_card)
    for name, action in _ACTIONS.items():
        _set(SageMakerResponse, name, action)


@contextmanager
def taught() -> Iterator[None]:
    """The same for a while, so that other tests in this process find moto as it is."""
    if _originals:
        yield
        return
    teach()
    try:
        yield
    finally:
        for owner, name, original in reversed(_originals):
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        _originals.clear()


def _wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    _set(owner, name, functools.partialmethod(around, getattr(owner, name)))


def _set(owner: type, name: str, value: Any) -> None:
    _originals.append((owner, name, vars(owner).get(name)))
    setattr(owner, name, value)


def _create_pipeline(self: SageMakerModelBackend, original: Callable[..., Any], **given: Any) -> Any:
    pipeline = original(self, **given)
    pipeline.versions = [(pipeline.pipeline_definition, utcnow())]
    return pipeline


def _update_pipeline(self: SageMakerModelBackend, original: Callable[..., Any], **given: Any) -> Any:
    arn = original(self, **given)
    pipeline = self.pipelines[given["pipeline_name"]]
    pipeline.last_modified_time = utcnow()
    pipeline.versions.append((pipeline.pipeline_definition, pipeline.last_modified_time))
    return arn


# Called with the ARN of a package that was registered or changed, as EventBridge would tell of it.
ON_PACKAGE_CHANGE: list[Callable[[str], None]] = []


def _told(arn: str) -> str:
    for listener in ON_PACKAGE_CHANGE:
        threading.Thread(target=listener, args=(arn,), daemon=True).start()  # later, as events come
    return arn


def _create_model_package(self: SageMakerModelBackend, original: Callable[..., Any], **given: Any) -> Any:
    for key, value in (given["customer_metadata_properties"] or {}).items():
        for shape, text in (("CustomerMetadataKey", key), ("CustomerMetadataValue", value)):
            if not _taken(shape, text):
                raise ValidationError(f"Value '{text}' at 'customerMetadataProperties' failed to satisfy constraint")
    return _told(original(self, **given))


@functools.cache
def _shapes() -> dict[str, Any]:
    return dict(Loader().load_service_model("sagemaker", "service-2")["shapes"])


def _taken(shape: str, text: str) -> bool:
    rule = _shapes()[shape]
    pattern = regex.sub(r"\$\{1,\d+\}$", "", rule["pattern"])  # the model writes the repetition wrongly
    return rule["min"] <= len(text) <= rule["max"] and regex.fullmatch(pattern, text) is not None


def _update_model_package(self: SageMakerModelBackend, original: Callable[..., Any], **given: Any) -> Any:
    package = self.describe_model_package(given["model_package_arn"])
    metadata = {**(package.customer_metadata_properties or {}), **(given["customer_metadata_properties"] or {})}
    status = given["model_approval_status"] or package.model_approval_status
    reason = given["approval_description"] or package.approval_description
    changed = {"customer_metadata_properties": metadata, "model_approval_status": status}
    return _told(original(self, **{**given, **changed, "approval_description": reason}))


def _create_with_card(self: SageMakerResponse, original: Callable[..., Any]) -> Any:
    card = _card(self)
    created = original(self)
    self.sagemaker_backend.describe_model_package(created.result["ModelPackageArn"]).model_card = card
    return created


def _update_with_card(self: SageMakerResponse, original: Callable[..., Any]) -> Any:
    card = _card(self)
    if card:
        package = self.sagemaker_backend.describe_model_package(self._get_param("ModelPackageArn"))
        package.model_card = {**(getattr(package, "model_card", None) or {}), **card}
    return original(self)


def _card(response: SageMakerResponse) -> dict[str, str] | None:
    card: dict[str, str] | None = response._get_param("ModelCard")
    if card and (refused := refusals(card)):
        raise ValidationError(f"Model card content is invalid: {refused[0]}")
    return card


def _described_package(self: ModelPackage, original: Callable[..., Any]) -> dict[str, Any]:
    card = getattr(self, "model_card", None)
    return {**original(self), **({"ModelCard": card} if card else {})}


_last_time = datetime.min


def _next_time() -> datetime:
    global _last_time  # noqa: PLW0603 - one clock for all packages
    _last_time = max(utcnow(), _last_time + timedelta(milliseconds=1))
    return _last_time


def _modifications_done(self: ModelPackage, original: Callable[..., Any]) -> None:
    original(self)
    self.last_modified_time = _next_time()


def _new_package(self: ModelPackage, original: Callable[..., Any], *arguments: Any, **given: Any) -> None:
    original(self, *arguments, **given)
    self.creation_time = _next_time()


def _pipeline(response: SageMakerResponse) -> Any:
    name = str(response._get_param("PipelineName")).rsplit("/", maxsplit=1)[-1]
    if name not in response.sagemaker_backend.pipelines:
        raise ValidationError(f"Could not find pipeline with PipelineName {name}.")
    return response.sagemaker_backend.pipelines[name]


def _definition(response: SageMakerResponse, pipeline: Any) -> tuple[str, datetime]:
    number = int(response._get_param("PipelineVersionId") or len(pipeline.versions))
    if not 1 <= number <= len(pipeline.versions):
        raise ValidationError(f"Pipeline version {number} does not exist.")
    return pipeline.versions[number - 1]


def update_pipeline(self: SageMakerResponse) -> ActionResult:
    """Answers with the new version's number."""
    names = ("PipelineDisplayName", "PipelineDefinition", "PipelineDefinitionS3Location", "PipelineDescription")
    arn = self.sagemaker_backend.update_pipeline(
        pipeline_name=self._get_param("PipelineName"),
        pipeline_display_name=self._get_param(names[0]),
        pipeline_definition=self._get_param(names[1]),
        pipeline_definition_s3_location=self._get_param(names[2]),
        pipeline_description=self._get_param(names[3]),
        role_arn=self._get_param("RoleArn"),
        parallelism_configuration=self._get_param("ParallelismConfiguration"),
    )
    return ActionResult({"PipelineArn": arn, "PipelineVersionId": len(_pipeline(self).versions)})


def describe_pipeline(self: SageMakerResponse) -> ActionResult:
    """Of a version, if one is named."""
    pipeline = _pipeline(self)
    definition, _ = _definition(self, pipeline)
    described = self.sagemaker_backend.describe_pipeline(pipeline.pipeline_name)
    return ActionResult({**described, "PipelineDefinition": definition})


def list_pipeline_versions(self: SageMakerResponse) -> ActionResult:
    """Pages of versions, oldest or newest first."""
    pipeline = _pipeline(self)
    rows = [
        {"PipelineArn": pipeline.arn, "PipelineVersionId": number, "CreationTime": created}
        for number, (_, created) in enumerate(pipeline.versions, start=1)
    ]
    if self._get_param("SortOrder") != "Ascending":
        rows.reverse()
    return _page(self, "PipelineVersionSummaries", rows, default=50)


def start_pipeline_execution(self: SageMakerResponse) -> ActionResult:
    """Of a version, if one is named; once for each token."""
    pipeline = _pipeline(self)
    definition, _ = _definition(self, pipeline)
    token = self._get_param("ClientRequestToken")
    for arn, execution in pipeline.pipeline_executions.items():
        if token and execution.client_request_token == token:
            return ActionResult({"PipelineExecutionArn": arn})
    started = self.sagemaker_backend.start_pipeline_execution(
        pipeline.pipeline_name,
        self._get_param("PipelineExecutionDisplayName"),
        self._get_param("PipelineParameters"),
        self._get_param("PipelineExecutionDescription"),
        self._get_param("ParallelismConfiguration"),
        token,
    )
    execution = pipeline.pipeline_executions[started["PipelineExecutionArn"]]
    execution.pipeline_definition_for_execution = definition
    execution.pipeline_execution_status = "Executing"
    execution.version = self._get_param("PipelineVersionId") or len(pipeline.versions)
    return ActionResult(started)


def stop_pipeline_execution(self: SageMakerResponse) -> ActionResult:
    """The run stops at once (in the service, when its jobs have stopped)."""
    run = Run(self._get_param("PipelineExecutionArn"), self.region)
    run.end("Stopped")
    return ActionResult({"PipelineExecutionArn": run.arn})


def retry_pipeline_execution(self: SageMakerResponse) -> ActionResult:
    """A run that has not succeeded goes on."""
    run = Run(self._get_param("PipelineExecutionArn"), self.region)
    if run.execution.pipeline_execution_status not in ("Failed", "Stopped"):
        raise ValidationError("Only a failed or stopped execution can be retried.")
    run.execution.pipeline_execution_status = "Executing"
    return ActionResult({"PipelineExecutionArn": run.arn})


def describe_pipeline_execution(self: SageMakerResponse) -> ActionResult:
    """With its reason and version."""
    arn = self._get_param("PipelineExecutionArn")
    described = self.sagemaker_backend.describe_pipeline_execution(arn)
    execution = Run(arn, self.region).execution
    reason = execution.pipeline_execution_failure_reason
    return ActionResult(
        {**described, "FailureReason": reason, "PipelineVersionId": getattr(execution, "version", None)}
    )


def list_pipeline_executions(self: SageMakerResponse) -> ActionResult:
    """Newest first."""
    pipeline = _pipeline(self)
    listed = self.sagemaker_backend.list_pipeline_executions(pipeline.pipeline_name)
    return _page(self, "PipelineExecutionSummaries", listed["PipelineExecutionSummaries"][::-1], default=10)


def list_pipeline_execution_steps(self: SageMakerResponse) -> ActionResult:
    """The steps that a test gave the run; newest first unless asked otherwise."""
    arn = self._get_param("PipelineExecutionArn")
    self.sagemaker_backend.describe_pipeline_execution(arn)
    steps = list(getattr(Run(arn, self.region).execution, "steps", {}).values())
    if self._get_param("SortOrder") != "Ascending":
        steps.reverse()
    return _page(self, "PipelineExecutionSteps", steps, default=10)


def delete_model_package(self: SageMakerResponse) -> ActionResult:
    """The package is gone."""
    arn = self._get_param("ModelPackageName")
    self.sagemaker_backend.describe_model_package(arn)
    del self.sagemaker_backend.model_packages[arn]
    return ActionResult({})


def update_endpoint(self: SageMakerResponse) -> ActionResult:
    """Another configuration, at once."""
    name, config = self._get_param("EndpointName"), self._get_param("EndpointConfigName")
    self.sagemaker_backend.describe_endpoint(name)
    found = self.sagemaker_backend.describe_endpoint_config(config)
    endpoint = self.sagemaker_backend.endpoints[name]
    endpoint.endpoint_config_name = config
    endpoint.production_variants = endpoint._process_production_variants(found["ProductionVariants"])
    endpoint.last_modified_time = utcnow()
    return ActionResult({"EndpointArn": endpoint.arn})


def _page(response: SageMakerResponse, name: str, rows: list[Any], default: int) -> ActionResult:
    start = int(response._get_param("NextToken") or 0)
    end = start + int(response._get_param("MaxResults") or default)
    return ActionResult({name: rows[start:end], **({"NextToken": str(end)} if end < len(rows) else {})})


_ACTIONS = {
    action.__name__: action
    for action in (
        update_pipeline,
        describe_pipeline,
        list_pipeline_versions,
        start_pipeline_execution,
        stop_pipeline_execution,
        retry_pipeline_execution,
        describe_pipeline_execution,
        list_pipeline_executions,
        list_pipeline_execution_steps,
        delete_model_package,
        update_endpoint,
    )
}
