"""Write docs/reference.md: every command's help text and every pipeline parameter, from the code itself.

python -m scripts.write_reference [--check]
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Final

import click

from infra.settings import Settings
from pipeline import parameters

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = ROOT / "docs" / "reference.md"
SECTIONS: Final = {
    "Data": parameters.DATA,
    "Run": parameters.RUN,
    "Machines": parameters.MACHINES,
    "Hyperparameters": parameters.HYPERPARAMETERS,
    "Evaluation and gates": parameters.EVALUATION,
}


def commands() -> dict[str, click.Command]:
    """Every script with a command line, by module name."""
    found: dict[str, click.Command] = {}
    for path in sorted((ROOT / "scripts").glob("*.py")):
        command = getattr(importlib.import_module(f"scripts.{path.stem}"), "main", None)
        if isinstance(command, click.Command):
            found[f"scripts.{path.stem}"] = command
    return found


def helps(name: str, command: click.Command) -> Iterator[str]:
    """The help text of a command and of its sub-commands, as a terminal of 100 columns shows it."""
    context = click.Context(command, info_name=f"python -m {name}", terminal_width=100, max_content_width=100)
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for sub in command.commands.values():
            inner = click.Context(sub, info_name=sub.name, parent=context, terminal_width=100, max_content_width=100)
            yield sub.get_help(inner)


def settings_table() -> list[str]:
    """The deployment's settings, from the settings object itself."""
    lines = [
        "## Settings",
        "",
        "In `cdk.json` under `environments`, or `-c key=value`; `-c env=prod` chooses the environment.",
        "",
    ]
    lines += ["| setting | default | meaning |", "| --- | --- | --- |"]
    for field in fields(Settings):
        if field.metadata:
            default = field.default if field.default is not MISSING else ""
            shown = str(default).lower() if isinstance(default, bool) else default or "none"
            lines.append(f"| `{field.name}` | `{shown}` | {field.metadata['meaning']} |")
    return [*lines, ""]


def reference() -> str:
    """The page's text."""
    lines = ["# Reference", "", "Made by `python -m scripts.write_reference`; a test fails when it is stale.", ""]
    lines += ["## Pipeline parameters", ""]
    lines += ["Give them to a local run with `--param NAME=VALUE`, and to a deployed pipeline when it is started.", ""]
    for title, group in SECTIONS.items():
        lines += [f"### {title}", "", "| parameter | type | default | meaning |", "| --- | --- | --- | --- |"]
        for p in group:
            meaning = p.meaning + (f" (one of {', '.join(p.choices)})" if p.choices else "")
            default = str(p.default).lower() if isinstance(p.default, bool) else p.default
            lines.append(f"| `{p.name}` | {type(p.default).__name__} | `{default}` | {meaning} |")
        lines.append("")
    lines += settings_table()
    lines += ["## Commands", ""]
    for name, command in commands().items():
        for text in helps(name, command):
            lines += ["```text", text.rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Only say whether the page is up to date (exit code 1 if not).")
def main(check: bool) -> None:
    """Write docs/reference.md from the code."""
    text = reference()
    if REFERENCE.exists() and REFERENCE.read_text(encoding="utf-8") == text:
        click.echo("docs/reference.md is up to date", err=True)
    elif check:
        click.echo("docs/reference.md is stale: run python -m scripts.write_reference", err=True)
        sys.exit(1)
    else:
        REFERENCE.parent.mkdir(exist_ok=True)
        REFERENCE.write_text(text, encoding="utf-8")
        click.echo("wrote docs/reference.md", err=True)


if __name__ == "__main__":
    main()
