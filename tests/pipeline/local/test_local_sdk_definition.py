"""A definition compiled by the SageMaker SDK itself, run as it comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from local_definitions import Workbench

from pipeline.local.store.registry import LocalRegistry

pytest.importorskip("sagemaker")

COMPILE = """
import boto3
from sagemaker.core.workflow.conditions import (ConditionEquals, ConditionGreaterThan, ConditionGreaterThanOrEqualTo,
    ConditionIn, ConditionLessThan, ConditionLessThanOrEqualTo, ConditionNot, ConditionOr)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterBoolean, ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import Properties, PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum, StepRetryPolicy)
from sagemaker.mlops.workflow.steps import ConfigurableRetryStep, StepTypeEnum


class RequestStep(ConfigurableRetryStep):
    def __init__(self, name, kind, shape, request, property_files=(), depends_on=None, retry_policies=None):
        super().__init__(name, kind, depends_on=depends_on, retry_policies=retry_policies)
        self.request, self.property_files = request, list(property_files)
        self.shown = Properties(step_name=name, step=self, shape_name=shape)

    arguments = property(lambda self: self.request)
    properties = property(lambda self: self.shown)

    def to_request(self):
        request = super().to_request()
        if self.property_files:
            request["PropertyFiles"] = [file.expr for file in self.property_files]
        return request


word = ParameterString("Word", default_value="hello", enum_values=["hello", "bye"])
number, limit = ParameterInteger("Number", 3), ParameterFloat("Limit", 0.5)
force = ParameterBoolean(name="Force", default_value=False)
command = ["python3", "-I", "-S", "program.py"]
report = PropertyFile(name="Report", output_name="out", path="report.json")
role = "arn:aws:iam::111122223333:role/jobs"
look = RequestStep("Look", StepTypeEnum.PROCESSING, "DescribeProcessingJobResponse", {
    "RoleArn": role, "ProcessingResources": {"ClusterConfig": {
        "InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}},
    "AppSpecification": {"ImageUri": "${ImageUri}", "ContainerEntrypoint": command, "ContainerArguments": [
        'write:processing/out/report.json={"auc": 0.75, "m": [{"n": 4}]}',
        Join(on="=", values=["write:processing/out/word.txt", word])]},
    "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": {
        "S3Uri": Join(on="/", values=["s3://${Bucket}", ExecutionVariables.PIPELINE_EXECUTION_ID, "look"]),
        "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}}]},
    "Environment": {"NUMBER": number.to_string()},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}, [report], retry_policies=[
    StepRetryPolicy(exception_types=[StepExceptionTypeEnum.SERVICE_FAULT], max_attempts=2),
    SageMakerJobStepRetryPolicy(exception_types=[SageMakerJobExceptionTypeEnum.CAPACITY_ERROR], expire_after_mins=5)])
train = RequestStep("Train", StepTypeEnum.TRAINING, "DescribeTrainingJobResponse", {
    "RoleArn": role,
    "AlgorithmSpecification": {"TrainingImage": "${ImageUri}", "TrainingInputMode": "File",
        "ContainerEntrypoint": command, "ContainerArguments": ["cat:input/data/look=model/model.txt"]},
    "InputDataConfig": [{"ChannelName": "look", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix",
        "S3Uri": look.properties.ProcessingOutputConfig.Outputs["out"].S3Output.S3Uri}}}],
    "OutputDataConfig": {"S3OutputPath": "s3://${Bucket}/train"},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
})
auc = JsonGet(step_name="Look", property_file=report, json_path="auc")
n = JsonGet(step_name="Look", property_file=report, json_path="m[0]['n']")
package = RequestStep("Register", StepTypeEnum.REGISTER_MODEL, "DescribeModelPackageOutput", {
    "ModelPackageGroupName": "models", "CustomerMetadataProperties": {"auc": Join(on="", values=[auc])},
    "InferenceSpecification": {"Containers": [{"Image": "${ImageUri}",
        "ModelDataUrl": train.properties.ModelArtifacts.S3ModelArtifacts}]},
})
stop = FailStep("Stop", error_message=Join(on=" ", values=["auc", auc, "limit", limit, "force", force]))
gate = ConditionStep("Gate", conditions=[
    ConditionGreaterThan(auc, limit), ConditionGreaterThanOrEqualTo(n, 4), ConditionLessThan(number, n),
    ConditionLessThanOrEqualTo(auc, 0.75), ConditionEquals(word, "hello"),
    ConditionOr([ConditionEquals(force, True), ConditionNot(ConditionIn(number, [1, 2]))])],
    if_steps=[train, package], else_steps=[stop])
session = PipelineSession(boto_session=boto3.Session(region_name="us-east-1"), default_bucket="bucket")
print(Pipeline(name="p", parameters=[word, number, limit, force], steps=[look, gate], sagemaker_session=session,
    pipeline_experiment_config=None).definition())
"""
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "SAGEMAKER_VALIDATE_ROLE": "false",
}


def test_a_definition_of_the_sdk_runs_as_it_comes(bench: Workbench) -> None:
    from pipeline.local.plan.plan import load_plan
    from pipeline.local.run.runner import run

    compiled = subprocess.run(
        [sys.executable, "-c", COMPILE], env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=True
    ).stdout
    compiled_definition = json.loads(compiled.strip().splitlines()[-1])
    pipeline = {key: value for key, value in compiled_definition.items() if value is not None}  # the SDK's own nulls
    constants = {"ImageUri": "image", "Bucket": "artifacts"}
    result = run(load_plan(pipeline, constants, {}), bench.store, bench.launcher)
    assert result.status == "Succeeded", result.failure
    package = LocalRegistry(bench.store).get("models", 1)
    assert package["CustomerMetadataProperties"] == {"auc": "0.75"}
    assert bench.text(f"s3://artifacts/{result.execution_id}/look/word.txt") == "hello"
    result = run(load_plan(pipeline, constants, {"Limit": 0.9}), bench.store, bench.launcher)
    assert result.failure.reason == "auc 0.75 limit 0.9 force false"
    result = run(load_plan(pipeline, constants, {"Number": 2}), bench.store, bench.launcher)
    assert result.failure is not None
