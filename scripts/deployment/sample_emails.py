"""One of each email, sent as a test to its subscribers, with the texts of docs/emails.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from infra.lambda_shared.emails import Email
from scripts.deployment.check_result import OK, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "emails.md"
SUBJECT_LIMIT: Final = 99  # SNS takes fewer than 100 characters
_MARK: Final = "[TEST]"
_FOR_APPROVERS: Final = "waits for approval"


def documented() -> list[Email]:
    """Every email of docs/emails.md; a test compares them with those of the deployed functions."""
    blocks = re.findall(r"```text\nSubject: ([^\n]*)\n\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [Email(subject, text) for subject, text in blocks]


def send(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Publish them, and one as an alarm sends it; each line has the time."""
    client = environment.client("sns")
    for email in [*documented(), _alarm(environment)]:
        approvers = _FOR_APPROVERS in email.subject
        topic = environment.outputs["ApproversTopic" if approvers else "AlertsTopic"]
        now = datetime.now(UTC)
        client.publish(TopicArn=topic, Subject=f"{_MARK} {email.subject}"[:SUBJECT_LIMIT], Message=_marked(email, now))
        to = "approvers" if approvers else "alerts"
        yield CheckResult("test email", OK, f'sent {now:%H:%M:%S} UTC to {to}: "{_MARK} {email.subject}"')


def _alarm(environment: DeployedEnvironment) -> Email:
    name = f"{environment.name}-notification-failed"
    return Email(
        f'ALARM: "{name}" in {environment.deployed.region}',
        f"CloudWatch writes these emails itself; the alarm's description says what to do. Alarm: {name}\n",
    )


def _marked(email: Email, now: datetime) -> str:
    return (
        f"THIS IS A TEST, sent {now:%Y-%m-%d %H:%M:%S} UTC by python -m scripts.check_deployment --test-email.\n"
        "No action is needed: the rest is an example.\n\n" + email.text
    )
