"""Start the deployed pipeline, and optionally wait for its end.

python -m scripts.start_execution --wait
python -m scripts.start_execution --param AsOfDate=2025-03-01 --param ForceTraining=yes
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pipeline.contract.history.runs import SUCCEEDED
from pipeline.cost.run_limit import LIMIT_TAG, check_run_cost
from pipeline.definition.service_rules import check_definition
from pipeline.local.plan.parameters import bind_parameters, parse_parameters
from scripts.cloud.connection import AwsOptions, CommandError, DeployedPipeline, aws_options
from scripts.output.command_line import Number, command, json_option, params_option
from scripts.output.execution import PipelineExecution, lines, read

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import ParameterTypeDef


def check(definition: Mapping[str, Any], chosen: Mapping[str, str]) -> list[ParameterTypeDef]:
    """The parameters as StartPipelineExecution wants them: all text, and only those that were chosen.

    Raises PlanError for a name that the definition does not have and a value that it does not take, CommandError for a
    value that SageMaker refuses where a step uses it.
    """
    bound = bind_parameters(definition, chosen)
    refused = [str(found) for found in check_definition(definition, bound) if set(found.parameters) & set(chosen)]
    if refused:
        raise CommandError("\n".join(["a run with these parameters would fail:", *refused]))
    texts = {name: str(bound[name]).lower() if isinstance(bound[name], bool) else str(bound[name]) for name in chosen}
    return [{"Name": name, "Value": text} for name, text in texts.items()]


def cost_refusal(
    deployed: DeployedPipeline, definition: Mapping[str, Any], parameters: Sequence[ParameterTypeDef]
) -> str | None:
    """Why a run may not start: its estimate is above the deployment's `max_run_usd`, or not known. None: it may."""
    limit = deployed.tags().get(LIMIT_TAG)
    given = {parameter["Name"]: parameter["Value"] for parameter in parameters}
    return check_run_cost(deployed.client, deployed.name, definition, given, float(limit)) if limit else None


@command
@params_option
@click.option("--version", type=click.IntRange(min=1), help="Version of the definition to run. Default: the newest.")
@click.option("--wait", is_flag=True, help="Show each step as it changes, and exit by the result.")
@click.option("--interval", type=Number(0.1, 3600), default=15, help="Seconds between looks.")
@json_option
@aws_options
def main(
    params: tuple[str, ...], version: int | None, wait: bool, interval: float, as_json: bool, aws: AwsOptions
) -> None:
    """Start the deployed pipeline.

    Exit code 0 when it was started (with --wait: when it succeeded), 1 when it did not succeed, 2 when it could not be
    started or followed.
    """
    chosen = parse_parameters(params)
    deployed = aws.connect()
    definition = deployed.definition(version)
    parameters = check(definition, chosen)
    if refused := cost_refusal(deployed, definition, parameters):
        raise CommandError(f"not started: {refused}")
    arn = start(deployed, parameters, version)
    click.echo(f"started {arn}", err=True)
    if not wait:
        click.echo(json.dumps({"arn": arn}, indent=2) if as_json else arn)
        click.echo(f"to follow it: {deployed.show_command(arn)}", err=True)
        return
    try:
        execution = follow(deployed, arn, interval)
    except (Exception, KeyboardInterrupt):
        click.echo(f"the run continues: {deployed.show_command(arn)}", err=True)
        raise
    click.echo(json.dumps(execution.as_json(), indent=2) if as_json else "\n".join(lines(execution, deployed)))
    sys.exit(0 if execution.status == SUCCEEDED else 1)


def start(deployed: DeployedPipeline, parameters: list[ParameterTypeDef], version: int | None) -> str:
    given: dict[str, Any] = {"PipelineVersionId": version} if version else {}
    # The token makes boto3's own retry of a request that got lost start one run, not two.
    started = deployed.client.start_pipeline_execution(
        PipelineName=deployed.name, PipelineParameters=parameters, ClientRequestToken=str(uuid.uuid4()), **given
    )
    return started["PipelineExecutionArn"]


def follow(deployed: DeployedPipeline, arn: str, interval: float) -> PipelineExecution:
    """Print changes on stderr until the run ends."""
    known: dict[str, str] = {}
    while True:
        execution = read(deployed, arn)
        for step in execution.steps:
            if known.get(step.name) != step.status:
                known[step.name] = step.status
                begun = step.status in ("Starting", "Executing")
                click.echo(f"{step.name}: {step.status}" if begun else step.summary(execution.changed), err=True)
        if not execution.unfinished:
            return execution
        time.sleep(interval)


if __name__ == "__main__":
    main()
