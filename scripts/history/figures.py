"""The pictures of the page of runs: losses, versions in service and volume of data over time. As in a run's report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.contract import names as c
from pipeline.contract.history.runs import FAILED, RunEntry
from pipeline.contract.history.versions import Service
from pipeline.evaluation.report_figures import COLOURS, MUTED, PAPER, svg
from pipeline.evaluation.report_words import capitalized

_ALARM = COLOURS[c.CHAMPION]
_FEW = 60  # runs whose points can still be told apart


def losses(runs: Sequence[RunEntry], loss: str, span: tuple[float, float], title: str) -> Markup:
    """Loss of candidate and champion, by start of the run; crosses at the foot are runs that failed."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.115, 0.115, 0.855, 0.7))
        axes.set_title(f"{capitalized(loss)} (lower is better)")
        pairs = (
            (c.CHAMPION, "Champion", [(run, run.champion_loss) for run in runs], "s", (0, (5, 2))),
            (c.CANDIDATE, "Candidate", [(run, run.candidate_loss) for run in runs], "o", "-"),
        )
        for who, label, points, marker, dashes in pairs:
            known = [(_day(run.started_at), value) for run, value in points if value is not None]
            if known:
                axes.plot(
                    *zip(*known, strict=True),
                    color=COLOURS[who],
                    linestyle=dashes,
                    linewidth=1.5,
                    marker=marker if len(known) <= _FEW else "",
                    markersize=4.5,
                    markerfacecolor=COLOURS[who] if who == c.CANDIDATE else PAPER,
                    label=label,
                )
        failed = [_day(run.started_at) for run in runs if run.status == FAILED]
        if failed:
            axes.plot(failed, [0.03] * len(failed), color=_ALARM, marker="x", linestyle="", label="Failed run",
                      transform=axes.get_xaxis_transform())  # fmt: skip
        axes.margins(y=0.15)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        _dates(axes, span)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="upper left", bbox_to_anchor=(0.115, 1), ncols=3, reverse=True)

    return svg("run-losses", title, 3.4, draw)


def in_service(services: Sequence[Service], span: tuple[float, float], title: str) -> Markup:
    """A bar for each time in which a version was the champion, a row for each version."""
    versions = sorted({service.version for service in services}, reverse=True)
    height = 0.6 + 0.3 * len(versions)

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.2, 0.32 / height, 0.77, 1 - 0.4 / height))
        for service in services:
            since, until = service.since, span[1] if service.until is None else service.until
            row = versions.index(service.version)
            axes.barh(row, _day(until) - _day(since), left=_day(since), height=0.5, color=COLOURS[c.CANDIDATE])
            axes.plot(_day(since), row, color=COLOURS[c.CANDIDATE], marker="|", markersize=11)  # however short
        axes.set_yticks(range(len(versions)), [f"Version {version}" for version in versions])
        axes.set_ylim(-0.6, len(versions) - 0.4)
        axes.yaxis.grid(False)
        _dates(axes, span)

    return svg("run-services", title, height, draw)


def volume(runs: Sequence[RunEntry], rows: str, span: tuple[float, float], title: str) -> Markup:
    """Rows with a label that each run has read; triangles are runs whose monitor raised an alarm."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.15, 0.16, 0.82, 0.7))
        known = [(run, run.data.n_rows) for run in runs if run.data]
        axes.plot([_day(run.started_at) for run, _ in known], [n for _, n in known], color=MUTED, linewidth=1.5,
                  marker="." if len(known) <= _FEW else "")  # fmt: skip
        alarms = [(_day(run.started_at), n) for run, n in known if run.alarms]
        if alarms:
            axes.plot(*zip(*alarms, strict=True), color=_ALARM, marker="^", linestyle="", label="Alarm of the monitor")
            axes.legend(loc="lower right")
        axes.set_title(f"{capitalized(rows)} with a known label")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
        axes.margins(y=0.15)
        _dates(axes, span)

    return svg("run-volume", title, 2.4, draw)


def _day(seconds: float) -> float:
    return float(date2num(datetime.fromtimestamp(seconds, UTC)))  # type: ignore[no-untyped-call]


def _dates(axes: Axes, span: tuple[float, float]) -> None:
    first, last = (_day(seconds) for seconds in span)
    margin = max((last - first) * 0.03, 1 / 48)
    axes.set_xlim(first - margin, last + margin)
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
