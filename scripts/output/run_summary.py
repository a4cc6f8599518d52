"""The summary of a run in a terminal: steps, metrics, decision, and the files that it wrote."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.contract import names as c
from pipeline.contract.metrics import decimal
from pipeline.local.run.progress import describe
from pipeline.local.store.registry import PENDING
from pipeline.local.store.run_record import NOT_STARTED, SKIPPED, RunResult

NAMES: Final = {c.CANDIDATE: "candidate", c.CHAMPION: "champion", c.CONSTANT: "constant"}
WIDTH: Final = 120  # of a line when piped, where a terminal's width is not known


def show(
    outcome: dict[str, Any], run: RunResult, review_command: str, store: Path | None, *, progress_shown: bool
) -> None:
    """Print a run's outcome to stdout; `store` is the one that the user named, if any.

    Without the steps where the live table has just shown them.
    """
    # no markup and no emoji: a path or a name may have [brackets] and :colons:
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH)
    if outcome["simulated"]:
        console.print(Text(f"simulated {outcome['rows']}", style="yellow") + Text(": none of them is real"))
    if not progress_shown:
        console.print(_steps(run), "")
    if outcome["metrics"]:
        console.print(_metrics(outcome), "")
    console.print(Text(str(outcome["decision"] or run.status), style="bold") + Text(f": {outcome['reason']}"))
    option = f" --store {shlex.quote(_short(str(store)))}" if store else ""
    console.print(_where(outcome, f"{review_command} approve --version {{}}{option}"))


def _steps(run: RunResult) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("step")
    table.add_column("status")
    for step in run.steps:
        if step.status not in (NOT_STARTED, SKIPPED):
            table.add_row(step.name, describe(step, run))
    return table


def _metrics(outcome: dict[str, Any]) -> Table:
    """All scores; where the champion has predicted fewer rows, the candidate's on those rows too."""
    words, comparison = outcome["metric_words"], outcome["comparison"]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("out of sample")
    for word in words.values():
        table.add_column(word["label"], justify="right")
    names = {**NAMES, c.BASELINE: outcome["baseline"]}
    rows = {names.get(who, who): values for who, values in outcome["metrics"].items() if values}
    if comparison["champion_exists"] == c.YES and comparison["n_rows"] < rows["candidate"][c.N_ROWS]:
        rows[f"candidate, on the champion's {outcome['rows']}"] = comparison["metrics"][c.CANDIDATE]
    for name, values in rows.items():
        table.add_row(name, *(_number(values.get(key)) for key in words))
    return table


def _number(value: float | None) -> str:
    """At most four significant digits; counts whole."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else decimal(value)


def _where(outcome: dict[str, Any], approve_command: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if outcome["decision"] == c.NO_NEW_DATA and outcome["last_evaluated"]:
        table.add_row("last evaluated", outcome["last_evaluated"])
    if outcome["data"] and outcome["data"].get("took_no_part"):
        table.add_row("not used", Text(outcome["data"]["took_no_part"]))
    for name in ("predictions", "report"):
        if outcome[name]:
            table.add_row(name, _short(outcome[name]))
    monitor = outcome["monitor"]
    if monitor:
        table.add_row("monitor", Text(monitor["summary"], style="yellow" if monitor["alarms"] else ""))
        if monitor["report"]:
            table.add_row("", _short(monitor["report"]))
    for channel, extra in outcome["extra"].items():
        table.add_row(channel.replace("_", " "), Text(extra["summary"]))
        table.add_row("", _short(extra["folder"]))
    package = outcome["model_package"]
    if package:
        if outcome["model_card"]:
            table.add_row("model card", _short(outcome["model_card"]))
        table.add_row("model", f"version {package['version']}, {package['approval_status']}")
        if package["approval_status"] == PENDING:
            table.add_row("to approve", approve_command.format(package["version"]))
    return table


def _short(path: str) -> str:
    """A path relative to the working directory, where that is shorter."""
    relative = os.path.relpath(path, Path.cwd())
    return relative if len(relative) < len(path) else path
