"""How the service behaves where its documentation does not specify it; only an account can show it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from scripts.check_deployment.deployed_environment import CheckResult, DeployedEnvironment, failed, ok, warning
from scripts.output.execution import read

_ROOT: Final = "running as root"  # what pipeline/jobs/entrypoint.py writes where it cannot change its user
_PROCESSING_LOGS: Final = "/aws/sagemaker/ProcessingJobs"
# Calls of which AWS's documentation says that they need our roles, and nothing says whether they are made.
_CALLS: Final = (
    ("kms", "Encrypt"),
    ("ecr", "BatchGetImage"),
    ("ecr", "DescribeImages"),
    ("sagemaker", "CreateModelPackageGroup"),
)
_KEPT: Final = timedelta(days=90)  # CloudTrail's event history
_SINCE: Final = re.compile(r"EPOCH\(TIME_SERIES\(1\)\) < (\d+)")


def jobs(environment: DeployedEnvironment) -> dict[str, tuple[str, str]]:
    """Step -> (kind, name) of the jobs of the newest run that has any."""
    for run in environment.runs:
        steps = read(environment.deployed, run["PipelineExecutionArn"]).steps
        if found := {step.name: step.job for step in steps if step.job}:
            return found
    return {}


def user_of_containers(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """May a container change its user? Where it may not, the program runs as root and its log says so."""
    processing = [job for kind, job in jobs(environment).values() if kind == "ProcessingJob"]
    if not processing:
        yield ok("no job has run yet")
        return
    found = environment.client("logs").filter_log_events(
        logGroupName=_PROCESSING_LOGS, logStreamNamePrefix=processing[0], filterPattern=f'"{_ROOT}"', limit=1
    )["events"]
    if found:
        reason = f"SageMaker does not let containers change their user: {processing[0]} ran as root"
        yield warning(reason, "nothing has to be done: the container has no network and one job's data")
    else:
        yield ok(f"{processing[0]} ran without root")


def start_up(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """What of a job's time is start-up, and for how much of it SageMaker bills."""
    client, found = environment.deployed.client, jobs(environment)
    for step, (kind, job) in found.items():
        described: Mapping[str, Any] = (
            client.describe_training_job(TrainingJobName=job)
            if kind == "TrainingJob"
            else client.describe_processing_job(ProcessingJobName=job)
        )
        if text := times(described, kind):
            yield ok(f"{step}: {text}")
    if not found:
        yield ok("no job has run yet")


def times(job: Mapping[str, Any], kind: str) -> str:
    """`81 s until it started, 12 s of work, 95 s billed`; nothing for a job that has not ended."""
    verb = "Training" if kind == "TrainingJob" else "Processing"
    created, started, ended = (job.get(key) for key in ("CreationTime", f"{verb}StartTime", f"{verb}EndTime"))
    if not (created and started and ended):
        return ""
    billed = job.get("BillableTimeInSeconds")
    more = f", {billed} s billed" if billed is not None else " (its cost: Cost Explorer, by usage type, a day later)"
    return (
        f"{(started - created).total_seconds():.0f} s until it started, {(ended - started).total_seconds():.0f} s{more}"
    )


def calls(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Did SageMaker make the calls that our roles allow, and was one denied? From CloudTrail's event history."""
    job_role = next(step["Arguments"]["RoleArn"] for step in environment.steps("Training"))
    described = environment.deployed.client.describe_pipeline(PipelineName=environment.name)
    roles = {job_role: "jobs", described["RoleArn"]: "pipeline"}
    client, now = environment.client("cloudtrail"), datetime.now(UTC)
    for service, action in _CALLS:
        answer = client.lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": action}],
            StartTime=now - _KEPT,
            EndTime=now,
            MaxResults=50,
        )
        yield from _of_roles(f"{service}:{action}", [json.loads(e["CloudTrailEvent"]) for e in answer["Events"]], roles)


def _of_roles(action: str, events: list[dict[str, Any]], roles: Mapping[str, str]) -> Iterator[CheckResult]:
    made: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        issuer = event.get("userIdentity", {}).get("sessionContext", {}).get("sessionIssuer", {}).get("arn")
        if issuer in roles:
            made.setdefault(roles[issuer], []).append(event)
    for role, found in made.items():
        denied = [event for event in found if "AccessDenied" in str(event.get("errorCode", ""))]
        if denied:
            reason = f"{action} was denied to the role of the {role}: {denied[0].get('errorMessage', '')}"
            yield failed(reason.strip(), "npx cdk deploy restores the role's policies")
        else:
            yield ok(f"{action} is called in the name of the {role}: the permission is needed")
    if not made:
        yield ok(f"{action} was not called in the name of our roles in the last 90 days")


def overdue_alarm(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Does CloudWatch evaluate the expression by which the alarm about an overdue run knows since when it waits?"""
    name = f"{environment.name}-run-overdue"
    alarms = environment.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not alarms:
        yield ok("the schedule is off, so no alarm waits for a run")
        return
    alarm = alarms[0]
    expression = next(query["Expression"] for query in alarm["Metrics"] if "Expression" in query)
    since = datetime.fromtimestamp(int(_SINCE.findall(expression)[0]), UTC)
    now, state, period = datetime.now(UTC), alarm["StateValue"], timedelta(hours=alarm["EvaluationPeriods"])
    early = state == "ALARM" and now < since + period
    if early or (state == "INSUFFICIENT_DATA" and now > since + timedelta(hours=2)):
        reason = f"{name} is {state}, and no run can be overdue yet: {alarm.get('StateReason', '')}".strip()
        yield warning(reason, environment.deployed.start_command)
    else:
        yield ok(f"{name} is {state}, and waits since {since:%Y-%m-%d %H:%M} UTC")


def spark(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Has SageMaker's own Spark image (with YARN) run our step? Nothing outside an account can show it."""
    _, on_spark = environment.aggregates
    if not on_spark:
        yield ok("not used: AggregateInstanceCount is 1, or there is nothing to aggregate")
        return
    found = environment.deployed.client.list_processing_jobs(
        NameContains="AggregateOnSpark", SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )["ProcessingJobSummaries"]
    if not found:
        yield warning("AggregateOnSpark has not run yet", environment.deployed.start_command)
        return
    name, status = found[0]["ProcessingJobName"], found[0]["ProcessingJobStatus"]
    if status == "Failed":
        why = found[0].get("ExitMessage") or found[0].get("FailureReason", "no reason is given")
        yield failed(f"{name} failed: {why}", "docs/scaling.md, Spark")
    else:
        yield ok(f"{name} is {status}")
