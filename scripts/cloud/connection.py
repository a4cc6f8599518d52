"""The deployed pipeline that an operator's command works on, and errors that say what to do next.

boto3 is imported when a command needs it: a laptop that only runs locally does without.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
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
BAD_KEYS: Final = ("ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch")
_DENIED: Final = ("AccessDenied", "403")  # a HEAD of S3 has no more
_BUSY: Final = ("Throttl", "TooManyRequests", "RequestLimit", "SlowDown", "Internal", "ServiceUnavailable")
_REQUEST_IDS: Final = {"x-amzn-requestid", "x-amz-request-id"}
_NOT_FOUND: Final = ("ResourceNotFound", "ValidationException", "ValidationError")


class CommandError(click.ClickException):
    """Something that stops the command before it has done anything; exit code 2."""

    exit_code = 2


@dataclass(frozen=True)
class AwsOptions:
    """What a command line says of the deployed pipeline."""

    pipeline: str | None
    region: str | None
    profile: str | None

    def connect(self) -> DeployedPipeline:
        """That pipeline or, where it is not named, the only one of this project; raises CommandError."""
        return connect(self.pipeline, self.region, self.profile)


def aws_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--pipeline`, `--region` and `--profile`: the command gets them as `aws`."""

    @click.option("--pipeline", help=f"Name of the pipeline. Default: the only one named {NAME_PREFIX}...")
    @click.option("--region", help="AWS region. Default: AWS_REGION, or your configuration's.")
    @click.option("--profile", help="Profile of your AWS configuration. Default: AWS_PROFILE.")
    @wraps(command)
    def with_aws(*, pipeline: str | None, region: str | None, profile: str | None, **options: object) -> None:
        command(aws=AwsOptions(pipeline, region, profile), **options)

    return with_aws


@dataclass(frozen=True)
class DeployedPipeline:
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
        return f"python -m scripts.start_execution --wait {self.options}"

    def show_command(self, arn: str) -> str:
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
        pages = self.client.get_paginator("list_tags").paginate(ResourceArn=self.arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def definition(self, version: int | None = None) -> dict[str, Any]:
        """The deployed definition, or that of a version; raises CommandError that lists the versions there are."""
        definition: dict[str, Any] = json.loads(self.definition_text(version))
        return definition

    def definition_text(self, version: int | None = None) -> str:
        """The same as the service keeps it."""
        given = {"PipelineVersionId": version} if version else {}
        try:
            return self.client.describe_pipeline(PipelineName=self.name, **given)["PipelineDefinition"]
        except self.client.exceptions.ClientError as error:
            if version and error.response["Error"]["Code"] in _NOT_FOUND:
                there = [str(v["PipelineVersionId"]) for v in self.versions()]
                has = f"{there[-1]} to {there[0]}" if len(there) > 1 else there[0]
                raise CommandError(f"{self.name} has no version {version}; it has {has}") from error
            raise

    def versions(self) -> list[dict[str, Any]]:
        """The deployed versions, newest first, as ListPipelineVersions gives them; raises CommandError without any."""
        pages = self.client.get_paginator("list_pipeline_versions").paginate(
            PipelineName=self.name, SortOrder="Descending"
        )
        if found := [dict(version) for page in pages for version in page["PipelineVersionSummaries"]]:
            return found
        raise CommandError(f"{self.name} has no version: it was last deployed before SageMaker kept them")

    def replace_definition(self, text: str) -> int | None:
        """Deploy another definition and leave all else as it is; returns the number of the version that this made."""
        kept: Mapping[str, Any] = self.client.describe_pipeline(PipelineName=self.name)
        names = ("RoleArn", "PipelineDescription", "ParallelismConfiguration")
        given: dict[str, Any] = {name: kept[name] for name in names if kept.get(name)}
        made = self.client.update_pipeline(PipelineName=self.name, PipelineDefinition=text, **given)
        return made.get("PipelineVersionId")


def new_session(region: str | None, profile: str | None) -> Any:  # noqa: ANN401 - boto3 is imported here only
    """boto3's session, in whose clients a page of a proxy in AWS's place is an error that says so."""
    import boto3  # noqa: PLC0415

    session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION") or None)
    session.events.register("before-parse", _refuse_page)
    return session


def _refuse_page(response_dict: Mapping[str, Any], **_: object) -> None:
    """AWS's own answers have a request id. Below 500, boto3 would look for its keys in the page, or for an error."""
    status, headers = response_dict["status_code"], {k.lower(): v for k, v in response_dict["headers"].items()}
    if status < 500 and headers.get("content-type", "").startswith("text/html") and not headers.keys() & _REQUEST_IDS:
        raise CommandError(
            f"a web page came in place of AWS's answer (status {status}): a proxy wants you to sign in, or blocks AWS; "
            "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL"
        )


def connect(pipeline: str | None, region: str | None, profile: str | None) -> DeployedPipeline:
    """The pipeline of that name or, without one, the only one of this project; raises CommandError."""
    session = new_session(region, profile)
    client = session.client("sagemaker")
    found: Mapping[str, Any] | None = None
    if pipeline:
        try:
            found = client.describe_pipeline(PipelineName=pipeline)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_FOUND:
                raise
    region = client.meta.region_name
    if found is None:
        pages = client.get_paginator("list_pipelines").paginate(PipelineNamePrefix=NAME_PREFIX)
        ours = {p["PipelineName"]: p for page in pages for p in page["PipelineSummaries"]}
        names = ", ".join(sorted(ours))
        if pipeline or not ours:
            there = f" There are: {names}." if ours else ""
            raise CommandError(
                f"there is no pipeline {pipeline or f'named {NAME_PREFIX}...'} in {region}.{there} Give --pipeline or "
                f"another --region, or deploy one: {DEPLOY}"
            )
        if len(ours) > 1:
            raise CommandError(f"there are several pipelines in {region}: {names}. Name one with --pipeline")
        (found,) = ours.values()
    return DeployedPipeline(found["PipelineName"], found["PipelineArn"], region, client, session)


def aws_error(error: Exception) -> CommandError | None:
    """What boto3 raised as one sentence with the next thing to try; None for another error."""
    known: Any = sys.modules.get("botocore.exceptions")
    if known is None or not isinstance(error, known.ClientError | known.BotoCoreError):
        return None
    if isinstance(error, known.ClientError):
        return CommandError(_answered(error.response["Error"]))
    if isinstance(error, known.HTTPClientError | known.ConnectionError):
        return CommandError(f"AWS does not answer ({error}): check the network, and --region")
    if isinstance(error, known.CredentialRetrievalError | known.SSOError | known.TokenRetrievalError):
        return CommandError(_NO_CREDENTIALS.format(reason=error))
    remedies = {
        "NoRegionError": "no AWS region: give --region, or set AWS_REGION",
        "ProfileNotFound": f"{error}: aws configure list-profiles shows those that there are",
        "InvalidRegionError": f"{error}: give another --region",
        "NoCredentialsError": _NO_CREDENTIALS.format(reason=error),
        "PartialCredentialsError": _NO_CREDENTIALS.format(reason=error),
    }
    return CommandError(remedies.get(type(error).__name__, str(error)))


def _answered(answer: Mapping[str, Any]) -> str:
    code, message = str(answer["Code"]), str(answer.get("Message", "no message"))
    if code.startswith(BAD_KEYS):
        return _NO_CREDENTIALS.format(reason=message)
    if code.startswith(_DENIED):
        return f"AWS does not let you: {message}. Ask for the permission, or use another --profile"
    if code.startswith(_BUSY):
        return f"AWS is busy ({message}): try again in a minute"
    return f"AWS refuses ({code}): {message}"
