"""Responds to CloudFormation, which calls a function at a deploy as a custom resource.

Protocol: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html and crpg-ref-responses.html
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from infra.lambda_shared.environment import CLOCK, NOW

_REASON_LIMIT: Final = 1000  # the whole response may have 4,096 bytes
# IAM is eventually consistent: a policy that CloudFormation has created may take some seconds to hold everywhere.
# docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html: changes are not always immediately visible
PROPAGATION_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 3.0
_DENIED: Final = ("AccessDenied", "AccessDeniedException", "AuthorizationError")  # S3 and CloudWatch; most; SNS
_UNKNOWN_ROLE: Final = "Could not assume role"  # SageMaker's words, in a ValidationException


def is_deploy(event: Mapping[str, Any]) -> bool:
    return "RequestType" in event and "ResponseURL" in event


def _retry_while_denied(work: Callable[[], object]) -> None:
    """Do the work, which must be idempotent; retry it while IAM denies it in the first half minute."""
    until = time.monotonic() + PROPAGATION_SECONDS
    while True:
        try:
            work()
        except ClientError as error:
            denied = error.response["Error"]["Code"] in _DENIED or _UNKNOWN_ROLE in str(error)
            if not denied or time.monotonic() >= until:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def respond(
    event: Mapping[str, Any],
    *,
    on_deploy: Callable[[], object] | None = None,
    on_delete: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Do the work of a deploy, or of the custom resource's deletion, and send its status; returns the response.

    The work must be idempotent. An error is a response too: without one CloudFormation would wait for an hour.
    """
    status, reason = "SUCCESS", ""
    work = on_delete if event["RequestType"] == "Delete" else on_deploy
    try:
        if work and event.get("ResourceType") != CLOCK:
            _retry_while_denied(work)
    except Exception as error:  # whatever it was, the deploy must show it
        status, reason = "FAILED", f"{type(error).__name__}: {error}"[:_REASON_LIMIT]
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        "Data": {NOW: str(int(time.time()))},
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own presigned address
        str(event["ResponseURL"]), data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        return body
