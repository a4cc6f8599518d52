"""The function behind approvals: champion/ follows the registry, and approvers hear of a version that waits.

It also notes beside the marker of the last evaluated candidate that the registry has it: see pipeline.registration.

Called by EventBridge (a model package changed; every hour, to mend what a lost event left; the nightly monitor has
written its numbers, which become metrics), and by CloudFormation at a deploy, so that the seed objects are there before
the first run and an existing registry is honoured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import boto3

from infra.handlers import cloudformation, monitor_metrics
from infra.handlers.announcement import Post, announce
from infra.handlers.champion import converge
from infra.handlers.clients import SageMaker
from infra.handlers.mail import withdrawn
from infra.handlers.metrics import is_due, metric_lines
from infra.handlers.objects import Objects
from infra.handlers.place import Context, Place
from infra.handlers.registry import Registry
from pipeline import contract as c
from pipeline.registration import MARKER_KEY, REGISTERED_KEY, is_unregistered, registration


@dataclass(frozen=True)
class Services:
    """What the function talks to."""

    registry: Registry
    objects: Objects
    post: Post


@cache  # an execution environment serves many invocations
def connect(group: str, bucket: str) -> Services:
    """Clients of the region that the function runs in."""
    registry = Registry(cast("SageMaker", boto3.client("sagemaker")), group)
    return Services(registry, Objects(boto3.client("s3"), bucket), Post(boto3.client("sns")))


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry. Raises what went wrong, so that Lambda tries again, counts an error and keeps the event."""
    place = Place.of(os.environ, context)
    services = connect(place.group, place.bucket)
    if cloudformation.is_deploy(event):
        return cloudformation.answer(event, at_deploy=lambda: follow(services, place, event, None))
    if event.get("source") == "aws.s3":
        return {"published": publish(services, place)}
    named = event.get("detail", {}).get("ModelPackageArn")
    announced = False
    try:
        if named:
            package = services.registry.describe(named)
            announced = announce(package, services.objects, services.post, place, request_id=context.aws_request_id)
    finally:  # a mail that cannot be sent must not keep a version from its place
        version = follow(services, place, event, named)
    return {"champion": version, "announced": announced}


def follow(services: Services, place: Place, event: Mapping[str, Any], named: str | None) -> int | None:
    """Seeds, champion, metrics; returns the version in use."""
    services.objects.seed(c.SEED_OBJECTS)
    evaluated = services.objects.read(MARKER_KEY)
    note_registration(services, evaluated.json, named)
    now = time.time()
    if is_due(event, evaluated.written, now):
        for line in metric_lines(evaluated.json or {}, place.pipeline, int(now * 1000)):
            _log(line)
    version = converge(
        services.registry,
        services.objects,
        named=named,
        on_withdrawal=lambda left: services.post.send(place.alerts_topic, withdrawn(left, place)),
    )
    _log(json.dumps({"champion": version, "named": named}))
    return version


def note_registration(services: Services, marker: Mapping[str, Any] | None, named: str | None) -> None:
    """Write evaluated/registered.json as soon as the candidate that was to be registered is in the registry."""
    noted = services.objects.read(REGISTERED_KEY)
    if marker and is_unregistered(marker, noted.json):
        found = registration(marker, services.registry.newest(named))
        if found:
            services.objects.write(REGISTERED_KEY, json.dumps(found, indent=1) + "\n", over=noted)


def publish(services: Services, place: Place) -> int:
    """The monitor's numbers, as they stand now, as metrics; returns how many lines were written."""
    report = services.objects.read(monitor_metrics.KEY)
    if report.json is None or report.written is None:
        raise ValueError(f"{monitor_metrics.KEY} is no JSON object: the step Predict of the last run wrote it")
    lines = list(monitor_metrics.monitor_lines(report.json, place.pipeline, report.written))
    for line in lines:
        _log(line)
    _log(
        json.dumps(
            {
                "monitor": report.json.get("summary"),
                "as_of_date": report.json.get("as_of_date"),
                "published": len(lines),
            }
        )
    )
    return len(lines)


def _log(line: str) -> None:
    """A line of the function's log, from which CloudWatch takes the metrics."""
    sys.stdout.write(f"{line}\n")
