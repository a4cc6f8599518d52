"""`cdk destroy`: what the removal policy says goes is gone, what it says stays is there."""

from __future__ import annotations

import json
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError
from deployments import ACCOUNT, IMAGE, Account, Cdk, Deployed, eventually

pytestmark = pytest.mark.timeout(600)  # a deploy is in it

KINDS = {
    *("endpoints", "endpoint configurations", "models"),
    *("pipelines", "groups", "buckets", "keys", "roles", "policies", "functions", "workflows", "rules", "schedules"),
    *("schedule groups", "alarms", "dashboards", "topics", "queues", "logs", "budgets"),
}


def remains(account: Account) -> dict[str, list[str]]:
    """All that is in the account but what bootstrapping and AWS itself made, by kind."""
    client = account.client
    alarms = client("cloudwatch").describe_alarms()
    keys = [client("kms").describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in client("kms").list_keys()["Keys"]]
    groups = client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    found: dict[str, list[Any]] = {
        "endpoints": client("sagemaker").list_endpoints()["Endpoints"],
        "endpoint configurations": client("sagemaker").list_endpoint_configs()["EndpointConfigs"],
        "models": client("sagemaker").list_models()["Models"],
        "pipelines": client("sagemaker").list_pipelines()["PipelineSummaries"],
        "groups": [group["ModelPackageGroupName"] for group in groups],
        "buckets": [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]],
        "keys": [f"{key['Description']} {key['KeyId']}" for key in keys if key["KeyState"] != "PendingDeletion"],
        "roles": [role["RoleName"] for role in client("iam").list_roles()["Roles"]],
        "policies": [policy["PolicyName"] for policy in client("iam").list_policies(Scope="Local")["Policies"]],
        "functions": client("lambda").list_functions()["Functions"],
        "workflows": client("stepfunctions").list_state_machines()["stateMachines"],
        "rules": client("events").list_rules()["Rules"],
        "schedules": client("scheduler").list_schedules()["Schedules"],
        "schedule groups": [g["Name"] for g in client("scheduler").list_schedule_groups()["ScheduleGroups"]],
        "alarms": alarms["MetricAlarms"],
        "dashboards": client("cloudwatch").list_dashboards()["DashboardEntries"],
        "topics": client("sns").list_topics()["Topics"],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "budgets": client("budgets").describe_budgets(AccountId=ACCOUNT).get("Budgets", []),
        "logs": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
    }
    others = ("cdk-", "default", "AWSServiceRole", "ecr-layers")  # the last: where the emulated ECR keeps images
    left = {kind: [one for one in some if not str(one).startswith(others)] for kind, some in found.items()}
    return {kind: some for kind, some in left.items() if some}


class LateLogs(Thread):
    """S3 as it delivers access logs, whenever it likes, until the bucket does not take them any more."""

    def __init__(self, account: Account, bucket: str) -> None:
        super().__init__(daemon=True)
        self.s3, self.bucket, self.delivered, self.refused = account.client("s3"), bucket, 0, ""

    def run(self) -> None:
        while not self.refused:
            try:
                self.s3.put_object(Bucket=self.bucket, Key=f"data/{self.delivered}", Body=b"a log")
                self.delivered += 1
            except ClientError as error:
                self.refused = error.response["Error"]["Code"]
            time.sleep(0.02)


def fill(deployed: Deployed) -> None:
    """What CloudFormation alone would stumble over: a run that goes on, versions of objects and of a model."""
    s3, sagemaker, outputs = deployed.client("s3"), deployed.client("sagemaker"), deployed.outputs
    for text in (b"a,b", b"a,c"):
        s3.put_object(Bucket=outputs["DataBucket"], Key="games/games.csv", Body=text)
    s3.delete_object(Bucket=outputs["DataBucket"], Key="games/games.csv")
    sagemaker.start_pipeline_execution(PipelineName=outputs["PipelineName"], ClientRequestToken="d" * 32)
    sagemaker.create_model_package(ModelPackageGroupName=outputs["ModelPackageGroup"])


def served(deployed: Deployed) -> Deployed:
    """With an endpoint, if there is none yet: as after a promotion."""
    s3, bucket = deployed.client("s3"), deployed.outputs["ArtifactBucket"]
    if deployed.client("sagemaker").list_endpoints()["Endpoints"]:
        return deployed
    lineage = {"image": IMAGE, "fingerprint": "games"}
    champion = {"version": 1, "artifact": "1/model.tar.gz", "lineage": lineage}
    s3.put_object(Bucket=bucket, Key="champion/1/model.tar.gz", Body=b"weights")
    s3.put_object(Bucket=bucket, Key="champion/champion.json", Body=json.dumps(champion).encode())
    function = deployed.resource("AWS::Lambda::Function", "Serving")
    eventually(lambda: deployed.client("lambda").invoke(FunctionName=function, Payload=b"{}"))
    eventually(lambda: deployed.client("sagemaker").list_endpoints()["Endpoints"])
    return deployed


# Written by SageMaker in the account's name, and of no stack: where jobs and endpoints log.
JOB_LOGS = ("/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs", "/aws/sagemaker/Endpoints/retraining-dev")


def not_of_the_stack(account: Account) -> dict[str, list[str]]:
    """What `remains` does not count, by what docs/deploy.md calls it."""
    kms, s3 = account.client("kms"), account.client("s3")
    keys = [kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in kms.list_keys()["Keys"]]
    pending = [k["Description"] for k in keys if k["KeyState"] == "PendingDeletion"]
    assets = [b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].startswith("cdk-hnb659fds-assets")]
    logs = [group["logGroupName"] for group in account.client("logs").describe_log_groups()["logGroups"]]
    return {
        "pending deletion": [name for name in pending if name.startswith("retraining-dev")],
        "cdk-hnb659fds-assets": [e["Key"] for b in assets for e in s3.list_objects_v2(Bucket=b).get("Contents", [])],
        **{name: [group for group in logs if group == name] for name in JOB_LOGS},
    }


def test_of_dev_nothing_stays(root: Path, cdk: Cdk, deployed: Deployed) -> None:
    subscribers = ("on-call", "approvers", "told-of-withdrawal", "test-emails")  # the tests' own, where there are some
    for name in subscribers:
        for url in deployed.client("sqs").list_queues(QueueNamePrefix=name).get("QueueUrls", []):
            deployed.client("sqs").delete_queue(QueueUrl=url)
    for name in deployed.people:  # IAM deletes no policy that somebody still has
        policy = deployed.outputs[f"{name}Policy"]
        deployed.client("iam").detach_user_policy(UserName=name, PolicyArn=policy)
    # An event of the tests before may withdraw the champion once more, and its endpoint with it.
    eventually(lambda: set(remains(served(deployed).account)) == KINDS)
    fill(deployed)
    for name in JOB_LOGS:
        deployed.client("logs").create_log_group(logGroupName=name)
    logs = LateLogs(deployed.account, deployed.resource("AWS::S3::Bucket", "AccessLogs"))
    logs.start()
    eventually(lambda: logs.delivered)
    cdk.destroy(root)
    logs.join(timeout=60)
    assert logs.refused == "AccessDenied", "the bucket refused, before it was gone"
    left = {
        kind: [str(one) for one in some if "-prod" not in str(one)] for kind, some in remains(deployed.account).items()
    }
    assert {kind: some for kind, some in left.items() if some} == {"logs": [*sorted(JOB_LOGS)]}
    # What is there all the same is what the page says.
    section = (root / "docs" / "deploy.md").read_text(encoding="utf-8").partition("### What remains")[2]
    found = not_of_the_stack(deployed.account)
    assert len(found["pending deletion"]) == 2
    for name, some in found.items():
        assert some, name
        assert name.replace("retraining-dev", "<pipeline>") in section.partition("\n## ")[0], name
