"""What is deployed for approvals: the function's files, its role, what calls it, whom it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk.assertions import Match, Template
from moto.server import ThreadedMotoServer

from app import FLAGS
from infra.alarms.alerts import Alerts
from infra.approval.construct import HANDLER, ModelApproval
from infra.foundation.kms_keys import KmsKeys
from infra.foundation.lambda_function import SHARED_FOLDERS
from infra.foundation.storage import Storage
from infra.settings.settings import Settings

IMAGE = "111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining@sha256:" + "5" * 64
FUNCTIONS = ("approval", "endpoint", "failure_notifications", "teardown", "triggers")


@pytest.fixture(scope="module")
def assembly(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of approvals and what they need, synthesised."""
    folder = tmp_path_factory.mktemp("approval")
    app = cdk.App(
        outdir=str(folder), context=dict(FLAGS), builtin_cloud_formation_validation=False, analytics_reporting=False
    )
    stack = cdk.Stack(app, "approvals")
    settings = Settings.from_context(
        {"image_uri": IMAGE, "approver_emails": "lead@example.com", "alert_emails": "oncall@example.com"}
    )
    keys = KmsKeys(stack, "Keys", settings=settings)
    storage = Storage(stack, "Storage", settings=settings, key=keys.data)
    ModelApproval(
        stack,
        "Approval",
        settings=settings,
        group_name=settings.group_name,
        group=sagemaker.CfnModelPackageGroup(stack, "Group", model_package_group_name=settings.group_name),
        artifact_bucket=storage.artifacts,
        key=keys.data,
        alerts=Alerts(stack, "Alerts", settings=settings, key=keys.messages),
    )
    app.synth()
    return folder


@pytest.fixture(scope="module")
def resources(assembly: Path) -> dict[str, dict[str, Any]]:
    template = json.loads((assembly / "approvals.template.json").read_text(encoding="utf-8"))
    return dict(template["Resources"])


@pytest.fixture(scope="module")
def template(assembly: Path) -> Template:
    return Template.from_string((assembly / "approvals.template.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def asset(assembly: Path) -> Path:
    (folder,) = assembly.glob("asset.*")
    return folder


def test_the_asset_is_the_functions_and_what_they_share(asset: Path, root: Path) -> None:
    """No construct, no step, no bytecode: a change of those must not deploy the functions again."""
    folders = [f"infra/{name}/function" for name in FUNCTIONS] + list(SHARED_FOLDERS)
    packages = {"infra/__init__.py", "pipeline/__init__.py", *(f"infra/{name}/__init__.py" for name in FUNCTIONS)}
    files = [path for folder in folders for ending in ("py", "json") for path in (root / folder).rglob(f"*.{ending}")]
    sources = {str(path.relative_to(root)) for path in files}
    assert {str(path.relative_to(asset)) for path in asset.rglob("*") if path.is_file()} == sources | packages


INVOKE = """
import importlib, json, os, sys
from types import SimpleNamespace
module, name = os.environ["HANDLER"].rsplit(".", 1)
handler = getattr(importlib.import_module(module), name)
context = SimpleNamespace(aws_request_id="r", invoked_function_arn=os.environ["FUNCTION"])
result = handler(json.loads(sys.argv[1]), context)
print(json.dumps({"result": result, "file": sys.modules[module].__file__}))
"""


def test_invoked_from_the_asset_alone_as_lambda_does(asset: Path, tmp_path: Path, template: Template) -> None:
    """The files of the asset, boto3, the function's own handler setting and variables; nothing of the checkout."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        variables = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_DEFAULT_REGION": "us-west-2",  # a region that no other test uses
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        prepare = (
            "import boto3; boto3.client('s3').create_bucket(Bucket='asset-test', "
            "CreateBucketConfiguration={'LocationConstraint': 'us-west-2'}); "
            "boto3.client('sagemaker').create_model_package_group(ModelPackageGroupName='asset-test')"
        )
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | variables
        subprocess.run([sys.executable, "-c", prepare], env=own, check=True)
        given = {
            "HANDLER": HANDLER,
            "FUNCTION": "arn:aws:lambda:us-west-2:123456789012:function:approval",
            "MODEL_PACKAGE_GROUP": "asset-test",
            "ARTIFACT_BUCKET": "asset-test",
            "PIPELINE_NAME": "retraining-test",
            "ALERTS_TOPIC_ARN": "arn:aws:sns:us-west-2:123456789012:alerts",
            "SEED_OBJECTS": "{}",
            "MODEL_CONTACT": "",
            "APPROVERS_TOPIC_ARN": "arn:aws:sns:us-west-2:123456789012:approvers",
        }
        done = subprocess.run(
            [sys.executable, "-c", INVOKE, json.dumps({"detail-type": "Scheduled Event", "detail": {}})],
            cwd=tmp_path,
            env={**own, **given, "PYTHONPATH": str(asset)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["result"] == {"champion": None, "sent": 0}
    assert answer["file"].startswith(str(asset))
    (function,) = template.find_resources("AWS::Lambda::Function").values()
    assert function["Properties"]["Handler"] == HANDLER
    assert set(function["Properties"]["Environment"]["Variables"]) <= set(given)


def statements(resources: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the function's role."""
    (policy,) = [r for r in resources.values() if r["Type"] == "AWS::IAM::Policy"]
    return list(policy["Properties"]["PolicyDocument"]["Statement"])


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_role_can_do_this_and_nothing_else(resources: dict[str, dict[str, Any]]) -> None:
    actions = {action for statement in statements(resources) for action in listed(statement["Action"])}
    assert actions == {
        *("sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"),
        "sagemaker:UpdateModelPackage",  # without a status: to approve is for people
        *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"),
        *("kms:Decrypt", "kms:GenerateDataKey", "sns:Publish", "sqs:SendMessage"),
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    }
    assert all(resource != "*" for statement in statements(resources) for resource in listed(statement["Resource"]))
    written = [
        str(resource["Fn::Join"][1][-1])
        for statement in statements(resources)
        if "s3:PutObject" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]
    assert sorted(written) == [
        "/approvals/approvals.json",
        "/champion/*",
        "/evaluated/last_evaluated.json",
        "/evaluated/registered.json",
        "/history/versions.jsonl",
        "/outbox/registry/*",
        "/team_games/aggregated.json",
    ]


def test_what_calls_it(template: Template) -> None:
    target = {"Arn": Match.any_value(), "DeadLetterConfig": {"Arn": Match.any_value()}, "Id": Match.any_value()}
    template.has_resource_properties(
        "AWS::Events::Rule",
        {
            "EventPattern": {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Model Package State Change"],
                "detail": {"ModelPackageGroupName": ["nba-home-win-dev"], "ModelPackageStatus": ["Completed"]},
            },
            "Targets": [target],
        },
    )
    template.has_resource_properties("AWS::Events::Rule", {"ScheduleExpression": "rate(1 hour)", "Targets": [target]})
    function = template.find_resources("AWS::Lambda::Function")
    template.has_resource_properties(
        "Custom::Champion", {"ServiceToken": {"Fn::GetAtt": [next(iter(function)), "Arn"]}, "ServiceTimeout": "300"}
    )


def test_the_custom_resource_waits_for_role_and_group(resources: dict[str, dict[str, Any]]) -> None:
    (seeds,) = [r for r in resources.values() if r["Type"] == "Custom::Champion"]
    kinds = {resources[name]["Type"] for name in seeds["DependsOn"]}
    assert {"AWS::IAM::Policy", "AWS::SageMaker::ModelPackageGroup"} <= kinds


def test_a_failed_invocation_is_kept_and_mailed(template: Template) -> None:
    template.has_resource_properties(
        "AWS::Lambda::EventInvokeConfig",
        {"DestinationConfig": {"OnFailure": {"Destination": Match.any_value()}}, "MaximumRetryAttempts": 2},
    )
    for metric in ("Errors", "ApproximateNumberOfMessagesVisible"):
        template.has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {"MetricName": metric, "AlarmActions": [Match.any_value()], "OKActions": [Match.any_value()]},
        )


def test_approvers_subscribe_to_an_encrypted_topic_of_their_own(resources: dict[str, dict[str, Any]]) -> None:
    (subscription,) = [
        r["Properties"]
        for r in resources.values()
        if r["Type"] == "AWS::SNS::Subscription" and r["Properties"]["Endpoint"] == "lead@example.com"
    ]
    topic = resources[subscription["TopicArn"]["Ref"]]["Properties"]
    assert topic["KmsMasterKeyId"]


def test_the_log_is_encrypted_and_expires(template: Template) -> None:
    template.has_resource_properties(
        "AWS::Logs::LogGroup", {"KmsKeyId": Match.any_value(), "RetentionInDays": Match.any_value()}
    )
