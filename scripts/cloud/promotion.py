"""Copies an approved version of one deployment into the registry of another: other account, region and key.

The promoter role of the target reads the source, whose policies let it (infra.foundation.promotion), and writes the
files with the target's key. The artifact's digest is that of the evaluation: before the copy and after it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.contract.code_version import file_digest
from pipeline.contract.promotion import APPROVAL_ID, APPROVED, artifact_sha256, artifact_uri
from pipeline.contract.service_text import metadata_value
from pipeline.local.store.registry import PENDING
from scripts.cloud.connection import CommandError, DeployedPipeline
from scripts.cloud.review import AwsReview

SAME: Final = {"workload": "workload", "code_version": "code", "definition_hash": "definition"}
REVISION: Final = "git_revision"


class PromotionRefusedError(Exception):
    """A version that may not be promoted; the message says why, and what to do."""


@dataclass(frozen=True)
class Source:
    """A version of another deployment; `session` is the promoter's."""

    session: Any
    arn: str

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @cached_property
    def package(self) -> dict[str, Any]:
        """As DescribeModelPackage returns it; raises CommandError where there is none, or it may not be read."""
        client = self.session.client("sagemaker", region_name=self.region)
        try:
            package: dict[str, Any] = client.describe_model_package(ModelPackageName=self.arn)
        except client.exceptions.ClientError as error:
            raise CommandError(
                f"{self.arn} cannot be read ({error.response['Error'].get('Message', error)}): is that its number, and "
                "does the deployment there name this account in trusted_accounts?"
            ) from error
        return package

    @property
    def _metadata(self) -> Mapping[str, str]:
        return self.package.get("CustomerMetadataProperties") or {}

    def check(self, target: Mapping[str, str]) -> None:
        """Raises PromotionRefusedError for a version that is not approved, or is of other code than the target."""
        status = self.package.get("ModelApprovalStatus")
        if status != APPROVED:
            raise PromotionRefusedError(f"{self.arn} is {status}, not {APPROVED}: approve it there first")
        if not artifact_sha256(self.package):
            raise PromotionRefusedError(f"{self.arn} has no digest of its artifact ({c.MODEL_SHA256}): train a new one")
        other = [word for key, word in SAME.items() if self._metadata.get(key) != target.get(key)]
        if other:
            theirs, ours = (known.get(REVISION, "unknown") for known in (self._metadata, target))
            raise PromotionRefusedError(
                f"{self.arn} was made by another {' and '.join(other)} (git {theirs}) than is deployed here (git "
                f"{ours}), which may not read it: deploy the same revision here, or promote a version of this one"
            )

    def download(self, folder: Path) -> None:
        """The files to copy; raises PromotionRefusedError for an artifact with other bytes than were evaluated."""
        files = {
            c.MODEL_ARCHIVE: artifact_uri(self.package),
            c.EVALUATION_FILE: str(self.package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]),
            c.REPORT_FILE: self._metadata.get("report"),  # which an older version does not have
        }
        client = self.session.client("s3", region_name=self.region)
        for name, uri in files.items():
            if uri:
                bucket, _, key = uri.removeprefix("s3://").partition("/")
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(client.get_object(Bucket=bucket, Key=key)["Body"], file)
        wanted = artifact_sha256(self.package)
        if (found := file_digest(folder / c.MODEL_ARCHIVE)) != wanted:
            raise PromotionRefusedError(
                f"{files[c.MODEL_ARCHIVE]} has the SHA-256 {found}, and {wanted} was evaluated: who wrote it?"
            )


@dataclass(frozen=True)
class Target:
    """The deployment that a version is promoted into; its definition names group, bucket, key and versions."""

    deployed: DeployedPipeline

    @cached_property
    def _review(self) -> AwsReview:
        return AwsReview(self.deployed, patience=0)

    @property
    def versions(self) -> Mapping[str, str]:
        """What the next version here would carry: workload, code_version, definition_hash, ..."""
        found: Mapping[str, str] = self._review.arguments("RegisterModel")["CustomerMetadataProperties"]
        return found

    def promoted(self, arn: str) -> dict[str, Any] | None:
        """The version here that is a copy of another deployment's."""
        for package in self._review.packages():
            if (package.get("CustomerMetadataProperties") or {}).get(c.PROMOTED_FROM) == arn:
                return package
        return None

    def upload(self, folder: Path, source: Source) -> dict[str, str]:
        """Write the files with this deployment's key and read them back; returns their URIs by name.

        Raises PromotionRefusedError where what was read back is not what was written.
        """
        client = self.deployed.session.client("s3", region_name=self.deployed.region)
        bucket, output = self._review.bucket, self._review.arguments("Training")["OutputDataConfig"]
        account, (group, version) = source.arn.split(":")[4], source.arn.split("/")[-2:]
        encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": output["KmsKeyId"]}
        written = {}
        for file in sorted(folder.iterdir()):
            key = f"{c.PROMOTED_PREFIX}{account}-{group}-{version}/{file.name}"
            with file.open("rb") as body:
                client.put_object(Bucket=bucket, Key=key, Body=body, **encrypted)
            if digest(client.get_object(Bucket=bucket, Key=key)["Body"]) != file_digest(file):
                raise PromotionRefusedError(f"s3://{bucket}/{key} is not what was written: try again")
            written[file.name] = f"s3://{bucket}/{key}"
        return written

    def register(self, source: Source, uris: Mapping[str, str]) -> str:
        """A version here that waits for approval; returns its ARN."""
        package, known = source.package, dict(source.package["CustomerMetadataProperties"])
        known.pop(APPROVAL_ID, None)
        container = self._review.arguments("RegisterModel")["InferenceSpecification"]["Containers"][0]
        specification: Any = {
            **package["InferenceSpecification"],
            "Containers": [{"Image": container["Image"], "ModelDataUrl": uris[c.MODEL_ARCHIVE]}],
        }
        made = self.deployed.client.create_model_package(
            ModelPackageGroupName=self._review.name,
            ModelPackageDescription=package.get("ModelPackageDescription", ""),
            ModelApprovalStatus=PENDING,
            InferenceSpecification=specification,
            ModelMetrics={
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uris[c.EVALUATION_FILE]}}
            },
            CustomerMetadataProperties={
                **known,
                **({"report": uris[c.REPORT_FILE]} if c.REPORT_FILE in uris else {}),
                c.PROMOTED_FROM: source.arn,
                "approved_there": metadata_value(str(package.get("ApprovalDescription") or "no reason given")),
            },
        )
        return str(made["ModelPackageArn"])


def digest(content: Any) -> str:  # noqa: ANN401 - a file, or boto3's body of an object
    return hashlib.file_digest(content, "sha256").hexdigest()
