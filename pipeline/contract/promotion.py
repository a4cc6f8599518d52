"""Which registered version is the champion, and what champion.json says about it. Standard library only.

The registry keeps when a package was modified, not when it was approved: to edit the metadata of an older version
makes it the newest. So the time of approval is recorded when a look at the registry first finds the version approved.
Pure functions of the registry's state and of that record: a local review and a handler in the cloud call them on
what the registry says now, so that lost, repeated or reordered notices end in the same place.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from pipeline.contract.names import MODEL_SHA256

APPROVED: Final = "Approved"
NO_CHAMPION: Final[Mapping[str, Any]] = {"version": None}
# A value of CustomerMetadataProperties that each approval by our commands changes: to approve an approved version again
# changes nothing else that a later look could see. It begins with a number that counts approvals.
APPROVAL_ID: Final = "approval_id"
_MILLISECOND: Final = 0.001
_GZIP: Final = (None, "Gzip")


@dataclass(frozen=True)
class Approval:
    """What was seen of a version; times are seconds since 1970, of the registry's clock."""

    created: float  # tells a version from one of a deleted group of the same name
    approved: bool
    at: float  # of the last approval; 0 before the first
    id: str = ""
    arn: str = ""


Approvals = Mapping[int, Approval]


def next_approval_id(packages: Iterable[Mapping[str, Any]]) -> str:
    """The APPROVAL_ID of an approval that follows those of all packages of the group."""
    last = max((_number(_approval_id(package)) for package in packages), default=0)
    return f"{last + 1}-{uuid.uuid4().hex}"


def _approval_id(package: Mapping[str, Any]) -> str:
    return str(package.get("CustomerMetadataProperties", {}).get(APPROVAL_ID, ""))


def _number(approval_id: str) -> int:
    number = approval_id.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def read_approvals(stored: Any) -> dict[int, Approval]:  # noqa: ANN401 - whatever the file holds
    """The record from its JSON; an empty one where there is none. Raises ValueError for one that is damaged."""
    try:
        found = {int(version): Approval(**entry) for version, entry in (stored or {}).items()}
        return {v: replace(one, created=float(one.created), at=float(one.at)) for v, one in found.items()}
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a record of approvals ({error})") from error


def approvals_as_json(approvals: Approvals) -> dict[str, Any]:
    return {str(version): asdict(approval) for version, approval in sorted(approvals.items())}


def update_approvals(
    known: Approvals,
    packages: Iterable[Mapping[str, Any]],
    *,
    renewed: Mapping[int, float] | None = None,
    in_use: int | None = None,
) -> dict[int, Approval]:
    """The record after a look at the registry.

    `packages` must hold each version that is approved now or was when `known` was made. `renewed` are approvals that an
    event tells of: version to time. Where nothing is known yet, the version in use was approved last.
    """
    latest = max((approval.at for approval in known.values()), default=0.0)
    found = dict(known)
    for package in packages:
        version = int(package["ModelPackageVersion"])
        found[version] = _seen(package, known.get(version), latest, (renewed or {}).get(version, 0.0))
    _keep_count(found, {version for version, approval in found.items() if approval != known.get(version)})
    if not known and in_use in found and found[in_use].approved:
        last = max(approval.at for approval in found.values())
        found[in_use] = replace(found[in_use], at=last + _MILLISECOND)
    return found


def _keep_count(found: dict[int, Approval], new: set[int]) -> None:
    """Of approvals that one look finds, those that were counted keep that order, whatever was edited meanwhile."""
    counted = sorted((v for v in new if found[v].approved and _number(found[v].id)), key=lambda v: _number(found[v].id))
    for before, after in pairwise(counted):
        found[after] = replace(found[after], at=max(found[after].at, found[before].at + _MILLISECOND))


def _seen(package: Mapping[str, Any], before: Approval | None, latest: float, renewed: float) -> Approval:
    created, arn = seconds(package["CreationTime"]), str(package["ModelPackageArn"])
    if before and before.created != created:
        before = None
    approval_id = _approval_id(package)
    if package.get("ModelApprovalStatus") != APPROVED:
        return Approval(created, approved=False, at=before.at if before else 0.0, arn=arn)
    modified = seconds(package.get("LastModifiedTime") or package["CreationTime"])
    if before is None:
        return Approval(created, approved=True, at=modified, id=approval_id, arn=arn)
    if before.approved and approval_id in ("", before.id):  # to remove the value is no approval
        return replace(before, at=max(before.at, renewed))
    # Approved since the last look, so later than all that was known then, whatever the clock says.
    return Approval(created, approved=True, at=max(modified, latest + _MILLISECOND), id=approval_id, arn=arn)


def seconds(moment: object) -> float:
    """Seconds since 1970 of a time as boto3, an event or the local store gives it: a datetime, ISO text, a number."""
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, str) and not moment.replace(".", "").isdigit():
        return datetime.fromisoformat(moment).timestamp()
    number = float(moment)  # type: ignore[arg-type] # text of digits or a number
    return number / 1000 if number > 1e11 else number  # events count milliseconds


def by_approval(packages: Iterable[Mapping[str, Any]], approvals: Approvals) -> list[Mapping[str, Any]]:
    """The approved packages, the one approved last first: the champion is the first whose model can be used.

    `packages` are in the shape of DescribeModelPackage. Approving an older version again makes it the newest approval
    (a roll-back); rejecting the champion leaves the approved one before it.
    """

    def order(package: Mapping[str, Any]) -> tuple[float, int]:
        version = int(package["ModelPackageVersion"])
        return approvals[version].at, version

    approved = [package for package in packages if package.get("ModelApprovalStatus") == APPROVED]
    return sorted(approved, key=order, reverse=True)


class UnusablePackageError(ValueError):
    """A package whose model cannot be the champion; the message says why."""


def artifact_uri(package: Mapping[str, Any]) -> str:
    """Where the package's own model.tar.gz is; raises UnusablePackageError for a package that names none."""
    container = _container(package)
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    uri = container.get("ModelDataUrl") or source.get("S3Uri")
    if not uri:
        raise UnusablePackageError("it names no model.tar.gz (neither ModelDataUrl nor ModelDataSource)")
    if not container.get("ModelDataUrl") and (
        source.get("S3DataType") == "S3Prefix" or source.get("CompressionType") not in _GZIP
    ):
        raise UnusablePackageError(f"its model {uri} is a folder, not a model.tar.gz")
    if not str(uri).startswith("s3://"):
        raise UnusablePackageError(f"its model {uri} is not in S3")
    return str(uri)


def _container(package: Mapping[str, Any]) -> Mapping[str, Any]:
    containers = (package.get("InferenceSpecification") or {}).get("Containers") or []
    if len(containers) != 1:
        found = f"{len(containers)} containers, not one" if containers else "no container"
        raise UnusablePackageError(f"its InferenceSpecification has {found}")
    container: Mapping[str, Any] = containers[0]
    return container


def artifact_sha256(package: Mapping[str, Any]) -> str | None:
    """SHA-256 of the artifact that was evaluated; None for a version of before there were digests."""
    sha256: str | None = package.get("CustomerMetadataProperties", {}).get(MODEL_SHA256)
    return sha256


def champion_metadata(package: Mapping[str, Any]) -> dict[str, Any]:
    """The content of champion.json; `artifact` is relative to the champion's prefix.

    The version is part of the artifact's key, so that champion.json switches from one complete model to another.
    """
    lineage = dict(package.get("CustomerMetadataProperties", {}))
    lineage.pop(APPROVAL_ID, None)  # to approve it again changes nothing about the model
    return {
        "version": package["ModelPackageVersion"],
        "artifact": f"{package['ModelPackageVersion']}/model.tar.gz",
        "sha256": artifact_sha256(package),
        "model_package_arn": package["ModelPackageArn"],
        "approval_reason": package.get("ApprovalDescription", ""),
        "lineage": {"image": _container(package).get("Image", ""), **lineage},
    }
