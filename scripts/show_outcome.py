"""A finished run as people see it in a terminal: decision, steps, metrics, and where to look next."""

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
from pipeline.local.run.progress import describe
from pipeline.local.store.record import NOT_STARTED, SKIPPED, RunResult

NAMES: Final = {
    c.CANDIDATE: "candidate",
    c.CHAMPION: "champion",
    c.BASELINE: "Elo-logistic",
    c.CONSTANT: "base rate",
}
SHOWN: Final = 3  # names of entries that are not read
WIDTH: Final = 120  # of a line when piped, where a terminal's width is not known


def show(
    outcome: dict[str, Any], run: RunResult, review_command: str, store: Path | None, *, progress_shown: bool
) -> None:
    """Print a run's outcome to stdout; `store` is the one that the user named, if any.

    Where the live table of the steps stands on the same screen already, it is not repeated.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if outcome["simulated"]:
        console.print("[yellow]simulated games[/]: no real team, no real result")
    if not progress_shown:
        console.print(_steps(run), "")
    if outcome["metrics"]:
        console.print(_metrics(outcome["metrics"], outcome["comparison"]), "")
    console.print(Text(str(outcome["decision"] or run.status), style="bold") + Text(f": {outcome['reason']}"))
    option = f" --store {shlex.quote(str(store))}" if store else ""
    console.print(_where(outcome, f"{review_command} approve --version {{}}{option}"))


def _steps(run: RunResult) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("step")
    table.add_column("how it ended")
    for step in run.steps:
        if step.status not in (NOT_STARTED, SKIPPED):
            table.add_row(step.name, describe(step))
    return table


def _metrics(metrics: dict[str, dict[str, float] | None], comparison: dict[str, Any]) -> Table:
    """Everybody's scores; where the champion has predicted fewer games, the candidate's on those games too."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("out of sample")
    for name in ("log loss", "Brier", "accuracy", "AUC", "calibration error", "games"):
        table.add_column(name, justify="right")
    rows = {NAMES.get(who, who): values for who, values in metrics.items() if values}
    if comparison["champion_exists"] == c.YES and comparison["n_rows"] < rows["candidate"][c.N_ROWS]:
        rows["candidate, on the champion's games"] = comparison["metrics"][c.CANDIDATE]
    for name, values in rows.items():
        shown = [values[key] for key in c.METRICS if key != c.N_ROWS]
        numbers = ["-" if value is None else f"{value:.4f}" for value in shown]
        table.add_row(name, *numbers, f"{values[c.N_ROWS]:,}")
    return table


def _where(outcome: dict[str, Any], approve_command: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if outcome["decision"] == c.NO_NEW_DATA and outcome["last_evaluated"]:
        table.add_row("last evaluated", outcome["last_evaluated"])
    if outcome["data"] and outcome["data"].get("took_no_part"):
        table.add_row("took no part", Text(outcome["data"]["took_no_part"]))
    for name in ("predictions", "report"):
        if outcome[name]:
            table.add_row(name, _short(outcome[name]))
    monitor = outcome["monitor"]
    if monitor:
        table.add_row("monitor", Text(monitor["summary"], style="yellow" if monitor["alarms"] else ""))
        if monitor["report"]:
            table.add_row("", _short(monitor["report"]))
    events = outcome["play_by_play"]
    if events:
        n_left_out = events["n_games_left_out"]
        left_out = f", {n_left_out:,} left out ({c.AGGREGATED_FILE} says why)" if n_left_out else ""
        table.add_row("play-by-play", f"of {events['n_games']:,} games{left_out}; the next run's Prepare joins it")
        table.add_row("", _short(events["team_games"]))
        if names := [item["name"] for item in events["left_out"]]:
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            table.add_row("", Text(f"not read: {', '.join(names[:SHOWN])}{more} ({c.AGGREGATED_FILE} says why)"))
    package = outcome["model_package"]
    if package:
        table.add_row("model", f"version {package['version']}, {package['approval_status']}")
        if package["approval_status"] == "PendingManualApproval":
            table.add_row("to approve", approve_command.format(package["version"]))
    return table


def _short(path: str) -> str:
    """A path relative to where the user stands, where that is shorter."""
    relative = os.path.relpath(path, Path.cwd())
    return relative if len(relative) < len(path) else path
