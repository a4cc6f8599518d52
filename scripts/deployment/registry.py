"""The champion against the registry, its artifact, and the versions that wait for approval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

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
from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment

_POINTER = f"{c.CHAMPION_CHANNEL}/{c.CHAMPION_FILE}"
_WAITS_TOO_LONG_DAYS = 14


def champion(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """champion.json against the registry, and the artifact that it names."""
    found = environment.json_object(_POINTER)
    there = found[0].get("version") if found else None
    expected = _expected(environment, there)
    follow = environment.invoke("Approval")
    if there != expected:
        reason = f"champion/ names version {there or 'none'}, the registry's choice is {expected or 'none'}"
        yield CheckResult("champion", FAILED, reason, follow)
    elif found is None or expected is None:
        spec = environment.spec
        yield CheckResult(
            "champion", OK, f"no version is approved: the {spec.fallback or spec.baseline} baseline predicts"
        )
    elif not _exists(environment, f"{c.CHAMPION_CHANNEL}/{found[0].get('artifact')}"):
        reason = f"champion/ names {found[0].get('artifact')}, which is not there: step Predict would fail"
        yield CheckResult("champion", FAILED, reason, follow)
    else:
        yield CheckResult("champion", OK, f"version {expected}, as in the registry")


def _expected(environment: DeployedEnvironment, in_use: int | None) -> int | None:
    """The version that was approved last, of those whose artifact is there: below champion/, or where it was made."""
    recorded = environment.json_object(APPROVALS_KEY)
    known = read_approvals(recorded[0] if recorded else None)
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
    return _exists(environment, key, bucket)


def waiting(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Versions that wait for a decision, and whether they could still be approved."""
    pending = [p for p in environment.packages if p["ModelApprovalStatus"] == "PendingManualApproval"]
    options = f"--aws {environment.deployed.options}"
    if not pending:
        yield CheckResult("versions", OK, f"{len(environment.packages)} registered, none waits for approval")
        return
    newest = pending[-1]
    days = (datetime.now(UTC) - newest["CreationTime"]).days
    reason = f"version {newest['ModelPackageVersion']} waits for approval since {newest['CreationTime']:%Y-%m-%d}"
    if not _artifact_exists(environment, newest):
        gone = f"{reason}, but its artifact is gone, so it cannot be approved"
        yield CheckResult("versions", WARNING, gone, environment.deployed.start_command)
    else:
        status = WARNING if days > _WAITS_TOO_LONG_DAYS else OK
        yield CheckResult(
            "versions", status, reason, f"python -m scripts.review_model list {options}" if status == WARNING else ""
        )


def metadata(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Only an account can tell whether JsonGet works in what Register writes: the newest version shows it."""
    if not environment.packages:
        yield CheckResult("metadata of versions", OK, "no version is registered yet")
        return
    newest = environment.packages[-1]
    known = newest.get("CustomerMetadataProperties", {})
    version = newest["ModelPackageVersion"]
    try:
        loss = float(known["loss"])
    except (KeyError, ValueError):
        yield CheckResult(
            "metadata of versions",
            FAILED,
            f"version {version} carries loss={known.get('loss')!r}: SageMaker did not fill in what "
            "Register takes from evaluation.json",
            "pipeline/definition/model_steps.py: give these values by another way than Std:JsonGet",
        )
    else:
        metric = known.get("primary_metric", "loss").replace("_", " ")
        yield CheckResult(
            "metadata of versions", OK, f"version {version} carries its numbers ({metric} {decimal(loss)})"
        )


def _exists(environment: DeployedEnvironment, key: str, bucket: str = "") -> bool:
    listed = environment.client("s3").list_objects_v2(
        Bucket=bucket or environment.artifact_bucket, Prefix=key, MaxKeys=1
    )
    return key in [item["Key"] for item in listed.get("Contents", [])]
