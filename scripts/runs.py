"""The runs of the past: a list, one run, two beside each other, a page; of a local store or (--aws) in the cloud.

python -m scripts.runs list --since 30d --status Failed
python -m scripts.runs show 6f350a072f03
python -m scripts.runs compare 6f350a072f03 694d3db9f2e7
python -m scripts.runs report
python -m scripts.runs export-mlflow --mlflow http://127.0.0.1:5000
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.contract import names as c
from pipeline.contract.history.runs import changes
from pipeline.contract.reasons import shorten
from pipeline.local.store.locks import locked
from pipeline.local.store.run_record import EXECUTING, FAILED, STOPPED, SUCCEEDED
from pipeline.local.store.store import Store
from scripts.cloud.place import Place, place_options
from scripts.cloud.review import AwsReview
from scripts.history import words
from scripts.history.history import RunHistory, Since, cloud_history, local_history
from scripts.output.command_line import FILE, group, json_option
from scripts.tracking.ended_run import TrackedRuns, runs_of_pipeline, runs_of_store
from scripts.tracking.record import MISSING, mlflow_option, shown

since_option = click.option("--since", type=Since(), help="Only runs since that day (UTC), or of the last N days: 30d.")
PAGE = 50


def read(place: Place, since: float | None = None, limit: int = PAGE) -> RunHistory:
    """The runs; of a deployed pipeline no more than are needed. Faults are named on stderr."""
    if place.folder:
        history = local_history(Store(place.folder))
    else:
        history = cloud_history(AwsReview(place.aws.connect(), 0), since=since, limit=limit)
    for fault in history.faults:
        click.echo(f"warning: {fault}", err=True)
    return history


@group
def main() -> None:
    """Show the runs of the past, of a local store or (--aws) of the deployed pipeline.

    Exit code 0, also when a run failed or a record is damaged (it is named on stderr); 2 when nothing could be read.
    """


@main.command("list")
@since_option
@click.option("--status", type=click.Choice([SUCCEEDED, FAILED, STOPPED, EXECUTING]), help="Only runs of that status.")
@click.option(
    "--decision",
    type=click.Choice([c.REGISTERED, c.CHAMPION_KEPT, c.NO_NEW_DATA, c.FAILED]),
    help="Only runs that ended in that decision.",
)
@click.option("--limit", type=click.IntRange(min=1), default=PAGE, help="The newest so many.")
@place_options("runs")
@json_option
def list_runs(
    place: Place, since: float | None, status: str | None, decision: str | None, limit: int, as_json: bool
) -> None:
    """List runs, newest first: when, why, result, losses, version, what changed since the run before."""
    history = read(place, since, limit)
    found = [
        run
        for run in history.runs
        if run.started_at >= (since or 0) and status in (None, run.status) and decision in (None, run.decision)
    ]
    rows = list(history.rows(found[:limit]))
    click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(words.table(rows)))
    if len(found) > limit:
        click.echo(f"the newest {limit:,} of {len(found):,}: --limit shows more", err=True)
    if not rows:
        click.echo(f"no run in {history.name}{' is like that' if history.runs else ' yet'}", err=True)


@main.command()
@click.argument("run_id")
@place_options("runs")
@json_option
def show(place: Place, run_id: str, as_json: bool) -> None:
    """Show the run RUN_ID, of which the beginning is enough, and what changed since the run before."""
    history = read(place)
    run = history.find(run_id)
    click.echo(json.dumps(next(history.rows([run])), indent=2) if as_json else "\n".join(words.shown(history, run)))
    if deployed := history.deployed:
        click.echo(f"its steps: {deployed.show_command(f'{deployed.arn}/execution/{run.run_id}')}", err=True)


@main.command()
@click.argument("first")
@click.argument("second")
@place_options("runs")
@json_option
def compare(place: Place, first: str, second: str, as_json: bool) -> None:
    """Show the runs FIRST and SECOND beside each other, and what changed from one to the other."""
    history = read(place)
    one, other = history.find(first), history.find(second)
    if as_json:
        rows = list(history.rows([one, other]))
        click.echo(json.dumps({"first": rows[0], "second": rows[1], "changed": changes(one, other)}, indent=2))
        return
    click.echo("\n".join(words.compared(history, one, other)))


@main.command()
@since_option
@click.option("--limit", type=click.IntRange(min=1), default=400, help="The newest so many.")
@click.option("--output", type=FILE, help="The file. Default: runs.html in the store, with --aws in this folder.")
@place_options("runs")
def report(place: Place, since: float | None, limit: int, output: Path | None) -> None:
    """Write one HTML page: losses over time, versions in service, volume of data, alarms, failures, all runs."""
    from scripts.history.page import render  # noqa: PLC0415 - a list does without matplotlib

    history = read(place, since, limit)
    runs = [run for run in history.runs if run.started_at >= (since or 0)][:limit]
    if not runs:
        raise click.UsageError(f"no run in {history.name}{' since then' if history.runs else ' yet'}")
    path = (output or (place.folder or Path()) / "runs.html").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(history, runs, path.parent), encoding="utf-8", errors="replace")
    click.echo(path)


@main.command("export-mlflow")
@mlflow_option
@place_options("runs")
@click.option("--run", "only", multiple=True, metavar="RUN_ID", help="Only this run. Default: all that are not there.")
@click.option(
    "--experiment",
    envvar="MLFLOW_EXPERIMENT_NAME",
    metavar="NAME",
    help="Name of experiment and registered model. Default: by workload, kind of rows and pipeline (docs/mlflow.md).",
)
@json_option
def export_mlflow(
    place: Place, *, uri: str | None, only: tuple[str, ...], experiment: str | None, as_json: bool
) -> None:
    """Write the runs that are not in MLflow yet, and the registered versions, of which one is the champion.

    What is there already is left, so it may be run at any time. Exit code 0, 1 where something could not be written, 2
    for bad usage.
    """
    if not uri:
        raise click.UsageError("which MLflow? Give --mlflow URI, or set MLFLOW_TRACKING_URI")
    with tempfile.TemporaryDirectory() as folder:
        if place.folder is None:
            _export(runs_of_pipeline(place.aws.connect(), Path(folder), experiment), uri, only, as_json)
            return
        store = Store(place.folder)
        with locked(store.root / ".mlflow.lock"):  # two at a time would each write the runs that neither finds
            _export(runs_of_store(store, experiment), uri, only, as_json)


def _export(history: TrackedRuns, uri: str, only: tuple[str, ...], as_json: bool) -> None:
    try:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - may not be installed

        from scripts.tracking.mlflow_export import export  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise click.ClickException(MISSING) from error
    try:
        with redirect_stdout(sys.stderr):  # MLflow prints addresses
            done = export(history, uri, only)
    except MlflowException as error:
        said = str(error).replace(uri.rstrip("/"), shown(uri)).splitlines()[0]
        raise click.ClickException(f"MLflow at {shown(uri)}: {shorten(said)}") from error
    for warning in done.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps({"experiment": history.experiment, **asdict(done)}, indent=2))
    else:
        click.echo(
            f"{history.experiment}: {len(done.runs)} runs and {len(done.versions)} versions written; "
            + (f"version {done.champion} is the champion" if done.champion else "no version is the champion")
        )
    if done.warnings:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
