"""What makes `cdk destroy` work by itself: it empties what goes with the stack, and touches nothing that stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.cloudformation.models import cloudformation_backends
from moto.s3.models import s3_backends
from resolved_template import Template, resources
from sagemaker_emulation import ACCOUNT, REGION, taught

from infra.teardown.function import handler
from infra.teardown.function.handler import DELETING, NO_WRITES, OutOfTimeError, remove

BUCKETS = ("the-games", "the-artifacts", "the-logs")
GROUP, PIPELINE = "candidates", "retraining"
# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
STAYING = (
    *("CREATE_IN_PROGRESS", "CREATE_COMPLETE", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"),
    *("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_FAILED"),
    *("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
    *("IMPORT_IN_PROGRESS", "IMPORT_COMPLETE", "REVIEW_IN_PROGRESS", "DELETE_FAILED", "DELETE_COMPLETE"),
)
DEFINITION = json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": []})


class World:
    """A stack with three buckets, a pipeline and a group, as moto has them."""

    def __init__(self, status: str = "DELETE_IN_PROGRESS") -> None:
        self.s3, self.sagemaker = boto3.client("s3"), boto3.client("sagemaker")
        for bucket in BUCKETS:
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        role = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
        self.sagemaker.create_pipeline(
            PipelineName=PIPELINE, PipelineDefinition=DEFINITION, RoleArn=role, ClientRequestToken="t" * 32
        )
        self.sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
        template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
        created = boto3.client("cloudformation").create_stack(StackName="stack", TemplateBody=json.dumps(template))
        self.stack_id = created["StackId"]
        cloudformation_backends[ACCOUNT][REGION].stacks[self.stack_id].status = status

    def fill(self) -> None:
        """Versions, delete markers, a run that goes on, and model versions."""
        for bucket in BUCKETS:
            for number in range(4):
                self.s3.put_object(Bucket=bucket, Key=f"{number % 2}", Body=b"x")
            self.s3.delete_object(Bucket=bucket, Key="0")
        self.sagemaker.start_pipeline_execution(PipelineName=PIPELINE, ClientRequestToken="s" * 32)
        for _ in range(3):
            self.sagemaker.create_model_package(ModelPackageGroupName=GROUP)

    def holds(self) -> dict[str, int]:
        """How much there is of each."""
        versions = [self.s3.list_object_versions(Bucket=bucket) for bucket in BUCKETS]
        runs = self.sagemaker.list_pipeline_executions(PipelineName=PIPELINE)["PipelineExecutionSummaries"]
        packages = self.sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
        return {
            "objects": sum(len(page.get(kind, [])) for page in versions for kind in ("Versions", "DeleteMarkers")),
            "running": sum(run["PipelineExecutionStatus"] == "Executing" for run in runs),
            "packages": len(packages),
        }

    def event(self, **others: Any) -> dict[str, Any]:
        """What CloudFormation sends when it deletes the custom resource."""
        return {
            "RequestType": "Delete",
            "StackId": self.stack_id,
            "ResourceProperties": {"Buckets": [*BUCKETS], "Group": GROUP, "Pipeline": PIPELINE},
            **others,
        }


FULL = {"objects": 15, "running": 1, "packages": 3}
NOTHING = dict.fromkeys(FULL, 0)


def context(milliseconds: int = 60_000) -> Any:
    return SimpleNamespace(
        invoked_function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:teardown",
        get_remaining_time_in_millis=lambda: milliseconds,
    )


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, set_variables: Callable[..., None]) -> None:
    set_variables({})
    monkeypatch.setattr(handler, "_POLL_SECONDS", 0.0)


@pytest.fixture
def world() -> Iterator[World]:
    with taught(), mock_aws():
        made = World()
        made.fill()
        yield made


@pytest.mark.parametrize("status", DELETING)
def test_all_that_keeps_the_stack_goes(world: World, status: str) -> None:
    cloudformation_backends[ACCOUNT][REGION].stacks[world.stack_id].status = status
    assert world.holds() == FULL
    remove(world.event(), context())
    assert world.holds() == NOTHING
    remove(world.event(), context())  # CloudFormation may ask twice


def test_of_a_stack_that_stays_nothing_goes(world: World) -> None:
    """A deployment that turns to removal_policy=retain deletes the custom resource, and the data must survive it."""
    for status in STAYING:
        cloudformation_backends[ACCOUNT][REGION].stacks[world.stack_id].status = status
        remove(world.event(), context())
        assert world.holds() == FULL, status
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        world.s3.get_bucket_policy(Bucket="the-logs")


def test_a_deploy_deletes_nothing(world: World, answered: list[dict[str, Any]]) -> None:
    for kind in ("Create", "Update"):
        handler.handler(world.event(RequestType=kind, **IDS), context())
    assert world.holds() == FULL
    assert [answer["Status"] for answer in answered] == ["SUCCESS", "SUCCESS"]


def test_writes_are_refused_before_the_first_object_goes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every bucket: to delete from one writes access logs to another."""
    own = {"Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectAcl", "Resource": "arn:aws:s3:::*"}
    world.s3.put_bucket_policy(Bucket="the-games", Policy=json.dumps({"Version": "2012-10-17", "Statement": [own]}))
    seen: list[dict[str, list[str]]] = []

    def deleting(s3: Any, bucket: str) -> int:
        policies = {b: json.loads(s3.get_bucket_policy(Bucket=b)["Policy"])["Statement"] for b in BUCKETS}
        seen.append({name: [statement["Sid"] for statement in found] for name, found in policies.items()})
        return original(s3, bucket)

    original = handler.delete_objects
    monkeypatch.setattr(handler, "delete_objects", deleting)
    remove(world.event(), context())
    assert seen[0] == {"the-games": ["Own", NO_WRITES], "the-artifacts": [NO_WRITES], "the-logs": [NO_WRITES]}
    denied = json.loads(world.s3.get_bucket_policy(Bucket="the-logs")["Policy"])["Statement"][0]
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "s3:PutObject")
    assert denied["Resource"] == "arn:aws:s3:::the-logs/*"


def test_more_than_one_page_goes(world: World) -> None:
    for number in range(1_100):
        s3_backends[ACCOUNT]["aws"].put_object("the-artifacts", f"{number}", b"")
    assert world.s3.list_object_versions(Bucket="the-artifacts")["IsTruncated"]
    remove(world.event(), context())
    assert world.holds() == NOTHING


def test_out_of_time_says_what_is_left_and_what_to_do(world: World, answered: list[dict[str, Any]]) -> None:
    with pytest.raises(OutOfTimeError, match="still runs of retraining that have not stopped"):
        remove(world.event(), context(milliseconds=1_000))
    with pytest.raises(OutOfTimeError, match=r"still objects in the-games \(5 seen to so far\): run cdk destroy again"):
        remove(world.event(), context(milliseconds=1_000))
    handler.handler(world.event(**IDS), context(milliseconds=1_000))
    assert answered[0]["Status"] == "FAILED"
    assert "objects in the-artifacts" in answered[0]["Reason"]
    remove(world.event(), context())
    assert world.holds() == NOTHING


def test_what_is_gone_already_is_no_obstacle(world: World) -> None:
    for bucket in BUCKETS[:2]:
        handler.delete_objects(world.s3, bucket)
        world.s3.delete_bucket(Bucket=bucket)
    remove(world.event(), context())
    assert world.s3.list_object_versions(Bucket="the-logs").get("Versions", []) == []


IDS = {"RequestId": "request", "LogicalResourceId": "Emptied", "ResponseURL": "https://cloudformation.example/answer"}


# --- the template -----------------------------------------------------------------------------------------------------
ERASING = {"s3:DeleteObjectVersion", "s3:PutBucketPolicy", "sagemaker:DeleteModelPackage"}


def allowed_actions(template: Template) -> set[str]:
    policies = resources(template, "AWS::IAM::Policy").values()
    statements = [s for policy in policies for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    listed = [s["Action"] if isinstance(s["Action"], list) else [s["Action"]] for s in statements]
    return {action for actions in listed for action in actions}


def test_only_a_stack_that_keeps_nothing_may_erase(prod: Template, dev: Template) -> None:
    assert not resources(prod, "Custom::EmptiedAtRemoval")
    assert not ERASING & allowed_actions(prod)
    assert resources(dev, "Custom::EmptiedAtRemoval")
    assert allowed_actions(dev) >= ERASING


def test_only_its_own_role_may_erase(dev: Template) -> None:
    erasing = [
        logical_id
        for logical_id, policy in resources(dev, "AWS::IAM::Policy").items()
        for statement in policy["PolicyDocument"]["Statement"]
        if ERASING & set(statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    ]
    assert len(erasing) == 3
    assert all(logical_id.startswith("TeardownRole") for logical_id in erasing)


def test_what_starts_runs_or_writes_is_deleted_before_and_what_is_emptied_after(dev: Template) -> None:
    """CloudFormation deletes in the reverse order of DependsOn and references."""
    ((emptied, _),) = resources(dev, "Custom::EmptiedAtRemoval").items()
    depends = {logical_id: set(resource.get("DependsOn", ())) for logical_id, resource in dev["Resources"].items()}
    kinds = {logical_id: resource["Type"] for logical_id, resource in dev["Resources"].items()}
    before = {kinds[logical_id] for logical_id, on in depends.items() if emptied in on}
    assert before >= {"AWS::Scheduler::Schedule", "AWS::Events::Rule", "AWS::Lambda::Function", "Custom::Champion"}
    after = [kinds[logical_id] for logical_id in depends[emptied]]
    assert after.count("AWS::S3::Bucket") == after.count("AWS::S3::BucketPolicy") == 3
    assert {"AWS::SageMaker::Pipeline", "AWS::SageMaker::ModelPackageGroup", "AWS::IAM::Policy"} <= set(after)
