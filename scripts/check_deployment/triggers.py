"""What starts runs and says that they failed: the schedule, the rules, the dead-letter queues, the alarms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from infra.settings.schedule_expression import longest_gap_hours, next_start
from scripts.check_deployment.deployed_environment import CheckResult, DeployedEnvironment, failed, ok, warning

_LOOK_BACK = timedelta(days=1)


def schedule(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Is it on, and when does it fire next?"""
    found = environment.schedule
    expression, zone = found["ScheduleExpression"], found.get("ScheduleExpressionTimezone", "UTC")
    if found["State"] != "ENABLED":
        fix = f'set "enabled": true of {environment.env} in cdk.json, then {environment.deploy}'
        yield warning(f"{expression} is disabled, so no run starts automatically", fix)
        return
    coming = next_start(expression, ZoneInfo(zone), datetime.now(UTC))
    when = f"next start {coming:%Y-%m-%d %H:%M} {zone}" if coming else f"every {longest_gap_hours(expression):g} hours"
    yield ok(f"{expression} is enabled, {when}")


def rules(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """Is each rule on, and did EventBridge deliver what it matched in the last day?"""
    client, metrics = environment.client("events"), environment.client("cloudwatch")
    names = [rule.rpartition("|")[2] for rule in environment.of_type("AWS::Events::Rule")]
    for name in names:
        if client.describe_rule(Name=name)["State"] != "ENABLED":
            command = f"aws events enable-rule --name {name} --region {environment.deployed.region}"
            yield failed(f"rule {name} is off", command)
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
        if lost := sum(point["Sum"] for point in points):
            yield failed(
                f"rule {name}: {lost:g} events of the last day were not delivered",
                "its target's permissions: npx cdk deploy restores them; the dead letters below say why",
            )
    if names:
        yield ok(f"{len(names)} rules checked")


def dead_letters(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """A line for each queue that keeps what could not be delivered."""
    client, region = environment.client("sqs"), environment.deployed.region
    for url in environment.of_type("AWS::SQS::Queue"):
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
        held, name = sum(int(number) for number in attributes.values()), url.rsplit("/", 1)[-1]
        if held:
            yield failed(
                f"{name} holds {held} undelivered: ERROR_MESSAGE or the body has the reason, docs/runbook.md a fix",
                f"aws sqs receive-message --queue-url {url} --message-attribute-names All --region {region}; when that "
                f"is fixed: aws sqs purge-queue --queue-url {url} --region {region}",
            )
        else:
            yield ok(f"{name} is empty")


def alarms(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """A line for each alarm that is on, and one for all others."""
    prefix = f"{environment.name}-"
    found = [
        alarm
        for kind in ("MetricAlarm", "CompositeAlarm")
        for alarm in environment.listed(
            "cloudwatch", "describe_alarms", f"{kind}s", AlarmNamePrefix=prefix, AlarmTypes=[kind]
        )
    ]
    on = [alarm for alarm in found if alarm["StateValue"] == "ALARM" and alarm.get("AlarmActions")]
    for alarm in on:
        name, since = alarm["AlarmName"].removeprefix(prefix), alarm["StateUpdatedTimestamp"]
        reason = f"{name} is on since {since:%Y-%m-%d %H:%M}: {alarm.get('AlarmDescription') or alarm['StateReason']}"
        yield failed(" ".join(reason.split()), f'docs/runbook.md, "{name}"')
    muted = [a["AlarmName"] for a in found if a.get("AlarmActions") and not a.get("ActionsEnabled", True)]
    if muted:
        named = f"{' '.join(muted)} --region {environment.deployed.region}"
        command = f"aws cloudwatch enable-alarm-actions --alarm-names {named}"
        yield warning(f"{', '.join(muted)} sends no email: its actions are off", command)
    waiting = sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in found)
    if not found:
        yield failed("the stack has no alarm", environment.deploy)
    elif not on:
        yield ok(f"none of {len(found)} is on{f', {waiting} have no data yet' if waiting else ''}")
