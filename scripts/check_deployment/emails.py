"""Emails: have the subscribers confirmed, was everything sent, and one of each as a test (docs/emails.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from infra.lambda_shared.emails import Email
from infra.lambda_shared.environment import OUTBOX_PREFIX, RUNS_OUTBOX_PREFIX, SERVING_OUTBOX_PREFIX
from infra.lambda_shared.notifications import Facts, NotificationType, notification
from infra.lambda_shared.outbox import Notice, publish
from scripts.check_deployment.deployed_environment import CheckResult, DeployedEnvironment, failed, ok, warning

_OUTBOX: Final = OUTBOX_PREFIX.partition("/")[0] + "/"
# Prefix of the notices: the construct whose function sends them.
_SENDERS: Final = {
    OUTBOX_PREFIX: "Approval",
    RUNS_OUTBOX_PREFIX: "FailureNotifications",
    SERVING_OUTBOX_PREFIX: "Serving",
}
PENDING: Final = "PendingConfirmation"
# Output of the stack that names the topic: what is sent there, and the setting that subscribes people.
TOPICS: Final = {
    "AlertsTopic": ("failures and alarms", "alert_emails"),
    "ApproversTopic": ("versions that wait for approval", "approver_emails"),
}
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "emails.md"
SUBJECT_LIMIT: Final = 99  # SNS takes fewer than 100 characters
_MARK: Final = "[TEST]"
_FOR_APPROVERS: Final = "waits for approval"


def unsent(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Emails that were recorded and are not sent: the functions try again each hour."""
    if waiting := overdue_emails(environment.objects(_OUTBOX), datetime.now(UTC)):
        reason = f"{len(waiting)} emails were recorded and not sent for more than an hour: {', '.join(waiting[:3])}"
        sender = next((made for prefix, made in _SENDERS.items() if waiting[0].startswith(prefix)), "Approval")
        yield failed(reason, f"{environment.invoke(sender)}, and read its log")
    else:
        yield ok("none waits to be sent for more than an hour")


def overdue_emails(objects: Iterable[Mapping[str, Any]], now: datetime) -> list[str]:
    """The keys of notices that are not marked as sent (a sent one is empty) though the hourly check has passed."""
    return [item["Key"] for item in objects if item["Size"] and now - item["LastModified"] > timedelta(hours=1)]


def subscriptions(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """A line for each topic."""
    for output, (what, setting) in TOPICS.items():
        topic = environment.outputs[output]
        found = environment.listed("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
        pending = sorted(s["Endpoint"] for s in found if s["SubscriptionArn"] == PENDING)
        confirmed = sorted(s["Endpoint"] for s in found if s["SubscriptionArn"] not in (PENDING, "Deleted"))
        name = f"subscriptions to {'alerts' if output == 'AlertsTopic' else 'approvals'}"
        if pending:
            fix = (
                f"follow the link in AWS's email (valid for 3 days; a new one: aws sns subscribe --topic-arn {topic} "
                f"--protocol {'https' if '://' in pending[0] else 'email'} --notification-endpoint {pending[0]} "
                f"--region {environment.deployed.region})"
            )
            reason = f"{', '.join(pending)} has not confirmed, so no email about {what} arrives"
            yield failed(reason, fix, check=name)
        elif not confirmed:
            fix = f"set {setting} of {environment.env} in cdk.json, then {environment.deploy}"
            yield warning(f"no address gets emails about {what}", fix, check=name)
        else:
            yield ok(f"{', '.join(confirmed)} confirmed", check=name)


def documented() -> list[Email]:
    """Every email of docs/emails.md; a test compares them with those of the deployed functions."""
    blocks = re.findall(r"```text\nSubject: ([^\n]*)\n\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [Email(subject, text) for subject, text in blocks]


def send(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Publish them, and one as an alarm sends it; each line has the time."""
    client, name = environment.client("sns"), f"{environment.name}-notification-failed"
    alarm = Email(
        f'ALARM: "{name}" in {environment.deployed.region}',
        f"CloudWatch writes these emails itself; the alarm's description says what to do. Alarm: {name}\n",
    )
    for email in [*documented(), alarm]:
        approvers = _FOR_APPROVERS in email.subject
        topic = environment.outputs["ApproversTopic" if approvers else "AlertsTopic"]
        now = datetime.now(UTC)
        subject = f"{_MARK} {email.subject}"[:SUBJECT_LIMIT]
        facts = Facts(type=NotificationType.TEST, pipeline=environment.name, reason="a test: no action is needed")
        publish(client, Notice(topic, subject, _marked(email, now), twin=notification(subject, facts)))
        to = "approvers" if approvers else "alerts"
        yield ok(f'sent {now:%H:%M:%S} UTC to {to}: "{_MARK} {email.subject}"')


def _marked(email: Email, now: datetime) -> str:
    return (
        f"THIS IS A TEST, sent {now:%Y-%m-%d %H:%M:%S} UTC by python -m scripts.check_deployment --test-email.\n"
        "No action is needed: the rest is an example.\n\n" + email.text
    )
