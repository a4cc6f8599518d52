"""The image and the code of a workload's Spark step: SageMaker's Spark image, and our code as an asset."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import region_info
from constructs import Construct

from infra.foundation.permissions import allow
from infra.settings.settings import Settings
from infra.training.image import Image, image_in_ecr
from pipeline.contract.workload import WORKLOADS, load_workload

# Regions without the image: the deployment must not fail there, because only a run with a cluster pulls it.
NO_ACCOUNT: Final = "000000000000"


@dataclass(frozen=True)
class SparkCluster:
    """Image of a workload's Spark step, and its code: an object in the bucket of `cdk bootstrap`."""

    image: Image
    code: s3_assets.Asset

    @property
    def constants(self) -> dict[str, str]:
        """As deployment constants of the definition."""
        file = f"{self.code.asset_hash}.zip"
        return {"SparkImageUri": self.image.uri, "SparkCodeUri": self.code.s3_object_url, "SparkCodeFile": file}

    def allow_code(self, role: iam.Role) -> None:
        """Let SageMaker fetch the one object: it lists what begins with an input's address before it downloads it."""
        bucket, key = self.code.bucket, self.code.s3_object_key
        allow(role, ["s3:ListBucket"], [bucket.bucket_arn], conditions={"StringEquals": {"s3:prefix": key}})
        allow(role, ["s3:GetBucketLocation"], [bucket.bucket_arn])
        allow(role, ["s3:GetObject"], [bucket.arn_for_objects(key)])


def spark_cluster(scope: Construct, settings: Settings) -> SparkCluster | None:
    """Image and code of the workload's Spark step; None for a workload that has none."""
    if "SparkImageUri" not in settings.spec.constants:
        return None
    return SparkCluster(_spark_image(scope, settings), _spark_code(scope, settings))


def _spark_image(scope: Construct, settings: Settings) -> Image:
    """The image that the setting names; without one, that of the region's table.

    The stack does not know its region before it is deployed, so the table is in the template (a mapping).
    """
    if settings.spark_image_uri:
        return image_in_ecr(settings.spark_image_uri)
    images: dict[str, Any] = json.loads(
        (WORKLOADS / settings.workload / "spark" / "images.json").read_text(encoding="utf-8")
    )
    known = {region.name: NO_ACCOUNT for region in region_info.RegionInfo.regions} | images["accounts"]
    table = cdk.CfnMapping(
        scope, "SparkImages", mapping={region: {"Account": account} for region, account in sorted(known.items())}
    )
    account = table.find_in_map(cdk.Aws.REGION, "Account")
    repository = f"{account}.dkr.ecr.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}/{images['repository']}"
    arn = f"arn:{cdk.Aws.PARTITION}:ecr:{cdk.Aws.REGION}:{account}:repository/{images['repository']}"
    return Image(f"{repository}:{images['tag']}", arn)


def _spark_code(scope: Construct, settings: Settings) -> s3_assets.Asset:
    """The archive of the step's code, uploaded by the deploy under the digest of its content."""
    archive = load_workload(settings.workload).spark_archive
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / archive.ARCHIVE_FILE
        archive.write_archive(path)
        return s3_assets.Asset(scope, "SparkCode", path=str(path))  # copies it into the cloud assembly
