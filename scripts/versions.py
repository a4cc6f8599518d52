"""Versions of the pipeline's definition: what changed between two of them, in words.

python -m scripts.versions diff HEAD~1 pipeline/definition.json
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import click

from pipeline.definition_diff import compare

DEFINITION = "pipeline/definition.json"
ROOT = Path(__file__).resolve().parents[1]


def load_definition(source: str) -> dict[str, Any]:
    """A definition from a JSON file, or from `pipeline/definition.json` at a git revision.

    Raises click.UsageError that says what to give instead.
    """
    path = Path(source)
    text = path.read_text(encoding="utf-8") if path.is_file() else _at_revision(source)
    try:
        definition: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{source} is not JSON ({error}): give a pipeline definition") from error
    if not isinstance(definition, dict) or "Steps" not in definition:
        raise click.UsageError(f"{source} has no Steps: give a pipeline definition")
    return definition


def _at_revision(revision: str) -> str:
    """The committed definition at a revision."""
    if revision.startswith("-"):
        raise click.UsageError(f"{revision} is neither a file nor a git revision")
    spelled = revision if ":" in revision else f"{revision}:{DEFINITION}"
    try:
        found = subprocess.run(  # fixed program, no shell; a leading dash is refused above
            ["git", "show", spelled],  # noqa: S607 - git is looked up as the user's shell would
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise click.UsageError(f"{revision} is no file, and git could not be started ({error})") from error
    if found.returncode:
        raise click.UsageError(
            f"{revision} is neither a file nor a git revision with {DEFINITION}: try a path, HEAD or HEAD~1 "
            f"(git says: {found.stderr.strip()})"
        )
    return found.stdout


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Versions of the pipeline's definition."""


@main.command()
@click.argument("before", default="HEAD")
@click.argument("after", default=str(ROOT / DEFINITION))
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff(before: str, after: str, as_json: bool) -> None:
    """Say what differs between the definitions BEFORE and AFTER.

    Each is a JSON file or a git revision (its pipeline/definition.json). Without arguments: the last commit and the
    working tree. Exit code 0 when they say the same, 1 when they differ.
    """
    differences = compare(load_definition(before), load_definition(after))
    if as_json:
        click.echo(json.dumps([d.as_json() for d in differences], indent=2))
    else:
        click.echo("\n".join(str(d) for d in differences) or "no difference")
    raise SystemExit(1 if differences else 0)


if __name__ == "__main__":
    main()
