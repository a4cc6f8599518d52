"""`cdk deploy` of prod: one that fails is rolled back and can be repeated; `cdk destroy` keeps what prod keeps."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from deployments import ACCOUNT, REGION, Account, Cdk, Deployed, eventually
from test_destroy import remains

from pipeline.contract.workload import load_spec

pytestmark = pytest.mark.timeout(600)  # deploys are in it
STACK, BUDGET = "retraining-prod", f"retraining-prod-{REGION}"
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


@dataclass(frozen=True)
class Prod:
    """Prod beside dev, made by a second first deploy, to keep nothing; and what there was of the account before."""

    before: dict[str, list[str]]
    said: str  # by the deploy that failed
    failed: str  # status after it
    left: dict[str, list[str]]  # by it
    status: str


@pytest.fixture(scope="module")
def prod(root: Path, cdk: Cdk, deployed: Deployed) -> Prod:
    """With what fails in practice: a budget of that name is in the account, and the group's name is fixed."""
    account = deployed.account
    budgets, before = account.client("budgets"), remains(account)
    limit = {"BudgetName": BUDGET, "BudgetType": "COST", "TimeUnit": "MONTHLY"}
    budgets.create_budget(AccountId=ACCOUNT, Budget={**limit, "BudgetLimit": {"Amount": "1", "Unit": "USD"}})
    said, failed = cdk.deploy(root, "prod", serving="off", code=1), status(account)
    budgets.delete_budget(AccountId=ACCOUNT, BudgetName=BUDGET)
    left = remains(account)
    cdk.deploy(root, "prod", removal_policy="destroy", serving="off")
    return Prod(before, said, failed, left, status(account))


def test_a_failed_first_deploy_leaves_nothing_and_is_repeated(prod: Prod) -> None:
    assert "DuplicateRecordException" in prod.said
    assert prod.failed == "ROLLBACK_COMPLETE"
    assert prod.left == prod.before, "neither bucket, key, log nor group"
    assert prod.status == "CREATE_COMPLETE"


def test_of_prod_data_models_keys_and_logs_stay(root: Path, cdk: Cdk, deployed: Deployed, prod: Prod) -> None:
    """Even if the stack was first made to keep nothing. Beside dev, which is as it was afterwards."""
    account, before = deployed.account, prod.before
    (data,) = [b for b in remains(account)["buckets"] if b not in before["buckets"] and "storagedata" in b]
    account.client("s3").put_object(Bucket=data, Key="games/games.csv", Body=b"kept")
    cdk.deploy(root, "prod", serving="off")  # now it has no function any more that could erase
    functions = [one["FunctionName"] for one in account.client("lambda").list_functions()["Functions"]]
    ours = sorted(name.split("-")[2].partition("Function")[0] for name in functions if name.startswith(STACK))
    assert ours == ["Approval", "FailureNotifications", "TriggersRunCost"], "none that could erase"
    cdk.destroy(root, "prod")
    stays = {kind: some[:] for kind, some in remains(account).items()}
    new = {kind: [one for one in some if one not in before[kind]] for kind, some in stays.items()}
    kept = {kind: len(some) for kind, some in new.items() if some}
    assert kept == {"buckets": 3, "groups": 1, "keys": 2, "logs": 3}, new
    s3 = account.client("s3")
    (artifacts,) = [bucket for bucket in new["buckets"] if "artifacts" in bucket]
    for key, text in load_spec("nba").all_seed_objects.items():
        assert s3.get_object(Bucket=artifacts, Key=key)["Body"].read().decode() == text
    assert s3.get_object(Bucket=data, Key="games/games.csv")["Body"].read() == b"kept"


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
