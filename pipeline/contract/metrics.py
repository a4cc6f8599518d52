"""The metrics of a task in words, as evaluation.json and monitor.json give them. Standard library only.

The first one is the primary metric: the mean of a loss for each row, which the gates and the comparison use.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.contract.names import N_ROWS
from pipeline.contract.spec import Metric, Spec


def metrics_of(spec: Spec) -> tuple[Metric, ...]:
    """The metrics of the workload's task, in the order in which people read them."""
    found = _binary(spec) if spec.task == "binary" else _regression(spec)
    return (*found, Metric(N_ROWS, spec.rows, "", f"{spec.rows.capitalize()} judged, each predicted from earlier ones"))


def primary_metric(spec: Spec) -> Metric:
    """The mean of the loss that decides."""
    return metrics_of(spec)[0]


def short(value: float) -> str:
    """Four significant digits, and whole from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def decimal(value: float) -> str:
    """At most four significant digits: four decimals below one, and zeros at the end stay, so that columns align."""
    return f"{value:z.4f}" if abs(value) < 1 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def signed(value: float) -> str:
    """The same with its sign; zero has none."""
    text = decimal(value)
    return text if float(text.replace(",", "")) <= 0 else f"+{text}"


def metric_words(spec: Spec) -> dict[str, Any]:
    """The fields by which evaluation.json and monitor.json name themselves."""
    return {
        "workload": spec.name,
        "title": spec.title,
        "task": spec.task,
        "row": spec.row,
        "rows": spec.rows,
        "event": spec.event,
        "baseline": spec.baseline,
        "baseline_meaning": spec.baseline_meaning,
        "target_unit": spec.target_unit,
        "primary_metric": primary_metric(spec).key,
        "metric_words": {metric.key: asdict(metric) for metric in metrics_of(spec)},
    }


def _binary(spec: Spec) -> tuple[Metric, ...]:
    return (
        Metric(
            "log_loss",
            "log loss",
            "lower",
            "How wrong the probabilities were; being sure and wrong costs most. Always saying 50\u00a0% scores 0.6931.",
        ),
        Metric(
            "brier",
            "Brier score",
            "lower",
            "Squared gap between probability and result, on average. Always saying 50\u00a0% scores 0.25.",
        ),
        Metric(
            "accuracy",
            "accuracy",
            "higher",
            f"Share of {spec.rows} whose more probable outcome came true; it ignores how sure the prediction was.",
        ),
        Metric(
            "roc_auc",
            "AUC",
            "higher",
            f"How often {spec.rows} with {spec.event} had a higher probability than those without; 0.5 is guessing.",
        ),
        Metric(
            "calibration_error",
            "calibration error",
            "lower",
            f"Gap between the probability of {spec.event} and how often it then came. A constant does well here by "
            "saying little, so read it together with log loss.",
        ),
    )


def _regression(spec: Spec) -> tuple[Metric, ...]:
    unit = spec.target_unit
    squared = f"{unit}²" if unit else ""
    point = (
        Metric("squared_error", "squared error", "lower", "Squared distance to the target, on average.", squared),
        Metric("rmse", "root mean squared error", "lower", "The same in the target's unit.", unit),
        Metric("absolute_error", "absolute error", "lower", "Distance to the target, on average.", unit),
        Metric("bias", "bias", "", "Prediction less target, on average: above 0, predictions are too high.", unit),
    )
    if not spec.quantiles:
        return point
    shares = ", ".join(f"{100 * q:g}%" for q in spec.quantiles)
    meaning = f"Distance of the target to the predicted quantiles ({shares}), weighted by side (pinball loss)."
    return (
        *point,
        Metric("quantile_loss", "quantile loss", "lower", meaning, unit),
        Metric(
            "coverage_error",
            "coverage error",
            "lower",
            "Gap between the share of targets below a predicted quantile and what it should be, of the worst quantile.",
        ),
    )
