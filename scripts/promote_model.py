"""Promote an approved version of one environment into the registry of another: other account, region and key.

python -m scripts.promote_model --from dev --to prod --version 3
python -m scripts.promote_model --from dev --to prod --version 3 --from-account 111122223333 --from-region eu-west-1

Sign in to the account of the target: the command takes on the deployment's promoter role (docs/accounts.md).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from infra.settings.settings import ENVIRONMENTS, ENVIRONMENTS_KEY, environment_settings, read_setting
from pipeline.contract.names import promoter_name
from pipeline.contract.workload import default_workload, load_spec, read_context
from pipeline.local.store.registry import PENDING
from scripts.cloud.connection import CommandError, DeployedPipeline, new_session
from scripts.cloud.promotion import PromotionRefusedError, Source, Target
from scripts.output.command_line import command, json_option

SESSION: Final = "promote-model"


def environment(name: str) -> Mapping[str, Any]:
    return environment_settings(read_context().get(ENVIRONMENTS_KEY, {}), name)


def source_account(given: str | None, target: str) -> str:
    """The account that was named, or the only one of `promotes_from`; raises click.UsageError."""
    accounts = read_setting("promotes_from", environment(target).get("promotes_from", ()), None)
    if given or len(accounts) == 1:
        return given or str(accounts[0])
    listed = f"promotes_from of {target} in cdk.json has {', '.join(accounts) or 'none'}"
    raise click.UsageError(f"name the account of the version with --from-account: {listed}")


def connect_as_promoter(pipeline: str, region: str | None, profile: str | None) -> DeployedPipeline:
    """The target as its promoter role sees it; raises CommandError where it may not be taken on."""
    import boto3  # noqa: PLC0415

    session = new_session(region, profile)
    region = session.client("sagemaker").meta.region_name  # raises NoRegionError, where STS would go on without one
    sts = session.client("sts")
    _, partition, *_, account, _ = sts.get_caller_identity()["Arn"].split(":", 5)
    role = f"arn:{partition}:iam::{account}:role/{promoter_name(pipeline, region)}"
    try:
        keys = sts.assume_role(RoleArn=role, RoleSessionName=SESSION)["Credentials"]
    except sts.exceptions.ClientError as error:
        raise CommandError(
            f"{role} cannot be taken on ({error.response['Error'].get('Message', error)}): set promotes_from for this "
            "environment and deploy it, and ask for sts:AssumeRole on that role"
        ) from error
    promoter = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=region)
    client = promoter.client("sagemaker")
    found = client.describe_pipeline(PipelineName=pipeline)
    return DeployedPipeline(pipeline, found["PipelineArn"], region, client, promoter)


def promote(source: Source, target: Target) -> tuple[dict[str, Any], bool]:
    """The version in the target, described, and whether this call made it; raises PromotionRefusedError."""
    source.check(target.versions)
    if known := target.promoted(source.arn):
        return known, False
    with TemporaryDirectory() as folder:
        source.download(Path(folder))
        uris = target.upload(Path(folder), source)
    return target.deployed.package(target.register(source, uris)), True


@command
@click.option("--from", "origin", type=click.Choice(ENVIRONMENTS), required=True, help="Environment of the version.")
@click.option("--to", "aim", type=click.Choice(ENVIRONMENTS), required=True, help="Environment that it goes to.")
@click.option("--version", type=click.IntRange(min=1), required=True, help="Number of the version in --from.")
@click.option("--from-account", help="Account of --from. Default: the only one of promotes_from in cdk.json.")
@click.option("--from-region", help="Region of --from. Default: that of --to.")
@json_option
@click.option("--region", help="Region of --to. Default: AWS_REGION, or your configuration's.")
@click.option("--profile", help="Profile of your AWS configuration, in the account of --to. Default: AWS_PROFILE.")
def main(
    origin: str,
    aim: str,
    version: int,
    from_account: str | None,
    from_region: str | None,
    as_json: bool,
    region: str | None,
    profile: str | None,
) -> None:
    """Copy an approved version's artifact, report and lineage into another environment, to be approved there.

    Refused: a version that is not approved, that other code or another definition made than is deployed in --to, or
    whose artifact is not the one that was evaluated. A version that was promoted before is left as it is.
    """
    spec = load_spec(default_workload())
    account = source_account(from_account, aim)
    group = environment(origin).get("model_group") or f"{spec.group}-{origin}"
    deployed = connect_as_promoter(f"{spec.deployment}-{aim}", region, profile)
    arn = f"arn:{deployed.partition}:sagemaker:{from_region or deployed.region}:{account}:model-package/{group}"
    try:
        package, made = promote(Source(deployed.session, f"{arn}/{version}"), Target(deployed))
    except PromotionRefusedError as error:
        raise click.ClickException(str(error)) from error
    number, status = package["ModelPackageVersion"], package["ModelApprovalStatus"]
    said = "promoted" if made else "was promoted before"
    click.echo(f"version {version} of {group} {said}: version {number} of {package['ModelPackageGroupName']}", err=True)
    if status == PENDING:
        click.echo(
            f'to approve: python -m scripts.review_model approve --version {number} --reason "..." --aws '
            f"{deployed.options}",
            err=True,
        )
    shown = {"version": number, "status": status, "arn": package["ModelPackageArn"], "promoted": made}
    click.echo(json.dumps(shown) if as_json else status)


if __name__ == "__main__":
    sys.exit(main())
