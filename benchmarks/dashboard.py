"""A picture of the dashboard after a week of runs: docs/images/dashboard.png.

A version is trained and approved three weeks before; then a run each morning, in a temporary store. What the functions
write to their log becomes metrics of an emulated CloudWatch, as the service makes them of the embedded format; beside
them is what AWS's services put themselves. Each widget is drawn from what GetMetricData then gives.

python -m benchmarks.dashboard [--out docs/images/dashboard.png]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
import click
from moto import mock_aws

from infra.alarms.dashboard import DAY, dashboard_body
from infra.alarms.run_alarms import NAMESPACE
from infra.approval.function.metrics import metric_lines
from infra.approval.function.monitor_metrics import KEY as MONITOR_KEY
from infra.approval.function.monitor_metrics import monitor_lines
from infra.endpoint.function.desired_endpoint import VARIANT
from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY
from pipeline.contract.workload import default_workload
from pipeline.local import local_deployment
from pipeline.local.store.local_champion import promote
from pipeline.local.store.registry import APPROVED, LocalRegistry
from pipeline.local.store.run_record import FAILED, STOPPED, SUCCEEDED, RunResult
from scripts.run_local import retrain

PICTURE: Final = Path("docs/images/dashboard.png")
PIPELINE: Final = "retraining-prod"
BUCKET: Final = "data-bucket"
REGION: Final = "us-east-1"
FIRST: Final = datetime(2025, 3, 1, 9, tzinfo=UTC)
RUN_TIMES: Final = tuple(FIRST + timedelta(days=n) for n in range(7))
APPROVED_BEFORE: Final = timedelta(days=21)
SMALL: Final = {"BoostingRounds": 40, "WalkForwardRows": 1312}
_COLUMNS: Final = 2
Datum = tuple[str, str, Mapping[str, str], float, datetime]  # namespace, name, dimensions, value, when


@dataclass(frozen=True)
class EvaluatedRun:
    """What one run left for the dashboard."""

    when: datetime
    status: str
    seconds: float
    steps: Mapping[str, float]  # seconds of each job
    evaluated: Mapping[str, Any]
    monitor: Mapping[str, Any]
    data_bytes: int
    data_objects: int

    @classmethod
    def of(cls, when: datetime, run: RunResult, root: Path) -> EvaluatedRun:
        objects = root / "objects"
        read = {
            key: json.loads((objects / "artifacts" / key).read_text("utf-8"))
            for key in (LAST_EVALUATED_KEY, MONITOR_KEY)
        }
        data = objects / "data" / str(run.parameters["DataPrefix"])  # each run of the sample has its own copy
        files = [path.stat().st_size for path in data.rglob("*") if path.is_file()]
        jobs = {step.name: step.seconds for step in run.steps if step.log_path}
        seconds = (run.ended_at or run.started_at) - run.started_at
        last, monitor = read.values()
        return cls(when, run.status, seconds, jobs, last, monitor, sum(files), len(files))


def evaluated_runs(folder: Path) -> Iterator[EvaluatedRun]:
    """The week, after a first version has been approved; the command's own runs are not part of it."""
    day = FIRST - APPROVED_BEFORE
    _, store = retrain(store=folder, parameters={**SMALL, "AsOfDate": f"{day:%Y-%m-%d}"}, quiet=True)
    registry = (store, local_deployment.MODEL_PACKAGE_GROUP, local_deployment.ARTIFACT_BUCKET)
    LocalRegistry(store).set_approval(local_deployment.MODEL_PACKAGE_GROUP, 1, APPROVED, "the first")
    promote(*registry)
    for when in RUN_TIMES:
        chosen = {**SMALL, "AsOfDate": f"{when:%Y-%m-%d}", "TriggerReason": "schedule", "MinDaysBetweenTrainings": 3}
        run, store = retrain(store=folder, parameters=chosen, quiet=True)
        yield EvaluatedRun.of(when, run, store.root)


def embedded(line: str, written: datetime) -> Iterator[Datum]:
    """The metrics that CloudWatch takes from a line of a function's log.

    docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    content = json.loads(line)
    for directive in content["_aws"]["CloudWatchMetrics"]:
        for dimensions in directive["Dimensions"]:
            named = {name: str(content[name]) for name in dimensions}
            for metric in directive["Metrics"]:
                yield directive["Namespace"], metric["Name"], named, float(content[metric["Name"]]), written


def of_services(run: EvaluatedRun, endpoint: str | None = None) -> Iterator[Datum]:
    """What SageMaker and S3 put, by their names in AWS's documentation.

    sagemaker/latest/dg/monitoring-cloudwatch.html (Pipelines, endpoints) and
    AmazonS3/latest/userguide/metrics-dimensions.html (daily storage).
    """
    pipeline = {"PipelineName": PIPELINE}
    statuses = {"ExecutionSucceeded": SUCCEEDED, "ExecutionFailed": FAILED, "ExecutionStopped": STOPPED}
    for name, status in statuses.items():
        yield NAMESPACE, name, pipeline, float(run.status == status), run.when
    yield NAMESPACE, "ExecutionStarted", pipeline, 1.0, run.when
    yield NAMESPACE, "ExecutionDuration", pipeline, run.seconds * 1000, run.when
    for step, seconds in run.steps.items():
        yield NAMESPACE, "StepDuration", {**pipeline, "StepName": step}, seconds * 1000, run.when
    for name, storage, value in (
        ("BucketSizeBytes", "StandardStorage", run.data_bytes),
        ("NumberOfObjects", "AllStorageTypes", run.data_objects),
    ):
        yield "AWS/S3", name, {"BucketName": BUCKET, "StorageType": storage}, float(value), run.when
    if endpoint:
        served = {"EndpointName": endpoint, "VariantName": VARIANT}
        for name in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency"):
            yield "AWS/SageMaker", name, served, 1.0, run.when


def put(client: Any, run: EvaluatedRun, endpoint: str | None = None) -> None:  # noqa: ANN401 - boto3's client
    """All that a run makes appear in CloudWatch."""
    moment = run.when.timestamp()
    lines = (*metric_lines(run.evaluated, PIPELINE, int(moment * 1000)), *monitor_lines(run.monitor, PIPELINE, moment))
    found = [*of_services(run, endpoint), *(datum for line in lines for datum in embedded(line, run.when))]
    data: dict[str, list[dict[str, Any]]] = {}
    for namespace, name, dimensions, value, when in found:
        named = [{"Name": key, "Value": item} for key, item in dimensions.items()]
        datum = {"MetricName": name, "Dimensions": named, "Timestamp": when, "Value": value}
        data.setdefault(namespace, []).append(datum)
    for namespace, some in data.items():
        client.put_metric_data(Namespace=namespace, MetricData=some)


def series(client: Any, widget: Mapping[str, Any], end: datetime) -> dict[str, list[tuple[datetime, float]]]:  # noqa: ANN401
    """What a widget's lines show: label -> days and values, as GetMetricData answers."""
    shown = {}
    for namespace, name, *named, options in widget["properties"]["metrics"]:
        dimensions = [{"Name": key, "Value": value} for key, value in zip(named[::2], named[1::2], strict=True)]
        stat = options.get("stat", widget["properties"]["stat"])
        stat = "Maximum" if stat.startswith("p") else stat  # the emulation computes no percentiles
        query = {
            "Id": "m",
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions},
                "Period": DAY,
                "Stat": stat,
            },
        }
        (found,) = client.get_metric_data(
            MetricDataQueries=[query],
            StartTime=RUN_TIMES[0] - timedelta(days=1),
            EndTime=end,
            ScanBy="TimestampAscending",
        )["MetricDataResults"]
        shown[options["label"]] = list(zip(found["Timestamps"], found["Values"], strict=True))
    return shown


def graphs(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [widget for widget in body["widgets"] if widget["type"] == "metric"]


def draw(body: Mapping[str, Any], client: Any, out: Path) -> None:  # noqa: ANN401 - boto3's client
    """The page, two widgets in a row, in their order."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    shown = graphs(body)
    rows = -(-len(shown) // _COLUMNS)
    figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=(12, 2.5 * rows), layout="constrained")
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    for axis, widget in zip(axes.flat, shown, strict=False):
        right = {options["label"] for *_, options in widget["properties"]["metrics"] if options.get("yAxis") == "right"}
        other = axis.twinx() if right else axis
        for number, (label, points) in enumerate(series(client, widget, RUN_TIMES[-1] + timedelta(days=1)).items()):
            on = other if label in right else axis
            days, values = [when for when, _ in points], [value for _, value in points]
            on.plot(days, values, marker="o", ms=3, color=f"C{number}")
            axis.plot([], [], color=f"C{number}", label=f"{label} (right)" if label in right else label)
        for line in widget["properties"].get("annotations", {}).get("horizontal", ()):
            axis.axhline(line["value"], color="firebrick", lw=1, ls="--", label=line["label"])
        axis.set_title(widget["properties"]["title"], fontsize=10, loc="left")
        axis.set_xticks(list(RUN_TIMES), [f"{when:%b %d}" for when in RUN_TIMES])
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
        other.tick_params(labelsize=7)
        if right:  # not over the numbers of the right axis
            axis.legend(fontsize=7, loc="lower right", frameon=False)
        else:
            axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(f"{PIPELINE}: a week of simulated runs (durations are those of one machine)", fontsize=11)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=75)
    pyplot.close(figure)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=PICTURE, show_default=True)
def main(out: Path) -> None:
    """Draw the dashboard after a week of runs."""
    with tempfile.TemporaryDirectory() as folder:
        week = list(evaluated_runs(Path(folder)))  # before AWS is emulated: the runs are processes of their own
    with mock_aws():
        client = boto3.client("cloudwatch", region_name=REGION)
        for run in week:
            put(client, run)
        draw(dashboard_body(default_workload(), PIPELINE, REGION, BUCKET, []), client, out)
    click.echo(f"wrote {out}: {out.stat().st_size / 1000:.0f} kB", err=True)


if __name__ == "__main__":
    main()
