"""What the last deploy made: the stack, the definition, and the image that steps and the endpoint run in."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

from pipeline.contract.code_version import definition_file
from pipeline.definition.service_rules import check_definition
from scripts.check_deployment.deployed_environment import CheckResult, DeployedEnvironment, failed, ok, warning

DOCKER: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI: Final = "application/vnd.oci.image.manifest.v1+json"
_LISTS: Final = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_URI: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<name>[^:@]+)"
    r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_SECONDS: Final = 30


def stack(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Did the last deploy succeed?"""
    found, name = environment.stack, environment.name
    status = found["StackStatus"]
    when = f"{found.get('LastUpdatedTime') or found['CreationTime']:%Y-%m-%d %H:%M} UTC"
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        yield ok(f"{name} in {environment.deployed.region} is {status} since {when}")
    elif status.endswith("_IN_PROGRESS"):
        yield warning(f"{name} is {status}", "check again when the deploy has ended")
    else:
        yield failed(f"{name} is {status}: {found.get('StackStatusReason', 'see its events')}", environment.deploy)


def definition(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """SageMaker's rules, applied to the definition as it is deployed, and the checkout that it came from."""
    for found in check_definition(environment.review.definition):
        yield failed(str(found), environment.deploy)
    deployed = environment.deployed.tags().get("definition-hash", "unknown")
    ours = hashlib.sha256(definition_file(environment.workload).read_bytes()).hexdigest()
    if deployed == ours:
        yield ok(f"{ours[:12]}, as in this checkout, and SageMaker's rules hold")
    else:
        fix = f"{environment.deploy}, or git checkout the revision that the tag git-revision names"
        yield warning(f"deployed is definition {deployed[:12]}, this checkout has {ours[:12]}", fix)


def image(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Is the image of the deployed definition there, in a form that SageMaker takes, for amd64?"""
    uri = str(environment.steps("Training")[0]["Arguments"]["AlgorithmSpecification"]["TrainingImage"])
    if problem := _image_problem(environment, uri):
        again = (
            f"{environment.deploy} builds and pushes it as SageMaker takes it; "
            "a prebuilt one (image_uri): python -m scripts.build_image --push REPOSITORY"
        )
        yield failed(f"{uri} is {problem}", again)
    else:
        yield ok(f"{uri}: Docker v2 manifest, amd64")


def _image_problem(environment: DeployedEnvironment, uri: str) -> str:
    named = _URI.fullmatch(uri)
    if named is None:
        return "no image in ECR"
    client = environment.client("ecr", named["region"])
    repository = {"registryId": named["account"], "repositoryName": named["name"]}
    wanted = {"imageDigest": named["digest"]} if named["digest"] else {"imageTag": named["tag"] or "latest"}
    try:
        found = client.batch_get_image(**repository, imageIds=[wanted], acceptedMediaTypes=[DOCKER, OCI, *_LISTS])
    except client.exceptions.RepositoryNotFoundException:
        found = {"images": []}
    if not found["images"]:
        return "not in the repository: every job would fail"
    manifest: dict[str, Any] = json.loads(found["images"][0]["imageManifest"])
    media_type = found["images"][0].get("imageManifestMediaType") or manifest.get("mediaType")
    if media_type != DOCKER:
        kind = "a list of images" if media_type in _LISTS else "an OCI image"
        return f"{kind} ({media_type}): jobs take it, but CreateModel and so Register and the endpoint refuse it"
    # The architecture is in the image's own configuration, a separate blob.
    url = client.get_download_url_for_layer(**repository, layerDigest=manifest["config"]["digest"])["downloadUrl"]
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - an address that ECR has just given
        architecture = str(json.loads(answer.read())["architecture"])
    return f"for {architecture}, the instances are amd64" if architecture != "amd64" else ""
