"""What follows the registry: the champion and its artifact, versions that wait for approval, and the endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from infra.endpoint.function.desired_endpoint import DesiredEndpoint, EndpointSettings
from infra.lambda_shared.environment import APPROVALS_KEY
from pipeline.contract import names as c
from pipeline.contract.metrics import decimal
from pipeline.contract.promotion import (
    UnusablePackageError,
    artifact_uri,
    by_approval,
    read_approvals,
    update_approvals,
)
from pipeline.local.store.registry import PENDING
from scripts.check_deployment.deployed_environment import CheckResult, DeployedEnvironment, failed, ok, warning

_WAITS_TOO_LONG_DAYS: Final = 14
_CHANGING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack")


def champion(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """champion.json against the registry, and the artifact that it names."""
    found, follow = environment.champion, environment.invoke("Approval")
    there = found.get("version") if found else None
    expected = _expected(environment, there)
    if there != expected:
        reason = f"champion/ names version {there or 'none'}, the registry's choice is {expected or 'none'}"
        yield failed(reason, follow)
    elif found is None or expected is None:
        spec = environment.spec
        yield ok(f"no version is approved: the {spec.fallback or spec.baseline} baseline predicts")
    elif not environment.exists(f"{c.CHAMPION_CHANNEL}/{found.get('artifact')}"):
        yield failed(f"champion/ names {found.get('artifact')}, which is not there: step Predict would fail", follow)
    else:
        yield ok(f"version {expected}, as in the registry")


def _expected(environment: DeployedEnvironment, in_use: int | None) -> int | None:
    """The version that was approved last, of those whose artifact is there: below champion/, or where it was made."""
    known = read_approvals(environment.json_object(APPROVALS_KEY))
    approvals = update_approvals(known, environment.packages, in_use=in_use)
    for package in by_approval(environment.packages, approvals):
        version = int(package["ModelPackageVersion"])
        if version == in_use or _artifact_exists(environment, package):
            return version
    return None


def _artifact_exists(environment: DeployedEnvironment, package: Mapping[str, Any]) -> bool:
    try:
        bucket, _, key = artifact_uri(package).removeprefix("s3://").partition("/")
    except UnusablePackageError:
        return False
    return environment.exists(key, bucket)


def waiting(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Versions that wait for a decision, and whether they could still be approved."""
    pending = [p for p in environment.packages if p["ModelApprovalStatus"] == PENDING]
    if not pending:
        yield ok(f"{len(environment.packages)} registered, none waits for approval")
        return
    newest = pending[-1]
    reason = f"version {newest['ModelPackageVersion']} waits for approval since {newest['CreationTime']:%Y-%m-%d}"
    if not _artifact_exists(environment, newest):
        gone = f"{reason}, but its artifact is gone, so it cannot be approved"
        yield warning(gone, environment.deployed.start_command)
    elif (datetime.now(UTC) - newest["CreationTime"]).days > _WAITS_TOO_LONG_DAYS:
        yield warning(reason, f"python -m scripts.review_model list --aws {environment.deployed.options}")
    else:
        yield ok(reason)


def metadata(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Only an account can tell whether JsonGet works in what Register writes: the newest version shows it."""
    if not environment.packages:
        yield ok("no version is registered yet")
        return
    newest = environment.packages[-1]
    known = newest.get("CustomerMetadataProperties", {})
    carries = f"version {newest['ModelPackageVersion']} carries"
    try:
        loss = float(known["loss"])
    except (KeyError, ValueError):
        yield failed(
            f"{carries} loss={known.get('loss')!r}: SageMaker did not fill in what Register takes from evaluation.json",
            "pipeline/definition/model_steps.py: give these values by another way than Std:JsonGet",
        )
    else:
        metric = known.get("primary_metric", "loss").replace("_", " ")
        yield ok(f"{carries} its numbers ({metric} {decimal(loss)})")


def endpoint_settings(environment: DeployedEnvironment) -> EndpointSettings | None:
    """What the deployment set for the endpoint; None where it has none."""
    function = environment.function("Serving")
    if function is None:
        return None
    found = environment.client("lambda").get_function_configuration(FunctionName=function)
    return EndpointSettings.of(found["Environment"]["Variables"])


def endpoint(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Its status, and the version that it serves against champion.json."""
    settings = endpoint_settings(environment)
    if settings is None:
        yield ok("none is desired (serving=off)")
        return
    desired = DesiredEndpoint.of(settings, environment.champion)
    name, follow, client = settings.name, environment.invoke("Serving"), environment.deployed.client
    try:
        described = client.describe_endpoint(EndpointName=name)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("ValidationException", "ValidationError", "ResourceNotFound"):
            raise
        if desired is None:
            yield ok(f"{name} is made when a version is approved")
        else:
            yield failed(f"{name} is missing, version {desired.version} is approved", follow)
        return
    status, config = described["EndpointStatus"], described["EndpointConfigName"]
    if status in _CHANGING:
        yield warning(f"{name} is {status}", "python -m scripts.check_deployment, in ten minutes")
    elif status != "InService":
        reason = f"{name} is {status}: {described.get('FailureReason', 'no reason is given')}"
        yield failed(reason, 'docs/runbook.md, "endpoint ... could not be updated to version N"')
    elif desired is None or config != desired.name:
        version = desired.version if desired else "none"
        yield failed(f"{name} serves {config}, the champion is version {version}", follow)
    else:
        yield ok(f"{name} serves version {desired.version}")
