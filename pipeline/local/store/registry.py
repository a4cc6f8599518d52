"""Model packages of the local store, each a JSON file in the shape that DescribeModelPackage returns."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pipeline.contract.model_card import package_card
from pipeline.contract.promotion import APPROVAL_ID, UnusablePackageError, artifact_uri, next_approval_id, seconds
from pipeline.contract.service_text import is_metadata_value
from pipeline.local.plan.expressions import LOCAL_ARN, timestamp
from pipeline.local.store.locks import locked
from pipeline.local.store.run_record import user_name
from pipeline.local.store.store import JsonObject, Store, parsed_json
from pipeline.local.store.store_errors import explain, shown

PENDING: Final = "PendingManualApproval"
APPROVED = "Approved"
REJECTED = "Rejected"
APPROVAL_STATUSES = (PENDING, APPROVED, REJECTED)

# Parts of CreateModelPackage that the service does not give back in DescribeModelPackage.
_NOT_DESCRIBED = {"Tags", "ClientToken"}
_GROUP_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # API reference, CreateModelPackageGroup


class RegistryError(Exception):
    """A registration or review that is refused; the message says why and what exists."""


class LocalRegistry:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._root = store.root / "registry"

    def register(self, request: Mapping[str, Any], generated_by: str) -> JsonObject:
        """Adds the next version of the request's group and returns its description.

        `generated_by` names the execution and step; where it has registered a version already, that one is returned, so
        that a resumed run does not register twice. Raises RegistryError for a request that SageMaker would refuse.
        """
        group = str(request.get("ModelPackageGroupName") or "")
        if not _GROUP_NAME.fullmatch(group):
            raise RegistryError(f'ModelPackageGroupName "{group}" must be letters and digits with hyphens between them')
        request = {"ModelApprovalStatus": PENDING, **request}
        if request["ModelApprovalStatus"] not in APPROVAL_STATUSES:
            status = request["ModelApprovalStatus"]
            raise RegistryError(f"ModelApprovalStatus {status!r} is not one of {', '.join(APPROVAL_STATUSES)}")
        self._check_artifacts(request)
        _check_metadata(request)
        with locked(self._root / f".{group}.lock"):
            for package in self.packages(group):
                if package.get("MetadataProperties", {}).get("GeneratedBy") == generated_by:
                    return package
            version = max((int(path.stem) for path in self._paths(group)), default=0) + 1
            package = {
                **{name: value for name, value in request.items() if name not in _NOT_DESCRIBED},
                "ModelPackageVersion": version,
                "ModelPackageArn": f"{LOCAL_ARN}:model-package/{group}/{version}",
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreationTime": timestamp(time.time()),
                "MetadataProperties": {**request.get("MetadataProperties", {}), "GeneratedBy": generated_by},
            }
            self._add_card(package)
            self._store.write_json(self._path(group, version), package, durable=True)
        return package

    def _check_artifacts(self, request: Mapping[str, Any]) -> None:
        for container in request.get("InferenceSpecification", {}).get("Containers", []):
            uri = container.get("ModelDataUrl")
            if uri and not self._store.object_path(uri).is_file():
                raise RegistryError(f"Could not find model data at {uri}")

    def _add_card(self, package: JsonObject) -> None:
        """The card that the function behind approvals writes in the cloud; none without a run's evaluation.json."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            evaluation: Any = self._store.read_json(package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"])
            package["ModelCard"] = package_card(package, evaluation)

    def packages(self, group: str) -> tuple[JsonObject, ...]:
        """The packages of a group that can be read, oldest first; none for a group that does not exist."""
        return tuple(package for path in self._paths(group) if isinstance(package := _read(path), dict))

    def damaged(self, group: str) -> dict[int, str]:
        """The versions of a group that cannot be read, each with a sentence that names the file and what to do."""
        return {int(path.stem): fault for path in self._paths(group) if isinstance(fault := _read(path), str)}

    def groups(self) -> tuple[str, ...]:
        """The names of the groups that have a version."""
        return tuple(sorted(path.name for path in self._root.iterdir() if any(path.glob("[0-9]*.json"))))

    def _path(self, group: str, version: int) -> Path:
        return self._root / group / f"{version}.json"

    def _paths(self, group: str) -> list[Path]:
        found = (path for path in (self._root / group).glob("[0-9]*.json") if path.stem.isdecimal())
        return sorted(found, key=lambda path: int(path.stem))

    def get(self, group: str, version: int) -> JsonObject:
        """One package; raises RegistryError that lists the versions there are, or says that its file is damaged."""
        path = self._path(group, version)
        if not path.exists():
            versions = ", ".join(str(package["ModelPackageVersion"]) for package in self.packages(group))
            raise RegistryError(f"{group} has no version {version}; it has {versions or 'none'}")
        package = _read(path)
        if isinstance(package, str):
            raise RegistryError(package)
        return package

    def set_approval(self, group: str, version: int, status: str, reason: str | None = None) -> JsonObject:
        """Records a review: status, time, user and, if there is one, the reason; returns the package.

        No review is earlier than the one before it, even where the machine's clock was set back.
        """
        if status not in APPROVAL_STATUSES:
            raise RegistryError(f"{status!r} is not one of {', '.join(APPROVAL_STATUSES)}")
        with locked(self._root / f".{group}.lock"):
            packages = self.packages(group)
            last = max((seconds(p["LastModifiedTime"]) for p in packages if "LastModifiedTime" in p), default=0)
            package = {
                **self.get(group, version),
                "ModelApprovalStatus": status,
                "LastModifiedTime": timestamp(max(time.time(), last + 0.001)),
                "LastModifiedBy": {"UserProfileName": user_name()},
            }
            package.pop("ApprovalDescription", None)
            if status == APPROVED:
                known = package.get("CustomerMetadataProperties", {})
                package["CustomerMetadataProperties"] = {**known, APPROVAL_ID: next_approval_id(packages)}
            if reason:
                package["ApprovalDescription"] = reason
            self._store.write_json(self._path(group, version), package, durable=True)
        return package


def _read(path: Path) -> JsonObject | str:
    """A package, or what is wrong with its file."""
    try:
        package: Any = parsed_json(path.read_bytes())
        if package["ModelPackageVersion"] != int(path.stem):
            raise ValueError("it is another version's")
        if package["ModelApprovalStatus"] not in APPROVAL_STATUSES:
            raise ValueError(f"its status is {package['ModelApprovalStatus']!r}")
        _ = package["ModelPackageArn"], seconds(package["CreationTime"]), seconds(package.get("LastModifiedTime", 0))
        with suppress(UnusablePackageError):  # promotion says that; here what is not even in a package's shape
            artifact_uri(package)
        dict(package.get("CustomerMetadataProperties", {}))
    except OSError as error:
        return explain(error)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        return (
            f"{shown(path)} is damaged ({what}): version {path.stem} is ignored; restore the file from a backup, "
            "or remove it to give the version up"
        )
    return dict(package)


def _check_metadata(request: Mapping[str, Any]) -> None:
    for name, value in request.get("CustomerMetadataProperties", {}).items():
        if not (isinstance(value, str) and is_metadata_value(value)):
            raise RegistryError(
                f"CustomerMetadataProperties {name}: {value!r} is not 1 to 256 letters, numbers, spaces and _.:/=+-@"
            )
