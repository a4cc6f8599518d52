"""A transactional outbox: emails that are neither lost nor sent twice. Decide, record, send, mark.

A notice is an object: recorded under its name (If-None-Match: a repeated decision records nothing), claimed
by one invocation (If-Match: of two at once, one sends), sent, and emptied. Each invocation, the hourly one included,
sends what is recorded and not marked, so neither a lost event nor an error at any call loses an email.

Amazon SNS cannot tell a repeated email from a new one. So an email comes twice where SNS took it and then the mark
could not be written, though it was tried several times, or SNS took it and said that it did not. The other choice, to
mark first, would lose an email there; a version that waits unseen is worse than one that is announced twice.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from infra.lambda_shared.bucket import Bucket, S3Object
from infra.lambda_shared.emails import Email, sns_message, sns_subject
from infra.lambda_shared.environment import Boto3Client
from infra.lambda_shared.notifications import for_each_protocol, notification

# A claim is another's until it is older than sending takes, with all that boto3 repeats.
CLAIM_SECONDS: Final = 300
_MARK_TRIES: Final = 8  # in 24 seconds
_LONGEST_PAUSE: Final = 8.0


@dataclass(frozen=True)
class Notice:
    """An email to be sent with its twin (none in an older notice), and who is sending it."""

    topic: str
    subject: str
    text: str
    claim: str = ""
    claimed_at: float = 0.0
    twin: str = ""


def publish(client: Boto3Client, notice: Notice) -> None:
    """One Publish for all: the text to email addresses, the twin to every other subscriber."""
    twin = notice.twin
    message = {"Message": for_each_protocol(notice.text, twin), "MessageStructure": "json"} if twin else {}
    client.publish(**{"TopicArn": notice.topic, "Subject": notice.subject, "Message": notice.text, **message})


@dataclass(frozen=True)
class Outbox:
    """The notices of one function, below `prefix`; `claim` is this invocation's own, even among retries."""

    bucket: Bucket
    client: Boto3Client
    prefix: str
    claim: str = field(default_factory=lambda: uuid.uuid4().hex)
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = field(default=time.sleep)

    def record(self, name: str, topic: str, email: Email) -> None:
        """Keep an email to be sent, unless one of that name was recorded before."""
        subject = sns_subject(email.subject)
        twin = notification(subject, email.facts) if email.facts else ""
        notice = Notice(topic, subject, sns_message(email.text), twin=twin)
        self.bucket.write(self.prefix + name, _text(notice), over=S3Object(None, None))

    def names(self, prefix: str = "") -> dict[str, bool]:
        """Each notice that was recorded, by name, and whether it is still to be sent."""
        sizes = self.bucket.sizes(self.prefix + prefix)
        return {key.removeprefix(self.prefix): size > 0 for key, size in sizes.items()}

    def deliver(self, still_true: Callable[[str], bool] = lambda name: True) -> int:
        """Send what was not sent and is still true; returns how many; raises the first error after all were tried."""
        sent, errors = 0, list[Exception]()
        for name in sorted(name for name, unsent in self.names().items() if unsent):
            try:
                sent += still_true(name) and self._send(self.prefix + name)
            except Exception as error:  # whatever it was, the other notices are sent
                sys.stdout.write(f"notice {name} was not sent: {error}\n")
                errors.append(error)
        if errors:
            raise errors[0]
        return sent

    def _send(self, key: str) -> bool:
        stored = self.bucket.read(key)
        notice = _parse(stored)
        if notice is None or self._claimed_by_another(notice):
            return False
        claimed = replace(notice, claim=self.claim, claimed_at=self.clock())
        if not self.bucket.write(key, _text(claimed), over=stored):
            return False
        try:
            publish(self.client, notice)
        except Exception:
            self._release(key, notice)
            raise
        self._mark(key)
        return True

    def _claimed_by_another(self, notice: Notice) -> bool:
        fresh = 0 <= self.clock() - notice.claimed_at < CLAIM_SECONDS
        return bool(notice.claim) and notice.claim != self.claim and fresh

    def _release(self, key: str, notice: Notice) -> None:
        """So that the next invocation need not wait for the claim to age; where this fails, it waits."""
        free = replace(notice, claim="", claimed_at=0.0)
        try:
            self.bucket.put(key, _text(free))
        except Exception as error:  # the first one is raised
            sys.stdout.write(f"{key} stays claimed for {CLAIM_SECONDS} s: {error}\n")

    def _mark(self, key: str) -> None:
        for tries in itertools.count(1):
            try:
                self.bucket.put(key, "")
            except Exception:
                if tries == _MARK_TRIES:
                    raise
                self.pause(min(2.0**tries / 8, _LONGEST_PAUSE))
            else:
                return


@dataclass(frozen=True, kw_only=True)
class Services:
    """What each function that sends emails calls."""

    bucket: Bucket
    sns: Boto3Client
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep

    def outbox(self, prefix: str) -> Outbox:
        return Outbox(self.bucket, self.sns, prefix, clock=self.clock, pause=self.pause)


def _text(notice: Notice) -> str:
    return json.dumps(asdict(notice), indent=1)


def _parse(stored: S3Object) -> Notice | None:
    """None where it was sent or removed meanwhile; raises ValueError for an object that is none of ours."""
    if not stored.text:
        return None
    try:
        return Notice(**(stored.json or {}))
    except TypeError as error:
        raise ValueError(f"not a notice: {stored.text[:80]!r}; remove the object") from error
