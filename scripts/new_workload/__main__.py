"""Write a new workload from your data files: a folder that `make run WORKLOAD=name` trains, evaluates and registers."""

from __future__ import annotations

import json
import keyword
import re
import shlex
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import Any, Final, get_args

import click

from pipeline.contract.names import QUARANTINE_FILE
from pipeline.contract.rules.spec_rules import LONGEST_NAME
from pipeline.contract.spec import Task
from pipeline.contract.workload import WORKLOADS
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.read_rows import DATA_PLACE
from scripts.new_workload.columns import Refusal
from scripts.new_workload.infer import Inferred, Options, infer
from scripts.new_workload.install import install
from scripts.new_workload.render import TEST, sources
from scripts.output.command_line import command

# Of the 63 characters that SageMaker gives to names, retraining-NAME-prod-vVERSION-DIGEST leaves as many.
LONGEST: Final = LONGEST_NAME - len("retraining-")
_SAID: Final = ("name", "task", "time_zone", "label_delay_days", "announced", "unit", "baseline")  # of the spec
ROOT: Final = WORKLOADS.parents[1]


def check_name(name: str, *, force: bool) -> None:
    """Raises Refusal for a name that no new folder can have."""
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise Refusal(f'"{name}" is no name of a workload: use lower-case letters, digits and _, and no word of Python')
    if len(name) > LONGEST:
        raise Refusal(f'"{name}" has {len(name)} characters, and names in AWS leave {LONGEST}: shorten it')
    if (WORKLOADS / f"{name}.py").exists():
        raise Refusal(f'"{name}" is a module of core, which a workload of that name would hide: choose another name')
    if not force and (WORKLOADS / name).exists():
        raise Refusal(f'there is a workload "{name}": choose another name, or replace it with --force')


def facts(found: Inferred, data: Path) -> dict[str, Any]:
    """What was inferred, and what to run next: the object of --json."""
    spec = found.spec
    run = f"make run WORKLOAD={spec.name}"
    ended = f' ARGS="--param AsOfDate={found.ended}"' if found.ended else ""
    return {
        **{name: getattr(spec, name) for name in _SAID},
        "rows": found.rows,
        "columns": {column.name: [column.role, column.type] for column in spec.columns},
        "may_be_missing": [column.name for column in spec.columns if column.missing],
        "not_used": dict(found.unused),
        "defaults": dict(spec.defaults),
        "next": [
            f"{run} DATA={shlex.quote(str(data))}{ended}",
            run,
            f"make test WORKLOAD={spec.name}",
            f"npx cdk synth -c env=dev -c workload={spec.name}",
        ],
    }


def words(found: Inferred, data: Path) -> list[str]:
    spec, (real, simulated, *others) = found.spec, facts(found, data)["next"]
    kinds = [f"{column.name} ({column.type}{', may be missing' * column.missing})" for column in spec.columns]
    days = spec.label_delay_days
    return [
        f"task       {spec.task}: {spec.name_of('target')}",
        f"rows       {found.rows}",
        *wrap(f"columns    {', '.join(kinds)}", 120, subsequent_indent=" " * 11, break_on_hyphens=False),
        *(f"not used   {name or '(unnamed)'}: {reason}" for name, reason in found.unused.items()),
        f"baseline   {spec.baseline}",
        f"time       a {spec.of_role('time')[0].type}, in {spec.time_zone}; unit of independence: {spec.unit}",
        f"label      known {days} day{'s' * (days != 1)} after the row's day",
        f"predicts   rows without a label of {'the day of the run and later' if spec.announced else 'the last days'}",
        f"edit first, in pipeline/workloads/{spec.name}/spec.py:",
        "  columns     remove a feature that is known only after the row's time: the data does not say which are",
        "  low, high, values    what is outside is a bad row; above 1 % of bad rows a run fails",
        "  time_zone, label_delay_days    when a day begins, and when its labels are known",
        "  title, row, rows, event, target_unit    how reports and emails read",
        "next:",
        f"  {real}{'    # as of the morning after the newest label' * bool(found.ended)}",
        f"  {simulated}    # simulated rows: no DATA",
        *(f"  {command}" for command in others),
    ]


@command
@click.argument("name")
@click.option("--from", "data", required=True, type=click.Path(exists=True, path_type=Path), help="File or folder.")
@click.option("--time", required=True, metavar="COLUMN", help="Day or time of a row, by which its features are known.")
@click.option("--target", required=True, metavar="COLUMN", help="What is to be predicted; empty while not known.")
@click.option("--id", default="", show_default=False, metavar="COLUMN", help="Names a row. Default: the time.")
@click.option("--task", type=click.Choice(get_args(Task)), help="Default: binary for true and false, or 1 and 0.")
@click.option("--label-delay", type=click.IntRange(0, 3650), metavar="DAYS", help="Until a label is known.")
@click.option("--group", default="", show_default=False, metavar="COLUMN", help="Groups that the monitor watches.")
@click.option("--without", multiple=True, metavar="COLUMN", help="Leave a column out, such as one known later.")
@click.option("--force", is_flag=True, help="Replace a workload of this name; the old one is kept in .retrain.")
@click.option("--dry-run", is_flag=True, help="Print spec.py, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was inferred as one JSON object on stdout.")
def main(
    name: str,
    data: Path,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **columns: Any,  # noqa: ANN401 - the other fields of Options
) -> None:
    """Write the workload NAME from data files (CSV, gzipped CSV, Parquet), so that make run trains it at once.

    \b
    python -m scripts.new_workload churn2 --from data/ --id customer_id --time date --target churned
    python -m scripts.new_workload flow --from readings.csv --time day --target flow --group gauge

    Types, ranges, categories, task, time, sizes, baseline and margins come from the data, and are yours to edit. Exit
    code 2, and nothing is written, where no workload can be made of the data.
    """
    check_name(name, force=force)
    if not dry_run and find_spec("sagemaker") is None:
        raise Refusal("the definition needs the SageMaker SDK, which is not installed: run make setup, then this again")
    today = datetime.now(UTC).date()
    try:
        found = infer(Options(name, data, **columns), today)
    except BadData as error:
        # What a run would say besides: where its list of bad rows is, and which parameter allows more of them.
        reason = str(error).partition(f" ({QUARANTINE_FILE}")[0]
        raise Refusal(reason.replace(DATA_PLACE, "--from")) from error
    files = sources(found)
    written = [] if dry_run else install(ROOT, name, files, TEST.format(name=name))
    paths = [str(path.relative_to(ROOT)) for path in written]
    if as_json:
        click.echo(json.dumps({**facts(found, data), "files": paths}, indent=2))
    else:
        click.echo(
            files["spec.py"] if dry_run else "\n".join([*(f"wrote {path}" for path in paths), *words(found, data)])
        )


if __name__ == "__main__":
    main()
