"""monitor.html: the monitor's report as a page, in the style of the evaluation's report.

Pure, and without matplotlib, which would cost Predict more time than the rest of the page: the one curve is drawn here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from pipeline.contract import names as c
from pipeline.evaluation.report_words import Headline, page_template
from pipeline.monitoring.monitor_evidence import GROUP, LEAKAGE, LOSS, RATE, WEEKS_BETWEEN_FALSE_ALARMS
from pipeline.monitoring.monitor_features import DAILY_LEVEL, PSI_LIMIT

TEMPLATE: Final = Path(__file__).with_name("monitor.html.j2")
SHOWN_FEATURES: Final = 8
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 400, 200, 22, 8, 24  # of the figure, in its own units
_LOWEST, _HIGHEST = -0.25, 1.5  # of the evidence that is drawn; what is beyond lies on the edge


@dataclass(frozen=True)
class Family:
    """A failure mode: name, colour and dashes in the figure."""

    name: str
    colour: str
    dashes: str


FAMILY_LINES: Final = {
    LOSS: Family("Loss", "candidate", ""),
    LEAKAGE: Family("Suspected leakage", "baseline", "7 3"),
    RATE: Family("Rate", "champion", "3 3"),
    GROUP: Family("One group", "constant", "9 3 2 3"),
}


def render_monitor(report: Mapping[str, Any]) -> str:
    live = report[c.LIVE]
    modes: Mapping[str, str] = live["failure_modes"] if live["enough"] else {}
    return page_template(TEMPLATE, p_value=_p_value, two=_two).render(
        m=report,
        headline=headline(report),
        live=live,
        loss=report["metric_words"][report["primary_metric"]],
        scores=_scores(report) if live["enough"] else [],
        families=[(FAMILY_LINES[name], live["evidence"][name], what) for name, what in modes.items()],
        figure=evidence_figure(live["path"], tuple(modes)) if live["enough"] else "",
        drift=report[c.DRIFT],
        shown=SHOWN_FEATURES,
        data=report[c.DATA],
        psi_limit=PSI_LIMIT,
        level=DAILY_LEVEL,
        weeks=WEEKS_BETWEEN_FALSE_ALARMS,
    )


def _scores(report: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The words and the numbers of each live score."""
    meaning = f"Of the {report['rows']} decided since the cut-off."
    words = {
        **report["metric_words"],
        "rate": {"label": f"share with {report['event']}", "meaning": meaning, "unit": ""},
    }
    return [(words[name], score) for name, score in report[c.LIVE]["scores"].items()]


def headline(report: Mapping[str, Any]) -> Headline:
    """Alarm, quiet, or too early to say."""
    alarms = report["alarms"]
    if alarms:
        text = "1 alarm" if len(alarms) == 1 else f"{len(alarms)} alarms"
        return Headline(text, "failed", "Look before the next version is approved: docs/runbook.md says where.")
    if not report[c.LIVE]["enough"]:
        return Headline("No alarm, and too early to judge the champion", "kept", report[c.LIVE]["skip_reason"])
    return Headline("No alarm", "good", "The champion does as it claims, on data like what it was trained on.")


def evidence_figure(path: Sequence[Mapping[str, Any]], families: Sequence[str]) -> Markup:
    """The evidence of each of the families by day, with the limit at 1; the same input gives the same bytes."""
    lines = Markup("").join(_line(FAMILY_LINES[name], [point[name] for point in path]) for name in families)
    limit, zero = _y(1.0), _y(0.0)
    frame = Markup(
        '<line x1="{0}" x2="{1}" y1="{2}" y2="{2}" style="stroke:var(--rule)"/>'
        '<line x1="{0}" x2="{1}" y1="{3}" y2="{3}" style="stroke:var(--failed);stroke-dasharray:6 4"/>'
        '<g style="font-size:12px;fill:var(--muted)"><text x="{0}" y="{4}">limit</text>'
        '<text x="{5}" y="{6}" text-anchor="end">1</text><text x="{5}" y="{7}" text-anchor="end">0</text>'
        '<text x="{0}" y="{8}">{9}</text><text x="{1}" y="{8}" text-anchor="end">{10}</text></g>'
    ).format(
        *(_LEFT, _WIDTH - 6, zero, limit, limit - 5, _LEFT - 8, limit + 4, zero + 4, _HEIGHT - 6),
        *(path[0]["date"], path[-1]["date"]),
    )
    title = "Evidence against the champion by day; at 1 is the limit"
    return Markup(
        '<svg class="figure" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, title, frame, lines)


def _line(way: Family, values: Sequence[float]) -> Markup:
    step = (_WIDTH - 6 - _LEFT) / max(len(values) - 1, 1)
    points = " ".join(f"{_LEFT + i * step:.1f},{_y(value):.1f}" for i, value in enumerate(values))
    return Markup(
        '<polyline points="{}" style="fill:none;stroke:var(--{});stroke-width:1.5;stroke-dasharray:{}">'
        "<title>{}</title></polyline>"
    ).format(points, way.colour, way.dashes or "none", way.name)


def _y(value: float) -> float:
    share = (min(max(value, _LOWEST), _HIGHEST) - _LOWEST) / (_HIGHEST - _LOWEST)
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _p_value(value: float) -> str:
    if value < DAILY_LEVEL:
        return f"< {DAILY_LEVEL:.4f}"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.4f}"


def _two(value: float | None) -> str:
    """Two decimals; a dash where there is no number."""
    return "–" if value is None else f"{value:z.2f}".replace("-", "−")
