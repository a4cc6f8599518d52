"""A deployed environment: its stack's resources and outputs, its definition, clients; and the result of a check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.contract.code_version import all_steps
from pipeline.contract.history.runs import SUCCEEDED
from pipeline.contract.spec import Spec
from pipeline.contract.workload import WORKLOAD_KEY, WORKLOAD_VARIABLE, configured_workload, default_workload, load_spec
from scripts.cloud.connection import CommandError, DeployedPipeline
from scripts.cloud.review import AwsReview

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
# From the best to the worst. 2 is bad usage and what stops the command before it has checked anything, as everywhere.
EXIT_CODES: Final = {OK: 0, WARNING: 3, FAILED: 1}


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `fix` is what to type, or what to do where no command does it."""

    check: str  # empty: the name under which it is listed
    status: str
    reason: str
    fix: str = ""

    def text(self, width: int) -> str:
        """For people; `width` is that of the longest name."""
        fix = f"\n         {'':<{width}}  fix: {self.fix}" if self.fix else ""
        return f"{self.status:<8} {self.check:<{width}}  {self.reason}{fix}"


def ok(reason: str, *, check: str = "") -> CheckResult:
    return CheckResult(check, OK, reason)


def warning(reason: str, fix: str = "", *, check: str = "") -> CheckResult:
    """Something that need not be wrong."""
    return CheckResult(check, WARNING, reason, fix)


def failed(reason: str, fix: str, *, check: str = "") -> CheckResult:
    """Something that keeps runs, emails or the endpoint from working."""
    return CheckResult(check, FAILED, reason, fix)


def worst(results: list[CheckResult]) -> str:
    return max((result.status for result in results), key=list(EXIT_CODES).index, default=OK)


@dataclass
class DeployedEnvironment:
    """One environment; everything is read when it is first asked for, and then once."""

    deployed: DeployedPipeline

    @cached_property
    def review(self) -> AwsReview:
        """Its definition, which names the artifact bucket, and its registry."""
        return AwsReview(self.deployed, patience=0)

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - clients of many services
        """A client of a service in the environment's region, or another."""
        return self.deployed.session.client(service, region_name=region or self.deployed.region)

    def listed(self, service: str, operation: str, key: str, **given: object) -> list[dict[str, Any]]:
        """All that a service lists, of each page what is under a key."""
        pages = self.client(service).get_paginator(operation).paginate(**given)
        return [item for page in pages for item in page.get(key, [])]

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
        return load_spec(self.workload)

    @property
    def deploy(self) -> str:
        other = f" -c {WORKLOAD_KEY}={self.workload}" if self.workload != configured_workload() else ""
        return f"npx cdk deploy -c env={self.env}{other}"

    @cached_property
    def stack(self) -> Mapping[str, Any]:
        """As CloudFormation describes it; raises CommandError where there is none."""
        client = self.client("cloudformation")
        try:
            stack: Mapping[str, Any] = client.describe_stacks(StackName=self.name)["Stacks"][0]
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise CommandError(
                f"there is no stack {self.name} in {self.deployed.region}: the pipeline was not deployed by this "
                f"project, or its stack is gone. Deploy it: {self.deploy}"
            ) from error
        return stack

    @cached_property
    def outputs(self) -> dict[str, str]:
        return {item["OutputKey"]: item["OutputValue"] for item in self.stack.get("Outputs", [])}

    @cached_property
    def _resources(self) -> list[dict[str, Any]]:
        return self.listed("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=self.name)

    def of_type(self, kind: str, marked: str = "") -> list[str]:
        """The physical ids of the stack's resources of a type whose logical id contains `marked`."""
        found = [r for r in self._resources if r["ResourceType"] == kind and marked in r["LogicalResourceId"]]
        return [r["PhysicalResourceId"] for r in found if r.get("PhysicalResourceId")]

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return {p["Name"]: p.get("DefaultValue") for p in self.review.definition.get("Parameters", [])}

    def steps(self, *types: str) -> list[dict[str, Any]]:
        """The steps of some types, those in branches included."""
        return [step for step in all_steps(self.review.definition["Steps"]) if step["Type"] in types]

    @property
    def aggregates(self) -> tuple[bool, bool]:
        """Whether a run with the deployed defaults aggregates on one instance, and whether on a Spark cluster."""
        events = self.defaults.get("EventsPrefix", c.NO_FOLDER) != c.NO_FOLDER
        several = int(self.defaults.get("AggregateInstanceCount", 1)) > 1
        return events and not several, events and several

    @cached_property
    def schedule(self) -> dict[str, Any]:
        return dict(self.client("scheduler").get_schedule(Name=self.name, GroupName=self.name))

    def function(self, marked: str) -> str | None:
        return next(iter(self.of_type("AWS::Lambda::Function", marked)), None)

    def invoke(self, marked: str) -> str:
        """The command that has a function compare and correct at once what it else does each hour."""
        return f"aws lambda invoke --function-name {self.function(marked)} --region {self.deployed.region} /dev/stdout"

    def objects(self, prefix: str, bucket: str = "") -> list[dict[str, Any]]:
        """The objects below a prefix of the artifact bucket, or of another."""
        return self.listed("s3", "list_objects_v2", "Contents", Bucket=bucket or self.review.bucket, Prefix=prefix)

    def exists(self, key: str, bucket: str = "") -> bool:
        return any(item["Key"] == key for item in self.objects(key, bucket))

    def json_object(self, key: str) -> dict[str, Any] | None:
        """A JSON object of the artifact bucket; None where it is missing."""
        text = self.review.read_text(key)
        return dict(json.loads(text)) if text else None

    @cached_property
    def champion(self) -> dict[str, Any] | None:
        """champion.json; None where it is missing."""
        return self.json_object(f"{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}")

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The newest runs, the last first, as ListPipelineExecutions gives them."""
        answer = self.deployed.client.list_pipeline_executions(
            PipelineName=self.name, SortBy="CreationTime", SortOrder="Descending", MaxResults=20
        )
        return [dict(run) for run in answer["PipelineExecutionSummaries"]]

    @property
    def last_success(self) -> dict[str, Any] | None:
        return next((run for run in self.runs if run["PipelineExecutionStatus"] == SUCCEEDED), None)

    @cached_property
    def packages(self) -> tuple[dict[str, Any], ...]:
        """All versions of the group, described, oldest first."""
        return self.review.packages()
