"""`cdk bootstrap` and `cdk deploy` into an emulated account: what is there, then; deployed again; something new."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from deployments import ACCOUNT, IMAGE, SETTINGS, STACK, Cdk, Deployed

from pipeline.contract.code_version import code_version
from pipeline.contract.workload import load_spec
from scripts import change_report

pytestmark = pytest.mark.timeout(600)  # a deploy is in it


@pytest.fixture(scope="module")
def name(deployed: Deployed) -> str:
    return deployed.outputs["PipelineName"]


def test_every_resource_of_the_template_was_made(root: Path, cdk: Cdk, deployed: Deployed) -> None:
    """moto leaves out what it does not know without a word."""
    (template,) = cdk.assembly(root).glob("*.template.json")
    wanted = set(json.loads(template.read_text(encoding="utf-8"))["Resources"])
    pages = deployed.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    made = {r["LogicalResourceId"] for page in pages for r in page["StackResourceSummaries"] if r["PhysicalResourceId"]}
    assert made == wanted


def test_the_deployed_definition_is_the_committed_one_with_constants_bound(root: Path, deployed: Deployed) -> None:
    file = root / "pipeline" / "workloads" / "nba" / "definition.json"
    text = file.read_text(encoding="utf-8")
    pipeline = deployed.pipeline
    found = json.loads(pipeline["PipelineDefinition"])
    steps = list(_steps(found["Steps"]))
    job_role = next(step["Arguments"]["RoleArn"] for step in steps if step["Type"] == "Processing")
    constants = {
        "ExecutionRoleArn": job_role,
        "ImageUri": IMAGE,
        "DataBucket": deployed.outputs["DataBucket"],
        "ArtifactBucket": deployed.outputs["ArtifactBucket"],
        "KmsKeyId": next(s["Arguments"]["OutputDataConfig"]["KmsKeyId"] for s in steps if s["Type"] == "Training"),
        "ModelPackageGroupName": deployed.outputs["ModelPackageGroup"],
        "CodeVersion": code_version("nba"),
        "DefinitionHash": hashlib.sha256(file.read_bytes()).hexdigest(),
        "GitRevision": next(
            s["Arguments"]["CustomerMetadataProperties"]["git_revision"] for s in steps if s["Type"] == "RegisterModel"
        ),
    }
    spark = next(step["Arguments"] for step in steps if step["Name"] == "AggregateOnSpark")
    (code,) = [item["S3Input"]["S3Uri"] for item in spark["ProcessingInputs"] if item["InputName"] == "code"]
    bucket, _, key = code.removeprefix("s3://").partition("/")
    with zipfile.ZipFile(BytesIO(deployed.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())) as archive:
        assert "pipeline/workloads/nba/play_by_play/aggregate.py" in archive.namelist()  # the deploy has uploaded it
    constants |= {"SparkImageUri": spark["AppSpecification"]["ImageUri"], "SparkCodeUri": code, "SparkCodeFile": key}
    assert re.fullmatch(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/[a-z-]+:[\w.-]+", constants["SparkImageUri"])
    for constant, value in constants.items():
        text = text.replace(f"${{{constant}}}", value)
    for step in steps:
        if step["Type"] in ("Processing", "Training"):  # with a budget, each job carries the tag that it counts
            assert {"Key": "pipeline", "Value": pipeline["PipelineName"]} in step["Arguments"].pop("Tags")
    assert found == json.loads(text)

    iam, kms = deployed.client("iam"), deployed.client("kms")
    assert iam.get_role(RoleName=job_role.rsplit("/", 1)[1])["Role"]["Arn"] == job_role != pipeline["RoleArn"]
    assert kms.describe_key(KeyId=constants["KmsKeyId"])["KeyMetadata"]["KeyState"] == "Enabled"
    tags = deployed.client("sagemaker").list_tags(ResourceArn=pipeline["PipelineArn"])["Tags"]
    versions = {"code-version": "CodeVersion", "definition-hash": "DefinitionHash", "git-revision": "GitRevision"}
    assert {t["Key"]: t["Value"] for t in tags}.items() >= {tag: constants[of] for tag, of in versions.items()}.items()


def _steps(steps: list[dict[str, Any]]) -> Any:
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            yield from _steps(step["Arguments"]["IfSteps"])
            yield from _steps(step["Arguments"]["ElseSteps"])


def test_the_schedule_starts_the_gate_that_starts_this_pipeline(deployed: Deployed, name: str) -> None:
    schedule = deployed.client("scheduler").get_schedule(Name=name, GroupName=name)
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", SETTINGS["schedule"])
    assert schedule["ScheduleExpressionTimezone"] == SETTINGS["time_zone"]
    gate = json.loads(schedule["Target"]["Input"])["StateMachineArn"]
    described = deployed.client("stepfunctions").describe_state_machine(stateMachineArn=gate)
    states = json.loads(described["definition"])["States"]
    calls = [s["Arguments"] for s in states.values() if "sagemaker" in s.get("Resource", "")]
    assert {call["PipelineName"] for call in calls} == {name}
    queue = schedule["Target"]["DeadLetterConfig"]["Arn"].rsplit(":", 1)[1]
    assert deployed.client("sqs").get_queue_url(QueueName=queue)


def test_each_alarm_watches_what_is_there_and_tells_the_alerts_topic(deployed: Deployed, name: str) -> None:
    alarms = deployed.client("cloudwatch").describe_alarms()
    of_runs = [
        (metric["MetricName"], metric["Dimensions"])
        for alarm in alarms["MetricAlarms"]
        for metric in _metrics(alarm)
        if metric["Namespace"] == "AWS/Sagemaker/ModelBuildingPipeline"
    ]
    watched = [{"Name": "PipelineName", "Value": name}]
    assert of_runs == [("ExecutionSucceeded", watched)]  # a failed run is told of by its own function

    queues = {url.rsplit("/", 1)[1] for url in deployed.client("sqs").list_queues()["QueueUrls"]}
    machines = {m["stateMachineArn"] for m in deployed.client("stepfunctions").list_state_machines()["stateMachines"]}
    functions = {f["FunctionName"] for f in deployed.client("lambda").list_functions()["Functions"]}
    rules = {rule["Name"] for rule in deployed.client("events").list_rules()["Rules"]}
    there = {
        "QueueName": queues,
        "StateMachineArn": machines,
        "FunctionName": functions,
        "RuleName": rules,
        "ScheduleGroup": {name},
        "PipelineName": {name},
        "EndpointName": {deployed.outputs["EndpointName"]},
        "VariantName": {"AllTraffic"},
    }
    dimensions = [d for alarm in alarms["MetricAlarms"] for metric in _metrics(alarm) for d in metric["Dimensions"]]
    assert dimensions
    assert [d for d in dimensions if d["Value"] not in there[d["Name"]]] == []

    topic = [deployed.outputs["AlertsTopic"]]
    loud = [a for a in alarms["MetricAlarms"] if a["AlarmActions"]]
    assert len(loud) >= 7
    assert all(a["AlarmActions"] == a["OKActions"] == topic and a["AlarmDescription"] for a in loud)


def test_the_alarm_about_an_overdue_run_begins_when_the_schedule_was_made(deployed: Deployed, name: str) -> None:
    """By the time that CloudFormation was told when it created the schedule's clock."""
    found = deployed.client("cloudwatch").describe_alarms(AlarmNames=[f"{name}-run-overdue"])["MetricAlarms"]
    (expression,) = [query["Expression"] for query in found[0]["Metrics"] if "Expression" in query]
    began = re.search(r"EPOCH\(TIME_SERIES\(1\)\) < (\d+),", expression)
    assert began, expression
    assert 0 <= time.time() - int(began[1]) < 1800


def _metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics of an alarm, of an expression as well."""
    stats = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    return stats or [{k: alarm[k] for k in ("Namespace", "MetricName", "Dimensions")}]


def test_the_budget_counts_this_pipeline_and_tells_the_alerts_topic(deployed: Deployed, name: str) -> None:
    (budget,) = deployed.client("budgets").describe_budgets(AccountId=ACCOUNT)["Budgets"]
    assert (float(budget["BudgetLimit"]["Amount"]), budget["BudgetLimit"]["Unit"]) == (25, "USD")
    assert budget["CostFilters"] == {"TagKeyValue": [f"user:pipeline${name}"]}
    policy = deployed.client("sns").get_topic_attributes(TopicArn=deployed.outputs["AlertsTopic"])["Attributes"][
        "Policy"
    ]
    senders = [s["Principal"].get("Service") for s in json.loads(policy)["Statement"] if s["Effect"] == "Allow"]
    assert "budgets.amazonaws.com" in senders


def test_people_are_subscribed(deployed: Deployed) -> None:
    subscriptions = deployed.client("sns").list_subscriptions()["Subscriptions"]
    by_topic = {s["TopicArn"]: (s["Protocol"], s["Endpoint"]) for s in subscriptions if s["Protocol"] == "email"}
    assert by_topic == {
        deployed.outputs["AlertsTopic"]: ("email", SETTINGS["alert_emails"]),
        deployed.outputs["ApproversTopic"]: ("email", SETTINGS["approver_emails"]),
    }


def test_the_first_run_finds_its_seed_objects(deployed: Deployed) -> None:
    """Written at the deploy by the function that CloudFormation really called."""
    s3, bucket = deployed.client("s3"), deployed.outputs["ArtifactBucket"]
    found = {
        key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in load_spec("nba").all_seed_objects
    }
    assert found == load_spec("nba").all_seed_objects


def test_buckets_keep_versions_and_refuse_the_public_and_plain_http(deployed: Deployed) -> None:
    s3 = deployed.client("s3")
    for bucket in (deployed.outputs["DataBucket"], deployed.outputs["ArtifactBucket"]):
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
        statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [s.get("Condition") for s in statements]


def test_a_second_deploy_changes_nothing(root: Path, cdk: Cdk, deployed: Deployed) -> None:
    assert "(no changes)" in cdk.deploy(root)


def test_the_report_of_a_change_says_what_a_deploy_would_change(
    root: Path, cdk: Cdk, deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in deployed.account.environment.items():
        monkeypatch.setenv(name, value)
    changed = shutil.copytree(cdk.assembly(root), tmp_path / "changed")
    (template,) = changed.glob("*.template.json")
    template.write_text(template.read_text("utf-8").replace("cron(30 4 * * ? *)", "cron(30 5 * * ? *)"), "utf-8")
    same, other = (change_report.resources(["--app", str(folder)]) for folder in (cdk.assembly(root), changed))
    assert (same.done, other.done) == (True, True), same.text + other.text
    assert "There were no differences" in same.text
    assert "[~] AWS::Scheduler::Schedule" in other.text
    assert "[+] cron(30 5 * * ? *)" in other.text


def test_a_new_definition_is_a_new_version(root: Path, deployed: Deployed, redeployed: Path, name: str) -> None:
    client, files = (
        deployed.client("sagemaker"),
        [folder / "pipeline/workloads/nba/definition.json" for folder in (root, redeployed)],
    )
    versions = client.list_pipeline_versions(PipelineName=name, SortOrder="Ascending")["PipelineVersionSummaries"]
    assert [v["PipelineVersionId"] for v in versions] == [1, 2]
    found = [client.describe_pipeline(PipelineName=name, PipelineVersionId=n)["PipelineDefinition"] for n in (1, 2)]
    written = [file.read_text(encoding="utf-8") for file in files]
    depths = [
        [p["DefaultValue"] for p in json.loads(text)["Parameters"] if p["Name"] == "MaxDepth"]
        for text in (*found, *written)
    ]
    assert depths[:2] == depths[2:]
    assert depths[0] != depths[1]
    tags = client.list_tags(ResourceArn=deployed.pipeline["PipelineArn"])["Tags"]
    assert {"Key": "definition-hash", "Value": hashlib.sha256(files[1].read_bytes()).hexdigest()} in tags
