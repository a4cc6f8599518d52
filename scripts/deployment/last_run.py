"""The last run, and how old it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from infra.settings.schedule_expression import longest_gap_hours
from infra.settings.settings_validation import RUN_HOURS
from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment
from scripts.output.execution import SUCCEEDED, UNFINISHED, PipelineExecution, again, read

_LONGEST_RUN: Final = timedelta(hours=RUN_HOURS)


def last_run(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The newest run, and how long ago one succeeded."""
    start = environment.deployed.start_command
    if not environment.runs:
        yield CheckResult("last run", WARNING, f"{environment.name} has not run yet", start)
        return
    newest = read(environment.deployed, environment.runs[0]["PipelineExecutionArn"])
    yield _newest(environment, newest, datetime.now(UTC))
    succeeded = [run for run in environment.runs if run["PipelineExecutionStatus"] == SUCCEEDED]
    last = succeeded[0]["StartTime"] if succeeded else None
    if (line := overdue(_longest_gap(environment), last, datetime.now(UTC), start)) is not None:
        yield line


def _newest(environment: DeployedEnvironment, run: PipelineExecution, now: datetime) -> CheckResult:
    ident = run.arn.rsplit("/", 1)[-1]
    show = environment.deployed.show_command(run.arn)
    began = f"{ident}, started {run.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if run.status in UNFINISHED:
        if now - run.started > _LONGEST_RUN:
            stop = f"aws sagemaker stop-pipeline-execution --pipeline-execution-arn {run.arn}"
            return CheckResult(
                "last run", FAILED, f"{began}, is {run.status} for more than {RUN_HOURS} hours", f"{show}; {stop}"
            )
        return CheckResult("last run", OK, f"{began}, is {run.status}")
    if run.status == SUCCEEDED:
        return CheckResult("last run", OK, f"{began}, Succeeded")
    failed = next((step for step in run.steps if step.status == "Failed"), None)
    reason = f"step {failed.name}: {failed.reason}" if failed else run.reason or "no step has a reason"
    return CheckResult(
        "last run", FAILED, f"{began}, {run.status}: {reason}", f"{show}; {again(run, environment.deployed)}"
    )


def _longest_gap(environment: DeployedEnvironment) -> float | None:
    """The most hours between two starts; None while the schedule is off."""
    found = environment.client("scheduler").get_schedule(Name=environment.name, GroupName=environment.name)
    return longest_gap_hours(found["ScheduleExpression"]) if found["State"] == "ENABLED" else None


def overdue(gap_hours: float | None, succeeded: datetime | None, now: datetime, start: str) -> CheckResult | None:
    """A line where no run has succeeded for longer than the schedule allows; None where that is not so."""
    if gap_hours is None or (succeeded and now - succeeded <= timedelta(hours=gap_hours) + _LONGEST_RUN):
        return None
    ago = f"the last success began {succeeded:%Y-%m-%d %H:%M} UTC" if succeeded else "no run has succeeded yet"
    status = FAILED if succeeded else WARNING
    return CheckResult("age of the last run", status, f"{ago}, the schedule is on: every {gap_hours:g} hours", start)
