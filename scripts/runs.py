"""The runs of the past: a list, one run, two beside each other, a page; of a local store or (--aws) in the cloud.

python -m scripts.runs list --since 30d --status Failed
python -m scripts.runs show 6f350a072f03
python -m scripts.runs compare 6f350a072f03 694d3db9f2e7
python -m scripts.runs report
python -m scripts.runs export-mlflow --mlflow http://127.0.0.1:5000
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

from pipeline.contract import names as c
from pipeline.contract.history.runs import changes
from pipeline.local.store.run_record import EXECUTING, FAILED, STOPPED, SUCCEEDED
from pipeline.local.store.store import Store
from scripts.cloud.place import Place, place_options
from scripts.cloud.review import AwsReview
from scripts.command_line import group
from scripts.history import words
from scripts.history.cloud import cloud_history
from scripts.history.history import RunHistory, Since
from scripts.history.local import local_history
from scripts.tracking.command import export_mlflow

since_option = click.option(
    "--since", type=Since(), help="Only runs from that day on (UTC), or of the last N days: 30d."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
PAGE = 50


@dataclass(frozen=True)
class Source:
    """Where runs are read from: a local store, or else a deployed pipeline."""

    store: Store | None
    review: AwsReview | None

    def read(self, since: float | None = None, limit: int = PAGE) -> RunHistory:
        """The runs; of a deployed pipeline no more than are needed. Faults are named on stderr."""
        if self.review:
            history = cloud_history(self.review, since=since, limit=limit)
        else:
            assert self.store is not None  # noqa: S101 - one of the two is given
            history = local_history(self.store)
        for fault in history.faults:
            click.echo(f"warning: {fault}", err=True)
        return history


def sourced(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a place: the command gets a Source."""

    @place_options("runs")
    @wraps(command)
    def with_source(place: Place, **options: object) -> None:
        if place.folder is None:
            command(Source(None, AwsReview(place.connect(), 0)), **options)
        else:
            command(Source(Store(place.folder), None), **options)

    return with_source


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
@click.option("--limit", type=click.IntRange(min=1), default=PAGE, show_default=True, help="The newest so many.")
@sourced
@json_option
def list_runs(
    source: Source, since: float | None, status: str | None, decision: str | None, limit: int, as_json: bool
) -> None:
    """List runs, newest first: when, why, result, losses, version, what changed since the run before."""
    history = source.read(since, limit)
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
@sourced
@json_option
def show(source: Source, run_id: str, as_json: bool) -> None:
    """Show the run RUN_ID, of which the beginning is enough, and what changed since the run before."""
    history = source.read()
    run = history.find(run_id)
    click.echo(json.dumps(next(history.rows([run])), indent=2) if as_json else "\n".join(words.shown(history, run)))
    if source.review:
        deployed = source.review.deployed
        click.echo(f"its steps: {deployed.show_command(f'{deployed.arn}/execution/{run.run_id}')}", err=True)


@main.command()
@click.argument("first")
@click.argument("second")
@sourced
@json_option
def compare(source: Source, first: str, second: str, as_json: bool) -> None:
    """Show the runs FIRST and SECOND beside each other, and what changed from one to the other."""
    history = source.read()
    one, other = history.find(first), history.find(second)
    if as_json:
        rows = list(history.rows([one, other]))
        click.echo(json.dumps({"first": rows[0], "second": rows[1], "changed": changes(one, other)}, indent=2))
        return
    click.echo("\n".join(words.compared(history, one, other)))


@main.command()
@since_option
@click.option("--limit", type=click.IntRange(min=1), default=400, show_default=True, help="The newest so many.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it. Default: runs.html in the store, or with --aws in this folder.",
)
@sourced
def report(source: Source, since: float | None, limit: int, output: Path | None) -> None:
    """Write one HTML page: losses over time, versions in service, volume of data, alarms, failures, all runs."""
    from scripts.history.page import render  # noqa: PLC0415 - a list does without matplotlib

    history = source.read(since, limit)
    runs = [run for run in history.runs if run.started_at >= (since or 0)][:limit]
    if not runs:
        raise click.UsageError(f"no run in {history.name}{' since then' if history.runs else ' yet'}")
    path = (output or (source.store.root if source.store else Path()) / "runs.html").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(history, runs, path.parent), encoding="utf-8", errors="replace")
    click.echo(path)


main.add_command(export_mlflow)


if __name__ == "__main__":
    main()
