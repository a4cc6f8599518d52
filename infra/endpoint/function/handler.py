"""The endpoint function: the endpoint follows champion/.

Called by EventBridge (champion.json was written; the endpoint changed its state; every hour, for lost
events), and by CloudFormation at a deploy, at a change of the endpoint's settings, and when it is deleted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3

from infra.endpoint.function.desired_endpoint import ATTEMPT, EndpointSettings, endpoint_log
from infra.endpoint.function.endpoint_calls import Endpoints
from infra.endpoint.function.reconcile_endpoint import EndpointFailure, reconcile_endpoint, remove_all
from infra.lambda_shared import cloudformation
from infra.lambda_shared.bucket import Bucket
from infra.lambda_shared.emails import Email
from infra.lambda_shared.environment import SERVING_OUTBOX_PREFIX, LambdaContext
from infra.lambda_shared.notifications import Facts, NotificationType
from infra.lambda_shared.outbox import Services


@dataclass(frozen=True, kw_only=True)
class EndpointServices(Services):
    """The endpoint, besides what sends emails."""

    endpoints: Endpoints


@cache
def connect(name: str, own: str, bucket: str) -> EndpointServices:
    """Clients of the region that the function runs in."""
    return EndpointServices(
        endpoints=Endpoints(boto3.client("sagemaker"), name, own),
        bucket=Bucket(boto3.client("s3"), bucket),
        sns=boto3.client("sns"),
    )


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry. Raises what went wrong, so that Lambda tries again, counts an error and keeps the event."""
    settings = EndpointSettings.of(os.environ)
    services = connect(settings.name, settings.own, settings.bucket)
    outbox = services.outbox(SERVING_OUTBOX_PREFIX)

    def follow() -> str:
        return reconcile_endpoint(
            services.endpoints,
            services.bucket,
            settings,
            claim=context.aws_request_id,
            on_failure=lambda failure: outbox.record(
                f"failed-{failure.desired.name}-{failure.attempt}", settings.alerts_topic, failure_notice(failure)
            ),
        )

    def remove() -> None:
        left = context.get_remaining_time_in_millis
        remove_all(services.endpoints, services.bucket, milliseconds_left=left, pause=services.pause)

    if cloudformation.is_deploy(event):
        return cloudformation.respond(event, on_deploy=follow, on_delete=remove)
    try:
        step = follow()
    finally:
        outbox.deliver()
    sys.stdout.write(json.dumps({"endpoint": settings.name, "step": step}) + "\n")
    return {"endpoint": settings.name, "step": step}


def failure_notice(failure: EndpointFailure) -> Email:
    """The email about a version that could not be put into service."""
    desired, endpoint = failure.desired, failure.endpoint
    name, version = desired.settings.name, desired.version
    region = desired.settings.alerts_topic.split(":")[3]
    listing = f"python -m scripts.review_model list --aws --pipeline {name} --region {region}"
    if endpoint.status == "InService":
        now = f"It was rolled back: the endpoint still serves {endpoint.config}."
    else:
        now = f"The endpoint is {endpoint.status} and does not answer requests."
    return Email(
        f"[{name}] endpoint {name} could not be updated to version {version}",
        f"Version {version} was to be served by endpoint {name}, as {desired.name}.\n\n"
        f"{now}\n"
        f"Reason given by SageMaker: {endpoint.reason or 'none'}\n\n"
        f"It is not retried automatically. Read the container's log, {endpoint_log(name)}.\n\n"
        "To list the versions, and approve another one:\n"
        f"  {listing}\n"
        "To retry this one at the next hourly check:\n"
        f"  aws s3 rm s3://{desired.settings.bucket}/{ATTEMPT} --region {region}\n",
        Facts(
            type=NotificationType.ENDPOINT_FAILED,
            pipeline=name,
            reason=f"{now} {endpoint.reason or ''}".strip(),
            version=version,
            next_steps=[listing],
        ),
    )
