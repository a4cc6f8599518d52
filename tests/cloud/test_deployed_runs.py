"""The deployed stack at work: what starts a run, which mail comes when one fails, and the operator's commands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deployments import ACCOUNT, REGION, Deployed, Mailbox, eventually
from iam_emulation.account import keys_of

from pipeline.contract.history.runs import EVALUATION_KEY, PREPARED_KEY

pytestmark = pytest.mark.timeout(600)  # a deploy is in it

# What the recorded events and the documented mails name, and what stands in its place here.
RECORDED = {"us-east-1": REGION, "111122223333": ACCOUNT, "retraining-prod": "retraining-dev"}
RECORDED_RUN = "p4jn9xou8a8s"


@pytest.fixture(scope="module")
def gate(deployed: Deployed) -> str:
    """The workflow through which every automatic start goes."""
    return deployed.resource("AWS::StepFunctions::StateMachine", "TriggersWorkflow")


@pytest.fixture(autouse=True)
def no_run_goes_on(deployed: Deployed) -> Iterator[None]:
    """Each test begins with no run under way, for which the gate would wait."""
    yield
    for run in deployed.runs():
        if run["PipelineExecutionStatus"] == "Executing":
            deployed.end_run(run["PipelineExecutionArn"])


def knock(deployed: Deployed, delivery: str) -> None:
    """Do what EventBridge Scheduler does when the time has come: moto keeps schedules, but does not run them."""
    name = deployed.outputs["PipelineName"]
    target = deployed.client("scheduler").get_schedule(Name=name, GroupName=name)["Target"]
    assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:sfn:startExecution"
    request = json.loads(target["Input"].replace("<aws.scheduler.scheduled-time>", delivery))
    # in the role that the schedule names, as the Scheduler
    scheduler = deployed.client("stepfunctions", **keys_of(target["RoleArn"], "scheduler"))
    scheduler.start_execution(stateMachineArn=request["StateMachineArn"], input=request["Input"])


def knocks(deployed: Deployed, gate: str) -> list[str]:
    """The status of each knock at the gate, the last first."""
    listed = deployed.client("stepfunctions").list_executions(stateMachineArn=gate)["executions"]
    return [execution["status"] for execution in sorted(listed, key=lambda e: e["startDate"], reverse=True)]


def started(deployed: Deployed, gate: str, before: int) -> list[dict[str, Any]]:
    """The runs, as soon as every knock after the first `before` is answered."""
    eventually(lambda: len(knocks(deployed, gate)) > before and "RUNNING" not in knocks(deployed, gate))
    assert set(knocks(deployed, gate)) == {"SUCCEEDED"}
    return deployed.runs()


def test_the_schedule_starts_one_run_however_often_it_is_delivered(deployed: Deployed, gate: str) -> None:
    knock(deployed, "2026-11-27T09:00:00Z")
    (run,) = started(deployed, gate, 0)
    assert (run["PipelineExecutionStatus"], run["Parameters"]) == ("Executing", {"TriggerReason": "schedule"})
    knock(deployed, "2026-11-27T09:00:00Z")
    assert started(deployed, gate, 1) == [run]


def test_an_event_starts_a_run_with_the_reason_that_it_carries(deployed: Deployed, gate: str) -> None:
    before, runs = len(knocks(deployed, gate)), len(deployed.runs())
    reason = 'drift: "calibration error" 0.08 over seven days'
    event = {"source": "drift-monitor", "detail-type": "retraining.requested", "detail": {"reason": reason}}
    deployed.put_event({**event, "detail": {"reason": reason, "pipeline": "another"}})
    deployed.put_event(event)
    newest, *others = started(deployed, gate, before)
    assert newest["Parameters"] == {"TriggerReason": reason}
    assert (len(others), len(knocks(deployed, gate))) == (runs, before + 1)


def test_a_finished_export_starts_a_run(deployed: Deployed, gate: str) -> None:
    before, runs = len(knocks(deployed, gate)), len(deployed.runs())
    for key in ("games/2026/part-1.csv", "elsewhere/_SUCCESS", "games/2026/_SUCCESS"):
        deployed.client("s3").put_object(Bucket=deployed.outputs["DataBucket"], Key=key, Body=b"")
    newest, *others = started(deployed, gate, before)
    assert newest["Parameters"] == {"TriggerReason": "data"}
    assert (len(others), len(knocks(deployed, gate))) == (runs, before + 1)


@pytest.fixture(scope="module")
def mailbox(deployed: Deployed) -> Mailbox:
    """Somebody on call."""
    return Mailbox.subscribe(deployed.account, deployed.outputs["AlertsTopic"], "on-call")


def here(text: str, arn: str) -> str:
    """A recorded text with this account's names in it."""
    for name, ours in {**RECORDED, RECORDED_RUN: arn.rsplit("/", 1)[1]}.items():
        text = text.replace(name, ours)
    return text


def scheduled_run(deployed: Deployed) -> str:
    """The ARN of a run that the schedule triggered."""
    given = [{"Name": "TriggerReason", "Value": "schedule"}]
    started = deployed.client("sagemaker").start_pipeline_execution(
        PipelineName=deployed.outputs["PipelineName"], PipelineParameters=given
    )
    return str(started["PipelineExecutionArn"])


BAD_DATA = (
    'games_2020.csv, line 88: home_points "abc" is not a whole number from 1 to 250 (and 1,204 more bad rows: 4.1 % of '
    "all, limit MaxBadRowShare 0.01)"
)
BELOW_LIMITS = (
    "The candidate is below the quality limits: log loss 0.7012 is above the limit 0.68 (MaxLogLoss): the "
    "probabilities say little more than always the base rate"
)


def recorded(root: Path, name: str, arn: str, **detail: Any) -> dict[str, Any]:
    """A recorded event about one of our runs."""
    text = (root / "tests" / "infra" / "events" / f"{name}.json").read_text(encoding="utf-8")
    event: dict[str, Any] = json.loads(here(text, arn))
    event["detail"] |= detail
    return event


def container_wrote(deployed: Deployed, event: dict[str, Any], message: str) -> None:
    """Let the processing job of a failed step be there, with a container that writes a message."""
    deployed.client("sagemaker").create_processing_job(
        ProcessingJobName=event["detail"]["metadata"]["processingJob"]["arn"].rsplit("/", maxsplit=1)[-1],
        AppSpecification={"ImageUri": "image", "ContainerArguments": [message]},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5}
        },
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/jobs",
    )


def gate_failed(root: Path, arn: str) -> dict[str, Any]:
    """A Fail step; its event has the shape of any step's."""
    fail = {"stepName": "QualityGateFailed", "stepType": "Fail", "metadata": {}, "failureReason": BELOW_LIMITS}
    return recorded(root, "step_failed_processing", arn, **fail)


@pytest.mark.parametrize("name", ["Prepare", "QualityGateFailed"])
def test_a_failed_step_ends_as_the_documented_email_however_often_it_is_told(
    root: Path, deployed: Deployed, mailbox: Mailbox, name: str
) -> None:
    topic, sns = deployed.outputs["AlertsTopic"], deployed.client("sns")
    pager = Mailbox.subscribe(deployed.account, topic, f"pager-{name}", protocol="sqs")
    arn = scheduled_run(deployed)
    event = recorded(root, "step_failed_processing", arn) if name == "Prepare" else gate_failed(root, arn)
    if name == "Prepare":
        container_wrote(deployed, event, BAD_DATA)
    for told in (event, event, recorded(root, "run_failed", arn), event):
        deployed.put_event(told)
    mail = mailbox.wait()
    documented = here((root / "docs" / "emails.md").read_text(encoding="utf-8"), arn)
    documented = documented.replace("[prod]", "[dev]").replace("environment prod", "environment dev")
    mails = {text.strip() for text in re.findall(r"```text\n(.*?)```", documented, re.DOTALL)}
    assert f"Subject: {mail['Subject']}\n\n{mail['Message'].strip()}" in mails
    assert mailbox.read() is None
    context = pager.wait()["metadata"]["additionalContext"]
    assert (context["type"], context["run"], context["step"]) == ("step-failed", arn, name)
    assert context["reason"] in mail["Message"]
    assert pager.read() is None
    for subscription in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        if subscription["Protocol"] == "sqs":
            sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    pager.client.delete_queue(QueueUrl=pager.url)


def test_success_sends_no_email_and_a_stopped_run_one(root: Path, deployed: Deployed, mailbox: Mailbox) -> None:
    """The email after the events of success is that of the stopped run."""
    arn = scheduled_run(deployed)
    for name in ("step_succeeded", "run_succeeded", "run_stopped", "run_stopped"):
        deployed.put_event(recorded(root, name, arn))
    assert "a run was stopped" in mailbox.wait()["Subject"]
    assert mailbox.read() is None


def test_an_operator_starts_and_looks(root: Path, deployed: Deployed, mailbox: Mailbox) -> None:
    account, operator = deployed.account, deployed.people["Operator"]
    arn = account.operate(root, "scripts.start_execution", "--param", "ForceTraining=yes", key=operator).strip()
    assert arn == deployed.runs()[0]["PipelineExecutionArn"]
    assert deployed.runs()[0]["Parameters"] == {"ForceTraining": "yes"}
    deployed.put_event(gate_failed(root, arn))
    mail = mailbox.wait()["Message"]
    assert "Triggered by   manual" in mail
    (look,) = re.findall(r"python -m (scripts\.show_execution .*)", mail)
    shown = account.operate(root, *shlex.split(look), key=operator)
    assert "QualityGateFailed" in shown
    assert "log loss 0.7012 is above the limit 0.68" in shown


def test_a_run_that_ends_is_in_the_history_that_an_operator_lists(root: Path, deployed: Deployed) -> None:
    """Step by step as SageMaker tells of them; the files are those that the steps write."""
    arn = scheduled_run(deployed)
    run_id, s3 = arn.rpartition("/")[2], deployed.client("s3")
    data = {"first_date": "2020-01-01", "last_labelled_date": "2025-02-28", "n_labelled": 1_000}
    files = {
        PREPARED_KEY: {"data": data, "as_of_date": "2025-03-01"},
        EVALUATION_KEY: {
            "reason": "good enough",
            "primary_metric": "log_loss",
            "metrics": {"candidate": {"log_loss": 0.62}},
        },
    }
    for key, content in files.items():
        s3.put_object(
            Bucket=deployed.outputs["ArtifactBucket"], Key=key.format(run_id=run_id), Body=json.dumps(content).encode()
        )
    for name in ("Prepare", "Predict", "Evaluate"):
        event = recorded(root, "step_succeeded", arn)
        event["detail"]["stepName"] = name
        deployed.put_event(event)
    deployed.put_event(recorded(root, "run_succeeded", arn))
    operator = deployed.people["Operator"]

    def newest() -> dict[str, Any]:
        listed = deployed.account.operate(root, "scripts.runs", "list", "--aws", "--json", "--limit", "1", key=operator)
        return dict(json.loads(listed)[0])

    assert eventually(lambda: newest()["decision"] == "champion-kept")
    found = newest()
    assert (found["run_id"], found["candidate_loss"], found["data"]["n_rows"]) == (run_id, 0.62, 1_000)
    assert (found["trigger"], found["reason"]) == ("schedule", "good enough")
    assert f"runs/{run_id}/evaluate/evaluation/report.html" in found["report"]
    for who in deployed.people.values():
        deployed.account.operate(root, "scripts.review_model", "history", "--aws", key=who)


def test_an_operator_compares_and_takes_back_a_definition(root: Path, deployed: Deployed, redeployed: Path) -> None:
    account, name = deployed.account, deployed.outputs["PipelineName"]
    difference = account.operate(root, "scripts.versions", "diff", "1", "2", code=1)  # as diff itself ends
    assert "parameter MaxDepth" in difference
    account.operate(root, "scripts.versions", "rollback", "1", "--yes")
    client = deployed.client("sagemaker")
    first = client.describe_pipeline(PipelineName=name, PipelineVersionId=1)["PipelineDefinition"]
    assert deployed.pipeline["PipelineDefinition"] == first


def test_a_monitor_that_was_written_becomes_metrics(deployed: Deployed) -> None:
    """From the object in the bucket over S3's notice and the function to a line that CloudWatch reads as metrics."""
    report = {
        "as_of_date": datetime.now(UTC).date().isoformat(),
        "summary": "the champion is surprised more often than its own probabilities claim",
        "live": {
            "enough": True,
            "n_rows": 212,
            "scores": {
                "log_loss": {"value": 0.7123, "expected": {"mean": 0.622}},
            },
            "evidence": {"loss": 1.31, "leakage": -0.4, "rate": 0.9, "group": 0.2},
        },
        "features": {"enough": True, "drifted": []},
        "parts": {},
        "primary_metric": "log_loss",
        "data": {"days_since_newest": 1, "overdue_rows": 0, "alarms": []},
    }
    body = json.dumps(report).encode()
    bucket, name = deployed.outputs["ArtifactBucket"], deployed.outputs["PipelineName"]
    deployed.client("s3").put_object(Bucket=bucket, Key="monitor/monitor.json", Body=body)

    def line() -> dict[str, Any] | None:
        written = deployed.account.log.read_text(encoding="utf-8").splitlines()
        found = [text for text in written if '"LossEvidence": 1.31' in text]
        return json.loads(found[-1]) if found else None

    published = eventually(line)
    assert (published["PipelineName"], published["LivePrimaryLoss"], published["LossEvidence"]) == (name, 0.7123, 1.31)
    assert published["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["PipelineName"]]
    watched = deployed.client("cloudwatch").describe_alarms(AlarmNames=[f"{name}-live-loss"])["MetricAlarms"]
    assert (watched[0]["Namespace"], watched[0]["MetricName"]) == ("ModelRetraining", "LossEvidence")
    assert published["LossEvidence"] >= watched[0]["Threshold"]


def test_an_alarm_of_drift_starts_one_run_a_day_that_trains(deployed: Deployed, gate: str, root: Path) -> None:
    """moto keeps alarms, but does not evaluate them: the event is the one that CloudWatch sends."""
    event = json.loads((root / "tests" / "infra" / "events" / "alarm_changed.json").read_text(encoding="utf-8"))
    name, client = deployed.outputs["PipelineName"], deployed.client("cloudwatch")
    (alarm,) = client.describe_alarms(AlarmNames=[f"{name}-live-loss"])["MetricAlarms"]
    before, runs = len(knocks(deployed, gate)), len(deployed.runs())
    deployed.put_event({**event, "resources": [alarm["AlarmArn"]]})
    newest, *others = started(deployed, gate, before)
    assert newest["Parameters"] == {"TriggerReason": "drift", "ForceTraining": "yes"}
    assert newest["PipelineExecutionDisplayName"].startswith("auto-drift-")
    assert len(others) == runs
    deployed.end_run(newest["PipelineExecutionArn"])
    deployed.put_event({**event, "resources": [alarm["AlarmArn"]]})
    assert len(started(deployed, gate, before + 1)) == runs + 1, "the second one of the day starts nothing"


def test_a_run_above_the_limit_is_refused_to_an_operator_and_to_a_trigger(
    root: Path, deployed: Deployed, gate: str
) -> None:
    """Last, because a knock fails: a definition was deployed by hand that takes a hundred instances."""
    operator, runs = deployed.people["Operator"], len(deployed.runs())
    many = ["scripts.start_execution", "--param", "TrainInstanceCount=100"]
    deployed.account.operate(root, *many, key=operator)
    longest = deployed.runs()[0]["PipelineExecutionArn"]
    took_long = {"stepName": "Train", "stepStartTime": "2026-11-23T09:00:00Z", "stepEndTime": "2026-11-23T10:00:00Z"}
    deployed.put_event(recorded(root, "step_succeeded", longest, **took_long))
    deployed.end_run(longest)
    deployed.account.operate(root, *many, key=operator, code=2)
    as_deployed, before = deployed.pipeline["PipelineDefinition"], len(knocks(deployed, gate))
    definition = json.loads(as_deployed)
    for parameter in definition["Parameters"]:
        if parameter["Name"] == "TrainInstanceCount":
            parameter["DefaultValue"] = 100
    client, name = deployed.client("sagemaker"), deployed.outputs["PipelineName"]
    client.update_pipeline(PipelineName=name, PipelineDefinition=json.dumps(definition))
    deployed.put_event({"source": "x", "detail-type": "retraining.requested", "detail": {"reason": "too many"}})
    eventually(lambda: len(knocks(deployed, gate)) > before and "RUNNING" not in knocks(deployed, gate))
    client.update_pipeline(PipelineName=name, PipelineDefinition=as_deployed)
    states = deployed.client("stepfunctions")
    (failed,) = states.list_executions(stateMachineArn=gate, statusFilter="FAILED")["executions"]
    ended = states.describe_execution(executionArn=failed["executionArn"])
    assert (ended["error"], len(deployed.runs())) == ("TooExpensive", runs + 1)
    assert "above max_run_usd (2.5): Train $11" in ended["cause"]
