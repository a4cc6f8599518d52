"""What AggregateOnSpark runs in, and what it runs: SageMaker's own Spark image, and our code as an asset beside it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import region_info
from constructs import Construct

from infra.settings.settings import Settings
from infra.training.image import Image, image_in_ecr
from pipeline.contract.code_version import PACKAGE
from pipeline.workloads.nba.spark.archive import ARCHIVE_FILE, write_archive

IMAGES_FILE: Final = PACKAGE / "workloads" / "nba" / "spark" / "images.json"
# Where AWS publishes no such image. The deployment must not fail there: nothing is pulled before a run wants a cluster.
NO_ACCOUNT: Final = "000000000000"


@dataclass(frozen=True)
class SparkCode:
    """An object in the bucket of `cdk bootstrap`: its address, its file's name in a job, and its ARNs."""

    uri: str
    file: str
    key: str
    bucket_arn: str

    @property
    def object_arn(self) -> str:
        """The object alone."""
        return f"{self.bucket_arn}/{self.key}"


def spark_image(scope: Construct, settings: Settings) -> Image:
    """The image that the setting names; without one, that of the region's table.

    The stack does not know its region before it is deployed, so the table is in the template (a mapping).
    """
    if settings.spark_image_uri:
        return image_in_ecr(settings.spark_image_uri)
    images: dict[str, Any] = json.loads(IMAGES_FILE.read_text(encoding="utf-8"))
    known = {region.name: NO_ACCOUNT for region in region_info.RegionInfo.regions} | images["accounts"]
    table = cdk.CfnMapping(
        scope, "SparkImages", mapping={region: {"Account": account} for region, account in sorted(known.items())}
    )
    account = table.find_in_map(cdk.Aws.REGION, "Account")
    repository = f"{account}.dkr.ecr.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}/{images['repository']}"
    arn = f"arn:{cdk.Aws.PARTITION}:ecr:{cdk.Aws.REGION}:{account}:repository/{images['repository']}"
    return Image(f"{repository}:{images['tag']}", arn)


def spark_code(scope: Construct) -> SparkCode:
    """The archive of the step's code, uploaded by the deploy under the digest of its content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ARCHIVE_FILE
        write_archive(path)
        asset = s3_assets.Asset(scope, "SparkCode", path=str(path))  # copies it into the cloud assembly
    return SparkCode(
        uri=asset.s3_object_url,
        file=f"{asset.asset_hash}.zip",
        key=asset.s3_object_key,
        bucket_arn=asset.bucket.bucket_arn,
    )
