"""The monitor in the account: what is published of monitor.json, when, and what the alarms on it watch."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from approval_worlds import BUCKET, VARIABLES, MotoWorld
from moto import mock_aws
from moto.events.models import EventPattern
from resolved_template import Resolver, Template, only, resources
from sagemaker_emulation import taught

from infra.approval.function import monitor_metrics as names
from infra.approval.function.monitor_metrics import monitor_lines, values_of

WRITTEN = datetime(2026, 11, 25, 9, 4, tzinfo=UTC).timestamp()
REPORT: dict[str, Any] = {
    "as_of_date": "2026-11-25",
    "summary": "no alarm",
    "primary_metric": "log_loss",
    "live": {
        "enough": True,
        "n_rows": 212,
        "scores": {
            "log_loss": {"value": 0.631, "expected": {"mean": 0.622}},
        },
        "evidence": {"loss": 0.4, "leakage": -0.2, "rate": 0.1, "group": 0.3},
    },
    "features": {"enough": True, "drifted": ["season_games"]},
    "parts": {"scores": {"evidence": 1.2}},
    "data": {"days_since_newest": 1, "overdue_rows": 0, "alarms": []},
}
THIN: dict[str, Any] = {
    **REPORT,
    "live": {"enough": False, "n_rows": 12},
    "features": {"enough": False},
    "parts": {},
}


def test_every_number_has_its_metric() -> None:
    assert values_of(REPORT) == {
        "LivePrimaryLoss": 0.631,
        "ExpectedPrimaryLoss": 0.622,
        "LiveRows": 212,
        "LossEvidence": 0.4,
        "DriftEvidence": 1.2,
        "DriftedFeatures": 1,
        "DaysSinceNewestRow": 1,
        "LateLabels": 0,
        "DataFindings": 0,
        "MonitorFailures": 0.0,
    }
    assert set(values_of(REPORT)) == set(names.ALL)


def test_thin_samples_publish_nothing_but_what_the_data_says() -> None:
    assert set(values_of(THIN)) == {"DaysSinceNewestRow", "LateLabels", "DataFindings", "MonitorFailures"}


def test_a_monitor_that_failed_says_only_that() -> None:
    assert values_of({"as_of_date": "2026-11-25", "failure": "KeyError"}) == {"MonitorFailures": 1.0}


def test_the_line_is_in_the_embedded_format_with_the_pipelines_name_and_the_files_time() -> None:
    (line,) = monitor_lines(REPORT, "retraining-prod", WRITTEN)
    counts = {"LiveRows", "DriftedFeatures", "DaysSinceNewestRow", "LateLabels", "DataFindings", "MonitorFailures"}
    values = values_of(REPORT)
    directive = {
        "Namespace": "ModelRetraining",
        "Dimensions": [["PipelineName"]],
        "Metrics": [{"Name": name, "Unit": "Count" if name in counts else "None"} for name in values],
    }
    stamp = {"Timestamp": 1795597440000, "CloudWatchMetrics": [directive]}
    assert json.loads(line) == {"_aws": stamp, "PipelineName": "retraining-prod", **values}


@pytest.mark.parametrize(
    ("as_of", "published"),
    [("2026-11-22", 0), ("2026-11-23", 1), ("2026-11-25", 1), ("2026-11-27", 1), ("2026-11-28", 0), ("2025-11-25", 0)],
)
def test_a_back_test_is_not_published_as_todays_number(
    as_of: str, published: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two days apart are time zones and a run past midnight, three are a back-test; days are those in UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Pacific/Midway")  # where it is still the 24th
        time.tzset()
        lines = list(monitor_lines({**REPORT, "as_of_date": as_of}, "p", WRITTEN))
    time.tzset()
    assert len(lines) == published


@pytest.mark.parametrize(
    ("evidence", "scores", "shown"),
    [
        ({"loss": 0.4, "leakage": 0.9, "rate": 0.1, "group": 0.3}, {"evidence": 0.2}, 0.9),
        ({"loss": 0.4, "leakage": 0.1, "rate": 0.9, "group": 0.3}, {"evidence": 0.2}, 0.9),
        ({"loss": 2.0, "leakage": 0.1, "rate": 0.1, "group": 0.9}, {"evidence": 0.2}, 0.9),
        ({"loss": 2.0, "leakage": -0.3}, {}, -0.3),
        ({"loss": 2.0}, {"evidence": 0.0}, 0.0),
        ({"loss": 2.0}, {}, None),
    ],
)
def test_drift_is_the_greatest_evidence_but_that_of_the_loss(
    evidence: dict[str, float], scores: dict[str, float | None], shown: float | None
) -> None:
    report = {**REPORT, "live": {**REPORT["live"], "evidence": evidence}, "parts": {"scores": scores} if scores else {}}
    assert values_of(report).get("DriftEvidence") == shown


def test_what_the_data_lacks_is_counted() -> None:
    report = {**THIN, "data": {"days_since_newest": 5, "overdue_rows": 3, "alarms": ["late", "rewritten"]}}
    values = {"MonitorFailures": 0.0, "DaysSinceNewestRow": 5, "LateLabels": 3, "DataFindings": 2}
    assert values_of(report) == values


# --- through the function ---------------------------------------------------------------------------------------------
@pytest.fixture
def world(set_variables: Callable[..., None]) -> Any:
    set_variables(VARIABLES)
    with taught(), mock_aws():
        yield MotoWorld()


def notice() -> dict[str, Any]:
    """S3's event about the file."""
    detail = {"bucket": {"name": BUCKET}, "object": {"key": names.KEY}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def test_the_function_publishes_when_the_file_is_written_and_twice_the_same(
    world: MotoWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    today = datetime.now(UTC).date().isoformat()
    world.store(names.KEY, json.dumps({**REPORT, "as_of_date": today}).encode())
    published = []
    for _ in range(2):
        assert world.deliver(notice()) == {"published": 1}
        published.append([line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line])
    assert published[0] == published[1], "the same values at the same moment"
    assert len(published[0]) == 1


def test_the_hourly_look_does_not_publish_the_monitor_again(
    world: MotoWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.store(names.KEY, json.dumps({**REPORT, "as_of_date": datetime.now(UTC).date().isoformat()}).encode())
    world.deliver({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
    assert "LossEvidence" not in capsys.readouterr().out


def test_an_unreadable_file_is_an_error_that_lambda_counts(world: MotoWorld) -> None:
    world.store(names.KEY, b"{half")
    with pytest.raises(ValueError, match=r"monitor/monitor.json is no JSON object"):
        world.deliver(notice())


# --- in the template --------------------------------------------------------------------------------------------------
ALARMS = {
    "LiveLoss": "LossEvidence",
    "ForecastDrift": "DriftEvidence",
    "FeatureDrift": "DriftedFeatures",
    "StaleData": "DataFindings",
    "MonitorFailed": "MonitorFailures",
}


@pytest.mark.parametrize(("alarm", "metric"), ALARMS.items())
def test_an_alarm_watches_a_metric_that_is_published_and_stays_as_it_is_without_one(
    prod: Template, alarm: str, metric: str
) -> None:
    """A new champion has too few games to judge: silence is not the end of an alarm, and not a new one."""
    _, properties = only(prod, "AWS::CloudWatch::Alarm", alarm)
    assert (properties["Namespace"], properties["MetricName"]) == ("ModelRetraining", metric)
    assert metric in names.ALL
    assert Resolver(prod)(properties["Dimensions"]) == [{"Name": "PipelineName", "Value": "retraining-prod"}]
    assert (properties["Threshold"], properties["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert properties["TreatMissingData"] == "ignore"
    assert properties["Statistic"] == "Maximum", "the same value twice is that value"


def test_only_the_monitors_file_calls_the_function(prod: Template, recorded: Any) -> None:
    _, rule = only(prod, "AWS::Events::Rule", "MonitorWritten")
    event = recorded("object_created")
    (artifacts,) = [name for name in resources(prod, "AWS::S3::Bucket") if "Artifacts" in name]
    event["detail"]["bucket"]["name"] = Resolver(prod)({"Ref": artifacts})
    pattern = EventPattern(None, Resolver(prod)(rule["EventPattern"]))
    for key, called in ((names.KEY, True), ("monitor/monitor.html", False), ("runs/monitor/monitor.json", False)):
        told = copy.deepcopy(event)
        told["detail"]["object"]["key"] = key
        assert pattern.matches_event(told) is called, key
    (target,) = rule["Targets"]
    function, _ = only(prod, "AWS::Lambda::Function", "Approval")
    assert target["Arn"] == {"Fn::GetAtt": [function, "Arn"]}


def test_the_artifact_bucket_tells_eventbridge(prod: Template) -> None:
    _, bucket = only(prod, "AWS::S3::Bucket", "Artifacts")
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_the_dashboard_shows_what_the_monitor_saw() -> None:
    from infra.alarms.dashboard import dashboard_body

    shown = json.dumps(dashboard_body("nba", "p", "r", "b", []))
    for metric in ("LivePrimaryLoss", "ExpectedPrimaryLoss", *ALARMS.values()):
        assert f'"{metric}"' in shown or metric == "MonitorFailures", metric
