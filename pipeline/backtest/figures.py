"""The pictures of a backtest: loss over time, dollars against loss, promotions. SVG, as in the run's report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.backtest.policies import NIGHTLY_STATE
from pipeline.backtest.results import PolicyResult
from pipeline.backtest.run import BacktestResult
from pipeline.contract import names as c
from pipeline.contract.metrics import primary_metric
from pipeline.evaluation.report_figures import COLOURS, INK, MUTED, svg
from pipeline.evaluation.report_words import capitalized

# Dashes differ as well as colours: for the colour-blind and for black-and-white print.
_LINES: Final = (
    (COLOURS[c.CANDIDATE], "-"),
    (COLOURS[c.CHAMPION], (0, (5, 2))),
    (COLOURS[c.BASELINE], (0, (2, 1.5))),
    (COLOURS[c.CONSTANT], (0, (1, 2))),
    (INK, (0, (7, 2, 1, 2))),
)
MOST_LINES: Final = len(_LINES)
_MOST_ROWS: Final = 8
_FAULT: Final = COLOURS[c.CHAMPION]


def figures_of(done: BacktestResult, shown: Sequence[int], source: str) -> dict[str, Markup]:
    """The pictures of these policies, by their names in the template; `source` ends each title."""
    return {
        "saved_figure": _saved_over_time(done, shown, f"Loss over time{source}"),
        "dollars_figure": _dollars_against_loss(done, {0, *shown}, f"Dollars against loss{source}"),
        "promotions_figure": _promotions(done, [*dict.fromkeys([0, *shown])][:_MOST_ROWS], f"Promotions{source}"),
    }


def _saved_over_time(done: BacktestResult, shown: Sequence[int], title: str) -> Markup:
    """Summed loss saved against `never`: a line that rises is a policy that earns."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.11, 0.1, 0.86, 0.84 - 0.062 * len(shown)))
        axes.axhline(0, color=MUTED, linewidth=1)
        days = done.prepared.service.days.astype("datetime64[D]")
        for n, (colour, dashes) in zip(shown, _LINES, strict=False):
            saved = np.cumsum(done.losses[0] - done.losses[n])
            axes.plot(days, saved, color=colour, linestyle=dashes, linewidth=1.6, label=done.results[n].name)
        _faults(axes, done)
        _dates(axes)
        axes.set_title(f"{_loss(done)} saved against never retraining, summed")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.09), ncols=1)

    return svg("saved", title, 2.9 + 0.2 * len(shown), draw)


def _dollars_against_loss(done: BacktestResult, shown: Collection[int], title: str) -> Markup:
    """Each policy by price and loss, with the bound; bars are 95 % intervals of the difference to never retraining.

    Policies on nightly state only: those with an older state are far above, and in the table.
    """
    never = done.results[0].loss
    nightly = [(n, result) for n, result in enumerate(done.results) if result.policy.state == NIGHTLY_STATE]

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.15, 0.15, 0.82, 0.75))
        for n, dot in nightly:
            colour = COLOURS[c.CANDIDATE] if n in shown else COLOURS[c.CONSTANT]
            axes.plot(dot.dollars_a_month, dot.loss, color=colour, marker="o" if n in shown else ".", linestyle="")
            if n in shown:
                interval = [never + dot.difference.lower, never + dot.difference.upper]
                axes.plot([dot.dollars_a_month] * 2, interval, color=colour, linewidth=1, alpha=0.6)
        _labels(axes, [dot for n, dot in nightly if n in shown])
        if (bound := done.affordable_bound) is not None:
            axes.axhline(bound, color=COLOURS[c.BASELINE], linewidth=1.2, linestyle=(0, (2, 1.5)))
            axes.annotate("oracle bound", (0.01, bound), (0, -9), xycoords=("axes fraction", "data"),
                          textcoords="offset points", color=COLOURS[c.BASELINE])  # fmt: skip
        axes.set_title(f"{_loss(done)} of what was in service (lower is better)")
        axes.set_xlabel("dollars a month, jobs only")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.margins(0.12)

    return svg("dollars", title, 3.6, draw)


def _labels(axes: Axes, dots: Sequence[PolicyResult]) -> None:
    """Labels beside their dots, those that would overlap pushed apart."""
    low, high = axes.get_ylim()
    step, last = 0.055 * (high - low), -np.inf
    middle = sum(axes.get_xlim()) / 2
    for dot in sorted(dots, key=lambda dot: dot.loss):
        y = max(dot.loss, last + step)
        last = y
        right = dot.dollars_a_month <= middle
        away = (8 if right else -8, (y - dot.loss) / step * 11)
        axes.annotate(dot.name, (dot.dollars_a_month, dot.loss), away, textcoords="offset points",
                      ha="left" if right else "right", va="center", fontsize=8.5)  # fmt: skip


def _promotions(done: BacktestResult, shown: Sequence[int], title: str) -> Markup:
    """A tick for each version that went into service, a row for each policy; a cross where it carried a fault."""
    settings, candidates = done.prepared.settings, done.prepared.calendar.candidates

    def draw(figure: Figure) -> None:
        height = figure.get_size_inches()[1]
        axes = figure.add_axes((0.03, 0.28 / height, 0.94, 1 - 0.34 / height))
        for position, n in enumerate(reversed(shown)):
            days = np.array(done.results[n].promotions, dtype="datetime64[D]")
            versions = done.outcome.promoted[n][done.outcome.promoted[n] >= 0].tolist()
            faulty = np.array([candidates[version].fault != "" for version in versions], dtype=np.bool_)
            axes.plot(days, [position] * len(days), color=COLOURS[c.CANDIDATE], marker="|", markersize=9, linestyle="")
            axes.plot(days[faulty], [position] * int(faulty.sum()), color=_FAULT, marker="x", linestyle="")
            name = f"{done.results[n].name}: {len(days):,}"
            axes.text(0, position + 0.3, name, transform=axes.get_yaxis_transform())
        span = (np.datetime64(settings.first), np.datetime64(settings.last))
        axes.set(yticks=[], ylim=(-0.5, len(shown) - 0.2), xlim=span)
        axes.spines["left"].set_visible(False)
        _faults(axes, done)
        _dates(axes)

    return svg("promotions", title, 0.5 + 0.46 * len(shown), draw)


def _loss(done: BacktestResult) -> str:
    return capitalized(primary_metric(done.prepared.settings.spec).label)


def _faults(axes: Axes, done: BacktestResult) -> None:
    for injection in done.prepared.settings.injections:
        first, last = np.datetime64(injection.first), np.datetime64(injection.last) + 1
        axes.axvspan(first, last, color=_FAULT, alpha=0.15, linewidth=0)  # type: ignore[arg-type] # dates are units


def _dates(axes: Axes) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
