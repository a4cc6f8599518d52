"""The report's figures: matplotlib drawings as SVG inside an HTML page.

Drawn 4.2 inches (302 SVG units) wide, so that the text stays legible when a phone shows them 330 pixels wide. Text
stays text in the page's own font. Each colour becomes a CSS variable with itself as the fallback, so that the page's
dark and print schemes reach into the figures. The same input gives the same bytes: no date, salted ids.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import blended_transform_factory

from pipeline.contract import names as c
from pipeline.evaluation.report_words import capitalized, signed

WIDTH: Final = 4.2  # inches
INK, MUTED, RULE, PAPER = "#1c2430", "#565f6d", "#d3d8df", "#fffffe"
COLOURS: Final = {c.CANDIDATE: "#1257a8", c.CHAMPION: "#b4470b", c.BASELINE: "#0b7261", c.CONSTANT: "#6b7281"}
# Marker and dashes differ as well as colour: for the colour-blind and for black-and-white print.
_MARKERS: Final = {c.CANDIDATE: "o", c.CHAMPION: "s", c.BASELINE: "^", c.CONSTANT: ""}
_DASHES: Final = {c.CANDIDATE: "-", c.CHAMPION: (0, (5, 2)), c.BASELINE: (0, (2, 1.5)), c.CONSTANT: (0, (1, 2))}
_VARIABLES: Final = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    **{colour: who.replace("_", "-") for who, colour in COLOURS.items()},
}
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-9, 9),  # no powers of ten
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.0,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.4,
}
_WITHOUT_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class DrawnDifference:
    """Mean loss of the candidate minus somebody's, with its 95 % interval and the highest value allowed."""

    against: str
    mean: float
    lower: float
    upper: float
    limit: float
    limit_name: str


def names(baseline: str) -> dict[str, str]:
    """What each of those who predict is called."""
    return {c.CANDIDATE: "Candidate", c.CHAMPION: "Champion", c.BASELINE: capitalized(baseline), c.CONSTANT: "Constant"}


def reliability(bins: Mapping[str, Sequence[Mapping[str, Any]] | None], event: str, rows: str, title: str) -> Markup:
    """Reliability diagram: observed share against the prediction, by bin and who, with intervals."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.115, 0.335, 0.815, 0.575))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (1, 2)), label="Perfect")
        for who in (c.CHAMPION, c.CANDIDATE):
            _draw_bins(axes, who, bins.get(who) or ())
        axes.set(xlim=(0, 1), ylim=(0, 1), title=f"Share with {event}")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.0f} %"))
        axes.tick_params(labelbottom=False)
        axes.legend(loc="lower right", reverse=True)
        below = figure.add_axes((0.115, 0.135, 0.815, 0.14), sharex=axes)
        _draw_bin_sizes(below, bins.get(c.CANDIDATE) or (), rows)
        below.set_xlabel(f"Predicted probability of {event}")

    return svg("reliability", title, 3.7, draw)


def _draw_bins(axes: Axes, who: str, bins: Sequence[Mapping[str, Any]]) -> None:
    if not bins:
        return
    observed = [b["observed"] for b in bins]
    axes.errorbar(
        [b["predicted"] for b in bins],
        observed,
        yerr=(
            [max(0.0, o - b["lower"]) for o, b in zip(observed, bins, strict=True)],
            [max(0.0, b["upper"] - o) for o, b in zip(observed, bins, strict=True)],
        ),
        color=COLOURS[who],
        marker=_MARKERS[who],
        markersize=5 if who == c.CANDIDATE else 4.5,
        markerfacecolor=COLOURS[who] if who == c.CANDIDATE else PAPER,
        linestyle="none",
        elinewidth=1.3,
        clip_on=False,
        label=names("")[who],
    )


def _draw_bin_sizes(axes: Axes, bins: Sequence[Mapping[str, Any]], rows: str) -> None:
    axes.bar([b["predicted"] for b in bins], [b["n_rows"] for b in bins], width=0.035, color=COLOURS[c.CANDIDATE])
    axes.set_yticks([max((b["n_rows"] for b in bins), default=0)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.0f} %"))
    axes.set_title(capitalized(rows), pad=3)


def monthly(rows: Sequence[Mapping[str, Any]], loss: str, called: Mapping[str, str], title: str) -> Markup:
    """Mean loss by month, a line for each of those who predicted; a gap where somebody has no number."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.115, 0.115, 0.855, 0.69))
        axes.set_title(f"{capitalized(loss)} (lower is better)")
        for who in (c.CONSTANT, c.BASELINE, c.CHAMPION, c.CANDIDATE):
            values = [float("nan") if row[who] is None else row[who] for row in rows]
            if any(row[who] is not None for row in rows):
                axes.plot(
                    values,
                    color=COLOURS[who],
                    linestyle=_DASHES[who],
                    linewidth=2 if who == c.CANDIDATE else 1.5,
                    marker=_MARKERS[who] or ("_" if len(rows) == 1 else ""),
                    markersize=4.5 if len(rows) <= 24 else 0,
                    markerfacecolor=COLOURS[who] if who == c.CANDIDATE else PAPER,
                    label=called[who],
                )
        every = -(-len(rows) // 5)
        ticks = range(0, len(rows), every)
        axes.set_xticks(ticks, [rows[i]["month"] for i in ticks])
        axes.margins(x=0.07)
        axes.xaxis.grid(False)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        figure.legend(loc="upper left", bbox_to_anchor=(0.115, 1), ncols=2, reverse=True)

    return svg("monthly", title, 3.7, draw)


def differences(rows: Sequence[DrawnDifference], title: str) -> Markup:
    """A dot with its interval for each difference, on one axis with zero and each one's limit drawn."""
    height = 0.55 + 0.92 * len(rows)

    def draw(figure: Figure) -> None:
        bottom = 0.5 / height
        axes = figure.add_axes((0.06, bottom, 0.88, 0.98 - bottom))
        axes.set(xlim=_span(rows), ylim=(-0.55, len(rows) - 0.3), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=MUTED, linewidth=1)
        for position, row in enumerate(reversed(rows)):
            _draw_difference(axes, position, row)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        below = -0.45 / (height * (0.98 - bottom))
        for x, side, text in ((0, "left", "← candidate better"), (1, "right", "candidate worse →")):
            axes.text(x, below, text, ha=side, transform=axes.transAxes, color=MUTED)

    return svg("differences", title, height, draw)


def _span(rows: Sequence[DrawnDifference]) -> tuple[float, float]:
    """Both ends of the axis: all intervals, limits and zero, with room beside them."""
    ends = [0.0, *(v for row in rows for v in (row.lower, row.upper, row.limit))]
    room = 0.08 * (max(ends) - min(ends)) or 0.001
    return min(ends) - room, max(ends) + room


def _draw_difference(axes: Axes, position: int, row: DrawnDifference) -> None:
    colour = COLOURS[c.CANDIDATE]
    axes.plot([row.lower, row.upper], [position, position], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot(row.mean, position, color=colour, marker="o", markersize=8)
    across = blended_transform_factory(axes.transAxes, axes.transData)
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}  # keeps the zero line out of the words
    axes.text(0, position + 0.36, f"against {row.against}", transform=across, bbox=box)
    axes.text(1, position + 0.36, signed(row.mean), ha="right", fontweight="bold", transform=across, bbox=box)
    limit = COLOURS[c.CHAMPION]
    axes.plot([row.limit] * 2, [position - 0.42, position + 0.22], color=limit, linewidth=2, linestyle=(0, (3, 1)))
    low, high = axes.get_xlim()
    on_left = row.limit < low + 0.6 * (high - low)
    axes.annotate(
        f"{row.limit_name} {signed(row.limit)}",
        (row.limit, position - 0.42),
        (4 if on_left else -4, 0),
        textcoords="offset points",
        ha="left" if on_left else "right",
        color=limit,
        bbox=box,
    )


def svg(name: str, title: str, height: float, draw: Callable[[Figure], None], width: float = WIDTH) -> Markup:
    """Draw on a new figure (sizes in inches) and return it as an SVG element for a page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), facecolor="none")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=_WITHOUT_METADATA)
    return _inline(buffer.getvalue(), title)


def _inline(document: str, title: str) -> Markup:
    """Turn matplotlib's SVG document into an element: no prologue, no page-wide style, no ids that others share."""
    view_box = re.search(r'viewBox="([^"]+)"', document)
    body = re.search(r"<svg[^>]*>(.*</svg>)", document, re.DOTALL)
    if not view_box or not body:  # not reachable with matplotlib's SVG backend
        raise ValueError("matplotlib wrote no SVG element")
    content = re.sub(r"<style.*?</style>", "", body[1], flags=re.DOTALL)
    content = re.sub(r'<g id="[^"]*"/>\s*', "", content)
    content = re.sub(r'<g id="[^"]*">', "<g>", content)
    content = re.sub(r"font-family: [^;\"]*;? ?", "", content)
    for colour, variable in _VARIABLES.items():
        content = content.replace(colour, f"var(--{variable}, {colour})")
    opening = Markup('<svg class="figure" viewBox="{}" role="img" aria-label="{}"><title>{}</title>')
    return opening.format(view_box[1], title, title) + Markup(content)  # noqa: S704 - matplotlib escaped its text
