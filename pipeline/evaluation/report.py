"""report.html: one evaluation as a page that people read, by itself, on a phone or printed.

The page holds its own style and figures: it asks for nothing and runs no script. `render` is pure: the same evaluation
gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.evaluation import report_figures as figures
from pipeline.evaluation.report_words import number, sentence, signed

TEMPLATE: Final = "report.html.j2"
MAX_FEATURES: Final = 12  # more bars tell a reader nothing


@dataclass(frozen=True)
class Decision:
    """How a decision is announced; `tone` names a style of the page."""

    headline: str
    tone: str
    consequence: str


DECISIONS: Final = {
    c.REGISTERED: Decision("Candidate registered", "good", "It goes into service once its version is approved."),
    c.CHAMPION_KEPT: Decision("Champion kept", "kept", "The candidate is not registered; nothing changes in service."),
    c.FAILED: Decision(
        "Candidate failed its limits", "failed", "It is not registered; nothing changes in service. Someone must look."
    ),
}


@dataclass(frozen=True)
class Metric:
    """A row of the comparison: what it is called, which direction is better (none: not a contest), what it means."""

    key: str
    name: str
    better: str
    meaning: str


METRICS: Final = (
    Metric(
        c.LOG_LOSS,
        "Log loss",
        "lower",
        "How wrong the probabilities were; being sure and wrong costs most. Always saying 50\u00a0% scores 0.6931.",
    ),
    Metric(
        c.BRIER,
        "Brier score",
        "lower",
        "Squared gap between probability and result, on average. Always saying 50\u00a0% scores 0.25.",
    ),
    Metric(
        c.ACCURACY,
        "Accuracy",
        "higher",
        "Share of games whose more probable winner won; it ignores how sure the forecast was.",
    ),
    Metric(
        c.ROC_AUC,
        "AUC",
        "higher",
        "How often a game that the home team won had a higher probability than one that it lost; 0.5 is guessing.",
    ),
    Metric(
        c.CALIBRATION_ERROR,
        "Calibration error",
        "lower",
        "Gap between forecast and how often home teams then won. The base rate does well here by saying little, "
        "so read it together with log loss.",
    ),
    Metric(c.N_ROWS, "Games", "", "Games judged, each predicted from earlier games only."),
)
_WHO: Final = {
    c.CANDIDATE: "the model trained in this run",
    c.CHAMPION: "the approved model in use",
    c.BASELINE: "two numbers fitted to Elo ratings that are made of results alone, not of the model’s features",
    c.CONSTANT: "always the share of past games that home teams won",
}
_WHY: Final = {
    limit.parameter: limit.why for limit in (*gates.QUALITY_LIMITS, gates.NON_INFERIOR, gates.BETTER, gates.OLD)
}


@dataclass(frozen=True)
class Cell:
    """One number of the comparison."""

    text: str
    best: bool


@dataclass(frozen=True)
class MetricRow:
    """One metric of everybody, in the order of the columns."""

    metric: Metric
    cells: tuple[Cell, ...]


def render(evaluation: Mapping[str, Any]) -> str:
    """The report of one evaluation (evaluation.json's content) as an HTML page."""
    who = [name for name in _WHO if evaluation["metrics"][name]]
    return _template().render(
        e=evaluation,
        decision=DECISIONS.get(evaluation["decision"], Decision(str(evaluation["decision"]), "kept", "")),
        who=[(figures.NAMES[name], _WHO[name]) for name in who],
        metric_rows=_metric_rows([evaluation["metrics"][name] for name in who]),
        why=_WHY,
        differences=_differences(evaluation),
        promotion_limits=promotion_limits(evaluation),
        features=_features(evaluation["importance"]),
        **_figures(evaluation),
    )


def _figures(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """The figures by the name that the template uses; an empty string where there is nothing to draw."""
    source = " (simulated games)" if evaluation["simulated"] else ""
    bins, rows = evaluation["reliability"], evaluation["monthly"]
    return {
        "differences_figure": figures.differences(
            _differences(evaluation), f"Difference of the candidate in log loss with its 95 % interval{source}"
        ),
        "reliability_figure": figures.reliability(bins, f"Reliability diagram{source}") if bins[c.CANDIDATE] else "",
        "monthly_figure": figures.monthly(rows, f"Log loss by month and model{source}") if rows else "",
    }


def _metric_rows(columns: Sequence[Mapping[str, Any]]) -> list[MetricRow]:
    rows = []
    for metric in METRICS:
        # compared as shown: what reads as a tie is a tie
        shown = [None if _missing(column[metric.key]) else round(column[metric.key], 4) for column in columns]
        known = [value for value in shown if value is not None]
        best = {"lower": min, "higher": max}[metric.better](known) if metric.better and len(known) > 1 else None
        rows.append(
            MetricRow(metric, tuple(Cell(number(value), best is not None and value == best) for value in shown))
        )
    return rows


def _differences(evaluation: Mapping[str, Any]) -> list[figures.Difference]:
    """Candidate against the champion, if there is one, and against Elo-logistic, each with its limit."""
    quality, comparison = evaluation["quality"], evaluation["comparison"]
    limits = {row["parameter"]: row["limit"] for row in (*quality["limits"], *promotion_limits(evaluation))}
    lower, upper = quality["loss_above_baseline_interval"]
    above_elo = figures.Difference(
        "Elo-logistic",
        quality["loss_above_baseline"],
        lower,
        upper,
        limits.get("MaxLossAboveBaseline"),
        "limit",
    )
    if comparison["champion_exists"] == c.NO:
        return [above_elo]
    gap = comparison["difference"]
    margin = limits.get(gates.NON_INFERIOR.parameter)
    return [figures.Difference("the champion", gap["mean"], gap["lower"], gap["upper"], margin, "margin"), above_elo]


def promotion_limits(evaluation: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The limits for replacing a champion, in the shape of the quality limits; none where the evaluation has none."""
    limits: Sequence[Mapping[str, Any]] = evaluation["promotion"].get("limits", ())
    return limits


@dataclass(frozen=True)
class Feature:
    """A bar: a feature's share of how far forecasts move, and the bar's length as a share of the longest."""

    name: str
    share: float
    length: float


def _features(importance: Sequence[Mapping[str, Any]]) -> list[Feature]:
    shares = [(str(row["feature"]), float(row["share"])) for row in importance]
    top, rest = shares[:MAX_FEATURES], shares[MAX_FEATURES:]
    if rest:
        top = [*top, (f"{len(rest)} more features together", sum(share for _, share in rest))]
    longest = max((share for _, share in top), default=0) or 1
    return [Feature(name, share, share / longest) for name, share in top]


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # file names and cell values come from the data
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "sentence": sentence}
    return environment.get_template(TEMPLATE)
