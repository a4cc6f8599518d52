"""The table of a replay, for people."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pipeline.backtest.results import PolicyResult
    from pipeline.backtest.run import Replay

_WIDE = 200  # columns where the output is no terminal: a table that is cut helps nobody


def show(done: Replay, report: Path, *, simulated: bool) -> None:
    """Print the table, the bound, the choice and where the report lies, on stdout."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    if simulated:
        click.echo("simulated games: no team, no result is real")
    for injection in done.prepared.settings.injections:
        click.echo(f"injected: {injection}")
    console.print(table(done))
    games = int(done.prepared.service.n_rows.sum())
    last = done.bounds[-1]
    few = done.bounds[min(12, len(done.bounds) - 1)]
    click.echo(
        f"hindsight  log loss {few.loss / games:.4f} with {few.promotions} promotions, {last.loss / games:.4f} with "
        f"{last.promotions}: nobody could have chosen so"
    )
    if done.choice:
        for line in choice_lines(done):
            click.echo(line)
    click.echo(f"report     {report}")


def table(done: Replay) -> Table:
    """One row a policy, the lowest log loss first."""
    faults = bool(done.prepared.settings.injections)
    made = Table(box=None, pad_edge=False, header_style="dim")
    made.add_column("policy", overflow="fold")
    names = ["log loss", "against never", "Brier", "calib.", "trained", "failed", "kept", "registered", "in service"]
    names += ["false", "missed"] if faults else []
    for name in [*names, "mails/month", "hours", "$/month"]:
        made.add_column(name, justify="right")
    for result in sorted(done.results, key=lambda result: result.scores.log_loss):
        made.add_row(*_cells(result, faults=faults))
    return made


def _cells(result: PolicyResult, *, faults: bool) -> list[str]:
    counts, d = result.counts, result.difference
    mails = result.oncall_mails_a_month + result.approver_mails_a_month
    extra = [str(counts["false_promotions"]), str(counts["missed_promotions"])] if faults else []
    return [
        result.name,
        f"{result.scores.log_loss:.4f}",
        f"{d.mean:+.4f} ({d.lower:+.4f} {d.upper:+.4f})",
        f"{result.scores.brier:.4f}",
        f"{result.scores.calibration_error:.4f}",
        f"{counts['trainings']:,}",
        f"{counts['failed_prepare'] + counts['failed_gate']:,}",
        f"{counts['kept'] + counts['refused']:,}",
        f"{counts['registered']:,}",
        f"{counts['approved']:,}",
        *extra,
        f"{mails:.1f}",
        f"{result.machine_hours:,.0f}",
        f"{result.dollars_a_month:.2f}",
    ]


def choice_lines(done: Replay) -> list[str]:
    """What was chosen on which seasons, and what it was worth on the others."""
    choice = done.choice
    if choice is None:
        return []
    rows = [("best on the earlier", choice.best), (f"cheapest of {choice.n_eligible} like it", choice.cheapest)]
    rows += [("the default", choice.default)] if choice.default else []
    lines = [
        f"chosen on the seasons up to {choice.last_season} ({choice.n_earlier:,} games), scored on the later ones "
        f"({choice.n_later:,} games):"
    ]
    for why, pick in rows:
        d = pick.against_never
        lines.append(
            f"  {why:<24}{pick.name}: log loss {pick.log_loss:.4f}, against never {d.mean:+.4f} "
            f"({d.lower:+.4f} to {d.upper:+.4f}), place {pick.rank} of {len(done.results)}"
        )
    return lines
