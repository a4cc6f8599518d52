"""What is deployed for approvals: the function's files, its role, what its deploy waits for, whom it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest
from iam_emulation.conditions import as_list
from moto.server import ThreadedMotoServer
from resolved_template import Template, only, resources
from test_policies import role_of

from app import FLAGS
from infra.foundation.foundation import Foundation
from infra.foundation.lambda_function import SHARED_FOLDERS, LambdaFunction
from infra.settings.settings import Settings

FUNCTIONS = ("approval", "endpoint", "failure_notifications", "teardown", "triggers")


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a function is deployed with."""
    out = tmp_path_factory.mktemp("function")
    app = cdk.App(
        context=dict(FLAGS), outdir=str(out), builtin_cloud_formation_validation=False, analytics_reporting=False
    )
    stack = cdk.Stack(app, "function")
    LambdaFunction(stack, Foundation(stack, Settings("dev", "nba")), folder="approval", purpose="", role_purpose="")
    app.synth()
    (folder,) = out.glob("asset.*")
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


def test_invoked_from_the_asset_alone_as_lambda_does(asset: Path, tmp_path: Path, dev: Template) -> None:
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
            "HANDLER": "infra.approval.function.handler.handler",
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
    _, function = only(dev, "AWS::Lambda::Function", "Approval")
    assert function["Handler"] == given["HANDLER"]
    assert set(function["Environment"]["Variables"]) <= set(given)


def test_the_role_can_do_this_and_nothing_else(dev: Template) -> None:
    (document,) = role_of(dev, "ApprovalRole").policies
    statements = document["Statement"]
    assert {action for statement in statements for action in as_list(statement["Action"])} == {
        *("sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"),
        "sagemaker:UpdateModelPackage",  # without a status: to approve is for people
        *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"),
        *("kms:Decrypt", "kms:GenerateDataKey", "sns:Publish", "sqs:SendMessage"),
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    }
    assert all(resource != "*" for statement in statements for resource in as_list(statement["Resource"]))
    written = [
        resource.partition("/")[2]
        for statement in statements
        if "s3:PutObject" in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    ]
    assert sorted(written) == [
        "approvals/approvals.json",
        "champion/*",
        "evaluated/last_evaluated.json",
        "evaluated/registered.json",
        "history/versions.jsonl",
        "outbox/registry/*",
        "team_games/aggregated.json",
    ]


def test_the_custom_resource_waits_for_role_and_group(dev: Template) -> None:
    (seeds,) = [r for r in dev["Resources"].values() if r["Type"] == "Custom::Champion"]
    kinds = {dev["Resources"][name]["Type"] for name in seeds["DependsOn"]}
    assert {"AWS::IAM::Policy", "AWS::SageMaker::ModelPackageGroup"} <= kinds


def test_approvers_subscribe_to_an_encrypted_topic_of_their_own(prod: Template) -> None:
    subscriptions = resources(prod, "AWS::SNS::Subscription").values()
    (topic,) = [s["TopicArn"]["Ref"] for s in subscriptions if s["Endpoint"] == "lead@example.com"]
    assert topic.startswith("ApprovalApprovers")
    assert resources(prod, "AWS::SNS::Topic")[topic]["KmsMasterKeyId"]
