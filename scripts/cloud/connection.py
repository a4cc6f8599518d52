"""The deployed pipeline that an operator's command works on, and errors that say what to do next.

boto3 is imported when a command needs it: a laptop that only runs locally does without.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

NAME_PREFIX: Final = "retraining-"  # of the pipelines that this project deploys
DEPLOY: Final = "npx cdk deploy -c env=dev"
_NO_CREDENTIALS: Final = (
    "no usable AWS credentials ({reason}): sign in (aws sso login), or give --profile or AWS_PROFILE; "
    "aws sts get-caller-identity shows who you are"
)
_BAD_KEYS: Final = ("ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch")
_NOT_FOUND: Final = ("ResourceNotFound", "ValidationException", "ValidationError")


class AwsError(click.ClickException):
    """Something that stops the command before it has done anything; exit code 2."""

    exit_code = 2


def aws_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--pipeline`, `--region` and `--profile`."""
    for option in (
        click.option("--profile", help="Profile of your AWS configuration. Default: AWS_PROFILE."),
        click.option("--region", help="AWS region. Default: AWS_REGION, or your configuration's."),
        click.option("--pipeline", help=f"Name of the pipeline. Default: the only one named {NAME_PREFIX}..."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class DeployedPipeline:
    """A deployed pipeline."""

    name: str
    arn: str
    region: str
    client: SageMakerClient
    session: Any

    @property
    def partition(self) -> str:
        """aws, aws-cn, ..."""
        return self.arn.split(":")[1]

    @property
    def options(self) -> str:
        """What names this pipeline on a command line."""
        return f"--pipeline {self.name} --region {self.region}"

    @property
    def start_command(self) -> str:
        """The command that starts a run."""
        return f"python -m scripts.start_execution --wait {self.options}"

    def show_command(self, arn: str) -> str:
        """The command that shows a run."""
        return f"python -m scripts.show_execution {arn} --region {self.region}"

    def packages(self, group: str) -> tuple[dict[str, Any], ...]:
        """All versions of a model package group, described, oldest first."""
        pages = self.client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
        arns = [entry["ModelPackageArn"] for page in pages for entry in page["ModelPackageSummaryList"]]
        return tuple(sorted(map(self.package, arns), key=lambda package: int(package["ModelPackageVersion"])))

    def package(self, arn: str) -> dict[str, Any]:
        """A version, as DescribeModelPackage returns it."""
        package = dict(self.client.describe_model_package(ModelPackageName=arn))
        package.pop("ResponseMetadata", None)
        return package

    def tags(self) -> dict[str, str]:
        """The pipeline's own tags."""
        pages = self.client.get_paginator("list_tags").paginate(ResourceArn=self.arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def definition(self, version: int | None = None) -> dict[str, Any]:
        """The deployed definition, or that of a version; raises AwsError that lists the versions there are."""
        return definition_of(self.definition_text(version))

    def definition_text(self, version: int | None = None) -> str:
        """The same as the service keeps it."""
        given = {"PipelineVersionId": version} if version else {}
        try:
            return self.client.describe_pipeline(PipelineName=self.name, **given)["PipelineDefinition"]
        except self.client.exceptions.ClientError as error:
            if version and error.response["Error"]["Code"] in _NOT_FOUND:
                there = [str(v["PipelineVersionId"]) for v in self.versions()]
                raise AwsError(f"{self.name} has no version {version}; it has {_ranges(there)}") from error
            raise

    def versions(self) -> list[dict[str, Any]]:
        """The deployed versions, newest first, as ListPipelineVersions gives them."""
        pages = self.client.get_paginator("list_pipeline_versions").paginate(
            PipelineName=self.name, SortOrder="Descending"
        )
        return [dict(version) for page in pages for version in page["PipelineVersionSummaries"]]

    def replace_definition(self, text: str) -> int | None:
        """Deploy another definition and leave all else as it is; returns the number of the version that this made."""
        kept = self.client.describe_pipeline(PipelineName=self.name)
        given: dict[str, Any] = {
            name: kept[name]
            for name in ("RoleArn", "PipelineDescription", "ParallelismConfiguration")
            if kept.get(name)
        }
        made = self.client.update_pipeline(PipelineName=self.name, PipelineDefinition=text, **given)
        return made.get("PipelineVersionId")


def definition_of(text: str) -> dict[str, Any]:
    """A definition's JSON."""
    definition: dict[str, Any] = json.loads(text)
    return definition


def _ranges(numbers: list[str]) -> str:
    return f"{numbers[-1]} to {numbers[0]}" if len(numbers) > 1 else ", ".join(numbers) or "none"


def connect(pipeline: str | None, region: str | None, profile: str | None) -> DeployedPipeline:
    """The pipeline of that name or, without one, the only one of this project; raises AwsError."""
    import boto3  # noqa: PLC0415

    session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION") or None)
    client = session.client("sagemaker")
    found = _named(client, pipeline) if pipeline else _only(client)
    return DeployedPipeline(found["PipelineName"], found["PipelineArn"], client.meta.region_name, client, session)


def _named(client: SageMakerClient, name: str) -> dict[str, str]:
    try:
        found = client.describe_pipeline(PipelineName=name)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in _NOT_FOUND:
            raise _no_pipeline(client, f"there is no pipeline {name} in {client.meta.region_name}") from error
        raise
    return {"PipelineName": found["PipelineName"], "PipelineArn": found["PipelineArn"]}


def _only(client: SageMakerClient) -> dict[str, str]:
    found = _ours(client)
    if not found:
        raise _no_pipeline(client, f"there is no pipeline named {NAME_PREFIX}... in {client.meta.region_name}")
    if len(found) > 1:
        names = ", ".join(sorted(p["PipelineName"] for p in found))
        raise AwsError(f"there are several pipelines in {client.meta.region_name}: {names}. Name one with --pipeline")
    return found[0]


def _ours(client: SageMakerClient) -> list[dict[str, str]]:
    pages = client.get_paginator("list_pipelines").paginate(PipelineNamePrefix=NAME_PREFIX)
    return [
        {"PipelineName": p["PipelineName"], "PipelineArn": p["PipelineArn"]}
        for page in pages
        for p in page["PipelineSummaries"]
    ]


def _no_pipeline(client: SageMakerClient, what: str) -> AwsError:
    others = ", ".join(sorted(p["PipelineName"] for p in _ours(client)))
    there = f" There are: {others}." if others else ""
    return AwsError(f"{what}.{there} Give --pipeline or another --region, or deploy one: {DEPLOY}")


@contextmanager
def explained() -> Iterator[None]:
    """Turns what boto3 raises into one sentence with the next thing to try, and exit code 2."""
    try:
        import botocore.exceptions as known  # noqa: PLC0415
    except ImportError as error:
        raise AwsError("boto3 is not installed: make setup, or pip install boto3") from error
    try:
        yield
    except known.NoRegionError as error:
        raise AwsError("no AWS region: give --region, or set AWS_REGION") from error
    except known.ProfileNotFound as error:
        raise AwsError(f"{error}: aws configure list-profiles shows those that there are") from error
    except (
        known.NoCredentialsError,
        known.PartialCredentialsError,
        known.CredentialRetrievalError,
        known.SSOError,
        known.TokenRetrievalError,
        known.UnauthorizedSSOTokenError,
    ) as error:
        raise AwsError(_NO_CREDENTIALS.format(reason=error)) from error
    except known.ClientError as error:
        raise _explain(error.response["Error"], error) from error
    except known.InvalidRegionError as error:
        raise AwsError(f"{error}: give another --region") from error
    except (known.HTTPClientError, known.ConnectionError) as error:
        raise AwsError(f"AWS does not answer ({error}): check the network, and --region") from error
    except known.BotoCoreError as error:
        raise AwsError(str(error)) from error


def _explain(answer: Any, error: Exception) -> AwsError:  # noqa: ANN401 - botocore's own mapping
    code, message = str(answer["Code"]), str(answer.get("Message", error))
    if code.startswith(_BAD_KEYS):
        return AwsError(_NO_CREDENTIALS.format(reason=message))
    if code.startswith("AccessDenied"):
        return AwsError(f"AWS does not let you: {message}. Ask for the permission, or use another --profile")
    if code.startswith("Throttling"):
        return AwsError(f"AWS is busy ({message}): try again in a minute")
    return AwsError(f"AWS refuses ({code}): {message}")
