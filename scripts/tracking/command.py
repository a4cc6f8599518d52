"""`python -m scripts.runs export-mlflow`: bring MLflow up to what a local store or a deployed pipeline says."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.contract.reasons import shorten
from pipeline.local.store.locks import locked
from pipeline.local.store.store import Store
from scripts.cloud.place import Place, place_options
from scripts.tracking.ended_run import TrackedRuns, runs_of_pipeline, runs_of_store
from scripts.tracking.record import MISSING, mlflow_option, shown


@click.command("export-mlflow")
@mlflow_option
@place_options("runs")
@click.option("--run", "only", multiple=True, metavar="RUN_ID", help="Only this run. Default: all that are not there.")
@click.option(
    "--experiment",
    envvar="MLFLOW_EXPERIMENT_NAME",
    metavar="NAME",
    help="Name of experiment and registered model. Default: by workload, kind of rows and pipeline (docs/mlflow.md).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on stdout.")
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
            _export(runs_of_pipeline(place.connect(), Path(folder), experiment), uri, only, as_json)
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
