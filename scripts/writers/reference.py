"""Write docs/reference.md (every command's help, every parameter and setting) and docs/cost.md's estimate.

python -m scripts.writers.reference [--check]
"""

from __future__ import annotations

import importlib
import io
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

import click

from infra.settings.settings import Settings
from pipeline.contract.parameters import parameters_of
from pipeline.contract.workload import default_workload, load_spec
from scripts.output.command_line import command

ROOT: Final = Path(__file__).resolve().parents[2]
REFERENCE: Final = ROOT / "docs" / "reference.md"
COST: Final = ROOT / "docs" / "cost.md"
ESTIMATE: Final = ("-c", "env=prod", "--seconds-from", "committed")
KNOWN: Final = parameters_of(load_spec(default_workload()))
SECTIONS: Final = {
    "Data": KNOWN.data,
    "Run": KNOWN.run,
    "Instances": KNOWN.instances,
    "Hyperparameters": KNOWN.hyperparameters,
    "Evaluation and gates": KNOWN.evaluation,
    "Of the workload": KNOWN.own,
}


def commands() -> dict[str, click.Command]:
    """Every script with a command line, by the name with which `python -m` runs it."""
    found: dict[str, click.Command] = {}
    for path in sorted([*(ROOT / "scripts").glob("*.py"), *(ROOT / "scripts").glob("*/__main__.py")]):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        main_of = getattr(importlib.import_module(module), "main", None)
        if isinstance(main_of, click.Command):
            found[module.removesuffix(".__main__")] = main_of
    return dict(sorted(found.items()))


def helps(name: str, shown: click.Command) -> Iterator[str]:
    """The help text of a command and of its sub-commands, as a terminal of 100 columns shows it."""
    width: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}
    context = click.Context(shown, info_name=f"python -m {name}", **width, **shown.context_settings)
    yield shown.get_help(context)
    if isinstance(shown, click.Group):
        for sub in shown.commands.values():
            inner = click.Context(sub, info_name=sub.name, parent=context, **width, **sub.context_settings)
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
    lines = ["# Reference", "", "Made by `python -m scripts.writers.reference`; a test fails when it is stale.", ""]
    lines += ["## Pipeline parameters", ""]
    lines += ["Give them to a local run with `--param NAME=VALUE`, and to a deployed pipeline when it is started.", ""]
    for title, group in SECTIONS.items():
        lines += [f"### {title}", "", "| parameter | type | default | meaning |", "| --- | --- | --- | --- |"]
        for p in group:
            meaning = p.meaning + (f" (one of {', '.join(p.choices)})" if p.choices else "")
            lines.append(f"| `{p.name}` | {type(p.default).__name__} | `{p.default}` | {meaning} |")
        lines.append("")
    lines += settings_table()
    lines += ["## Commands", ""]
    for name, listed in commands().items():
        for text in helps(name, listed):
            lines += ["```text", text.rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def with_estimate(text: str) -> str:
    """docs/cost.md with what `scripts.estimate_cost` prints now in the block that shows it."""
    from scripts.estimate_cost import main as estimate_cost  # noqa: PLC0415 - synthesises: not needed for the reference

    printed = io.StringIO()
    with redirect_stdout(printed):
        estimate_cost(ESTIMATE, standalone_mode=False)
    command = f"$ python -m scripts.estimate_cost {shlex.join(ESTIMATE)}\n"
    before, shown, after = text.partition(command)
    return before + shown + printed.getvalue() + after[after.index("```") :]


@command
@click.option("--check", is_flag=True, help="Only say whether the pages are up to date (exit code 1 if not).")
def main(check: bool) -> None:
    """Write docs/reference.md, and docs/cost.md's estimate, from the code."""
    stale = False
    for path, text in ((REFERENCE, reference()), (COST, with_estimate(COST.read_text(encoding="utf-8")))):
        name = path.relative_to(ROOT)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            click.echo(f"{name} is up to date", err=True)
        elif check:
            stale = True
            click.echo(f"{name} is stale: run python -m scripts.writers.reference", err=True)
        else:
            path.write_text(text, encoding="utf-8")
            click.echo(f"wrote {name}", err=True)
    sys.exit(stale)


if __name__ == "__main__":
    main()
