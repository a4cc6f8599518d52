"""`python -m scripts.check_deployment` on the deployed stack: each fault planted, named, and gone when it is fixed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cloud.emulated_operations import LAYERS
from deployments import IMAGE, REGION, Deployed, Mailbox, eventually

from pipeline.contract import names as c
from pipeline.workloads.nba import columns as nba
from scripts.check_deployment import __main__ as check_deployment
from scripts.check_deployment.__main__ import CHECKS

pytestmark = pytest.mark.timeout(600)  # a deploy is in it
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
Lines = dict[str, list[dict[str, str]]]


@pytest.fixture
def check(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lines]:
    """Runs the command in this process, with the named checks alone; its lines by check."""

    def run(*names: str) -> Lines:
        monkeypatch.setattr(check_deployment, "CHECKS", {name: CHECKS[name] for name in names})
        inherited = {name: None for name in os.environ if name.startswith("AWS_")}
        environment = {**inherited, **deployed.account.environment}
        done = CliRunner().invoke(check_deployment.main, ["--env", "dev", "--json"], env=environment)
        assert done.exit_code in (0, 1, 3), done.stderr
        found = json.loads(done.stdout)
        assert {"ok": 0, "warning": 3, "failed": 1}[found["status"]] == done.exit_code
        lines: Lines = {}
        for line in found["lines"]:
            assert line["status"] != "failed" or line["fix"], f"a failed line says what to do: {line}"
            lines.setdefault(line["check"], []).append(line)
        return lines

    return run


def only(lines: list[dict[str, str]], status: str) -> dict[str, str]:
    (line,) = [line for line in lines if line["status"] == status]
    return line


def fine(lines: list[dict[str, str]]) -> bool:
    return {line["status"] for line in lines} == {"ok"}


def test_subscriptions_wait_until_the_link_is_followed(deployed: Deployed, check: Callable[..., Lines]) -> None:
    line = only(check("subscriptions")["subscriptions to alerts"], "failed")
    assert "oncall@example.com has not confirmed" in line["reason"]
    for topic, address in (("AlertsTopic", "oncall@example.com"), ("ApproversTopic", "lead@example.com")):
        deployed.client("sns").confirm_subscription(TopicArn=deployed.outputs[topic], Token=address)
    lines = check("subscriptions")
    assert fine(lines["subscriptions to alerts"] + lines["subscriptions to approvals"])


def test_data_must_be_below_the_prefix(deployed: Deployed, check: Callable[..., Lines]) -> None:
    s3, bucket = deployed.client("s3"), deployed.outputs["DataBucket"]
    for item in s3.list_objects_v2(Bucket=bucket, Prefix="games/").get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    assert "nothing is below" in only(check("data")["data"], "failed")["reason"]
    s3.put_object(Bucket=bucket, Key="games/readme.txt", Body=b"x")
    line = only(check("data")["data"], "failed")
    assert "no CSV or Parquet" in line["reason"]
    assert line["fix"].startswith(f"aws s3 cp games/ s3://{bucket}/games/ --recursive")
    s3.put_object(Bucket=bucket, Key="games/2026.csv", Body=b"date\n")
    assert "1 files" in only(check("data")["data"], "ok")["reason"]


def test_a_missing_seed_is_written_by_the_command_that_is_named(
    deployed: Deployed, check: Callable[..., Lines]
) -> None:
    key = f"{nba.TEAM_GAMES_CHANNEL}/{nba.AGGREGATED_FILE}"
    deployed.client("s3").delete_object(Bucket=deployed.outputs["ArtifactBucket"], Key=key)
    line = only(check("seed objects")["seed objects"], "failed")
    assert key in line["reason"]
    apply(deployed, line["fix"])
    assert fine(check("seed objects")["seed objects"])


def apply(deployed: Deployed, fix: str) -> None:
    """What `aws lambda invoke --function-name F ...` does."""
    named = re.match(r"aws lambda invoke --function-name (\S+) ", fix)
    assert named, fix
    answer = deployed.client("lambda").invoke(FunctionName=named[1], Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()


def test_quotas_of_a_new_account_are_too_small(deployed: Deployed, check: Callable[..., Lines]) -> None:
    lines = check("quota")["quota"]
    line = only(lines, "failed")
    assert line["reason"] == "ml.m5.large for training job usage: 0, a run needs 1"
    assert only(lines, "ok")["reason"] == "ml.t3.medium for processing job usage: 4, a run needs 2"
    code, number = re.findall(r"--quota-code (\S+) --desired-value (\d+)", line["fix"])[0]
    deployed.client("service-quotas").request_service_quota_increase(
        ServiceCode="sagemaker", QuotaCode=code, DesiredValue=float(number)
    )
    assert fine(check("quota")["quota"])


@pytest.fixture
def layers(deployed: Deployed) -> Iterator[str]:
    """The bucket in which the emulated ECR keeps layers."""
    s3 = deployed.client("s3")
    s3.create_bucket(Bucket=LAYERS, CreateBucketConfiguration={"LocationConstraint": REGION}, ACL="public-read")
    yield LAYERS
    for item in s3.list_objects_v2(Bucket=LAYERS).get("Contents", []):
        s3.delete_object(Bucket=LAYERS, Key=item["Key"])
    s3.delete_bucket(Bucket=LAYERS)


def test_the_image_is_there_and_one_that_sagemaker_takes(
    deployed: Deployed, check: Callable[..., Lines], layers: str
) -> None:
    ecr, s3 = deployed.client("ecr"), deployed.client("s3")
    repository, tag = IMAGE.partition("/")[2].partition("@")[0], "1.0"
    assert "is not in the repository" in only(check("image")["image"], "failed")["reason"]
    ecr.create_repository(repositoryName=repository)

    def push(media_type: str, architecture: str) -> None:
        digest = f"sha256:{'a' * 63}{'1' if architecture == 'amd64' else '2'}"
        s3.put_object(
            Bucket=layers, Key=digest, Body=json.dumps({"architecture": architecture}).encode(), ACL="public-read"
        )
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": {"digest": digest}, "layers": []}
        ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
        ecr.put_image(
            repositoryName=repository,
            imageManifest=json.dumps(manifest),
            imageManifestMediaType=media_type,
            imageTag=tag,
            imageDigest=IMAGE.partition("@")[2],  # which the account would compute
        )

    push(OCI, "amd64")
    assert "an OCI image" in only(check("image")["image"], "failed")["reason"]
    push(DOCKER, "arm64")
    assert "for arm64" in only(check("image")["image"], "failed")["reason"]
    push(DOCKER, "amd64")
    assert fine(check("image")["image"])
    ecr.delete_repository(repositoryName=repository, force=True)


def test_the_schedule_is_on_and_says_when(deployed: Deployed, check: Callable[..., Lines]) -> None:
    line = only(check("schedule")["schedule"], "ok")
    assert re.search(r"next start \d{4}-\d\d-\d\d 04:30 America/New_York", line["reason"])
    client, name = deployed.client("scheduler"), deployed.outputs["PipelineName"]
    found = client.get_schedule(Name=name, GroupName=name)
    kept = {k: found[k] for k in ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    kept["ScheduleExpressionTimezone"] = found["ScheduleExpressionTimezone"]
    client.update_schedule(**kept, State="DISABLED")
    try:
        line = only(check("schedule")["schedule"], "warning")
        assert '"enabled": true of dev in cdk.json' in line["fix"]
    finally:
        client.update_schedule(**kept, State="ENABLED")


def test_an_alarm_that_is_on_is_named_with_what_to_do(deployed: Deployed, check: Callable[..., Lines]) -> None:
    client, name = deployed.client("cloudwatch"), f"{deployed.outputs['PipelineName']}-failed-start"
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="planted")
    line = only(check("alarms")["alarms"], "failed")
    assert line["reason"].startswith("failed-start is on since ")
    assert line["fix"] == 'docs/runbook.md, "failed-start"'
    client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="over")
    assert fine(check("alarms")["alarms"])


def test_dead_letters_are_counted(deployed: Deployed, check: Callable[..., Lines]) -> None:
    url = deployed.resource("AWS::SQS::Queue", "Triggers")
    deployed.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    line = only(check("dead letters")["dead letters"], "failed")
    assert "holds 1 undelivered" in line["reason"]
    assert f"aws sqs purge-queue --queue-url {url}" in line["fix"]
    (held,) = deployed.client("sqs").receive_message(QueueUrl=url)["Messages"]  # a purge is allowed once a minute
    deployed.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    assert fine(check("dead letters")["dead letters"])


def test_rules_that_are_off_and_events_that_were_not_delivered(deployed: Deployed, check: Callable[..., Lines]) -> None:
    client = deployed.client("events")
    rule = deployed.resource("AWS::Events::Rule", "PackageChanged").rpartition("|")[2]
    client.disable_rule(Name=rule)
    try:
        line = only(check("events")["events"], "failed")
        assert line["fix"] == f"aws events enable-rule --name {rule} --region {REGION}"
    finally:
        client.enable_rule(Name=rule)
    earlier = datetime.now(UTC) - timedelta(minutes=5)  # the service looks at whole seconds
    dimensions = [{"Name": "RuleName", "Value": rule}]
    failed = {"MetricName": "FailedInvocations", "Dimensions": dimensions, "Timestamp": earlier, "Value": 2.0}
    deployed.client("cloudwatch").put_metric_data(Namespace="AWS/Events", MetricData=[failed])
    assert f"rule {rule}: 2 events" in only(check("events")["events"], "failed")["reason"]


@pytest.fixture
def no_other_run(deployed: Deployed) -> Iterator[None]:
    """Runs that other tests have left under way are ended, and so is what this one leaves."""
    _end_all(deployed)
    yield
    _end_all(deployed)


def _end_all(deployed: Deployed) -> None:
    for run in executing(deployed):
        deployed.end_run(run["PipelineExecutionArn"])


@pytest.mark.usefixtures("no_other_run")
def test_a_run_is_started_and_followed_to_a_checked_end(root: Path, deployed: Deployed) -> None:
    """Its last step fails: the line has the reason and the command that starts it again."""
    process = checking(root, deployed)
    arn = str(eventually(lambda: [r["PipelineExecutionArn"] for r in executing(deployed)][:1] or None)[0])
    deployed.put_event(step_failed(arn, "games.csv, line 88: home_points abc"))
    deployed.end_run(arn, "Failed")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    lines = json.loads(out)["lines"]
    (token,) = [line for line in lines if line["check"] == "request token"]
    assert (token["status"], "starts no second run" in token["reason"]) == ("ok", True)
    (run,) = [line for line in lines if line["check"] == "run"]
    assert "step Prepare: games.csv, line 88: home_points abc" in run["reason"]
    assert run["fix"].startswith("python -m scripts.start_execution --param TriggerReason=check")
    (last,) = [line for line in lines if line["check"] == "last run"]
    assert (last["status"], "line 88" in last["reason"]) == ("failed", True)


def checking(root: Path, deployed: Deployed) -> subprocess.Popen[str]:
    """The command with --run, under way."""
    command = [sys.executable, "-m", "scripts.check_deployment", "--env", "dev", "--run", "--interval", "0.2", "--json"]
    return subprocess.Popen(
        command,
        cwd=root,
        env=deployed.account.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def executing(deployed: Deployed) -> list[dict[str, Any]]:
    return [run for run in deployed.runs() if run["PipelineExecutionStatus"] == "Executing"]


def step_failed(arn: str, reason: str) -> dict[str, Any]:
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
        "detail": {
            "pipelineExecutionArn": arn,
            "pipelineArn": arn.partition("/execution")[0],
            "stepName": "Prepare",
            "stepType": "Processing",
            "currentStepStatus": "Failed",
            "failureReason": reason,
            "metadata": {},
        },
    }


@pytest.mark.usefixtures("no_other_run")
def test_a_run_that_succeeds_is_not_started_beside_another(root: Path, deployed: Deployed) -> None:
    process = checking(root, deployed)
    arn = str(eventually(lambda: [r["PipelineExecutionArn"] for r in executing(deployed)][:1] or None)[0])
    beside = checking(root, deployed)
    out, err = beside.communicate(timeout=120)
    (run,) = [line for line in json.loads(out)["lines"] if line["check"] == "run"]
    assert (run["status"], "is still running" in run["reason"]) == ("failed", True), err
    deployed.end_run(arn)
    out, err = process.communicate(timeout=120)
    (run,) = [line for line in json.loads(out)["lines"] if line["check"] == "run"]
    assert (run["status"], "Succeeded after" in run["reason"]) == ("ok", True), err


def test_a_successful_run_must_have_written_where_others_read(deployed: Deployed, check: Callable[..., Lines]) -> None:
    s3, bucket = deployed.client("s3"), deployed.outputs["ArtifactBucket"]
    assert "did not write" in only(check("outputs")["outputs"][:1], "failed")["reason"]
    s3.put_object(Bucket=bucket, Key="predictions//predictions.csv", Body=b"x")
    lines = [line for line in check("outputs")["outputs"] if "two slashes" in line["reason"]]
    assert [line["status"] for line in lines] == ["failed"]
    s3.delete_object(Bucket=bucket, Key="predictions//predictions.csv")
    for key in ("predictions/predictions.csv", "monitor/monitor.json"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    assert fine(check("outputs")["outputs"])


@pytest.fixture
def version(deployed: Deployed) -> Iterator[str]:
    """An approved version, whose artifact is there; its ARN."""
    bucket, sagemaker = deployed.outputs["ArtifactBucket"], deployed.client("sagemaker")
    key = "runs/checked/train/model.tar.gz"
    deployed.client("s3").put_object(Bucket=bucket, Key=key, Body=b"model")
    made = sagemaker.create_model_package(
        ModelPackageGroupName=deployed.outputs["ModelPackageGroup"],
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={"Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/{key}"}]},
        CustomerMetadataProperties={"primary_metric": "log_loss", "loss": "0.62", "image": IMAGE},
    )
    yield made["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=made["ModelPackageArn"], ModelApprovalStatus="Rejected")


def test_champion_and_endpoint_follow_the_registry(
    deployed: Deployed, check: Callable[..., Lines], version: str
) -> None:
    number = version.rsplit("/", 1)[-1]
    lines = check("versions", "metadata of versions")
    assert f"version {number} waits for approval" in only(lines["versions"], "ok")["reason"]
    assert "log loss 0.6200" in only(lines["metadata of versions"], "ok")["reason"]
    deployed.client("sagemaker").update_model_package(ModelPackageArn=version, ModelApprovalStatus="Approved")
    eventually(lambda: all(map(fine, check("champion", "endpoint").values())))

    pointer = {"Bucket": deployed.outputs["ArtifactBucket"], "Key": f"{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}"}
    s3 = deployed.client("s3")
    kept = json.loads(s3.get_object(**pointer)["Body"].read())
    other = {**kept, "version": int(number) + 7, "artifact": "nowhere/model.tar.gz"}  # which no endpoint can take
    s3.put_object(**pointer, Body=json.dumps(other).encode())
    lines = check("champion", "endpoint")
    champion, endpoint = only(lines["champion"], "failed"), only(lines["endpoint"], "failed")
    assert champion["reason"] == f"champion/ names version {int(number) + 7}, the registry's choice is {number}"
    assert f"the champion is version {int(number) + 7}" in endpoint["reason"]
    apply(deployed, champion["fix"])
    eventually(lambda: all(map(fine, check("champion", "endpoint").values())))


def test_a_version_that_carries_no_numbers_is_noticed(deployed: Deployed, check: Callable[..., Lines]) -> None:
    """What Register would write if SageMaker did not fill in a Std:JsonGet."""
    made = deployed.client("sagemaker").create_model_package(
        ModelPackageGroupName=deployed.outputs["ModelPackageGroup"],
        ModelApprovalStatus="Rejected",
        InferenceSpecification={"Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}]},
        CustomerMetadataProperties={"log_loss": "metrics.candidate.log_loss"},
    )
    assert "did not fill in" in only(check("metadata of versions")["metadata of versions"], "failed")["reason"]
    deployed.client("sagemaker").delete_model_package(ModelPackageName=made["ModelPackageArn"])


def test_one_of_each_email_arrives_marked_as_a_test(root: Path, deployed: Deployed) -> None:
    mailbox = Mailbox.subscribe(deployed.account, deployed.outputs["AlertsTopic"], f"test-emails-{time.time_ns()}")
    out = deployed.account.run(
        [sys.executable, "-m", "scripts.check_deployment", "--env", "dev", "--test-email", "--json"], root
    ).stdout
    sent = [line["reason"] for line in json.loads(out)["lines"] if line["check"] == "test email"]
    assert len(sent) > 3
    arrived: list[dict[str, str]] = []
    while len(arrived) < sum("to alerts" in reason for reason in sent):
        mail = mailbox.wait()  # what the tests before have set off may be among them
        arrived += [mail] if mail["Subject"].startswith("[TEST] ") else []
    assert all("THIS IS A TEST" in mail["Message"] for mail in arrived)
    subjects = " ".join(mail["Subject"] for mail in arrived)
    assert all(what in subjects for what in ("step Prepare failed", "a run was stopped", "ALARM"))
    mailbox.client.delete_queue(QueueUrl=mailbox.url)


def test_what_was_deployed_from_elsewhere_is_said(deployed: Deployed, check: Callable[..., Lines]) -> None:
    arn = deployed.pipeline["PipelineArn"]
    client = deployed.client("sagemaker")
    before = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}

    def tag(value: str) -> None:
        client.delete_tags(ResourceArn=arn, TagKeys=["definition-hash"])  # moto would keep both
        client.add_tags(ResourceArn=arn, Tags=[{"Key": "definition-hash", "Value": value}])

    tag("0" * 64)
    assert "deployed is definition 000000000000" in only(check("definition")["definition"], "warning")["reason"]
    tag(before["definition-hash"])


def test_nothing_to_check_is_said_with_code_2(root: Path, deployed: Deployed) -> None:
    command = [sys.executable, "-m", "scripts.check_deployment"]
    done = deployed.account.run([*command, "--env", "prod"], root)
    assert (done.returncode, "there is no pipeline retraining-prod" in done.stderr) == (2, True)
    done = deployed.account.run([*command, "--env", "dev", "--pipeline", "retraining-dev"], root)
    assert (done.returncode, "name the same thing" in done.stderr) == (2, True)


def test_people_read_a_line_each(root: Path, deployed: Deployed) -> None:
    done = deployed.account.run([sys.executable, "-m", "scripts.check_deployment", "--env", "dev"], root)
    assert re.search(r"^ok +stack +retraining-dev in eu-west-1 is (CREATE|UPDATE)_COMPLETE since", done.stdout, re.M)
    assert re.search(r"^ +fix: ", done.stdout, re.M)
