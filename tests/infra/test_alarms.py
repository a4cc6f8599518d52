"""Alarms: what they watch, that they say what to do, and whom they mail; the dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from resolved_template import REGION, Resolver, Template, only, resources
from synthesis import Synthesise

from infra.lambda_shared.environment import CLOCK, NOW


def alarms(template: Template) -> dict[str, Any]:
    """Alarm name to properties."""
    return {p["AlarmName"]: p for p in resources(template, "AWS::CloudWatch::Alarm").values()}


def test_every_alarm_mails_when_it_begins_and_when_it_is_over(prod: Template) -> None:
    topic, _ = only(prod, "AWS::SNS::Topic", "Alerts")
    for name, alarm in alarms(prod).items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}], name


def test_every_alarm_says_what_is_wrong_and_what_to_do(prod: Template, root: Path) -> None:
    resolve = Resolver(prod)
    for name, alarm in alarms(prod).items():
        text = resolve(alarm["AlarmDescription"])
        assert text.count(". ") >= 1, f"{name}: {text}"
        assert len(text) <= 1024, "CloudWatch takes no longer description"
        complete = rf"python -m scripts\.(start|show)_execution --pipeline retraining-prod --region {REGION}"
        before, *quoted = text.split("`")
        assert all(re.fullmatch(complete, command) for command in quoted[::2]), "to be copied as they are"
        assert "python" not in "".join((before, *quoted[1::2])), name


def test_no_alarm_speaks_of_a_failed_run(prod: Template) -> None:
    """An email about the run does, with what its steps say: an alarm on a count could only contradict it."""
    assert "ExecutionFailed" not in json.dumps(list(alarms(prod).values()))
    assert not resources(prod, "AWS::CloudWatch::CompositeAlarm")


@pytest.mark.parametrize(
    ("schedule", "hours"), [("cron(0 9 * * ? *)", 30), ("cron(0 9 ? * MON-FRI *)", 78), ("rate(6 days)", 150)]
)
def test_run_overdue_waits_longer_than_the_schedule(synthesise: Synthesise, schedule: str, hours: int) -> None:
    alarm = alarms(synthesise(env="prod", schedule=schedule))["retraining-prod-run-overdue"]
    assert alarm["TreatMissingData"] == "breaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"] == hours
    periods = {m["MetricStat"]["Period"] for m in alarm["Metrics"] if "MetricStat" in m}
    assert periods == {3600}
    assert hours * 3600 <= 7 * 24 * 3600, "CloudWatch looks back no further with hourly periods"


def test_run_overdue_is_not_watched_when_the_schedule_is_off(dev: Template) -> None:
    assert not [name for name in alarms(dev) if name.endswith("run-overdue")]
    assert not resources(dev, CLOCK)


def breaches(template: Template, *, since: int, now: int, succeeded: int | None = None) -> bool:
    """Whether CloudWatch, at the full hour `now`, finds all hours below the threshold; all in hours.

    They are those of the alarm's periods, because FILL leaves none without a value: for those that are missing,
    CloudWatch would look at older ones (AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html).
    """
    clock, _ = only(template, CLOCK)
    alarm = Resolver(template, {f"{clock}.{NOW}": str(since * 3600 + 60)})(
        alarms(template)["retraining-prod-run-overdue"]
    )
    (expression,) = [m["Expression"] for m in alarm["Metrics"] if "Expression" in m]
    form = r"IF\(EPOCH\(TIME_SERIES\(1\)\) < (\d+), 1, FILL\(succeeded, 0\)\)"
    began = int(re.fullmatch(form, expression)[1])  # type: ignore[index]
    hours = range(now - alarm["EvaluationPeriods"], now)
    return all((hour == succeeded) + (hour * 3600 < began) < alarm["Threshold"] for hour in hours)


def test_run_overdue_is_quiet_at_its_creation_and_then_waits_as_after_a_run(prod: Template) -> None:
    """CloudWatch evaluates an alarm as soon as it is created: then no run can have succeeded yet."""
    created = 480_000
    assert not any(breaches(prod, since=created, now=created + hour) for hour in range(31))
    assert breaches(prod, since=created, now=created + 31)
    assert not breaches(prod, since=created, now=created + 31, succeeded=created + 8)
    assert not breaches(prod, since=created, now=created + 38, succeeded=created + 8)
    assert breaches(prod, since=created, now=created + 39, succeeded=created + 8)
    assert not breaches(prod, since=created + 100, now=created + 101, succeeded=created + 8), "it was changed"


def test_the_watch_begins_again_when_the_schedule_changes(prod: Template, synthesise: Synthesise) -> None:
    """CloudFormation asks for the time again where a property is another one, and only there."""
    _, clock = only(prod, CLOCK)
    for other in ({"schedule": "rate(1 day)"}, {"time_zone": "Europe/Berlin"}):
        assert only(synthesise(env="prod", **other), CLOCK)[1] != clock
    same = only(synthesise(env="prod", limits="MinRows=500"), CLOCK)[1]
    assert {k: v for k, v in same.items() if k != "ServiceToken"} == {
        k: v for k, v in clock.items() if k != "ServiceToken"
    }
