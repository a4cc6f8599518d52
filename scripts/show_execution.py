"""Show a run of the deployed pipeline: its steps, how long they took, why they failed, where their logs are.

python -m scripts.show_execution
python -m scripts.show_execution arn:aws:sagemaker:eu-west-1:111122223333:pipeline/retraining-dev/execution/abc
"""

from __future__ import annotations

import json

import click

from scripts.cloud.connection import AwsOptions, CommandError, aws_options, connect
from scripts.output.command_line import command, json_option
from scripts.output.execution import lines, newest, read


@command
@click.argument("arn", required=False)
@json_option
@aws_options
def main(arn: str | None, as_json: bool, aws: AwsOptions) -> None:
    """Show the run ARN of the deployed pipeline. Default: the one that was started last.

    ARN may be the id of a run alone. Exit code 0, also when the run failed; 2 when it could not be read.
    """
    parts = arn.split(":") if arn and arn.startswith("arn:") else []
    if parts and len(parts) != 6:
        raise CommandError(
            f"{arn} is not the ARN of a run: it looks like arn:aws:sagemaker:...:pipeline/NAME/execution/ID"
        )
    named = parts[5].split("/")[1] if parts and "/" in parts[5] else aws.pipeline
    deployed = connect(named, aws.region or (parts[3] if parts else None), aws.profile)
    if arn and not parts:  # the id of a run alone
        arn = f"{deployed.arn}/execution/{arn}"
    execution = read(deployed, arn or newest(deployed))
    click.echo(json.dumps(execution.as_json(), indent=2) if as_json else "\n".join(lines(execution, deployed)))


if __name__ == "__main__":
    main()
