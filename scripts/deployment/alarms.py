"""The alarms' states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.deployment.check_result import FAILED, OK, WARNING, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment


def alarms(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """A line for each alarm that is on, and one for all others."""
    found = _described(environment)
    on = [alarm for alarm in found if alarm["StateValue"] == "ALARM" and alarm.get("AlarmActions")]
    for alarm in on:
        name = alarm["AlarmName"].removeprefix(f"{environment.name}-")
        since = alarm["StateUpdatedTimestamp"]
        reason = f"{name} is on since {since:%Y-%m-%d %H:%M}: {alarm.get('AlarmDescription') or alarm['StateReason']}"
        yield CheckResult("alarms", FAILED, " ".join(reason.split()), f'docs/runbook.md, "{name}"')
    muted = [a["AlarmName"] for a in found if a.get("AlarmActions") and not a.get("ActionsEnabled", True)]
    if muted:
        named = f"{' '.join(muted)} --region {environment.deployed.region}"
        command = f"aws cloudwatch enable-alarm-actions --alarm-names {named}"
        yield CheckResult("alarms", WARNING, f"{', '.join(muted)} sends no email: its actions are off", command)
    waiting = sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in found)
    if not found:
        yield CheckResult("alarms", FAILED, "the stack has no alarm", environment.deploy)
    elif not on:
        more = f", {waiting} have no data yet" if waiting else ""
        yield CheckResult("alarms", OK, f"none of {len(found)} is on{more}")


def _described(environment: DeployedEnvironment) -> list[dict[str, Any]]:
    kinds = ["MetricAlarm", "CompositeAlarm"]
    pages = (
        environment.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"{environment.name}-", AlarmTypes=kinds)
    )
    return [alarm for page in pages for kind in kinds for alarm in page.get(f"{kind}s", [])]
