"""The JSON beside each email: of every kind, by its schema, through SNS to each protocol's own message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from approval_worlds import EVALUATION
from hypothesis import given, settings
from hypothesis import strategies as st
from iam_emulation.policies import Principal, Request, decide
from jsonschema import Draft202012Validator
from moto import mock_aws
from resolved_template import ACCOUNT, REGION, Resolver, Template, only, resources
from synthesis import Synthesise

from infra.failure_notifications.function.failure_emails import Run, run_failed, run_stopped, step_failed
from infra.lambda_shared.emails import Email, approval_notice, problem_notice, sns_message, withdrawal_notice
from infra.lambda_shared.environment import Environment
from infra.lambda_shared.notifications import (
    MESSAGE_BYTES,
    Facts,
    NotificationType,
    for_each_protocol,
    notification,
)
from infra.lambda_shared.outbox import Notice, publish

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "notification.json").read_text(encoding="utf-8"))
CHECK = Draft202012Validator(SCHEMA)
ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/p/execution/x1"
RUN = Run(ARN, "p", "prod")
BAD = 'games.csv, line 88: "<!channel> ```" is no number'
STEP = {"StepName": "Prepare", "Metadata": {"ProcessingJob": {"Arn": f"arn:aws:x:y:{ACCOUNT}:processing-job/j"}}}
ENVIRONMENT = Environment("g", "b", "p", "alerts", "approvers", "aws", REGION, ACCOUNT)
PACKAGE = {
    "ModelPackageVersion": 3,
    "CustomerMetadataProperties": {"execution": ARN, "trigger": "drift", "report": "s3://b/runs/x1/report.html"},
}


def endpoint_failure() -> Email:
    """As the endpoint's function writes it; boto3 is not asked."""
    from types import SimpleNamespace

    from infra.endpoint.function.handler import failure_notice

    deployed = SimpleNamespace(
        name="p", pipeline="p", bucket="b", alerts_topic=f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"
    )
    failure: Any = SimpleNamespace(
        desired=SimpleNamespace(settings=deployed, version=3, name="p-v3"),
        endpoint=SimpleNamespace(status="Failed", config="", reason="no answer to the ping"),
    )
    return failure_notice(failure)


def emails() -> Iterator[Email]:
    """One of each kind that a function sends, and where less is known than usual."""
    yield step_failed(RUN, STEP, BAD, "schedule")
    yield step_failed(RUN, {"StepName": "QualityGateFailed"}, "", "schedule")
    yield run_failed(RUN, "manual")
    yield run_stopped(RUN, "manual")
    yield approval_notice(PACKAGE, EVALUATION, ENVIRONMENT)
    yield approval_notice({"ModelPackageVersion": 1}, None, ENVIRONMENT)
    yield withdrawal_notice(2, ENVIRONMENT)
    yield problem_notice("version 2 cannot be used: no container", ENVIRONMENT)
    yield endpoint_failure()


def facts_of(email: Email) -> Facts:
    assert email.facts, email.subject
    return email.facts


def twin_of(email: Email) -> dict[str, Any]:
    return dict(json.loads(notification(email.subject, facts_of(email))))


def test_every_kind_of_email_has_a_twin_that_keeps_the_schema() -> None:
    types = {facts_of(email).type for email in emails()} | {NotificationType.TEST}  # by check_deployment --test-email
    assert types == set(NotificationType)
    assert SCHEMA["$defs"]["type"]["enum"] == [kind.value for kind in NotificationType]
    for email in emails():
        assert not list(CHECK.iter_errors(twin_of(email))), email.subject
    wrong = twin_of(next(emails()))
    wrong["metadata"]["additionalContext"]["reason"] = ""
    assert list(CHECK.iter_errors(wrong)), "the schema refuses"


def test_what_a_program_routes_by_and_what_a_chat_shows() -> None:
    """The page shows this one; the reason is exact for programs, and calls nobody in a chat."""
    twin = twin_of(step_failed(RUN, STEP, BAD, "schedule"))
    context = twin["metadata"]["additionalContext"]
    assert (context["type"], context["run"], context["step"], context["reason"]) == ("step-failed", ARN, "Prepare", BAD)
    assert set(context) >= {"job_url", "logs_url", "dashboard_url"}
    assert twin["content"]["description"].startswith("```games.csv, line 88: \"‹!channel› '''\" is no number```\n")
    unknown = twin_of(step_failed(RUN, {"StepName": "A"}, "", "t"))["metadata"]["additionalContext"]
    assert "job_url" not in unknown, "an email says none; a link that leads nowhere is left out"


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=400), st.integers(1, 700))
def test_any_reason_makes_a_message_that_sns_takes(reason: str, times: int) -> None:
    """Lone surrogates and control characters too, and as long as can be: the text is cut and the twin is whole."""
    facts = Facts(type=NotificationType.STEP_FAILED, pipeline="p", reason=reason * times or "none")
    twin = notification("subject", facts)
    message = for_each_protocol(sns_message(reason * times), twin)
    assert len(message.encode()) <= MESSAGE_BYTES
    assert json.loads(message)["default"] == twin
    assert not list(CHECK.iter_errors(json.loads(twin)))


def test_a_queue_gets_the_json_of_each_kind_and_email_the_text() -> None:
    with mock_aws():
        sns, sqs = (boto3.client(name, region_name=REGION) for name in ("sns", "sqs"))
        topic = sns.create_topic(Name="alerts")["TopicArn"]
        url = sqs.create_queue(QueueName="pager")["QueueUrl"]
        endpoint = f"arn:aws:sqs:{REGION}:{ACCOUNT}:pager"
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes={"RawMessageDelivery": "true"})
        for email in emails():
            twin = notification(email.subject, facts_of(email))
            publish(sns, Notice(topic, email.subject, email.text, twin=twin))
            (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            assert json.loads(message["Body"]) == json.loads(twin)
        publish(sns, Notice(topic, "of an older deploy", "recorded without a twin"))
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        assert message["Body"] == "recorded without a twin"


# --- who gets it ----------------------------------------------------------------------------------------------------


def test_both_topics_go_to_endpoints_and_chats_and_a_chat_may_do_nothing(everything: Template) -> None:
    resolve = Resolver(everything)
    subscribed = [resolve(s) for s in resources(everything, "AWS::SNS::Subscription").values()]
    topics = {resolve({"Ref": name}) for name in resources(everything, "AWS::SNS::Topic")}
    for protocol, raw in (("https", None), ("sqs", True)):
        found = [s for s in subscribed if s["Protocol"] == protocol]
        assert {s["TopicArn"] for s in found} == topics
        assert {s.get("RawMessageDelivery") for s in found} == {raw}
    for kind in ("SlackChannelConfiguration", "MicrosoftTeamsChannelConfiguration"):
        _, chat = only(everything, f"AWS::Chatbot::{kind}")
        assert set(resolve(chat["SnsTopicArns"])) == topics
        assert resolve(chat["GuardrailPolicies"]) == ["arn:aws:iam::aws:policy/AWSDenyAll"], "not AdministratorAccess"
        role = chat["IamRoleArn"]["Fn::GetAtt"][0]
        assert not {"Policies", "ManagedPolicyArns"} & everything["Resources"][role]["Properties"].keys()
        trust = resolve(everything["Resources"][role]["Properties"]["AssumeRolePolicyDocument"])
        asked = Request("sts:AssumeRole", role, {"aws:sourceaccount": ACCOUNT})
        assert decide(Principal(service="chatbot.amazonaws.com"), asked, trust).allowed
        other = Request("sts:AssumeRole", role, {"aws:sourceaccount": "999999999999"})
        assert not decide(Principal(service="chatbot.amazonaws.com"), other, trust).allowed
    policies = [p for p in resources(everything, "AWS::IAM::Policy").values() if {"Ref": role} in p["Roles"]]
    assert policies == []


def test_without_the_settings_email_is_all(prod: Template) -> None:
    assert {s["Protocol"] for s in resources(prod, "AWS::SNS::Subscription").values()} == {"email"}
    assert not any("ChatChannels" in name for name in prod["Resources"])


def test_the_page_shows_what_is_sent() -> None:
    """docs/emails.md: the twin of the first email of the page."""
    page = (ROOT / "docs" / "emails.md").read_text(encoding="utf-8")
    shown = json.loads(page.partition("````json\n")[2].partition("````")[0])
    assert not list(CHECK.iter_errors(shown))
    run = Run(shown["metadata"]["threadId"], "retraining-prod", "prod")
    job = {"Arn": "arn:aws:sagemaker:us-east-1:111122223333:processing-job/pipelines-p4jn9xou8a8s-Prepare-tmgxry49ug"}
    step = {"StepName": "Prepare", "Metadata": {"ProcessingJob": job}, "StartTime": datetime(2026, 11, 23, 9)}
    assert shown == twin_of(step_failed(run, step, shown["metadata"]["additionalContext"]["reason"], "schedule"))


def test_an_endpoint_stays_subscribed_when_another_is_removed(synthesise: Synthesise) -> None:
    """SNS subscribes no address twice: a second resource gets the first one's ARN, and loses it when that one goes.

    Measured in an account: github.com/go-to-k/cdkd/issues/1967.
    """

    def subscribed(*endpoints: str) -> dict[str, Any]:
        found = resources(synthesise(env="dev", alert_endpoints=",".join(endpoints)), "AWS::SNS::Subscription")
        return {logical_id: (one["TopicArn"], one["Endpoint"]) for logical_id, one in found.items()}

    first, second = "https://a.example.com/alerts", "arn:aws:sqs:us-east-1:111122223333:alerts"
    both, left = subscribed(first, second), subscribed(second)
    assert len(left) == 2
    assert {name: both.get(name) for name in left} == left
