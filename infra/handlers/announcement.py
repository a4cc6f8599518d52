"""Tells approvers about a version that waits, once, although its events come at least once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from infra.handlers.clients import Sns
from infra.handlers.mail import Mail, waiting
from infra.handlers.objects import Objects, Stored
from infra.handlers.place import ANNOUNCED_PREFIX, Place

SENT: Final = "sent"
_PENDING: Final = "PendingManualApproval"


@dataclass(frozen=True)
class Post:
    """Sends mails."""

    client: Sns

    def send(self, topic: str, mail: Mail) -> None:
        """Publish to a topic's subscribers."""
        self.client.publish(TopicArn=topic, Subject=mail.subject, Message=mail.text)


def announce(package: dict[str, Any] | None, objects: Objects, post: Post, place: Place, *, request_id: str) -> bool:
    """Mail the approvers if the version waits and they have not been told; says whether a mail was sent.

    An invocation claims the version with its request id first. Lambda's own retry of an invocation that ended between
    claim and mail carries the same id, and may go on; everybody else may not.
    """
    if not package or package["ModelApprovalStatus"] != _PENDING or package["ModelPackageStatus"] != "Completed":
        return False
    # The time of registration tells a version from one of a deleted group of the same name.
    key = f"{ANNOUNCED_PREFIX}{package['ModelPackageVersion']}-{int(package['CreationTime'].timestamp())}"
    if not objects.write(key, request_id, over=Stored(None, None)) and objects.read(key).text != request_id:
        return False
    post.send(place.approvers_topic, waiting(package, _evaluation(package, objects), place))
    objects.write(key, SENT, over=objects.read(key))
    return True


def _evaluation(package: dict[str, Any], objects: Objects) -> dict[str, Any] | None:
    """evaluation.json of the run that registered the package; None where it is missing."""
    statistics = package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    bucket, _, key = str(statistics.get("S3Uri", "")).removeprefix("s3://").partition("/")
    return objects.read(key, bucket=bucket).json if key else None
