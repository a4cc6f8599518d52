"""The function behind serving: the endpoint follows champion/.

Called by EventBridge (champion.json was written; the endpoint changed its state; every hour, to mend what a lost event
left), and by CloudFormation at a deploy, at a change of the endpoint's settings, and when it is to go.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3

from infra.endpoint.function.desired_endpoint import ATTEMPT, EndpointSettings
from infra.endpoint.function.endpoint_calls import Endpoints
from infra.endpoint.function.reconcile_endpoint import Failure, converge, remove_all
from infra.lambda_shared import cloudformation
from infra.lambda_shared.bucket import Objects
from infra.lambda_shared.clients import Sns
from infra.lambda_shared.emails import Mail
from infra.lambda_shared.environment import SERVING_OUTBOX_PREFIX, Context
from infra.lambda_shared.outbox import Outbox


@dataclass(frozen=True)
class Services:
    """What the function talks to."""

    endpoints: Endpoints
    objects: Objects
    sns: Sns
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep

    def outbox(self) -> Outbox:
        """Of one invocation."""
        return Outbox(self.objects, self.sns, SERVING_OUTBOX_PREFIX, clock=self.clock, pause=self.pause)


@cache
def connect(name: str, own: str, bucket: str) -> Services:
    """Clients of the region that the function runs in."""
    sagemaker: Any = boto3.client("sagemaker")
    return Services(Endpoints(sagemaker, name, own), Objects(boto3.client("s3"), bucket), boto3.client("sns"))


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry. Raises what went wrong, so that Lambda tries again, counts an error and keeps the event."""
    settings = EndpointSettings.of(os.environ)
    services = connect(settings.name, settings.own, settings.bucket)
    outbox = services.outbox()

    def follow() -> str:
        return converge(
            services.endpoints,
            services.objects,
            settings,
            claim=context.aws_request_id,
            on_failure=lambda failure: outbox.record(
                f"failed-{failure.wanted.name}-{failure.attempt}", settings.alerts_topic, failed(failure)
            ),
        )

    def remove() -> None:
        left = context.get_remaining_time_in_millis
        remove_all(services.endpoints, services.objects, milliseconds_left=left, pause=services.pause)

    if cloudformation.is_deploy(event):
        return cloudformation.answer(event, at_deploy=follow, at_removal=remove)
    try:
        step = follow()
    finally:
        outbox.deliver()
    sys.stdout.write(json.dumps({"endpoint": settings.name, "step": step}) + "\n")
    return {"endpoint": settings.name, "step": step}


def failed(failure: Failure) -> Mail:
    """The mail about a version that could not be put into service."""
    wanted, endpoint = failure.wanted, failure.endpoint
    name, version = wanted.settings.name, wanted.version
    if endpoint.status == "InService":
        now = f"It was rolled back: the endpoint goes on serving {endpoint.config}."
    else:
        now = f"The endpoint is {endpoint.status} and answers nobody."
    return Mail(
        f"[{wanted.settings.pipeline}] endpoint {name} could not take version {version}",
        f"Version {version} was to be served by endpoint {name}, as {wanted.name}.\n\n"
        f"{now}\n"
        f"Reason given by SageMaker: {endpoint.reason or 'none'}\n\n"
        f"It is not tried again by itself. Read the container's log, /aws/sagemaker/Endpoints/{name}.\n\n"
        "To approve another version, see what there is:\n"
        f"  python -m scripts.review_model list --aws --pipeline {wanted.settings.pipeline}\n"
        "To try this one again (the next hourly check does it):\n"
        f"  aws s3 rm s3://{wanted.settings.bucket}/{ATTEMPT}\n",
    )
