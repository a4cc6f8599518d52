"""The schedule, the rules and the dead-letter queues."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from infra.settings.schedule_expression import longest_gap_hours, next_start
from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment

_LOOK_BACK = timedelta(days=1)


def schedule(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Is it on, and when does it fire next?"""
    found = environment.client("scheduler").get_schedule(Name=environment.name, GroupName=environment.name)
    expression, zone = found["ScheduleExpression"], found.get("ScheduleExpressionTimezone", "UTC")
    if found["State"] != "ENABLED":
        yield CheckResult(
            "schedule",
            WARNING,
            f"{expression} is disabled, so no run starts automatically",
            f'set "enabled": true of {environment.env} in cdk.json, then {environment.deploy}',
        )
        return
    coming = next_start(expression, ZoneInfo(zone), datetime.now(UTC))
    when = f"next start {coming:%Y-%m-%d %H:%M} {zone}" if coming else f"every {longest_gap_hours(expression):g} hours"
    yield CheckResult("schedule", OK, f"{expression} is enabled, {when}")


def rules(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Is each rule on, and did EventBridge deliver what it matched in the last day?"""
    client, metrics = environment.client("events"), environment.client("cloudwatch")
    names = [rule.physical.rpartition("|")[2] for rule in environment.of_type("AWS::Events::Rule")]
    for name in names:
        if client.describe_rule(Name=name)["State"] != "ENABLED":
            command = f"aws events enable-rule --name {name} --region {environment.deployed.region}"
            yield CheckResult("events", FAILED, f"rule {name} is off", command)
        now = datetime.now(UTC)
        points = metrics.get_metric_statistics(
            Namespace="AWS/Events",
            MetricName="FailedInvocations",
            Dimensions=[{"Name": "RuleName", "Value": name}],
            StartTime=now - _LOOK_BACK,
            EndTime=now,
            Period=int(_LOOK_BACK.total_seconds()),
            Statistics=["Sum"],
        )["Datapoints"]
        failed = sum(point["Sum"] for point in points)
        if failed:
            yield CheckResult(
                "events",
                FAILED,
                f"rule {name}: {failed:g} events of the last day were not delivered",
                "its target's permissions: npx cdk deploy restores them; the dead letters below say why",
            )
    if names:
        yield CheckResult("events", OK, f"{len(names)} rules checked")


def dead_letters(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """A line for each queue that keeps what could not be delivered."""
    client, region = environment.client("sqs"), environment.deployed.region
    for queue in environment.of_type("AWS::SQS::Queue"):
        url = queue.physical
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
        held = sum(int(number) for number in attributes.values())
        name = url.rsplit("/", 1)[-1]
        if held:
            yield CheckResult(
                "dead letters",
                FAILED,
                f"{name} holds {held} undelivered: ERROR_MESSAGE or the body has the reason, docs/runbook.md a fix",
                f"aws sqs receive-message --queue-url {url} --message-attribute-names All --region {region}; when that "
                f"is fixed: aws sqs purge-queue --queue-url {url} --region {region}",
            )
        else:
            yield CheckResult("dead letters", OK, f"{name} is empty")
