"""The summary of a run: the object that `run_local --json` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.contract import names as c
from pipeline.contract.history.runs import alarms_of
from pipeline.contract.spec import Spec
from pipeline.contract.workload import current_workload
from pipeline.local.local_deployment import ARTIFACT_BUCKET, MODEL_PACKAGE_GROUP
from pipeline.local.store.history import decide, output_uri
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import RunResult
from pipeline.local.store.store import Store


def run_summary(run: RunResult, store: Store) -> dict[str, Any]:
    """Execution, decision, steps, metrics, package, failure, report, predictions, monitor, events; JSON types only.

    `metrics` is what this run evaluated; `last_evaluated` the last evaluation, for a run that trained nothing.
    """
    read = store.readable_json
    evaluation = read(output_uri(run, "Evaluate", c.EVALUATION_CHANNEL, c.EVALUATION_FILE)) or {}
    prepared = read(output_uri(run, "Prepare", c.REPORT_CHANNEL, c.PREPARED_FILE)) or {}
    last_evaluated = read(f"s3://{ARTIFACT_BUCKET}/{c.EVALUATED_CHANNEL}/{c.EVALUATED_FILE}") or {}
    monitor = read(output_uri(run, "Predict", c.MONITOR_CHANNEL, c.MONITOR_FILE))
    decision, spec = decide(run), current_workload().spec
    return {
        "execution_id": run.execution_id,
        "status": run.status,
        "decision": decision,
        "reason": _reason(run, decision, evaluation, prepared),
        "as_of_date": prepared.get("as_of_date"),
        "simulated": prepared.get("simulated"),
        "steps": [
            {name: getattr(step, name) for name in ("name", "type", "status", "outcome", "cached")}
            | {"seconds": round(step.seconds, 3)}
            for step in run.steps
        ],
        "workload": spec.name,
        "rows": spec.rows,
        "baseline": spec.baseline,
        "metric_words": evaluation.get("metric_words", {}),
        "metrics": evaluation.get("metrics", {}),
        "comparison": evaluation.get("comparison"),
        "last_evaluated": last_evaluated.get("summary"),
        "data": prepared.get("data"),
        "model_package": _model_package(run, store),
        "model_card": _model_card(run, store),
        "failure": None if run.failure is None else {"step": run.failure.step, "reason": run.failure.reason},
        "report": _report(run, store),
        "predictions": _existing(store, output_uri(run, "Predict", c.PREDICTIONS_CHANNEL, c.PREDICTIONS_FILE)),
        "monitor": monitor and _monitor(monitor, run, store),
        "extra": _extra(run, store, spec),
    }


def _reason(run: RunResult, decision: str | None, evaluation: dict[str, Any], prepared: dict[str, Any]) -> str:
    if run.failure is not None:
        return run.failure.reason
    if decision is None:
        return "the run was stopped before its end"
    if decision == c.NO_NEW_DATA:
        return str(prepared.get("reason", ""))
    return str(evaluation.get("reason", ""))


def _monitor(monitor: dict[str, Any], run: RunResult, store: Store) -> dict[str, Any]:
    """The monitor's summary, its alarms, and its report, copied beside the run's record."""
    page = _existing(store, output_uri(run, "Predict", c.MONITOR_CHANNEL, c.MONITOR_REPORT_FILE))
    return {
        "summary": monitor["summary"],
        "alarms": list(alarms_of(monitor)),
        "report": _kept(run, store, c.MONITOR_REPORT_FILE, None if "failure" in monitor else page),
    }


def _extra(run: RunResult, store: Store, spec: Spec) -> dict[str, Any]:
    """Summaries of the workload's extra steps, by the channel that the next run's Prepare reads."""
    found = {}
    for channel, _, file in (key.partition("/") for key in spec.seed_objects):
        for step in run.steps:
            uri = output_uri(run, step.name, channel, file)
            if uri and (content := store.readable_json(uri)):
                folder = str(store.object_path(uri.removesuffix(f"/{file}")))
                found[channel] = {"step": step.name, "folder": folder, **content}
    return found


def _existing(store: Store, uri: str | None) -> str | None:
    path = store.object_path(uri) if uri else None
    return str(path) if path and path.is_file() else None


def _kept(run: RunResult, store: Store, name: str, source: str | None) -> str | None:
    """Where a page is beside the run's record; it is copied there if there is a source, which the next run replaces."""
    target = store.run_folder(run.execution_id) / name
    if source:
        with suppress(OSError):  # the run has ended; the copy is optional
            store.copy(Path(source), target)
    return str(target) if target.is_file() else None


def _model_package(run: RunResult, store: Store) -> dict[str, Any] | None:
    arn = run.step("Register").properties.get("ModelPackageArn")
    for package in LocalRegistry(store).packages(MODEL_PACKAGE_GROUP):
        if arn is not None and package["ModelPackageArn"] == arn:
            return {
                "version": package["ModelPackageVersion"],
                "approval_status": package["ModelApprovalStatus"],
                "arn": arn,
            }
    return None


def _model_card(run: RunResult, store: Store) -> str | None:
    """The card of the version that this run registered, as a page beside the run's record."""
    card = run.step("Register").properties.get("ModelCard")
    if card is None:
        return None
    target = store.run_folder(run.execution_id) / c.MODEL_CARD_PAGE
    with suppress(OSError):
        store.write(target, render_card(json.loads(card["ModelCardContent"])).encode())
    return str(target) if target.is_file() else None


def render_card(card: Mapping[str, Any]) -> str:
    """The content of a model card (pipeline.contract.model_card) as HTML; the same card gives the same page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - for registered versions only

    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals["number"] = lambda value: f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    parameters = card["training_details"]["training_job_details"]["user_provided_hyper_parameters"]
    return environment.get_template("model_card.html.j2").render(
        card=card, parameters={entry["name"]: entry["value"] for entry in parameters}
    )


def _report(run: RunResult, store: Store) -> str | None:
    """This run's report, or the newest one where it evaluated nothing; kept beside the run's record."""
    source = _existing(store, output_uri(run, "Evaluate", c.EVALUATION_CHANNEL, c.REPORT_FILE)) or _existing(
        store, f"s3://{ARTIFACT_BUCKET}/{c.EVALUATED_CHANNEL}/{c.REPORT_FILE}"
    )
    return source and (_kept(run, store, c.REPORT_FILE, source) or source)
