"""The mail about a failed step or a stopped run: which events it answers, and its text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from emulated_workflow import run_workflow
from moto.events.models import EventPattern
from resolved_template import REGION, Resolver, Template, only, resources

Recorded = Callable[[str], dict[str, Any]]
FAILED = ("step_failed_processing", "step_failed_training", "step_failed_quality_gate", "step_failed_without_reason")
DOCUMENTED = ("step_failed_processing", "step_failed_quality_gate", "run_stopped")


def matches(template: Template, rule: str, event: dict[str, Any]) -> bool:
    """Whether a rule of the template matches an event."""
    _, properties = only(template, "AWS::Events::Rule", rule)
    return EventPattern(None, Resolver(template)(properties["EventPattern"])).matches_event(event)


@pytest.mark.parametrize("name", FAILED)
def test_a_failed_step_is_answered_once(prod: Template, recorded: Recorded, name: str) -> None:
    event = recorded(name)
    assert matches(prod, "StepFailed", event)
    answered = [
        rule
        for rule, properties in resources(prod, "AWS::Events::Rule").items()
        if "EventPattern" in properties
        and EventPattern(None, Resolver(prod)(properties["EventPattern"])).matches_event(event)
    ]
    assert len(answered) == 1


@pytest.mark.parametrize("name", ["step_succeeded", "run_succeeded", "run_failed"])
def test_success_and_the_run_of_a_failed_step_are_not_answered(prod: Template, recorded: Recorded, name: str) -> None:
    assert not matches(prod, "StepFailed", recorded(name))
    assert not matches(prod, "RunStopped", recorded(name))


def test_a_stopped_run_is_answered(prod: Template, recorded: Recorded) -> None:
    assert matches(prod, "RunStopped", recorded("run_stopped"))


@pytest.mark.parametrize("name", [*FAILED, "run_stopped"])
def test_another_pipeline_is_not_answered(prod: Template, recorded: Recorded, name: str) -> None:
    event = recorded(name)
    event["detail"]["pipelineArn"] = event["detail"]["pipelineArn"].replace("retraining-prod", "retraining-dev")
    assert not matches(prod, "StepFailed", event)
    assert not matches(prod, "RunStopped", event)


class Mailbox:
    """A subscriber of the alerts topic, and the pipeline's runs, in the emulated account."""

    def __init__(self, template: Template) -> None:
        self._sns, self._sqs = boto3.client("sns", region_name=REGION), boto3.client("sqs", region_name=REGION)
        topic = self._sns.create_topic(Name="alerts")["TopicArn"]
        self._url = self._sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        logical_id, _ = only(template, "AWS::SNS::Topic", "Alerts")
        _, machine = only(template, "AWS::StepFunctions::StateMachine", "RunMails")
        self.definition = json.loads(Resolver(template, {logical_id: topic})(machine["DefinitionString"]))

    def send(self, event: dict[str, Any], *, trigger: str | None = "schedule", known: bool = True) -> tuple[str, str]:
        """Run the workflow on an event whose run was started by `trigger`; subject and text of the one mail."""
        sagemaker = boto3.client("sagemaker", region_name=REGION)
        if known:
            role = "arn:aws:iam::111122223333:role/pipeline-role"
            sagemaker.create_pipeline(
                PipelineName="p", PipelineDefinition="{}", RoleArn=role, ClientRequestToken="t" * 32
            )
            given = [{"Name": "TriggerReason", "Value": trigger}] if trigger else []
            run = sagemaker.start_pipeline_execution(PipelineName="p", PipelineParameters=given)["PipelineExecutionArn"]
        else:
            run = "arn:aws:sagemaker:us-east-1:111122223333:pipeline/p/execution/none"
            del self.definition["States"]["FindTrigger"]["Retry"]  # it would wait in real time
        shown = event["detail"]["pipelineExecutionArn"]
        event = json.loads(json.dumps(event).replace(shown, run))
        assert (ended := run_workflow(self.definition, event))["status"] == "SUCCEEDED", ended
        (message,) = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)["Messages"]
        mail = json.loads(message["Body"])
        return mail["Subject"], mail["Message"].replace(run, shown)


@pytest.fixture
def mailbox(prod: Template, aws: None) -> Mailbox:
    """The template's own workflow with a subscriber."""
    return Mailbox(prod)


@pytest.mark.parametrize("name", FAILED[:3])
def test_mail_of_a_failed_step_tells_what_is_needed(mailbox: Mailbox, recorded: Recorded, name: str) -> None:
    event = recorded(name)
    detail = event["detail"]
    subject, text = mailbox.send(event)
    assert subject == f"[prod] retraining-prod: step {detail['stepName']} failed"
    assert len(subject) <= 100, "SNS takes no longer subject"
    lines = text.splitlines()
    assert detail["failureReason"] in lines, "the reason in full, on its own line"
    for told in (
        *("retraining-prod", "environment prod", detail["stepStartTime"], detail["stepEndTime"], "schedule"),
        *(f"scripts.show_execution {detail['pipelineExecutionArn']}", "scripts.start_execution"),
    ):
        assert told in text
    for job in detail["metadata"].values():
        if "arn" in job:
            name = job["arn"].split("/")[1]
            assert any(line.startswith("Logs ") and line.endswith(name) for line in lines)
            assert any(line.startswith("Job ") and line.endswith(name) for line in lines)


def test_mail_of_a_step_without_reason_and_job(mailbox: Mailbox, recorded: Recorded) -> None:
    _, text = mailbox.send(recorded("step_failed_without_reason"))
    assert "SageMaker gave none" in text
    assert "this step has none" in text


def test_a_run_started_without_a_reason_was_started_by_hand(mailbox: Mailbox, recorded: Recorded) -> None:
    assert "Triggered by   manual" in mailbox.send(recorded(FAILED[0]), trigger=None)[1]


def test_the_mail_comes_although_the_trigger_is_unknown(mailbox: Mailbox, recorded: Recorded) -> None:
    event = recorded(FAILED[0])
    _, text = mailbox.send(event, known=False)
    assert "Triggered by   unknown" in text
    assert event["detail"]["failureReason"] in text


@pytest.mark.parametrize("reason", ['it\'s {odd} \\ and "quoted"', "two\nlines", "{}", "${Token}", "% <b> é 日本"])
def test_any_reason_arrives_as_it_is(mailbox: Mailbox, recorded: Recorded, reason: str) -> None:
    event = recorded(FAILED[0])
    event["detail"]["failureReason"] = reason
    assert f"\n{reason}\n" in mailbox.send(event)[1]


def test_mail_of_a_stopped_run(mailbox: Mailbox, recorded: Recorded) -> None:
    trigger = "drift: " + "a long story, " * 30
    subject, text = mailbox.send(recorded("run_stopped"), trigger=trigger)
    assert subject == "[prod] retraining-prod: a run was stopped"
    assert trigger in text
    assert "2026-11-23T09:04:41Z" in text


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_mails_are_what_is_sent(mailbox: Mailbox, recorded: Recorded, root: Path, name: str) -> None:
    subject, text = mailbox.send(recorded(name))
    page = (root / "docs" / "mails.md").read_text(encoding="utf-8")
    assert f"```text\nSubject: {subject}\n\n{text.rstrip()}\n```" in page, (
        f"docs/mails.md does not show the mail of {name}; it is now:\nSubject: {subject}\n\n{text}"
    )
