"""Remove from a local store what neither its newest runs nor a registered version needs.

python -m scripts.clean --dry-run                    what would go
python -m scripts.clean --keep-runs 10               only the newest ten runs stay, and all versions
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.local.store.retention import KEPT_RUNS, clean
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError, explain
from scripts.cloud.place import STORE, local_store
from scripts.output.command_line import command, json_option


@command
@click.option("--store", type=STORE, help="The store. Default: the one that was used last.")
@click.option("--keep-runs", type=click.IntRange(min=0), default=KEPT_RUNS, help="How many of the newest stay whole.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def main(store: Path | None, keep_runs: int, dry_run: bool, as_json: bool) -> None:
    """Remove old runs of a local store, the artifacts that no version refers to, and unused copies of data.

    A run does so itself when it has ended, with the default. Each registered version keeps its model, evaluation and
    report. Exit code 0 when it was done, 1 when nothing could be removed, 2 for bad usage.
    """
    folder = local_store(store)
    try:
        removal = clean(Store(folder), keep=keep_runs, dry_run=dry_run)
    except (StoreError, OSError) as error:
        raise click.ClickException(explain(error)) from error
    if as_json:
        found = {"runs": removal.runs, "files": removal.files, "bytes": removal.size, "removed": not dry_run}
        click.echo(json.dumps({**found, "paths": [str(path) for path in removal.paths]}, indent=2))
        return
    for path in removal.paths if dry_run else ():
        click.echo(str(path))
    click.echo(f"{'would remove' if dry_run else 'removed'} {removal.sentence} from {folder}")


if __name__ == "__main__":
    main()
