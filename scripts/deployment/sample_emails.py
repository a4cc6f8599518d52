"""One of each email, sent as a test to those who would get it: the texts are those of docs/mails.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.deployment.check_result import OK, Line
from scripts.deployment.deployed_environment import Environment

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "mails.md"
SUBJECT_LIMIT: Final = 99  # SNS takes fewer than 100 characters
_MARK: Final = "[TEST]"
_FOR_APPROVERS: Final = "waits for approval"


@dataclass(frozen=True)
class Email:
    """A documented email."""

    subject: str
    text: str


def documented() -> list[Email]:
    """Every email that docs/mails.md shows; a test holds that the deployed workflows write these."""
    blocks = re.findall(r"```text\nSubject: ([^\n]*)\n\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [Email(subject, text) for subject, text in blocks]


def send(environment: Environment) -> Iterator[Line]:
    """Publish them, and one as an alarm sends it; each line says when, so that the way of an email can be timed."""
    client = environment.client("sns")
    for email in [*documented(), _alarm(environment)]:
        approvers = _FOR_APPROVERS in email.subject
        topic = environment.outputs["ApproversTopic" if approvers else "AlertsTopic"]
        now = datetime.now(UTC)
        client.publish(TopicArn=topic, Subject=f"{_MARK} {email.subject}"[:SUBJECT_LIMIT], Message=_marked(email, now))
        to = "approvers" if approvers else "alerts"
        yield Line("test email", OK, f'sent {now:%H:%M:%S} UTC to {to}: "{_MARK} {email.subject}"')


def _alarm(environment: Environment) -> Email:
    name = f"{environment.name}-notification-failed"
    return Email(
        f'ALARM: "{name}" in {environment.deployed.region}',
        f"CloudWatch writes these emails itself; the alarm's description says what to do. Alarm: {name}\n",
    )


def _marked(email: Email, now: datetime) -> str:
    return (
        f"THIS IS A TEST, sent {now:%Y-%m-%d %H:%M:%S} UTC by python -m scripts.check_deployment --test-email.\n"
        "Nothing has happened, nothing is to be done: the rest is an example.\n\n" + email.text
    )
