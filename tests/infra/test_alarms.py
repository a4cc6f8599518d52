"""Alarms: what they watch, that they say what to do, and whom they mail; the dashboard."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern
from resolved_template import Resolver, Template, only, resources
from synthesis import Synthesise

KINDS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
SILENT = ("retraining-prod-run-failed", "retraining-prod-mail-written")


def alarms(template: Template) -> dict[str, Any]:
    """Alarm name to properties."""
    return {p["AlarmName"]: p for kind in KINDS for p in resources(template, kind).values()}


def test_every_alarm_mails_when_it_begins_and_when_it_is_over(prod: Template) -> None:
    topic, _ = only(prod, "AWS::SNS::Topic", "Alerts")
    for name, alarm in alarms(prod).items():
        if name in SILENT:
            assert "AlarmActions" not in alarm
        else:
            assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}], name


def test_every_alarm_says_what_is_wrong_and_what_to_do(prod: Template, root: Path) -> None:
    resolve = Resolver(prod)
    for name, alarm in alarms(prod).items():
        text = resolve(alarm["AlarmDescription"])
        assert text.count(". ") >= 1, f"{name}: {text}"
        assert len(text) <= 1024, "CloudWatch takes no longer description"
        for word in shlex.split(text.replace("`", " ").replace("'", " ")):
            if word.startswith("scripts."):
                module = word.rstrip(".:,;)")
                assert module in ("scripts.start_execution", "scripts.show_execution"), module


def test_what_is_watched(prod: Template) -> None:
    watched = json.dumps(list(alarms(prod).values()))
    for metric in (
        *("ExecutionFailed", "ExecutionSucceeded", "TargetErrorCount", "InvocationDroppedCount"),
        *("InvocationsFailedToBeSentToDeadLetterCount", "ApproximateNumberOfMessagesVisible", "ExecutionsTimedOut"),
        "Errors",
    ):
        assert f'"{metric}"' in watched, metric
    queues = len(resources(prod, "AWS::SQS::Queue"))
    assert watched.count('"ApproximateNumberOfMessagesVisible"') == queues, "each queue for dead letters"


def test_alarms_watch_this_pipeline_and_the_schedules_group(prod: Template) -> None:
    pipeline, _ = only(prod, "AWS::SageMaker::Pipeline")
    group, _ = only(prod, "AWS::Scheduler::ScheduleGroup")
    seen = set()
    for alarm in resources(prod, "AWS::CloudWatch::Alarm").values():
        for metric in [alarm, *(m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m)]:
            for dimension in metric.get("Dimensions", []):
                if dimension["Name"] in ("PipelineName", "ScheduleGroup"):
                    expected = {"PipelineName": pipeline, "ScheduleGroup": group}[dimension["Name"]]
                    assert dimension["Value"] == {"Ref": expected}
                    seen.add(dimension["Name"])
    assert seen == {"PipelineName", "ScheduleGroup"}


def test_a_failed_run_is_mailed_by_the_alarm_only_if_no_mail_with_a_reason_was_written(prod: Template) -> None:
    _, failed = only(prod, "AWS::CloudWatch::CompositeAlarm")
    by_name = {k: p["AlarmName"] for k, p in resources(prod, "AWS::CloudWatch::Alarm").items()}
    suppressor = failed["ActionsSuppressor"]["Fn::GetAtt"][0]
    assert by_name[suppressor] == "retraining-prod-mail-written"
    watched = json.dumps(failed["AlarmRule"])
    assert [name for key, name in by_name.items() if key in watched] == ["retraining-prod-run-failed"]
    assert failed["ActionsSuppressorWaitPeriod"] >= 300, "metrics come minutes later"
    mails, _ = only(prod, "AWS::StepFunctions::StateMachine", "RunMails")
    written = prod["Resources"][suppressor]["Properties"]
    assert written["Dimensions"] == [{"Name": "StateMachineArn", "Value": {"Ref": mails}}]


@pytest.mark.parametrize(
    ("schedule", "hours"), [("cron(0 9 * * ? *)", 30), ("cron(0 9 ? * MON-FRI *)", 78), ("rate(6 days)", 150)]
)
def test_nothing_ran_waits_longer_than_the_schedule(synthesise: Synthesise, schedule: str, hours: int) -> None:
    alarm = alarms(synthesise(env="prod", schedule=schedule))["retraining-prod-nothing-ran"]
    assert alarm["TreatMissingData"] == "breaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"] == hours
    periods = {m["MetricStat"]["Period"] for m in alarm["Metrics"] if "MetricStat" in m}
    assert periods == {3600}
    assert hours * 3600 <= 7 * 24 * 3600, "CloudWatch looks back no further with hourly periods"


def test_nothing_ran_is_not_watched_when_the_schedule_is_off(dev: Template) -> None:
    assert not [name for name in alarms(dev) if name.endswith("nothing-ran")]


def test_the_watch_begins_when_the_schedule_is_created_or_changed(
    prod: Template, recorded: Callable[[str], dict[str, Any]]
) -> None:
    """Right after the first deploy no run has succeeded: the schedule's creation counts instead."""
    rule_id, rule = only(prod, "AWS::Events::Rule", "ScheduleChanged")
    schedule_id, _ = only(prod, "AWS::Scheduler::Schedule")
    event = recorded("schedule_changed")
    pattern = EventPattern(None, Resolver(prod)(rule["EventPattern"]))
    assert not pattern.matches_event(event), "another resource of the stack"
    event["detail"]["logical-resource-id"] = schedule_id
    assert pattern.matches_event(event)
    assert rule_id in prod["Resources"][schedule_id]["DependsOn"], "the rule listens before there is a schedule"
    metrics = {m["Id"]: m for m in alarms(prod)["retraining-prod-nothing-ran"]["Metrics"]}
    (expression,) = [m["Expression"] for m in metrics.values() if "Expression" in m]
    assert expression == "SUM([succeeded, changed])"
    counted = metrics["changed"]["MetricStat"]["Metric"]
    assert (counted["Namespace"], counted["MetricName"]) == ("AWS/Events", "MatchedEvents")
    assert counted["Dimensions"] == [{"Name": "RuleName", "Value": {"Ref": rule_id}}]
    assert "PipelineName" in json.dumps(metrics["succeeded"])


def test_people_are_subscribed(prod: Template) -> None:
    found = {p["Endpoint"]: p for p in resources(prod, "AWS::SNS::Subscription").values()}
    assert set(found) == {"oncall@example.com", "lead@example.com"}
    assert "Alerts" in json.dumps(found["oncall@example.com"]["TopicArn"])
    assert "Approv" in json.dumps(found["lead@example.com"]["TopicArn"])
    assert {p["Protocol"] for p in found.values()} == {"email"}


def test_dashboard_shows_runs_models_data_and_every_alarm(prod: Template) -> None:
    _, page = only(prod, "AWS::CloudWatch::Dashboard")
    body = json.loads(Resolver(prod)(page["DashboardBody"]))
    text = json.dumps(body)
    for shown in (
        *("ExecutionSucceeded", "ExecutionFailed", "ExecutionDuration", "StepDuration", "Prepare", "Train"),
        *(
            "LogLoss",
            "CalibrationError",
            "candidate",
            "champion",
            "EvaluatedGames",
            "BucketSizeBytes",
            "retraining-prod",
        ),
    ):
        assert f'"{shown}"' in text, shown
    (listed,) = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]
    assert len(listed) == len(alarms(prod)) - len(SILENT)
    places = [(w["x"], w["y"]) for w in body["widgets"]]
    assert len(set(places)) == len(places), "no widget lies on another"


def test_dashboard_reads_the_metrics_that_the_approval_function_writes() -> None:
    from infra import dashboard
    from infra.handlers import metrics

    assert metrics.NAMESPACE == dashboard.MODEL_NAMESPACE
    shown = json.dumps(dashboard.dashboard_body("p", "r", "b", []))
    for name in (
        metrics.LOG_LOSS,
        metrics.CALIBRATION_ERROR,
        metrics.EVALUATED_GAMES,
        metrics.ROLE,
        metrics.PIPELINE_NAME,
    ):
        assert f'"{name}"' in shown
