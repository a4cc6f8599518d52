"""The image that steps run in and the endpoint serves from: is it there, in a form that SageMaker takes, for amd64?"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

from scripts.deployment.check_result import FAILED, OK, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment

DOCKER: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI: Final = "application/vnd.oci.image.manifest.v1+json"
_LISTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_URI: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<name>[^:@]+)"
    r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_SECONDS: Final = 30


def image(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Manifest and architecture of the image in the deployed definition."""
    uri = next(
        str(step["Arguments"]["AlgorithmSpecification"]["TrainingImage"]) for step in environment.steps("Training")
    )
    again = (
        f"{environment.deploy} builds and pushes it as SageMaker takes it; "
        "a prebuilt one (image_uri): python -m scripts.build_image --push REPOSITORY"
    )
    named = _URI.fullmatch(uri)
    if named is None:
        yield CheckResult("image", FAILED, f"{uri} is no image in ECR", again)
        return
    found = _fetch(environment, named)
    if found is None:
        yield CheckResult("image", FAILED, f"{uri} is not in the repository: every job would fail", again)
        return
    media_type = found.get("imageManifestMediaType") or json.loads(found["imageManifest"]).get("mediaType")
    if media_type != DOCKER:
        kind = "a list of images" if media_type in _LISTS else "an OCI image"
        reason = (
            f"{uri} is {kind} ({media_type}): jobs take it, but CreateModel and so Register and the endpoint refuse it"
        )
        yield CheckResult("image", FAILED, reason, again)
        return
    architecture = _architecture(environment, named, json.loads(found["imageManifest"]))
    if architecture != "amd64":
        yield CheckResult("image", FAILED, f"{uri} is for {architecture}, the instances are amd64", again)
    else:
        yield CheckResult("image", OK, f"{uri}: Docker v2 manifest, amd64")


def _fetch(environment: DeployedEnvironment, named: re.Match[str]) -> dict[str, Any] | None:
    client = environment.client("ecr", named["region"])
    wanted = {"imageDigest": named["digest"]} if named["digest"] else {"imageTag": named["tag"] or "latest"}
    try:
        answer = client.batch_get_image(
            registryId=named["account"],
            repositoryName=named["name"],
            imageIds=[wanted],
            acceptedMediaTypes=[DOCKER, OCI, *_LISTS],
        )
    except client.exceptions.RepositoryNotFoundException:
        return None
    return dict(answer["images"][0]) if answer["images"] else None


def _architecture(environment: DeployedEnvironment, named: re.Match[str], manifest: dict[str, Any]) -> str:
    """As the image's own configuration says, which is a separate blob."""
    url = environment.client("ecr", named["region"]).get_download_url_for_layer(
        registryId=named["account"], repositoryName=named["name"], layerDigest=manifest["config"]["digest"]
    )["downloadUrl"]
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - an address that ECR has just given
        return str(json.loads(answer.read())["architecture"])
