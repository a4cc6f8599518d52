"""report.html: one evaluation as a page that people read, by itself, on a phone or printed.

The page holds its own style and figures: it asks for nothing and runs no script. `render` is pure: the same evaluation
gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.contract import gates
from pipeline.contract import names as c
from pipeline.contract.metrics import decimal
from pipeline.evaluation import report_figures as figures
from pipeline.evaluation.report_words import Headline, capitalized, number, page_template

TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
MAX_FEATURES: Final = 12  # more bars tell a reader nothing


DECISIONS: Final = {
    c.REGISTERED: Headline("Candidate registered", "good", "It goes into service once its version is approved."),
    c.CHAMPION_KEPT: Headline("Champion kept", "kept", "The candidate is not registered; nothing changes in service."),
    c.FAILED: Headline(
        "Candidate failed its limits", "failed", "It is not registered; nothing changes in service. Someone must look."
    ),
}


def render(evaluation: Mapping[str, Any]) -> str:
    """The report of one evaluation (evaluation.json's content) as an HTML page; all its words come from there."""
    meanings = {
        c.CANDIDATE: "the model trained in this run",
        c.CHAMPION: "the approved model in use",
        c.BASELINE: evaluation["baseline_meaning"],
        c.CONSTANT: "always the mean of the targets before",
    }
    who = [name for name in meanings if evaluation["metrics"][name]]
    return page_template(TEMPLATE).render(
        e=evaluation,
        loss=evaluation["metric_words"][evaluation["primary_metric"]],
        decision=DECISIONS[evaluation["decision"]],
        who=[(figures.names(evaluation["baseline"])[name], meanings[name]) for name in who],
        metric_rows=_metric_rows(evaluation["metric_words"], [evaluation["metrics"][name] for name in who]),
        differences=_differences(evaluation),
        features=_features(evaluation["importance"]),
        **_figures(evaluation),
    )


def _figures(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """The figures by the name that the template uses; an empty string where there is nothing to draw."""
    source = f" (simulated {evaluation['rows']})" if evaluation["simulated"] else ""
    bins, rows = evaluation["reliability"], evaluation["monthly"]
    loss = evaluation["metric_words"][evaluation["primary_metric"]]["label"]
    names = figures.names(evaluation["baseline"])
    return {
        "differences_figure": figures.differences(
            _differences(evaluation), f"Difference of the candidate in {loss} with its 95 % interval{source}"
        ),
        "reliability_figure": figures.reliability(
            bins, evaluation["event"], evaluation["rows"], f"Reliability diagram{source}"
        )
        if bins[c.CANDIDATE]
        else "",
        "monthly_figure": figures.monthly(rows, loss, names, f"{capitalized(loss)} by month and model{source}")
        if rows
        else "",
    }


def _metric_rows(
    metrics: Mapping[str, Mapping[str, Any]], columns: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any], list[tuple[str, bool]]]]:
    """Each metric's words, and in the order of the columns each number with whether it is the best."""
    for key, metric in metrics.items():
        values = [column.get(key) for column in columns]
        # compared as shown: what reads as a tie is a tie
        shown = {value: float(decimal(value).replace(",", "")) for value in values if value is not None}
        best = {"lower": min, "higher": max, "": None}[metric["better"]]
        winner = best(shown.values()) if best and sum(value is not None for value in values) > 1 else None
        yield metric, [(number(value), winner is not None and shown.get(value) == winner) for value in values]


def _differences(evaluation: Mapping[str, Any]) -> list[figures.DrawnDifference]:
    """Candidate against the champion, if there is one, and against the baseline, each with its limit."""
    quality, promotion = evaluation["quality"], evaluation["promotion"]
    limits = {row["parameter"]: row["limit"] for row in (*quality["limits"], *promotion["limits"])}
    mean, (lower, upper) = quality["loss_above_baseline"], quality["loss_above_baseline_interval"]
    found = [
        figures.DrawnDifference(evaluation["baseline"], mean, lower, upper, limits["MaxLossAboveBaseline"], "limit")
    ]
    if evaluation["comparison"]["champion_exists"] == c.YES:
        gap = evaluation["comparison"]["difference"]
        margin = limits[gates.NON_INFERIOR.parameter]
        against = figures.DrawnDifference("the champion", gap["mean"], gap["lower"], gap["upper"], margin, "margin")
        found.insert(0, against)
    return found


def _features(importance: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float]]:
    """Bars: a feature's name, its share of how far predictions move, and the bar's length as a share of the longest."""
    shares = [(str(row["feature"]), float(row["share"])) for row in importance]
    top, rest = shares[:MAX_FEATURES], shares[MAX_FEATURES:]
    if rest:
        top = [*top, (f"{len(rest)} more features together", sum(share for _, share in rest))]
    longest = max((share for _, share in top), default=0) or 1
    return [(name, share, share / longest) for name, share in top]
