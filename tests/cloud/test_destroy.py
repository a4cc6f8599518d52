"""`cdk destroy`: what the removal policy says goes is gone, what it says stays is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deployments import ACCOUNT, Account, Cdk, Deployed

pytestmark = pytest.mark.timeout(600)  # a deploy is in it

KINDS = {
    *("pipelines", "groups", "buckets", "keys", "roles", "functions", "workflows", "rules", "schedules"),
    *("schedule groups", "alarms", "dashboards", "topics", "queues", "logs", "budgets"),
}


def remains(account: Account) -> dict[str, list[str]]:
    """All that is in the account but what bootstrapping and AWS itself made, by kind."""
    client = account.client
    alarms = client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    keys = [client("kms").describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in client("kms").list_keys()["Keys"]]
    groups = client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    found: dict[str, list[Any]] = {
        "pipelines": client("sagemaker").list_pipelines()["PipelineSummaries"],
        "groups": [group["ModelPackageGroupName"] for group in groups],
        "buckets": [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]],
        "keys": [key["Description"] for key in keys if key["KeyState"] != "PendingDeletion"],
        "roles": [role["RoleName"] for role in client("iam").list_roles()["Roles"]],
        "functions": client("lambda").list_functions()["Functions"],
        "workflows": client("stepfunctions").list_state_machines()["stateMachines"],
        "rules": client("events").list_rules()["Rules"],
        "schedules": client("scheduler").list_schedules()["Schedules"],
        "schedule groups": [g["Name"] for g in client("scheduler").list_schedule_groups()["ScheduleGroups"]],
        "alarms": alarms["MetricAlarms"] + alarms["CompositeAlarms"],
        "dashboards": client("cloudwatch").list_dashboards()["DashboardEntries"],
        "topics": client("sns").list_topics()["Topics"],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "budgets": client("budgets").describe_budgets(AccountId=ACCOUNT).get("Budgets", []),
        "logs": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
    }
    others = ("cdk-", "default", "AWSServiceRole")
    left = {kind: [one for one in some if not str(one).startswith(others)] for kind, some in found.items()}
    return {kind: some for kind, some in left.items() if some}


def empty(account: Account) -> None:
    """What has to be done before: CloudFormation deletes neither a bucket that holds something nor such a group."""
    for bucket in account.client("s3").list_buckets()["Buckets"]:
        pages = account.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket["Name"])
        for page in pages:
            for version in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                account.client("s3").delete_object(
                    Bucket=bucket["Name"], Key=version["Key"], VersionId=version["VersionId"]
                )
    sagemaker = account.client("sagemaker")
    for group in sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]:
        name = group["ModelPackageGroupName"]
        packages = sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]
        for package in packages:
            sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])


def test_of_prod_data_models_keys_and_logs_stay(root: Path, cdk: Cdk, deployed: Deployed) -> None:
    """Beside dev, which is as it was afterwards."""
    account = deployed.account
    before = remains(account)
    cdk.deploy(root, "prod")
    cdk.destroy(root, "prod")
    stays = {kind: some[:] for kind, some in remains(account).items()}
    new = {kind: [one for one in some if one not in before[kind]] for kind, some in stays.items()}
    assert {kind: len(some) for kind, some in new.items() if some} == {"buckets": 3, "groups": 1, "keys": 2, "logs": 1}
    s3 = account.client("s3")
    seeds = {b: s3.list_objects_v2(Bucket=b).get("KeyCount") for b in new["buckets"] if "artifacts" in b}
    assert list(seeds.values()) == [2]


def test_of_dev_nothing_stays(root: Path, cdk: Cdk, deployed: Deployed) -> None:
    for name in ("on-call", "approvers", "told-of-withdrawal"):  # the tests' own subscribers, where there are some
        for url in deployed.client("sqs").list_queues(QueueNamePrefix=name).get("QueueUrls", []):
            deployed.client("sqs").delete_queue(QueueUrl=url)
    assert set(remains(deployed.account)) == KINDS
    empty(deployed.account)
    cdk.destroy(root)
    left = {
        kind: [str(one) for one in some if "-prod" not in str(one)] for kind, some in remains(deployed.account).items()
    }
    assert {kind: some for kind, some in left.items() if some} == {}
