"""The pictures of a backtest: loss over time, dollars against loss, promotions. SVG, as in the run's report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.backtest.faults import Injection
from pipeline.contract import names as c
from pipeline.evaluation.report_figures import COLOURS, INK, MUTED, svg
from pipeline.evaluation.report_words import capitalized

FloatArray = NDArray[np.float64]
Days = NDArray[np.datetime64]

# Dashes differ as well as colours: for the colour-blind and for black-and-white print.
_LINES: Final = (
    (COLOURS[c.CANDIDATE], "-"),
    (COLOURS[c.CHAMPION], (0, (5, 2))),
    (COLOURS[c.BASELINE], (0, (2, 1.5))),
    (COLOURS[c.CONSTANT], (0, (1, 2))),
    (INK, (0, (7, 2, 1, 2))),
)
MOST_LINES: Final = len(_LINES)
_FAULT: Final = COLOURS[c.CHAMPION]


@dataclass(frozen=True)
class Line:
    """The loss that a policy has saved against `never` since the first day, after each day."""

    name: str
    saved: FloatArray


@dataclass(frozen=True)
class Dot:
    """A policy by its price and its loss; `label` is its name, where it is one of the few that matter."""

    dollars: float
    loss: float
    lower: float
    upper: float
    label: str
    highlighted: bool


@dataclass(frozen=True)
class Row:
    """A policy's promotions, and those of them that carried a fault."""

    name: str
    days: Days
    faulty: NDArray[np.bool_]


def saved_over_time(
    days: Days, lines: Sequence[Line], injections: Sequence[Injection], title: str, loss: str
) -> Markup:
    """Summed loss saved against `never`: a line that rises is a policy that earns."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.11, 0.1, 0.86, 0.84 - 0.062 * len(lines)))
        axes.axhline(0, color=MUTED, linewidth=1)
        for line, (colour, dashes) in zip(lines, _LINES, strict=False):
            axes.plot(days, line.saved, color=colour, linestyle=dashes, linewidth=1.6, label=line.name)
        _faults(axes, injections)
        _dates(axes)
        axes.set_title(f"{capitalized(loss)} saved against never retraining, summed")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.09), ncols=1)

    return svg("saved", title, 2.9 + 0.2 * len(lines), draw)


def dollars_against_loss(dots: Sequence[Dot], bound: float | None, title: str, loss: str) -> Markup:
    """Each policy by price and loss; bars are 95 % intervals of the difference to never retraining."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.15, 0.15, 0.82, 0.75))
        for dot in dots:
            colour = COLOURS[c.CANDIDATE] if dot.highlighted else COLOURS[c.CONSTANT]
            axes.plot(dot.dollars, dot.loss, color=colour, marker="o" if dot.highlighted else ".", linestyle="")
            if dot.highlighted:
                axes.plot([dot.dollars] * 2, [dot.lower, dot.upper], color=colour, linewidth=1, alpha=0.6)
        _labels(axes, [dot for dot in dots if dot.label])
        if bound is not None:
            axes.axhline(bound, color=COLOURS[c.BASELINE], linewidth=1.2, linestyle=(0, (2, 1.5)))
            axes.annotate("oracle bound", (0.01, bound), (0, -9), xycoords=("axes fraction", "data"),
                          textcoords="offset points", color=COLOURS[c.BASELINE])  # fmt: skip
        axes.set_title(f"{capitalized(loss)} of what was in service (lower is better)")
        axes.set_xlabel("dollars a month, jobs only")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.margins(0.12)

    return svg("dollars", title, 3.6, draw)


def _labels(axes: Axes, dots: Sequence[Dot]) -> None:
    """Labels beside their dots, those that would overlap pushed apart."""
    low, high = axes.get_ylim()
    step, last = 0.055 * (high - low), -np.inf
    middle = sum(axes.get_xlim()) / 2
    for dot in sorted(dots, key=lambda dot: dot.loss):
        y = max(dot.loss, last + step)
        last = y
        right = dot.dollars <= middle
        away = (8 if right else -8, (y - dot.loss) / step * 11)
        axes.annotate(dot.label, (dot.dollars, dot.loss), away, textcoords="offset points",
                      ha="left" if right else "right", va="center", fontsize=8.5)  # fmt: skip


def promotions(rows: Sequence[Row], injections: Sequence[Injection], span: tuple[str, str], title: str) -> Markup:
    """A tick for each version that went into service, a row for each policy; a cross where it carried a fault."""

    def draw(figure: Figure) -> None:
        height = figure.get_size_inches()[1]
        axes = figure.add_axes((0.03, 0.28 / height, 0.94, 1 - 0.34 / height))
        for position, row in enumerate(reversed(rows)):
            axes.plot(row.days, [position] * len(row.days), color=COLOURS[c.CANDIDATE], marker="|", markersize=9,
                      linestyle="")  # fmt: skip
            axes.plot(row.days[row.faulty], [position] * int(row.faulty.sum()), color=_FAULT, marker="x", linestyle="")
            axes.text(0, position + 0.3, f"{row.name}: {len(row.days):,}", transform=axes.get_yaxis_transform())
        axes.set(yticks=[], ylim=(-0.5, len(rows) - 0.2), xlim=(np.datetime64(span[0]), np.datetime64(span[1])))
        axes.spines["left"].set_visible(False)
        _faults(axes, injections)
        _dates(axes)

    return svg("promotions", title, 0.5 + 0.46 * len(rows), draw)


def _faults(axes: Axes, injections: Sequence[Injection]) -> None:
    for injection in injections:
        first, last = np.datetime64(injection.first), np.datetime64(injection.last) + 1
        axes.axvspan(first, last, color=_FAULT, alpha=0.15, linewidth=0)  # type: ignore[arg-type] # dates are units


def _dates(axes: Axes) -> None:
    locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
