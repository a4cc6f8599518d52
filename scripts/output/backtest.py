"""Runs a backtest with progress on stderr, and shows it: the table for people, or JSON. It loads the data libraries."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import click
from rich import progress
from rich.console import Console
from rich.table import Table

from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.report import write_report
from pipeline.backtest.results import PolicyResult
from pipeline.backtest.run import BacktestResult, BacktestSettings, run_backtest
from pipeline.contract.metrics import decimal, primary_metric, signed
from pipeline.contract.parameters import parameters_of
from pipeline.contract.spec import Value
from pipeline.contract.workload import current_workload, default_workload, read_definition
from pipeline.local.plan.parameters import PlanError, bind_parameters, parse_parameters

_WIDE: Final = 200  # columns where the output is no terminal: a table that is cut is useless
_COLUMNS: Final = (
    progress.TextColumn("{task.description:8}"),
    progress.BarColumn(),
    progress.MofNCompleteColumn(),
    progress.TimeElapsedColumn(),
    progress.TextColumn("left"),
    progress.TimeRemainingColumn(),
)


def typed_overrides(items: Sequence[str]) -> dict[str, Value]:
    """`NAME=VALUE` items in the parameters' types; raises PlanError for one that a backtest cannot use."""
    known, chosen = parameters_of(current_workload().spec), parse_parameters(items)
    data = [p for p in known.data if p.name in ("MaxBadRowShare", "MinRows")]
    own = [p for p in known.own if p.for_prepare]
    names = [p.name for p in (*own, *data, *known.hyperparameters, *known.evaluation)]
    if unknown := [name for name in chosen if name not in names]:
        raise PlanError(f"--param {unknown[0]}: a backtest knows {', '.join(names)}")
    bound = bind_parameters(read_definition(default_workload()), chosen) if chosen else {}
    return {name: bound[name] for name in chosen}


def run_on_sample(settings: BacktestSettings, store: Path, quiet: bool) -> BacktestResult:
    click.echo(f"generating simulated {settings.spec.rows} (no real ones were given: see --data)", err=True)
    # until the morning on which the last day's label is known
    until = settings.last + timedelta(days=1 + settings.spec.label_delay_days)
    with tempfile.TemporaryDirectory() as name:
        rows = settings.workload.sample.write(Path(name) / "rows", until)
        return run_with_bars(replace(settings, data=rows), store, quiet)


def run_with_bars(settings: BacktestSettings, store: Path, quiet: bool) -> BacktestResult:
    """The backtest with a bar a stage on stderr, with its estimate; nothing where it is quiet."""
    with progress.Progress(*_COLUMNS, console=Console(stderr=True), disable=quiet) as bars:

        def stage(name: str, total: int) -> Callable[[int], None]:
            task = bars.add_task(name, total=total)
            return lambda done: bars.advance(task, done)

        return run_backtest(settings, FitCache(store), stage)


def show(done: BacktestResult, report: Path, *, simulated: bool, as_json: bool) -> None:
    """Write the report, and print the result as JSON; or the table, the bound, the choice and the report's path."""
    write_report(report, done, simulated=simulated)
    settings, n_rows = done.prepared.settings, done.n_rows
    if as_json:
        found = {
            "simulated": simulated,
            "from": str(settings.first),
            "to": str(settings.last),
            "workload": settings.spec.name,
            "n_rows": n_rows,
            "injected": [str(injection) for injection in settings.injections],
            "policies": [asdict(result) for result in done.results],
            "oracle_bound": [{"promotions": bound.promotions, "loss": bound.loss / n_rows} for bound in done.bounds],
            "choice": asdict(done.choice) if done.choice else None,
            "report": str(report),
        }
        click.echo(json.dumps(found, indent=2, default=str))
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False)
    if simulated:
        click.echo(f"simulated {settings.spec.rows}: none of them is real")
    for injection in settings.injections:
        click.echo(f"injected: {injection}")
    console.print(table(done))
    last, few = done.bounds[-1], done.bounds[min(12, len(done.bounds) - 1)]
    click.echo(
        f"bound      {_loss(done)} {decimal(few.loss / n_rows)} with {few.promotions} promotions, "
        f"{decimal(last.loss / n_rows)} with {last.promotions}: the best schedules, found when all labels were known"
    )
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
