"""The last run and what it wrote; and a run that is started as a check."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from infra.settings.schedule_expression import longest_gap_hours
from infra.settings.settings_validation import RUN_HOURS
from pipeline.contract import names as c
from pipeline.contract.history.runs import SUCCEEDED
from scripts.check_deployment.deployed_environment import CheckResult, DeployedEnvironment, failed, ok, warning
from scripts.output.execution import UNFINISHED, PipelineExecution, again, duration, read
from scripts.start_execution import cost_refusal, follow

REASON: Final = "check"
_LONGEST_RUN: Final = timedelta(hours=RUN_HOURS)


def last_run(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The newest run, and how long ago one succeeded."""
    start, now = environment.deployed.start_command, datetime.now(UTC)
    if not environment.runs:
        yield warning(f"{environment.name} has not run yet", start)
        return
    yield _newest(environment, read(environment.deployed, environment.runs[0]["PipelineExecutionArn"]), now)
    schedule = environment.schedule
    gap = longest_gap_hours(schedule["ScheduleExpression"]) if schedule["State"] == "ENABLED" else None
    succeeded = environment.last_success
    if (line := overdue(gap, succeeded["StartTime"] if succeeded else None, now, start)) is not None:
        yield line


def _newest(environment: DeployedEnvironment, run: PipelineExecution, now: datetime) -> CheckResult:
    show = environment.deployed.show_command(run.arn)
    began = f"{run.run_id}, started {run.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if run.unfinished and now - run.started > _LONGEST_RUN:
        stop = f"aws sagemaker stop-pipeline-execution --region {environment.deployed.region} --pipeline-execution-arn"
        return failed(f"{began}, is {run.status} for more than {RUN_HOURS} hours", f"{show}; {stop} {run.arn}")
    if run.unfinished:
        return ok(f"{began}, is {run.status}")
    if run.status == SUCCEEDED:
        return ok(f"{began}, Succeeded")
    return failed(f"{began}, {run.status}: {run.failure}", f"{show}; {again(run, environment.deployed)}")


def overdue(gap_hours: float | None, succeeded: datetime | None, now: datetime, start: str) -> CheckResult | None:
    """A line where no run has succeeded for longer than the schedule allows; None where that is not so.

    `gap_hours`: the most hours between two starts; None while the schedule is off.
    """
    if gap_hours is None or (succeeded and now - succeeded <= timedelta(hours=gap_hours) + _LONGEST_RUN):
        return None
    ago = f"the last success began {succeeded:%Y-%m-%d %H:%M} UTC" if succeeded else "no run has succeeded yet"
    reason = f"{ago}, the schedule is on: every {gap_hours:g} hours"
    return (failed if succeeded else warning)(reason, start, check="age of the last run")


def outputs(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """What the last successful run must have written, under the very keys that others read.

    Only an account can tell whether S3 output URIs are taken as they are: a key with two slashes shows it.
    """
    succeeded = environment.last_success
    if not succeeded:
        yield ok("no run has succeeded yet")
        return
    for key in (f"{c.PREDICTIONS_CHANNEL}/{c.PREDICTIONS_FILE}", f"{c.MONITOR_CHANNEL}/{c.MONITOR_FILE}"):
        folder, bucket = key.partition("/")[0], environment.review.bucket
        written = {item["Key"]: item["LastModified"] for item in environment.objects(f"{folder}/")}
        if any(name.startswith(f"{folder}//") for name in written):
            reason = f"SageMaker wrote below s3://{bucket}/{folder}// (two slashes), where nothing reads"
            yield failed(reason, "take the slash off the output's URI: pipeline/definition/job_requests.py")
        elif key not in written or written[key] < succeeded["StartTime"]:
            show = environment.deployed.show_command(succeeded["PipelineExecutionArn"])
            yield failed(f"the run that succeeded last did not write s3://{bucket}/{key}", show)
        else:
            yield ok(f"{key} was written {written[key]:%Y-%m-%d %H:%M} UTC")


def run(environment: DeployedEnvironment, interval: float) -> Iterator[CheckResult]:
    """Start a run, ask again with its token and another parameter, and follow it to its end."""
    deployed, token = environment.deployed, str(uuid.uuid4())
    for other in environment.runs:
        if other["PipelineExecutionStatus"] in UNFINISHED:
            arn = other["PipelineExecutionArn"]
            reason = f"{arn.rsplit('/', 1)[-1]} is still running: no other was started"
            yield failed(reason, deployed.show_command(arn))
            return
    if refused := cost_refusal(deployed, deployed.definition(), ()):
        yield failed(f"not started: {refused}", "python -m scripts.estimate_cost")
        return
    del environment.runs  # what was read before it starts

    def start(reason: str) -> str:
        answer = deployed.client.start_pipeline_execution(
            PipelineName=deployed.name,
            ClientRequestToken=token,
            PipelineParameters=[{"Name": "TriggerReason", "Value": reason}],
        )
        return str(answer["PipelineExecutionArn"])

    arn = start(REASON)
    try:
        second = start(f"{REASON} again")
    except deployed.client.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        yield ok(f"the same token with another parameter is refused ({code})", check="request token")
    else:
        yield _token(environment, arn, second)
    try:
        execution = follow(deployed, arn, interval)
    except KeyboardInterrupt:
        reason = f"{arn.rsplit('/', 1)[-1]} still runs: it was not followed to its end"
        yield warning(reason, deployed.show_command(arn))
        return
    ended = f"{execution.run_id} {execution.status} after {duration(execution.started, execution.changed)}"
    if execution.status == SUCCEEDED:
        yield ok(ended)
    else:
        yield failed(f"{ended}: {execution.failure}", again(execution, deployed))


def _token(environment: DeployedEnvironment, first: str, second: str) -> CheckResult:
    """Two deliveries of one request must be one run; a second one is stopped."""
    same = "the same token with another parameter"
    if second == first:
        return ok(f"{same} starts no second run", check="request token")
    environment.deployed.client.stop_pipeline_execution(
        PipelineExecutionArn=second, ClientRequestToken=str(uuid.uuid4())
    )
    reason = f"{same} started a second run, {second.rsplit('/', 1)[-1]} (stopped)"
    fix = "infra/triggers/single_run_workflow.py: put the parameters into the token"
    return failed(reason, fix, check="request token")
