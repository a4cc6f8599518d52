"""Which registered version is the champion, and what champion.json says about it. Standard library only.

Pure functions of the registry's state: whoever promotes (a local review, a handler in the cloud) calls them on whatever
the registry says now, so that lost, repeated or reordered notices end in the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pipeline.contract import MODEL_SHA256

APPROVED: Final = "Approved"
NO_CHAMPION: Final[Mapping[str, Any]] = {"version": None}


def choose_champion(packages: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The approved package that was approved last; None when none is approved.

    `packages` are in the shape of DescribeModelPackage. Approving an older version again makes it the newest approval
    (a roll-back); rejecting the champion leaves the approved one before it.
    """
    approved = [package for package in packages if package["ModelApprovalStatus"] == APPROVED]
    return max(approved, key=_approval_order, default=None)


def _approval_order(package: Mapping[str, Any]) -> tuple[Any, int]:
    return package.get("LastModifiedTime") or package["CreationTime"], package["ModelPackageVersion"]


def artifact_uri(package: Mapping[str, Any]) -> str:
    """Where the package's own model.tar.gz lies."""
    return str(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])


def artifact_sha256(package: Mapping[str, Any]) -> str | None:
    """SHA-256 of the artifact that was evaluated; None for a version of before there were digests."""
    sha256: str | None = package.get("CustomerMetadataProperties", {}).get(MODEL_SHA256)
    return sha256


def champion_metadata(package: Mapping[str, Any]) -> dict[str, Any]:
    """The content of champion.json; `artifact` is relative to the champion's prefix.

    The version stands in the artifact's key, so that champion.json switches from one complete model to another.
    """
    return {
        "version": package["ModelPackageVersion"],
        "artifact": f"{package['ModelPackageVersion']}/model.tar.gz",
        "sha256": artifact_sha256(package),
        "model_package_arn": package["ModelPackageArn"],
        "approval_reason": package.get("ApprovalDescription", ""),
        "lineage": dict(package.get("CustomerMetadataProperties", {})),
    }
