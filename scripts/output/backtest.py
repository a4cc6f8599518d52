"""The table of a backtest, for people."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from pipeline.contract.metrics import decimal, primary_metric, signed

if TYPE_CHECKING:
    from pipeline.backtest.results import PolicyResult
    from pipeline.backtest.run import BacktestResult

_WIDE = 200  # columns where the output is no terminal: a table that is cut is useless


def show(done: BacktestResult, report: Path, *, simulated: bool) -> None:
    """Print the table, the bound, the choice and the report's path, on stdout."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    if simulated:
        click.echo(f"simulated {done.prepared.settings.spec.rows}: none of them is real")
    for injection in done.prepared.settings.injections:
        click.echo(f"injected: {injection}")
    console.print(table(done))
    n_rows = int(done.prepared.service.n_rows.sum())
    last = done.bounds[-1]
    few = done.bounds[min(12, len(done.bounds) - 1)]
    click.echo(
        f"bound      {_loss(done)} {decimal(few.loss / n_rows)} with {few.promotions} promotions, "
        f"{decimal(last.loss / n_rows)} with {last.promotions}: the best schedules, found when all labels were known"
    )
    if done.choice:
        for line in choice_lines(done):
            click.echo(line)
    click.echo(f"report     {report}")


def _loss(done: BacktestResult) -> str:
    return primary_metric(done.prepared.settings.spec).label


def table(done: BacktestResult) -> Table:
    """One row a policy, the lowest loss first."""
    faults = bool(done.prepared.settings.injections)
    made = Table(box=None, pad_edge=False, header_style="dim")
    made.add_column("policy", overflow="fold")
    names = [_loss(done), "against never", "trained", "failed", "kept"]
    names += ["registered", "in service", *(["false", "missed"] if faults else []), "emails/month", "hours", "$/month"]
    for name in names:
        made.add_column(name, justify="right")
    for result in sorted(done.results, key=lambda result: result.loss):
        made.add_row(*_cells(result, faults=faults))
    return made


def _cells(result: PolicyResult, *, faults: bool) -> list[str]:
    counts, d = result.counts, result.difference
    emails = result.oncall_emails_a_month + result.approver_emails_a_month
    extra = [str(counts["false_promotions"]), str(counts["missed_promotions"])] if faults else []
    return [
        result.name,
        decimal(result.loss),
        f"{signed(d.mean)} ({signed(d.lower)} {signed(d.upper)})",
        f"{counts['trainings']:,}",
        f"{counts['failed_prepare'] + counts['failed_gate']:,}",
        f"{counts['kept'] + counts['refused']:,}",
        f"{counts['registered']:,}",
        f"{counts['approved']:,}",
        *extra,
        f"{emails:.1f}",
        f"{result.machine_hours:,.0f}",
        f"{result.dollars_a_month:.2f}",
    ]


def choice_lines(done: BacktestResult) -> list[str]:
    """What was chosen on which periods, and what it was worth on the others."""
    choice = done.choice
    if choice is None:
        return []
    rows = [("best on the earlier", choice.best), (f"cheapest of {choice.n_eligible} like it", choice.cheapest)]
    rows += [("the default", choice.default)] if choice.default else []
    words, period = done.prepared.settings.spec.rows, done.prepared.world.period_word
    lines = [
        f"chosen on the {period}s up to {choice.last_period} ({choice.n_earlier:,} {words}), scored on the later ones "
        f"({choice.n_later:,} {words}):"
    ]
    for why, pick in rows:
        d = pick.against_never
        lines.append(
            f"  {why:<24}{pick.name}: {_loss(done)} {decimal(pick.loss)}, against never {signed(d.mean)} "
            f"({signed(d.lower)} to {signed(d.upper)}), place {pick.rank} of {len(done.results)}"
        )
    return lines
