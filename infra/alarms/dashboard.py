"""One page for a look: runs, how long they took, how good candidate and champion are, how much data, the alarms."""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.alarms.run_alarms import NAMESPACE
from infra.approval.function.metrics import NAMESPACE as MODEL_NAMESPACE
from infra.endpoint.function.desired_endpoint import VARIANT
from infra.foundation.foundation import Foundation
from infra.training.construct import Training
from pipeline.contract.code_version import all_steps
from pipeline.contract.metrics import metrics_of, primary_metric
from pipeline.contract.names import NO_FOLDER
from pipeline.contract.workload import load_spec, read_definition

DAY: Final = 86400
CORE_JOBS: Final = ("Prepare", "Predict", "Train", "Evaluate")
HALF_WIDTH: Final = 12
HEIGHT: Final = 6


class Dashboard(Construct):
    """A CloudWatch dashboard, named after pipeline and region; its body is data, so that it can be read in a diff."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, training: Training) -> None:
        super().__init__(scope, construct_id)
        stack, settings = cdk.Stack.of(self), foundation.settings
        body = dashboard_body(
            settings.workload,
            training.pipeline.ref,
            stack.region,
            foundation.storage.data.bucket_name,
            [alarm.alarm_arn for alarm in foundation.alerts.alarms],
            endpoint=settings.pipeline_name if settings.serving != "off" else None,
            extra_steps=settings.events_prefix != NO_FOLDER,
        )
        name = f"{settings.pipeline_name}-{stack.region}"  # unique in the account, not per region
        cloudwatch.CfnDashboard(self, "Page", dashboard_name=name, dashboard_body=stack.to_json_string(body))


def dashboard_body(
    workload: str,
    pipeline: str,
    region: str,
    data_bucket: str,
    alarms: list[str],
    *,
    endpoint: str | None = None,
    extra_steps: bool = False,
) -> dict[str, Any]:
    """The widgets; model metrics cover ninety days, runs thirty.

    `extra_steps`: also those of the workload, which do not run without their files and would be lines without data.
    """
    steps = [
        s["Name"]
        for s in all_steps(read_definition(workload)["Steps"])
        if s["Type"] in ("Processing", "Training") and (extra_steps or s["Name"] in CORE_JOBS)
    ]

    def runs(name: str, label: str) -> list[Any]:
        return [NAMESPACE, name, "PipelineName", pipeline, {"label": label}]

    def model(name: str, role: str) -> list[Any]:
        return [MODEL_NAMESPACE, name, "PipelineName", pipeline, "Role", role, {"label": role, "stat": "Average"}]

    def monitored(name: str, label: str) -> list[Any]:
        return [MODEL_NAMESPACE, name, "PipelineName", pipeline, {"label": label, "stat": "Maximum"}]

    def roles(name: str) -> list[Any]:
        return [model(name, role) for role in ("candidate", "champion", "baseline")]

    def stored(name: str, kind: str, **options: str) -> list[Any]:
        return ["AWS/S3", name, "BucketName", data_bucket, "StorageType", kind, options]

    spec = load_spec(workload)
    loss, newest = primary_metric(spec).label, f"days since the newest {spec.row}"
    durations = [[NAMESPACE, "StepDuration", "PipelineName", pipeline, "StepName", s, {"label": s}] for s in steps]
    states = ("Started", "Succeeded", "Failed", "Stopped")
    limit = {"annotations": {"horizontal": [{"label": "limit", "value": 1}]}}
    quarter = {"start": "-P90D"}
    widgets = [
        _graph("Runs a day", [runs(f"Execution{e}", label=e) for e in states], stat="Sum"),
        _graph(
            "Duration of runs and steps, in milliseconds",
            [runs("ExecutionDuration", label="run"), *durations],
            stat="Maximum",
        ),
        _graph(f"{loss.capitalize()} (lower is better)", roles("PrimaryLoss"), **quarter),
        _graph("Share of the baseline's loss that the candidate removes", [model("Skill", "candidate")], **quarter),
        *(
            _graph(f"{metric.label.capitalize()} (lower is better)", roles("CalibrationError"), **quarter)
            for metric in metrics_of(spec)
            if metric.key == "calibration_error"
        ),
        _graph(
            f"Live {loss} of the champion, and its expected value",
            [monitored("LivePrimaryLoss", "live"), monitored("ExpectedPrimaryLoss", "expected")],
            **quarter,
        ),
        _graph(
            "Evidence against the champion",
            [monitored("LossEvidence", "loss"), monitored("DriftEvidence", "the greatest other")],
            **limit,
            **quarter,
        ),
        _graph(
            f"Drifted features, findings about the data, {newest}",
            [
                monitored("DriftedFeatures", "drifted features"),
                monitored("DataFindings", "findings about the data"),
                monitored("DaysSinceNewestRow", newest),
            ],
            stat="Maximum",
            **quarter,
        ),
        _graph(f"{spec.rows.capitalize()} evaluated", roles("EvaluatedRows"), **quarter),
        _graph(
            "Data bucket",
            [
                stored("BucketSizeBytes", "StandardStorage", label="bytes"),
                stored("NumberOfObjects", "AllStorageTypes", label="objects", yAxis="right"),
            ],
            **quarter,
        ),
        *(_endpoint_widgets(endpoint) if endpoint else ()),
    ]
    for widget in widgets:
        widget["properties"]["region"] = region
    widgets.append({"type": "alarm", "properties": {"title": "Alarms", "alarms": alarms}})
    placed = [
        {**w, "x": HALF_WIDTH * (i % 2), "y": HEIGHT * (i // 2), "width": HALF_WIDTH, "height": HEIGHT}
        for i, w in enumerate(widgets)
    ]
    return {"start": "-P30D", "widgets": placed}


def _endpoint_widgets(endpoint: str) -> list[dict[str, Any]]:
    """Requests and errors, and how long an answer took, in microseconds."""

    def metric(name: str, stat: str) -> list[Any]:
        dimensions = ["EndpointName", endpoint, "VariantName", VARIANT]
        return ["AWS/SageMaker", name, *dimensions, {"label": f"{name} {stat}", "stat": stat}]

    counts = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")
    return [
        _graph("Endpoint: requests a day", [metric(name, "Sum") for name in counts]),
        _graph("Endpoint: microseconds", [metric("ModelLatency", stat) for stat in ("p50", "p99")]),
    ]


def _graph(title: str, metrics: list[Any], **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - CloudWatch's
    """A widget of values of a day."""
    shown = {"title": title, "metrics": metrics, "stat": "Average", "period": DAY, **properties}
    return {"type": "metric", "properties": shown}
