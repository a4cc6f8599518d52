"""Schedule, completion marker and custom event: what starts a run, and with which reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.events.models import EventPattern
from resolved_template import ACCOUNT, Resolver, Template, only, resources
from synthesis import Synthesise

Recorded = Callable[[str], dict[str, Any]]


def matches(template: Template, rule: str, event: dict[str, Any]) -> bool:
    """Whether a rule of the template matches an event."""
    _, properties = only(template, "AWS::Events::Rule", rule)
    return EventPattern(None, Resolver(template)(properties["EventPattern"])).matches_event(event)


def handed_over(template: Template, rule: str, event: dict[str, Any]) -> dict[str, Any]:
    """What a rule's input transformer makes of an event: unquoted `<name>` becomes the value, and no text is escaped.

    docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html, common issues
    """
    (target,) = only(template, "AWS::Events::Rule", rule)[1]["Targets"]
    transformer = target["InputTransformer"]
    text = transformer["InputTemplate"]
    for name, path in transformer["InputPathsMap"].items():
        value: Any = event
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        text = text.replace(f"<{name}>", f'"{value}"' if isinstance(value, str) else json.dumps(value))
    handed: dict[str, Any] = json.loads(text)
    return handed


def test_schedule_knocks_at_the_gate_of_this_pipeline(prod: Template) -> None:
    _, schedule = only(prod, "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "cron(0 9 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "America/New_York"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["State"] == "ENABLED"
    target = Resolver(prod)(schedule["Target"])
    assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:sfn:startExecution"
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10}
    given = json.loads(target["Input"])
    assert json.loads(given["Input"]) == {
        "id": "<aws.scheduler.scheduled-time>",
        "detail": {"reason": "schedule"},
    }
    workflow, machine = only(prod, "AWS::StepFunctions::StateMachine", "TriggersWorkflow")
    assert given["StateMachineArn"] == Resolver(prod)({"Ref": workflow})
    states = json.loads(Resolver(prod)(machine["DefinitionString"]))["States"]
    _, pipeline = only(prod, "AWS::SageMaker::Pipeline")
    assert states["Start"]["Arguments"]["PipelineName"] == pipeline["PipelineName"]


def test_schedule_off_and_elsewhere(synthesise: Synthesise, dev: Template) -> None:
    assert only(dev, "AWS::Scheduler::Schedule")[1]["State"] == "DISABLED"
    template = synthesise(env="prod", schedule="rate(12 hours)", time_zone="America/New_York", enabled="false")
    _, schedule = only(template, "AWS::Scheduler::Schedule")
    assert (schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"]) == (
        "rate(12 hours)",
        "America/New_York",
    )
    assert schedule["State"] == "DISABLED"


@pytest.fixture
def arrived(prod: Template, recorded: Recorded) -> dict[str, Any]:
    """A new object in the data bucket."""
    event = recorded("object_created")
    (data,) = [name for name in resources(prod, "AWS::S3::Bucket") if "StorageData" in name]
    event["detail"]["bucket"]["name"] = Resolver(prod)({"Ref": data})
    return event


@pytest.mark.parametrize(
    ("key", "starts"),
    [
        ("games/_SUCCESS", True),
        ("games/2026-11-23/_SUCCESS", True),
        ("games/games.csv", False),
        ("games/my_SUCCESS", False),
        ("other/_SUCCESS", False),
        ("games/_SUCCESS/part", False),
    ],
)
def test_only_a_completion_marker_below_the_prefix_starts_a_run(
    prod: Template, arrived: dict[str, Any], key: str, starts: bool
) -> None:
    arrived["detail"]["object"]["key"] = key
    assert matches(prod, "DataArrived", arrived) is starts


def test_a_marker_in_another_bucket_starts_nothing(prod: Template, recorded: Recorded) -> None:
    assert not matches(prod, "DataArrived", recorded("object_created"))


def test_data_hands_over_its_reason_and_the_events_id(prod: Template, arrived: dict[str, Any]) -> None:
    assert handed_over(prod, "DataArrived", arrived) == {"id": arrived["id"], "detail": {"reason": "data"}}


@pytest.mark.parametrize("reason", ["drift", 'the "new" season\n', "C:\\data", 7])
def test_a_request_hands_over_the_reason_it_carries(prod: Template, recorded: Recorded, reason: Any) -> None:
    event = recorded("retraining_requested") | {"detail": {"reason": reason}}
    assert matches(prod, "Requested", event)
    assert handed_over(prod, "Requested", event) == {"id": event["id"], "detail": {"reason": reason}}


@pytest.mark.parametrize(
    ("change", "starts"),
    [
        ({"detail": {"reason": "drift", "pipeline": "retraining-prod"}}, True),
        ({"detail": {"reason": "drift", "pipeline": "retraining-dev"}}, False),
        ({"detail": {}}, False),
        ({"account": "999999999999"}, False),
        ({"detail-type": "retraining.done"}, False),
    ],
)
def test_requests_for_others_start_nothing(
    prod: Template, recorded: Recorded, change: dict[str, Any], starts: bool
) -> None:
    assert recorded("retraining_requested")["account"] == ACCOUNT
    assert matches(prod, "Requested", recorded("retraining_requested") | change) is starts


@pytest.fixture
def alarm_changed(prod: Template, recorded: Recorded) -> dict[str, Any]:
    """The alarm on the champion's live loss went off."""
    event = recorded("alarm_changed")
    loss, _ = only(prod, "AWS::CloudWatch::Alarm", "LiveLoss")
    event["resources"] = [Resolver(prod)({"Fn::GetAtt": [loss, "Arn"]})]
    return event


def test_an_alarm_of_drift_asks_for_a_run_that_trains(prod: Template, alarm_changed: dict[str, Any]) -> None:
    assert matches(prod, "Drifted", alarm_changed)
    assert handed_over(prod, "Drifted", alarm_changed) == {
        "id": alarm_changed["id"],
        "detail": {"reason": "drift"},
        "forced_on": alarm_changed["time"],
    }


@pytest.mark.parametrize(
    ("alarm", "state", "starts"),
    [
        ("LiveLoss", "ALARM", True),
        ("ForecastDrift", "ALARM", True),
        ("FeatureDrift", "ALARM", True),
        ("LiveLoss", "OK", False),
        ("LiveLoss", "INSUFFICIENT_DATA", False),
        ("StaleData", "ALARM", False),
        ("RunOverdue", "ALARM", False),
    ],
)
def test_only_drift_starts_a_run(
    prod: Template, alarm_changed: dict[str, Any], alarm: str, state: str, starts: bool
) -> None:
    """Data that is missing is mended by a person: to train on what is left would not help."""
    logical_id, _ = only(prod, "AWS::CloudWatch::Alarm", alarm)
    alarm_changed["resources"] = [Resolver(prod)({"Fn::GetAtt": [logical_id, "Arn"]})]
    alarm_changed["detail"]["state"]["value"] = state
    assert matches(prod, "Drifted", alarm_changed) is starts


def test_drift_starts_nothing_where_the_setting_is_off(synthesise: Synthesise) -> None:
    template = synthesise(env="prod", drift_trigger="false")
    assert not [name for name in resources(template, "AWS::Events::Rule") if "Drifted" in name]
    _, alarm = only(template, "AWS::CloudWatch::Alarm", "LiveLoss")
    assert "No run is started" in Resolver(template)(alarm["AlarmDescription"])


@pytest.mark.parametrize("rule", ["DataArrived", "Requested", "Drifted", "StepFailed", "RunEnded", "MonitorWritten"])
def test_every_rule_keeps_what_it_cannot_deliver(prod: Template, rule: str) -> None:
    (target,) = only(prod, "AWS::Events::Rule", rule)[1]["Targets"]
    queue = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
    policies = [p for p in resources(prod, "AWS::SQS::QueuePolicy").values() if queue in json.dumps(p["Queues"])]
    assert "events.amazonaws.com" in json.dumps(policies)
