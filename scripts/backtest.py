"""Backtest: what would each policy of retraining have done, run by run, with only what was known then?

python -m scripts.backtest                                          the simulated sample, its last 17 months
python -m scripts.backtest --data rows/ --from 2010-10-01 --to 2023-06-30
python -m scripts.backtest --data rows/ --inject leak@2015-01-10 --policies mine.yaml --report page.html
python -m scripts.backtest --workload river                         another workload's sample
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.contract.names import SAMPLE_AS_OF
from pipeline.contract.parameters import parameters_of
from pipeline.contract.spec import Value
from pipeline.contract.workload import WORKLOAD_VARIABLE, current_workload, default_workload, load_spec
from pipeline.local import local_deployment
from pipeline.local.plan.parameters import PlanError, parse_parameters

if TYPE_CHECKING:  # the data libraries take a second: not for --help
    from rich.progress import Progress as Bars

    from pipeline.backtest.run import BacktestResult, BacktestSettings

BACKTEST_STORE: Final = local_deployment.STORES / "backtest"
SAMPLE_SPAN: Final = (date(2023, 10, 1), date.fromisoformat(SAMPLE_AS_OF) - timedelta(days=1))
DAY: Final = click.DateTime(formats=["%Y-%m-%d"])


def typed_overrides(items: Sequence[str]) -> dict[str, Value]:
    """`NAME=VALUE` items in the parameters' types; raises PlanError for one that a backtest cannot use."""
    found: dict[str, Value] = {}
    known = parameters_of(current_workload().spec)
    data = [p for p in known.data if p.name in ("MaxBadRowShare", "MinRows")]
    own = [p for p in known.own if p.for_prepare]
    by_name = {p.name: p for p in (*own, *data, *known.hyperparameters, *known.evaluation)}
    for name, text in parse_parameters(items).items():
        if name not in by_name:
            raise PlanError(f"--param {name}: a backtest knows {', '.join(by_name)}")
        kind = type(by_name[name].default)
        try:
            found[name] = kind(text)
        except ValueError as error:
            raise PlanError(f'--param {name}: "{text}" is not of type {kind.__name__}') from error
    return found


class RichProgress:
    """A bar a stage, with its estimate, on stderr; nothing where it is quiet."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def __call__(self, stage: str, total: int) -> Callable[[int], None]:
        """Start a stage."""
        task = self._bars.add_task(stage, total=total)
        return lambda done: self._bars.advance(task, done)


def run_with_progress(settings: BacktestSettings, store: Path, *, quiet: bool) -> BacktestResult:
    """A backtest with a progress bar on a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from pipeline.backtest.fit_cache import FitCache  # noqa: PLC0415
    from pipeline.backtest.run import run_backtest  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:
        return run_backtest(settings, FitCache(store), RichProgress(bars))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="File or folder of rows (CSV, gzipped CSV, Parquet). Default: a simulated sample.",
)
@click.option("--from", "first", type=DAY, help="First day. Default: 17 months before the sample's end.")
@click.option("--to", "last", type=DAY, help="Last day. Default: the sample's last day.")
@click.option(
    "--policies",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file of policies. Default: pipeline/backtest/policies.yaml, which explains the fields.",
)
@click.option(
    "--inject",
    "injections",
    multiple=True,
    metavar="KIND@DATE[..DATE]",
    help="Inject a fault: bad-feed, leak, broken-fit or broken-weights; without an end it lasts two weeks.",
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Override a pipeline parameter.")
@click.option(
    "--choose-until",
    type=int,
    metavar="PERIOD",
    help="Choose a policy on the periods (such as years) up to this one and score it on the later ones. Default: two "
    "thirds of them.",
)
@click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    default=BACKTEST_STORE,
    show_default=True,
    help="Where fits are kept: an interrupted backtest resumes from there, a second one is fast.",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="HTML report. Default: in the store.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that fit. Default: one a core.")
@click.option(
    "--workload", metavar="NAME", help="Folder of pipeline/workloads. Default: that of cdk.json (context, workload)."
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout.")
def main(
    data: Path | None,
    first: datetime | None,
    last: datetime | None,
    policies: Path | None,
    injections: tuple[str, ...],
    params: tuple[str, ...],
    choose_until: int | None,
    store: Path,
    report: Path | None,
    jobs: int | None,
    workload: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Simulate each nightly run of a span under many policies, with the pipeline's own code.

    Prints a table and writes an HTML report: what was in service and how good it was, against `never retrain`; runs,
    trainings, promotions, emails, hours, dollars; the bound that no schedule can beat. Exit code 0 when it is done, 2
    for bad usage or data that Prepare refuses, 130 when it was interrupted (run it again to resume).
    """
    if find_spec("yaml") is None:
        raise click.UsageError("a backtest needs the whole environment, not only that of make run: make .venv/.all")
    if data is not None and (first is None or last is None):
        raise click.UsageError("give the span of your data: --from DATE --to DATE")
    try:
        os.environ[WORKLOAD_VARIABLE] = load_spec(workload or default_workload()).name
        settings_of = _settings_from(first, last, policies, injections, params, choose_until, jobs)
        done = _with_data(data, last, lambda folder: run_with_progress(settings_of(folder), store, quiet=quiet))
    except KeyboardInterrupt:
        click.echo("interrupted: what is fitted is kept; the same command resumes from there", err=True)
        sys.exit(130)
    except _refusals() as error:
        raise click.UsageError(str(error)) from error
    _show(done, report or store / "report.html", simulated=data is None, as_json=as_json)


def _refusals() -> tuple[type[Exception], ...]:
    from pipeline.backtest.policies import PolicyError  # noqa: PLC0415
    from pipeline.backtest.world import BacktestError  # noqa: PLC0415
    from pipeline.contract.container import StepError  # noqa: PLC0415
    from pipeline.ingest.quarantine import BadData  # noqa: PLC0415

    return PlanError, PolicyError, BacktestError, StepError, BadData, ValueError


def _settings_from(
    first: datetime | None,
    last: datetime | None,
    policies: Path | None,
    injections: Sequence[str],
    params: Sequence[str],
    choose_until: int | None,
    jobs: int | None,
) -> Callable[[Path], BacktestSettings]:
    from pipeline.backtest.faults import parse_injection  # noqa: PLC0415
    from pipeline.backtest.policies import DEFAULT_FILE, read_policies  # noqa: PLC0415
    from pipeline.backtest.run import BacktestSettings  # noqa: PLC0415

    chosen = {
        "first": first.date() if first else SAMPLE_SPAN[0],
        "last": last.date() if last else SAMPLE_SPAN[1],
        "policies": read_policies(current_workload().spec, policies or DEFAULT_FILE),
        "overrides": typed_overrides(params),
        "injections": tuple(parse_injection(text) for text in injections),
        "choose_until": choose_until,
        "jobs": jobs,
    }

    def settings(folder: Path) -> BacktestSettings:
        made = BacktestSettings(data=folder, **chosen)  # type: ignore[arg-type]
        _ = made.hyperparameters  # refused before anything is computed
        return made

    return settings


def _with_data(data: Path | None, last: datetime | None, act: Callable[[Path], BacktestResult]) -> BacktestResult:
    if data is not None:
        return act(data)
    workload = current_workload()
    click.echo(f"generating simulated {workload.spec.rows} (no real ones were given: see --data)", err=True)
    day = last.date() if last else SAMPLE_SPAN[1]
    labelled = day + timedelta(days=1 + workload.spec.label_delay_days)  # the morning on which its label is known
    with tempfile.TemporaryDirectory() as name:
        return act(workload.sample.write(Path(name) / "rows", labelled))


def as_object(done: BacktestResult, report: Path, *, simulated: bool) -> Mapping[str, Any]:
    """What --json prints."""
    from dataclasses import asdict  # noqa: PLC0415

    settings = done.prepared.settings
    n_rows = int(done.prepared.service.n_rows.sum())
    return {
        "simulated": simulated,
        "from": str(settings.first),
        "to": str(settings.last),
        "workload": settings.spec.name,
        "n_rows": n_rows,
        "injected": [str(injection) for injection in settings.injections],
        "policies": [result.as_json() for result in done.results],
        "oracle_bound": [{"promotions": bound.promotions, "loss": bound.loss / n_rows} for bound in done.bounds],
        "choice": asdict(done.choice) if done.choice else None,
        "report": str(report),
    }


def _show(done: BacktestResult, report: Path, *, simulated: bool, as_json: bool) -> None:
    from pipeline.backtest.report import write_report  # noqa: PLC0415
    from scripts.output.backtest import show  # noqa: PLC0415

    write_report(report, done, simulated=simulated)
    if as_json:
        click.echo(json.dumps(as_object(done, report, simulated=simulated), indent=2, default=str))
    else:
        show(done, report, simulated=simulated)


if __name__ == "__main__":
    main()
