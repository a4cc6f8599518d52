"""When the last evaluation's numbers are published, and how."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from infra.approval.function.metrics import is_due, metric_lines
from infra.lambda_shared.environment import Environment

HOURLY = {"detail-type": "Scheduled Event", "time": "2026-01-02T11:31:00Z"}


@pytest.mark.parametrize(
    ("event", "age", "due"),
    [
        ({"detail-type": "SageMaker Model Package State Change"}, 86400, True),
        ({}, None, True),
        (HOURLY, None, False),
        (HOURLY, 3899, True),
        (HOURLY, 3900, False),
        ({**HOURLY, "time": "2026-01-02T12:31:00Z"}, 86400, True),
        ({**HOURLY, "time": "2026-12-12T13:12:12Z"}, 86400, False),
        ({"detail-type": "Scheduled Event"}, 86400, False),
    ],
)
def test_numbers_are_published_when_something_changed_and_once_a_day(
    event: dict[str, Any], age: float | None, due: bool
) -> None:
    assert is_due(event, None if age is None else 1e9 - age, 1e9) is due


def test_candidate_and_champion_have_a_line_each() -> None:
    scores = {"log_loss": 0.62, "calibration_error": 0.0, "n_rows": 1312, "brier": 0.2}
    marker = {
        "primary_metric": "log_loss",
        "metrics": {"candidate": scores, "champion": {"log_loss": 0.63, "n_rows": None}, "constant": scores},
    }
    first, second = map(json.loads, metric_lines(marker, "p", 5))
    metrics = [{"Name": "PrimaryLoss", "Unit": "None"}, {"Name": "CalibrationError", "Unit": "None"}]
    directive: dict[str, Any] = {"Namespace": "ModelRetraining", "Dimensions": [["PipelineName", "Role"]]}
    games = {"Name": "EvaluatedRows", "Unit": "Count"}
    assert first == {
        "_aws": {"Timestamp": 5, "CloudWatchMetrics": [{**directive, "Metrics": [*metrics, games]}]},
        **{
            "PipelineName": "p",
            "Role": "candidate",
            "PrimaryLoss": 0.62,
            "CalibrationError": 0.0,
            "EvaluatedRows": 1312,
        },
    }
    assert second == {
        "_aws": {"Timestamp": 5, "CloudWatchMetrics": [{**directive, "Metrics": metrics[:1]}]},
        **{"PipelineName": "p", "Role": "champion", "PrimaryLoss": 0.63},
    }


@pytest.mark.parametrize("last_evaluated", [{}, {"metrics": None}, {"metrics": {"candidate": None, "champion": {}}}])
def test_before_the_first_evaluation_there_is_no_line(last_evaluated: dict[str, Any]) -> None:
    assert list(metric_lines(last_evaluated, "p", 5)) == []


def test_the_place_is_the_functions_own() -> None:
    names = ("MODEL_PACKAGE_GROUP", "ARTIFACT_BUCKET", "PIPELINE_NAME", "ALERTS_TOPIC_ARN", "APPROVERS_TOPIC_ARN")
    context: Any = SimpleNamespace(invoked_function_arn="arn:aws-cn:lambda:cn-north-1:111122223333:function:f:alias")
    environment = Environment.of({name: name.lower() for name in names}, context)
    assert environment == Environment(*(name.lower() for name in names), "aws-cn", "cn-north-1", "111122223333")
    assert environment.package_arn(3) == (
        "arn:aws-cn:sagemaker:cn-north-1:111122223333:model-package/model_package_group/3"
    )
    more = {"MODEL_CONTACT": "lead@example.com", "SEED_OBJECTS": '{"events/none.json": "[]"}'}
    told = Environment.of({**{name: name.lower() for name in names}, **more}, context)
    assert told == replace(environment, contact="lead@example.com", seeds={"events/none.json": "[]"})
    with pytest.raises(KeyError, match="ALERTS_TOPIC_ARN"):
        Environment.of({name: "" for name in names if name != "ALERTS_TOPIC_ARN"}, context)
