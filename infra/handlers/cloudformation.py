"""Answers CloudFormation, which calls a function at a deploy as a custom resource.

Protocol: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html and crpg-ref-responses.html
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final

_REASON_LIMIT: Final = 1000  # the whole answer may have 4,096 bytes


def is_deploy(event: Mapping[str, Any]) -> bool:
    """Whether CloudFormation is calling."""
    return "RequestType" in event and "ResponseURL" in event


def answer(
    event: Mapping[str, Any],
    *,
    at_deploy: Callable[[], object] | None = None,
    at_removal: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Do the work of a deploy, or of the custom resource's removal, and say how it went; returns what was answered.

    An error is an answer, too: without one CloudFormation would wait for an hour.
    """
    status, reason = "SUCCESS", ""
    work = at_removal if event["RequestType"] == "Delete" else at_deploy
    try:
        if work:
            work()
    except Exception as error:  # whatever it was, the deploy must show it
        status, reason = "FAILED", f"{type(error).__name__}: {error}"[:_REASON_LIMIT]
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own presigned address
        str(event["ResponseURL"]), data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        return body
