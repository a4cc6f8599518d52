"""A first `cdk deploy` that fails is rolled back, and can simply be repeated, also with removal_policy=retain."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from deployments import ACCOUNT, REGION, Account, Cdk, Deployed, eventually
from test_destroy import remains

from pipeline.contract import names as c

pytestmark = pytest.mark.timeout(600)  # deploys are in it
STACK, GROUP, BUDGET = "retraining-prod", "nba-home-win-prod", f"retraining-prod-{REGION}"
# Writes an object into a bucket of its stack, as the seeds are written.
WRITER = """
import json, urllib.request, boto3
def handler(event, context):
    if event["RequestType"] == "Create":
        boto3.client("s3").put_object(Bucket=event["ResourceProperties"]["Bucket"], Key="seed", Body=b"x")
    ids = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer = {"Status": "SUCCESS", "PhysicalResourceId": "seed", **ids}
    data, headers = json.dumps(answer).encode(), {"Content-Type": ""}
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=data, method="PUT", headers=headers))
"""


def test_a_failed_first_deploy_leaves_nothing_and_is_repeated(root: Path, cdk: Cdk, deployed: Deployed) -> None:
    """With what fails in practice: a budget of that name is in the account, and the group's name is fixed."""
    account = deployed.account
    budgets, before = account.client("budgets"), remains(account)
    limit = {"BudgetName": BUDGET, "BudgetType": "COST", "TimeUnit": "MONTHLY"}
    budgets.create_budget(AccountId=ACCOUNT, Budget={**limit, "BudgetLimit": {"Amount": "1", "Unit": "USD"}})
    said = cdk.deploy(root, "prod", serving="off", code=1)
    assert "DuplicateRecordException" in said
    assert status(account) == "ROLLBACK_COMPLETE"
    budgets.delete_budget(AccountId=ACCOUNT, BudgetName=BUDGET)
    assert remains(account) == before, "neither bucket, key, log nor group"

    cdk.deploy(root, "prod", serving="off")
    assert status(account) == "CREATE_COMPLETE"
    (stack,) = account.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    s3 = account.client("s3")
    for key, text in c.SEED_OBJECTS.items():
        assert s3.get_object(Bucket=outputs["ArtifactBucket"], Key=key)["Body"].read().decode() == text
    cdk.destroy(root, "prod")
    account.client("sagemaker").delete_model_package_group(ModelPackageGroupName=GROUP)  # retained: not our subject


def status(account: Account, stack: str = STACK) -> str:
    (found,) = account.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return str(found["StackStatus"])


def events(account: Account, stack: str = STACK) -> list[dict[str, Any]]:
    return list(account.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"])


# --- the emulated account itself --------------------------------------------------------------------------------------
def test_a_rollback_keeps_what_cloudformation_keeps(account: Account) -> None:
    """Retain keeps what was just created; RetainExceptOnCreate and Delete do not, but nothing deletes a full bucket."""
    function = writer(account, bucket="a-full")
    account.client("sagemaker").create_model_package_group(ModelPackageGroupName="taken")
    policies = {"Kept": "Retain", "New": "RetainExceptOnCreate", "Plain": "Delete", "Full": "RetainExceptOnCreate"}
    resources: dict[str, Any] = {
        name: {"Type": "AWS::S3::Bucket", "DeletionPolicy": policy, "Properties": {"BucketName": f"a-{name.lower()}"}}
        for name, policy in policies.items()
    }
    resources["Writer"] = {
        "Type": "Custom::Writer",
        "Properties": {"ServiceToken": function, "Bucket": {"Ref": "Full"}},
    }
    resources["Fails"] = {
        "Type": "AWS::SageMaker::ModelPackageGroup",
        "Properties": {"ModelPackageGroupName": "taken"},
        "DependsOn": ["Writer", *policies],
    }
    client = account.client("cloudformation")
    client.create_change_set(
        StackName="rolled-back",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": resources}),
    )
    client.execute_change_set(ChangeSetName="first", StackName="rolled-back")
    eventually(lambda: status(account, "rolled-back") == "ROLLBACK_FAILED")
    reasons = " ".join(str(event.get("ResourceStatusReason")) for event in events(account, "rolled-back"))
    assert "Model Package Group already exists" in reasons
    assert "BucketNotEmpty" in reasons
    left = {bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]}
    assert left & {f"a-{name.lower()}" for name in policies} == {"a-kept", "a-full"}

    client.delete_stack(StackName="rolled-back")  # as the CDK does before it creates a stack again
    with pytest.raises(ClientError, match="does not exist"):
        status(account, "rolled-back")
    assert {"a-kept", "a-full"} <= {bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]}
    account.client("s3").delete_object(Bucket="a-full", Key="seed")
    for bucket in ("a-kept", "a-full"):
        account.client("s3").delete_bucket(Bucket=bucket)
    account.client("lambda").delete_function(FunctionName="writer")
    account.client("iam").delete_role_policy(RoleName="writer", PolicyName="write")
    account.client("iam").delete_role(RoleName="writer")
    account.client("sagemaker").delete_model_package_group(ModelPackageGroupName="taken")


def writer(account: Account, bucket: str) -> str:
    """The ARN of a function that writes into a bucket."""
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    write = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    role = iam.create_role(RoleName="writer", AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="writer", PolicyName="write", PolicyDocument=_policy(write))
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("writer.py", WRITER)
    made = account.client("lambda").create_function(
        FunctionName="writer",
        Runtime="python3.13",
        Role=role,
        Handler="writer.handler",
        Code={"ZipFile": code.getvalue()},
    )
    return str(made["FunctionArn"])


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
