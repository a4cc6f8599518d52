"""A deployed environment: its stack's resources and outputs, its definition, and clients of the services."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.contract.code_version import all_steps
from pipeline.contract.spec import Spec
from pipeline.contract.workload import (
    WORKLOAD_KEY,
    WORKLOAD_VARIABLE,
    configured_workload,
    default_workload,
    load_spec,
)
from scripts.cloud.connection import AwsError, DeployedPipeline


@dataclass(frozen=True)
class Resource:
    """A resource of the stack."""

    logical: str
    type: str
    physical: str


@dataclass
class DeployedEnvironment:
    """One environment; everything is read when it is first asked for, and then once."""

    deployed: DeployedPipeline

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - clients of many services
        """A client of a service in the environment's region, or another."""
        return self.deployed.session.client(service, region_name=region or self.deployed.region)

    @property
    def name(self) -> str:
        """The pipeline's name, which is the stack's."""
        return self.deployed.name

    @property
    def env(self) -> str:
        """`dev`, `prod`, ...: as settings and `-c env=` name it."""
        return self.name.rpartition("-")[2]

    @cached_property
    def workload(self) -> str:
        """What the deployed definition tells its jobs; the default one where it tells them none."""
        told = (step["Arguments"].get("Environment", {}) for step in self.steps("Processing", "Training"))
        return next((str(names[WORKLOAD_VARIABLE]) for names in told if WORKLOAD_VARIABLE in names), default_workload())

    @property
    def spec(self) -> Spec:
        """The spec of the deployed workload."""
        return load_spec(self.workload)

    @property
    def deploy(self) -> str:
        """The command that deploys it again."""
        other = f" -c {WORKLOAD_KEY}={self.workload}" if self.workload != configured_workload() else ""
        return f"npx cdk deploy -c env={self.env}{other}"

    @cached_property
    def stack(self) -> Mapping[str, Any]:
        """As CloudFormation describes it; raises AwsError where there is none."""
        client = self.client("cloudformation")
        try:
            stack: Mapping[str, Any] = client.describe_stacks(StackName=self.name)["Stacks"][0]
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise AwsError(
                f"there is no stack {self.name} in {self.deployed.region}: the pipeline was not deployed by this "
                f"project, or its stack is gone. Deploy it: {self.deploy}"
            ) from error
        return stack

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return {item["OutputKey"]: item["OutputValue"] for item in self.stack.get("Outputs", [])}

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """All resources that the stack has made."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        return tuple(
            Resource(r["LogicalResourceId"], r["ResourceType"], r["PhysicalResourceId"])
            for page in pages
            for r in page["StackResourceSummaries"]
            if r.get("PhysicalResourceId")
        )

    def of_type(self, kind: str, marked: str = "") -> list[Resource]:
        """The resources of a type whose logical id contains `marked`."""
        return [r for r in self.resources if r.type == kind and marked in r.logical]

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The newest version of the deployed definition."""
        return self.deployed.definition()

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The parameters' deployed defaults."""
        return {p["Name"]: p.get("DefaultValue") for p in self.definition.get("Parameters", [])}

    def steps(self, *types: str) -> list[dict[str, Any]]:
        """The steps of some types, those in branches included."""
        return [step for step in all_steps(self.definition["Steps"]) if step["Type"] in types]

    def step(self, name: str) -> dict[str, Any] | None:
        """A step by its name."""
        return next((step for step in all_steps(self.definition["Steps"]) if step["Name"] == name), None)

    @property
    def data_bucket(self) -> str:
        """Where the workload's files are put."""
        return self.outputs["DataBucket"]

    @property
    def artifact_bucket(self) -> str:
        """Where runs write, and champion/ is."""
        return self.outputs["ArtifactBucket"]

    @property
    def group(self) -> str:
        """The model package group."""
        return self.outputs["ModelPackageGroup"]

    def function(self, marked: str) -> str | None:
        """The name of the Lambda function of a construct."""
        found = self.of_type("AWS::Lambda::Function", marked)
        return found[0].physical if found else None

    def invoke(self, marked: str) -> str:
        """The command that has a function compare and correct at once what it else does each hour."""
        return f"aws lambda invoke --function-name {self.function(marked)} --region {self.deployed.region} /dev/stdout"

    def json_object(self, key: str) -> tuple[dict[str, Any], Any] | None:
        """A JSON object of the artifact bucket and when it was written; None where it is missing."""
        client = self.client("s3")
        try:
            found = client.get_object(Bucket=self.artifact_bucket, Key=key)
        except client.exceptions.NoSuchKey:
            return None
        return json.loads(found["Body"].read()), found["LastModified"]

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The newest runs, the last first, as ListPipelineExecutions gives them."""
        answer = self.deployed.client.list_pipeline_executions(
            PipelineName=self.name, SortBy="CreationTime", SortOrder="Descending", MaxResults=20
        )
        return [dict(run) for run in answer["PipelineExecutionSummaries"]]

    @cached_property
    def packages(self) -> tuple[dict[str, Any], ...]:
        """All versions of the group, described, oldest first."""
        return self.deployed.packages(self.group)
