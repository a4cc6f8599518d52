"""The image of all steps: built from pipeline/Dockerfile at the deploy, or prebuilt."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_ecr_assets as ecr_assets
from constructs import Construct

from infra.settings.settings import Settings
from pipeline.contract.code_version import image_content, write_image_context

_IN_ECR: Final = r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z0-9.-]+/([^:@]+)"


@dataclass(frozen=True)
class Image:
    """An image in ECR: `uri` with tag or digest, and the repository that may be pulled from."""

    uri: str
    repository_arn: str


def step_image(scope: Construct, settings: Settings) -> Image:
    """The image that the setting names; without one, an asset whose tag is the digest of its content.

    Synthesis reads files only: Docker is needed when the asset is published, before the deployment.
    """
    if not settings.image_uri:
        with tempfile.TemporaryDirectory() as context:  # the asset is a copy
            write_image_context(settings.workload, Path(context))
            asset = ecr_assets.DockerImageAsset(
                scope,
                "Image",
                directory=context,
                platform=ecr_assets.Platform.LINUX_AMD64,
                build_args={"CONTENT": image_content(settings.workload)},
                # Recent engines push OCI manifests by themselves, and SageMaker's CreateModel refuses these
                # (aws/amazon-sagemaker-feedback issue 180). Attestations, which do the same, the CDK turns off.
                outputs=["type=docker"],
            )
        return Image(asset.image_uri, asset.repository.repository_arn)
    return image_in_ecr(settings.image_uri)


def image_in_ecr(uri: str) -> Image:
    """A prebuilt image; `uri` is a validated setting."""
    match = re.match(_IN_ECR, uri)
    assert match is not None, uri  # noqa: S101 - the setting is validated
    account, region, name = match.groups()
    return Image(uri, f"arn:{cdk.Aws.PARTITION}:ecr:{region}:{account}:repository/{name}")
