"""What all policies are made of: exact actions, wildcards with a reason, services that act for this account alone."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from infra.foundation.permissions import allow, allow_outbox, arn, only_through, service_principal


@pytest.fixture
def stack() -> cdk.Stack:
    return cdk.Stack(cdk.App(), "Stack")


@pytest.fixture
def role(stack: cdk.Stack) -> iam.Role:
    return iam.Role(stack, "Role", assumed_by=service_principal("lambda"))


def statements(stack: cdk.Stack, kind: str = "AWS::IAM::Policy") -> Any:
    (policy,) = assertions.Template.from_stack(stack).find_resources(kind).values()
    return policy["Properties"]["PolicyDocument"]["Statement"]


def reasons(role: iam.Role) -> dict[str, str]:
    """What is acknowledged on a role, by cdk-nag's finding."""
    found: dict[str, str] = {}
    for entry in role.node.metadata:
        found |= entry.data
    return {finding.removeprefix("Annotation::"): reason for finding, reason in found.items()}


def test_a_statement_allows_what_is_asked_and_nothing_else(stack: cdk.Stack, role: iam.Role) -> None:
    ours = {"StringEquals": {"aws:ResourceAccount": "111122223333"}}
    asked = {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::a/x", "arn:aws:s3:::b/x"]}
    policy = iam.ManagedPolicy(stack, "Policy")
    for holder in (role, policy):
        allow(holder, asked["Action"], asked["Resource"], conditions=ours)
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        assert statements(stack, kind) == [{"Effect": "Allow", **asked, "Condition": ours}]
    assert reasons(role) == {}


@pytest.mark.parametrize("action", ["*", "s3:*", "s3:Get*"])
def test_an_action_has_no_wildcard(role: iam.Role, action: str) -> None:
    with pytest.raises(ValueError, match=r"^Stack/Role: wildcard action among \['sqs:SendMessage', '.*\*'\]$"):
        allow(role, ["sqs:SendMessage", action], ["arn:aws:s3:::bucket"], why="There is never a reason.")


@pytest.mark.parametrize("why", [None, ""])
def test_a_resource_has_no_wildcard_without_a_reason(role: iam.Role, why: str | None) -> None:
    with pytest.raises(ValueError, match=r"^Stack/Role: \['arn:aws:s3:::b/\*'\] has a wildcard: say why$"):
        allow(role, ["s3:GetObject"], ["arn:aws:s3:::a", "arn:aws:s3:::b/*"], why=why)


def test_the_reason_of_each_wildcard_is_where_cdk_nag_looks(stack: cdk.Stack, role: iam.Role) -> None:
    bucket = s3.Bucket(stack, "Bucket")
    resources = ["arn:aws:s3:::b/*", "arn:aws:s3:::b", bucket.arn_for_objects("runs/*")]
    allow(role, ["s3:GetObject"], [*resources, arn("sagemaker", "pipeline/p/*")], why="Runs have new names.")
    runs = f"<{stack.get_logical_id(bucket.node.default_child)}.Arn>/runs/*"
    pipeline = "arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>:pipeline/p/*"
    found = [f"AwsSolutions-IAM5[Resource::{resource}]" for resource in ("arn:aws:s3:::b/*", runs, pipeline)]
    assert reasons(role) == dict.fromkeys(found, "Runs have new names.")


@pytest.mark.parametrize(
    ("service", "operator"),
    [
        *((name, "StringEquals") for name in ("events", "sagemaker", "scheduler", "states")),
        *((name, "StringEqualsIfExists") for name in ("lambda", "budgets")),  # not documented to send the account
    ],
)
def test_a_service_assumes_a_role_for_this_account_alone(stack: cdk.Stack, service: str, operator: str) -> None:
    iam.Role(stack, "Role", assumed_by=service_principal(service))
    (role,) = assertions.Template.from_stack(stack).find_resources("AWS::IAM::Role").values()
    assert role["Properties"]["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Condition": {operator: {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        }
    ]


def test_an_outbox_is_read_and_written_below_its_prefix(stack: cdk.Stack, role: iam.Role) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "bucket")
    key = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:eu-west-1:111122223333:key/1")
    allow_outbox(role, bucket, key, "outbox/runs/")
    parts = ["arn:", {"Ref": "AWS::Partition"}, ":s3:::bucket"]
    below = {"Fn::Join": ["", [*parts[:-1], ":s3:::bucket/outbox/runs/*"]]}
    assert statements(stack) == [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": below},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": {"Fn::Join": ["", parts]}},
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": key.key_arn},
    ]
    assert list(reasons(role).values()) == ["Each email is an object, named when it is recorded."]


PARTITION, REGION, ACCOUNT = ({"Ref": f"AWS::{name}"} for name in ("Partition", "Region", "AccountId"))


def test_names_of_resources_and_keys_are_those_of_the_stacks_place(stack: cdk.Stack) -> None:
    own = ["arn:", PARTITION, ":logs:", REGION, ":", ACCOUNT, ":log-group:g"]
    assert stack.resolve(arn("logs", "log-group:g")) == {"Fn::Join": ["", own]}
    there = arn("iam", "role/r", region="", account="111122223333")
    assert stack.resolve(there) == {"Fn::Join": ["", ["arn:", PARTITION, ":iam::111122223333:role/r"]]}
    key = {"Fn::Join": ["", ["s3.", REGION, ".", {"Ref": "AWS::URLSuffix"}]]}
    assert stack.resolve(only_through("s3")) == {"StringEquals": {"kms:ViaService": key}}
