"""The dashboard shows nothing that nobody puts: after a week each line of each widget has its values."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from resolved_template import Resolver, Template, only
from test_monitor_metrics import REPORT

from benchmarks.dashboard import BUCKET, PICTURE, PIPELINE, REGION, RUN_TIMES, EvaluatedRun, draw, graphs, put, series
from infra.alarms.dashboard import CORE_JOBS, dashboard_body
from pipeline.contract.workload import workload_names

LARGEST = 150_000  # bytes of the picture
JOBS = {"Prepare": 60.0, "Predict": 50.0, "Train": 120.0, "Evaluate": 70.0}
METRICS = ("log_loss", "squared_error", "calibration_error", "n_rows")
ENDPOINT = "retraining-prod"


def evaluated_run(number: int, workload: str = "nba") -> EvaluatedRun:
    """A run of the week; what it left has the shape of a step's own file."""
    from pipeline.contract.metrics import primary_metric
    from pipeline.contract.workload import load_spec

    primary = primary_metric(load_spec(workload)).key
    score = dict.fromkeys(METRICS, 0.6 + number / 100) | {primary: 0.5 + number / 100}
    evaluated = {
        "primary_metric": primary,
        "metrics": dict.fromkeys(("candidate", "champion", "baseline"), score),
        "quality": {"skill": 0.01},
    }
    monitor = copy.deepcopy(REPORT) | {"as_of_date": f"{RUN_TIMES[number]:%Y-%m-%d}", "primary_metric": primary}
    monitor["live"]["scores"] = {primary: {"value": 0.63, "expected": {"mean": 0.62}}}
    return EvaluatedRun(RUN_TIMES[number], "Succeeded", 300.0, JOBS, evaluated, monitor, 5_000_000, 12)


@pytest.mark.parametrize("workload", workload_names())
def test_each_metric_of_a_widget_has_data_after_a_week(workload: str) -> None:
    """Under exactly that namespace, name and dimensions; what is put is what functions and services put."""
    body = dashboard_body(workload, PIPELINE, REGION, BUCKET, [], endpoint=ENDPOINT)
    with mock_aws():
        client = boto3.client("cloudwatch", region_name=REGION)
        for number in range(len(RUN_TIMES)):
            put(client, evaluated_run(number, workload), ENDPOINT)
        lines = {
            (widget["properties"]["title"], label): points
            for widget in graphs(body)
            for label, points in series(client, widget, RUN_TIMES[-1] + timedelta(days=1)).items()
        }
    assert [key for key, points in lines.items() if len(points) != len(RUN_TIMES)] == []
    assert len(lines) > 20
    loss = next(points for (_, label), points in lines.items() if label == "candidate")
    assert [round(value, 2) for _, value in loss] == [0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56]


def test_a_metric_that_nobody_puts_is_found() -> None:
    body = dashboard_body("nba", PIPELINE, REGION, BUCKET, [])
    text = json.dumps(body).replace('"PrimaryLoss"', '"LogLoss"')
    with mock_aws():
        client = boto3.client("cloudwatch", region_name=REGION)
        put(client, evaluated_run(0))
        found = [series(client, widget, RUN_TIMES[-1]) for widget in graphs(json.loads(text))]
    empty = [label for lines in found for label, points in lines.items() if not points]
    assert empty == ["candidate", "champion", "baseline"]


def steps_shown(body: dict[str, Any]) -> set[str]:
    """The steps whose duration a widget shows."""
    rows = [row for widget in graphs(body) for row in widget["properties"]["metrics"]]
    return {row[row.index("StepName") + 1] for row in rows if "StepName" in row}


def test_steps_that_do_not_run_have_no_line(dev: Template) -> None:
    """The default has no files for them; with files it shows them too."""
    _, page = only(dev, "AWS::CloudWatch::Dashboard")
    assert steps_shown(json.loads(Resolver(dev)(page["DashboardBody"]))) == set(CORE_JOBS)
    more = dashboard_body("nba", PIPELINE, REGION, BUCKET, [], extra_steps=True)
    assert steps_shown(more) == {*CORE_JOBS, "Aggregate", "AggregateOnSpark"}


def test_the_picture_is_drawn_and_small(tmp_path: Path, root: Path) -> None:
    with mock_aws():
        client = boto3.client("cloudwatch", region_name=REGION)
        for number in range(2):
            put(client, evaluated_run(number))
        draw(dashboard_body("nba", PIPELINE, REGION, BUCKET, []), client, tmp_path / "dashboard.png")
    for picture in (tmp_path / "dashboard.png", root / PICTURE):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < LARGEST
