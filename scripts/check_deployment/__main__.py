"""Check a deployed environment: subscriptions, data, quotas, image, schedule, alarms, last run, champion, endpoint, ...

python -m scripts.check_deployment --env prod
python -m scripts.check_deployment --env dev --run --test-email
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from typing import Final

import click

from pipeline.contract.workload import current_workload
from scripts.check_deployment import deploy, emails, inputs, registry, runs, service_behavior, triggers
from scripts.check_deployment.deployed_environment import (
    EXIT_CODES,
    CheckResult,
    DeployedEnvironment,
    failed,
    warning,
    worst,
)
from scripts.cloud.connection import BAD_KEYS, AwsOptions, aws_options, connect
from scripts.output.command_line import Number, command, json_option

UNEXPECTED: Final = (
    "python -m scripts.show_execution, and the newest version: python -m scripts.review_model list --aws"
)
Check = Callable[[DeployedEnvironment], Iterator[CheckResult]]
# In the order of the first hour: what a run needs, what starts it, what it left, what follows it.
CHECKS: Final[dict[str, Check]] = {
    "stack": deploy.stack,
    "definition": deploy.definition,
    "image": deploy.image,
    "quota": inputs.quotas,
    "data": inputs.data,
    "seed objects": inputs.seeds,
    "subscriptions": emails.subscriptions,
    "schedule": triggers.schedule,
    "last run": runs.last_run,
    "outputs": runs.outputs,
    "champion": registry.champion,
    "versions": registry.waiting,
    "endpoint": registry.endpoint,
    "alarms": triggers.alarms,
    "emails": emails.unsent,
    "dead letters": triggers.dead_letters,
    "events": triggers.rules,
    # what only an account can tell
    "metadata of versions": registry.metadata,
    "user of containers": service_behavior.user_of_containers,
    "start-up": service_behavior.start_up,
    "calls of the service": service_behavior.calls,
    "overdue alarm": service_behavior.overdue_alarm,
    "Spark": service_behavior.spark,
}


@command
@click.option("--env", help="Environment, of cdk.json's workload or the variable WORKLOAD. Default: the only pipeline.")
@click.option("--run", "start", is_flag=True, help="First start a run, and follow it to its end: costs some cents.")
@click.option("--test-email", is_flag=True, help="First send one of each email, marked as a test.")
@click.option("--interval", type=Number(0.1, 3600), default=15, help="Seconds between looks at the run.")
@json_option
@aws_options
def main(env: str | None, start: bool, test_email: bool, interval: float, as_json: bool, aws: AwsOptions) -> None:
    """Check a deployed environment, one line each: ok, warning or failed, the reason, and what fixes it.

    Without --run and --test-email nothing is changed: all calls only read. Exit code 0: all is well, 1: something
    failed, 3: there are warnings only, 2: nothing could be checked.
    """
    if env and aws.pipeline:
        raise click.UsageError("--env and --pipeline name the same thing: give one of them")
    named = f"{current_workload().spec.deployment}-{env}" if env else aws.pipeline
    environment = DeployedEnvironment(connect(named, aws.region, aws.profile))
    _ = environment.stack  # without it there is nothing to check
    lines = [
        *(_named("test email", emails.send(environment)) if test_email else ()),
        *(_named("run", runs.run(environment, interval)) if start else ()),
    ]
    lines += [line for name, check in CHECKS.items() for line in _checked(name, check, environment)]
    if as_json:
        click.echo(json.dumps({"status": worst(lines), "lines": [asdict(line) for line in lines]}, indent=2))
    else:
        width = max(len(line.check) for line in lines)
        for line in lines:
            click.echo(line.text(width))
    sys.exit(EXIT_CODES[worst(lines)])


def _named(name: str, lines: Iterable[CheckResult]) -> Iterator[CheckResult]:
    return (replace(line, check=line.check or name) for line in lines)


def _checked(name: str, check: Check, environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The lines of a check; a call that is not allowed, or that the region does not know, is a line too."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as all of boto3: when it is needed

    try:
        yield from _named(name, check(environment))
    except ClientError as error:
        answer = error.response["Error"]
        if answer["Code"].startswith(BAD_KEYS):
            raise
        reason = f"cannot be checked: {error.operation_name}: {answer['Code']}: {answer.get('Message', '')}"
        fix = "ask for the permission, or use another --profile" if "AccessDenied" in answer["Code"] else ""
        yield warning(" ".join(reason.split()), fix, check=name)
    except (LookupError, ValueError, TypeError, RuntimeError) as error:  # the last: a next() that found none
        reason = f"what it reads has another form than this project writes: {error!r}"
        yield failed(reason, UNEXPECTED, check=name)
    except (BotoCoreError, OSError) as error:
        yield warning(f"cannot be checked: {error}", "check the network, and --region", check=name)


if __name__ == "__main__":
    main()
