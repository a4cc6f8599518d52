"""The function behind approvals: champion/ follows the registry, and approvers hear of a version that waits.

It also notes beside the last-evaluated record that the registry has it: see
pipeline.contract.retrain_policy.

Called by EventBridge (a model package changed; every hour, for events that were lost; the nightly monitor has
written its numbers, which become metrics), and by CloudFormation at a deploy, so that the seed objects are there before
the first run and an existing registry is honoured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import boto3

from infra.approval.function import monitor_metrics
from infra.approval.function.metrics import is_due, metric_lines
from infra.lambda_shared import cloudformation
from infra.lambda_shared.bucket import Objects
from infra.lambda_shared.clients import Sns
from infra.lambda_shared.emails import problem, waiting, withdrawn
from infra.lambda_shared.environment import OUTBOX_PREFIX, Context, Place
from infra.lambda_shared.outbox import Outbox
from infra.lambda_shared.reconcile_champion import Reports, converge
from infra.lambda_shared.registry import PENDING, Registry
from pipeline.contract import names as c
from pipeline.contract.promotion import APPROVED, seconds
from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY, REGISTERED_KEY, is_unregistered, registration

_WAITING: Final = "waiting-"


@dataclass(frozen=True)
class Services:
    """What the function talks to."""

    registry: Registry
    objects: Objects
    sns: Sns
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep

    def outbox(self) -> Outbox:
        """Of one invocation."""
        return Outbox(self.objects, self.sns, OUTBOX_PREFIX, clock=self.clock, pause=self.pause)


@cache  # an execution environment serves many invocations
def connect(group: str, bucket: str) -> Services:
    """Clients of the region that the function runs in."""
    sagemaker: Any = boto3.client("sagemaker")
    return Services(Registry(sagemaker, group), Objects(boto3.client("s3"), bucket), boto3.client("sns"))


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry. Raises what went wrong, so that Lambda tries again, counts an error and keeps the event."""
    place = Place.of(os.environ, context)
    services = connect(place.group, place.bucket)
    outbox = services.outbox()
    if cloudformation.is_deploy(event):
        # What it records is sent by the next hourly call: an email that cannot be sent must not fail a deploy.
        return cloudformation.answer(event, at_deploy=lambda: follow(services, outbox, place, event))
    if event.get("source") == "aws.s3":
        return {"published": publish(services, place)}
    try:
        version = follow(services, outbox, place, event)
    finally:  # a version that cannot be put into its place must not keep emails back, nor the other way round
        sent = outbox.deliver(lambda name: not name.startswith(_WAITING) or _waits(name, services.registry, place))
    return {"champion": version, "sent": sent}


def follow(services: Services, outbox: Outbox, place: Place, event: Mapping[str, Any]) -> int | None:
    """Seeds, metrics, champion, notices of what waits; returns the version in use."""
    services.objects.seed({**c.SEED_OBJECTS, **place.seeds})
    evaluated = services.objects.read(LAST_EVALUATED_KEY)
    detail = event.get("detail", {})
    named = detail.get("ModelPackageArn")
    note_registration(services, evaluated.json, named)
    now = time.time()
    if is_due(event, evaluated.written, now):
        for line in metric_lines(evaluated.json or {}, place.pipeline, int(now * 1000)):
            _log(line)
    reports = Reports(
        withdrawn=lambda version, leaving: outbox.record(
            f"withdrawn-{version}-{leaving}", place.alerts_topic, withdrawn(version, place)
        ),
        problem=lambda text, name: outbox.record(f"problem-{name}", place.alerts_topic, problem(text, place)),
    )
    version, packages = converge(
        services.registry, services.objects, reports, named=named, renewed=told_approval(detail)
    )
    announce(packages, services, outbox, place)
    _log(json.dumps({"champion": version, "named": named}))
    return version


def note_registration(services: Services, last_evaluated: Mapping[str, Any] | None, named: str | None) -> None:
    """Write evaluated/registered.json as soon as the candidate that was to be registered is in the registry."""
    noted = services.objects.read(REGISTERED_KEY)
    if last_evaluated and is_unregistered(last_evaluated, noted.json):
        found = registration(last_evaluated, services.registry.newest(named))
        if found:
            services.objects.write(REGISTERED_KEY, json.dumps(found, indent=1) + "\n", over=noted)


def told_approval(detail: Mapping[str, Any]) -> dict[int, float]:
    """The approval that an event tells of, as version and time; empty for an event about anything else.

    docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html, model package state change
    """
    approved = detail.get("ModelApprovalStatus") == APPROVED
    if not approved or "ModelApprovalStatus" not in detail.get("UpdatedModelPackageFields", ()):
        return {}
    try:
        return {int(detail["ModelPackageVersion"]): seconds(detail["LastModifiedTime"])}
    except (KeyError, TypeError, ValueError):  # without a time it tells no more than the registry
        return {}


def announce(packages: Iterable[Mapping[str, Any]], services: Services, outbox: Outbox, place: Place) -> None:
    """Record a notice for each version that waits for approval and has none."""
    waits = {_notice_name(package): package for package in packages if package.get("ModelApprovalStatus") == PENDING}
    for name in waits.keys() - outbox.names(_WAITING).keys():
        package = waits[name]
        outbox.record(name, place.approvers_topic, waiting(package, _evaluation(package, services.objects), place))


def _notice_name(package: Mapping[str, Any]) -> str:
    """The time of registration tells a version from one of a deleted group of the same name."""
    return f"{_WAITING}{package['ModelPackageVersion']}-{int(seconds(package['CreationTime']))}"


def _waits(name: str, registry: Registry, place: Place) -> bool:
    """Whether the version that a notice is about still waits: it may have been decided before SNS took the email."""
    package = registry.describe(place.package_arn(int(name.removeprefix(_WAITING).split("-")[0])))
    return package is not None and package.get("ModelApprovalStatus") == PENDING and _notice_name(package) == name


def _evaluation(package: Mapping[str, Any], objects: Objects) -> dict[str, Any] | None:
    """evaluation.json of the run that registered the package; None where it cannot be read."""
    statistics = ((package.get("ModelMetrics") or {}).get("ModelQuality") or {}).get("Statistics") or {}
    bucket, _, key = str(statistics.get("S3Uri")).removeprefix("s3://").partition("/")
    return objects.read(key, bucket=bucket, refused=True).json if bucket and key else None


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
