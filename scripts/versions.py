"""Versions of the pipeline's definition, deployed and in git: what there is, what changed, and the way back.

python -m scripts.versions list
python -m scripts.versions diff HEAD~1 other.json             files and git revisions
python -m scripts.versions diff 3 4                                  numbers: deployed versions
python -m scripts.versions rollback 3
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from pipeline.contract.workload import default_workload
from pipeline.definition.diff import DefinitionChange, compare
from scripts.cloud.connection import AwsOptions, DeployedPipeline, aws_options
from scripts.output.command_line import group, json_option

ROOT = Path(__file__).resolve().parents[1]
NEXT_DEPLOY = """\
The repository still holds the other definition. CloudFormation does not see a roll-back: the next `cdk deploy` that
changes the pipeline (another definition, image, limit, commit) brings the repository's definition back; one that
changes nothing of it leaves this one. To stay here, revert the change in git, recompile (python -m pipeline.definition)
and deploy that."""


def committed() -> str:
    """The workload's definition as git names it."""
    return f"pipeline/workloads/{default_workload()}/definition.json"


def parse_definition(text: bytes, name: str) -> dict[str, Any]:
    """A definition from its JSON; raises click.UsageError where `name` holds none."""
    try:
        definition = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{name} is not JSON ({error}): give a pipeline definition") from error
    if not isinstance(definition, dict) or "Steps" not in definition:
        raise click.UsageError(f"{name} is no pipeline definition: it has no Steps")
    return definition


def _at_revision(revision: str) -> bytes:
    """The committed definition at a revision; raises click.UsageError that says what to give instead."""
    if revision.startswith("-"):
        raise click.UsageError(f"{revision} is neither a file nor a git revision")
    spelled = revision if ":" in revision else f"{revision}:{committed()}"
    command = ["git", "show", spelled]  # fixed program, no shell; a leading dash is refused above
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    except OSError as error:
        raise click.UsageError(f"{revision} is no file, and git could not be started ({error})") from error
    if found.returncode:
        raise click.UsageError(
            f"{revision} is neither a file nor a git revision with {committed()}: try a path, HEAD or HEAD~1 "
            f"(git says: {found.stderr.decode(errors='replace').strip()})"
        )
    return found.stdout


@group
def main() -> None:
    """Versions of the pipeline's definition."""


@main.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=10, help="How many, newest first.")
@json_option
@aws_options
def list_versions(limit: int, as_json: bool, aws: AwsOptions) -> None:
    """List the deployed versions, newest first, with what each changed."""
    deployed = aws.connect()
    versions = deployed.versions()[: limit + 1]  # one more, to compare the last one shown with
    definitions = [deployed.definition(v["PipelineVersionId"]) for v in versions]
    changes = [[str(d) for d in compare(older, newer)] for newer, older in pairwise(definitions)]
    rows = [
        {"version": v["PipelineVersionId"], "created": v["CreationTime"].isoformat(), "changes": changed}
        for v, changed in zip(versions[:limit], [*changes, None], strict=False)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(f"{'version':>7}  {'deployed':<18}what it changed")
    for row in rows:
        first, *more = ["the first one"] if row["changes"] is None else row["changes"] or ["nothing in the definition"]
        what = f"{first} (and {len(more)} more)" if more else first
        click.echo(f"{row['version']:>7}  {row['created'][:16].replace('T', ' '):<18}{what}")
    click.echo(f"version {rows[0]['version']} is what runs; diff A B says more")


@main.command()
@click.argument("before", default="HEAD")
@click.argument("after", default=lambda: str(ROOT / committed()))
@json_option
@aws_options
def diff(before: str, after: str, as_json: bool, aws: AwsOptions) -> None:
    """Say what differs between the definitions BEFORE and AFTER.

    Each is a JSON file, a git revision (the workload's definition.json in it) or a number: that version of the
    deployed pipeline. Without arguments: the last commit and the working tree. Exit code 0 when they say the
    same, 1 when they differ.
    """
    deployed = cache(aws.connect)
    differences = compare(_load(before, deployed), _load(after, deployed))
    click.echo(json.dumps([d.as_json() for d in differences], indent=2) if as_json else words(differences))
    raise SystemExit(1 if differences else 0)


def _load(source: str, deployed: Callable[[], DeployedPipeline]) -> dict[str, Any]:
    if source.isdigit():
        return deployed().definition(int(source))
    path = Path(source)
    return parse_definition(path.read_bytes() if path.is_file() else _at_revision(source), source)


def words(differences: tuple[DefinitionChange, ...]) -> str:
    return "\n".join(str(d) for d in differences) or "no difference"


@main.command()
@click.argument("version", type=click.IntRange(min=1))
@click.option("--yes", is_flag=True, help="Do it without asking.")
@aws_options
def rollback(version: int, yes: bool, aws: AwsOptions) -> None:
    """Deploy the definition of VERSION again, after showing what that changes.

    Runs that have started keep theirs. Exit code 0 when VERSION's definition is deployed, 1 when it was not wanted.
    """
    deployed = aws.connect()
    now = deployed.versions()[0]["PipelineVersionId"]
    text = deployed.definition_text(version)
    differences = compare(deployed.definition(), json.loads(text))
    if not differences:
        click.echo(f"version {now}, which is deployed, says the same as version {version}: nothing to do")
        return
    click.echo(f"from version {now} of {deployed.name}, which is deployed, to version {version}:")
    click.echo(words(differences))
    if not yes and not click.confirm(f"deploy the definition of version {version} again?", err=True):
        click.echo("nothing was changed")
        raise SystemExit(1)
    made = deployed.replace_definition(text)
    click.echo(f"deployed{f' as version {made}' if made else ''}; the next run uses it")
    click.echo(NEXT_DEPLOY)


if __name__ == "__main__":
    main()
