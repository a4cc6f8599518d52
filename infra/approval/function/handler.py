"""The approval function: champion/ follows the registry, and approvers get an email about a version that waits.

It also writes evaluated/registered.json (pipeline.contract.retrain_policy) and the history of versions
(pipeline.contract.history.versions).

Called by EventBridge (a model package changed; every hour, for lost events; the monitor report was written, whose
numbers become metrics), and by CloudFormation at a deploy, so that the seed objects exist before the first run and an
existing registry is honoured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from infra.approval.function import monitor_metrics
from infra.approval.function.metrics import is_due, metric_lines
from infra.lambda_shared import cloudformation
from infra.lambda_shared.bucket import Bucket
from infra.lambda_shared.emails import approval_notice, problem_notice, withdrawal_notice
from infra.lambda_shared.environment import OUTBOX_PREFIX, Environment, LambdaContext
from infra.lambda_shared.outbox import Outbox, Services
from infra.lambda_shared.reconcile_champion import Notifier, reconcile_champion
from infra.lambda_shared.registry import PENDING, ModelRegistry
from pipeline.contract import names as c
from pipeline.contract.history.versions import HISTORY_KEY, as_lines, new_events, read_events
from pipeline.contract.model_card import is_written, package_card
from pipeline.contract.promotion import APPROVED, seconds
from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY, REGISTERED_KEY, is_unregistered, registration

_WAITING: Final = "waiting-"


@dataclass(frozen=True, kw_only=True)
class ApprovalServices(Services):
    """The model registry, besides what sends emails."""

    registry: ModelRegistry


@cache  # an execution environment serves many invocations
def connect(group: str, bucket: str) -> ApprovalServices:
    """Clients of the region that the function runs in."""
    return ApprovalServices(
        registry=ModelRegistry(boto3.client("sagemaker"), group),
        bucket=Bucket(boto3.client("s3"), bucket),
        sns=boto3.client("sns"),
    )


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry. Raises what went wrong, so that Lambda tries again, counts an error and keeps the event."""
    environment = Environment.of(os.environ, context)
    services = connect(environment.group, environment.bucket)
    outbox = services.outbox(OUTBOX_PREFIX)
    if cloudformation.is_deploy(event):
        # What it records is sent by the next hourly call: an email that cannot be sent must not fail a deploy.
        return cloudformation.respond(event, on_deploy=lambda: follow(services, outbox, environment, event))
    if event.get("source") == "aws.s3":
        return {"published": publish(services, environment)}
    try:
        version = follow(services, outbox, environment, event)
    finally:  # a version that cannot be put into service must not keep emails back, nor the other way round
        sent = outbox.deliver(
            lambda name: not name.startswith(_WAITING) or _still_pending(name, services.registry, environment)
        )
    return {"champion": version, "sent": sent}


def follow(
    services: ApprovalServices, outbox: Outbox, environment: Environment, event: Mapping[str, Any]
) -> int | None:
    """Seeds, metrics, champion, notices of what waits; returns the version in use."""
    services.bucket.seed({**c.SEED_OBJECTS, **environment.seeds})
    evaluated = services.bucket.read(LAST_EVALUATED_KEY)
    detail = event.get("detail", {})
    named = detail.get("ModelPackageArn")
    note_registration(services, evaluated.json, named)
    now = time.time()
    if is_due(event, evaluated.written, now):
        for line in metric_lines(evaluated.json or {}, environment.pipeline, int(now * 1000)):
            _log(line)
    notifier = Notifier(
        withdrawn=lambda version, leaving: outbox.record(
            f"withdrawn-{version}-{leaving}", environment.alerts_topic, withdrawal_notice(version, environment)
        ),
        problem=lambda text, name: outbox.record(
            f"problem-{name}", environment.alerts_topic, problem_notice(text, environment)
        ),
    )
    version, packages = reconcile_champion(
        services.registry, services.bucket, notifier, named=named, renewed=approval_of(detail)
    )
    record_approval_notices(packages, services, outbox, environment)
    record_versions(services.bucket, packages, version, services.clock())
    if not cloudformation.is_deploy(event):  # a card must fail no deploy
        write_model_cards(packages, services, outbox, environment)
    _log(json.dumps({"champion": version, "named": named}))
    return version


def record_versions(bucket: Bucket, packages: Iterable[Mapping[str, Any]], version: int | None, now: float) -> None:
    """Append to the history of versions what this call has seen and it lacks; the next call does what this one cannot.

    `packages` are those that the registry listed or the event named: a version that was rejected before any event about
    it arrived, and was never in use, is missing.
    """
    stored = bucket.read(HISTORY_KEY)
    known, _ = read_events(stored.text or "", HISTORY_KEY)
    found = new_events(known, packages, version, now)
    if found:  # of two calls one wins
        bucket.write(HISTORY_KEY, (stored.text or "") + as_lines(found), over=stored)


def note_registration(services: ApprovalServices, last_evaluated: Mapping[str, Any] | None, named: str | None) -> None:
    """Write evaluated/registered.json as soon as the candidate that was to be registered is in the registry."""
    noted = services.bucket.read(REGISTERED_KEY)
    if last_evaluated and is_unregistered(last_evaluated, noted.json):
        found = registration(last_evaluated, services.registry.newest(named))
        if found:
            services.bucket.write(REGISTERED_KEY, json.dumps(found, indent=1) + "\n", over=noted)


def approval_of(detail: Mapping[str, Any]) -> dict[int, float]:
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


def record_approval_notices(
    packages: Iterable[Mapping[str, Any]], services: ApprovalServices, outbox: Outbox, environment: Environment
) -> None:
    """Record a notice for each version that waits for approval and has none."""
    pending = {_notice_name(package): package for package in packages if package.get("ModelApprovalStatus") == PENDING}
    for name in pending.keys() - outbox.names(_WAITING).keys():
        package = pending[name]
        outbox.record(
            name,
            environment.approvers_topic,
            approval_notice(package, _evaluation(package, services.bucket), environment),
        )


def write_model_cards(
    packages: list[dict[str, Any]], services: ApprovalServices, outbox: Outbox, environment: Environment
) -> None:
    """Write a card with each version that has none, once its evaluation can be read; tell once of each that is refused.

    The step Register cannot: a card holds the text of numbers that are known when the run has ended. UpdateModelPackage
    takes it without the approval status, which the function's role may not give. A card that is missing hinders no
    approval: what SageMaker refuses is reported, and never raised.
    """
    refused = {}
    for package in (p for p in packages if not is_written(p)):
        evaluation = _evaluation(package, services.bucket)
        if evaluation is None or "use" not in evaluation:
            continue  # expired with its run, or the version predates model cards
        try:
            services.registry.write_card(package, package_card(package, evaluation, environment.contact))
        except (ClientError, ValueError, KeyError, TypeError, AttributeError) as error:
            refused[int(package["ModelPackageVersion"])] = f"{type(error).__name__}: {error}"
    if refused:
        _log(json.dumps({"no_model_card": refused}))
    for version, reason in refused.items():
        text = f"version {version} has no model card: it could not be written ({reason})"
        outbox.record(f"problem-card-{version}", environment.alerts_topic, problem_notice(text, environment))


def _notice_name(package: Mapping[str, Any]) -> str:
    """The time of registration tells a version from one of a deleted group of the same name."""
    return f"{_WAITING}{package['ModelPackageVersion']}-{int(seconds(package['CreationTime']))}"


def _still_pending(name: str, registry: ModelRegistry, environment: Environment) -> bool:
    """Whether the version that a notice is about still waits: it may have been decided before SNS took the email."""
    package = registry.describe(environment.package_arn(int(name.removeprefix(_WAITING).split("-")[0])))
    return package is not None and package.get("ModelApprovalStatus") == PENDING and _notice_name(package) == name


def _evaluation(package: Mapping[str, Any], bucket: Bucket) -> dict[str, Any] | None:
    """evaluation.json of the run that registered the package; None where it cannot be read."""
    statistics = ((package.get("ModelMetrics") or {}).get("ModelQuality") or {}).get("Statistics") or {}
    name, _, key = str(statistics.get("S3Uri")).removeprefix("s3://").partition("/")
    return bucket.read(key, bucket=name, refused=True).json if name and key else None


def publish(services: ApprovalServices, environment: Environment) -> int:
    """The monitor's current numbers as metrics; returns how many lines were written."""
    report = services.bucket.read(monitor_metrics.KEY)
    if report.json is None or report.written is None:
        raise ValueError(f"{monitor_metrics.KEY} is no JSON object: the step Predict of the last run wrote it")
    lines = list(monitor_metrics.monitor_lines(report.json, environment.pipeline, report.written))
    for line in lines:
        _log(line)
    about = {"monitor": report.json.get("summary"), "as_of_date": report.json.get("as_of_date")}
    _log(json.dumps({**about, "published": len(lines)}))
    return len(lines)


def _log(line: str) -> None:
    """A line of the function's log, from which CloudWatch takes the metrics."""
    sys.stdout.write(f"{line}\n")
