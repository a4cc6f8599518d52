"""Write the table of SageMaker's requests that the service's rules are checked with, from botocore's model.

python -m scripts.writers.service_shapes [--check]
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pipeline.definition.service_rules.shapes import OPERATIONS, SHAPES_FILE
from scripts.output.command_line import command

if TYPE_CHECKING:
    from botocore.model import Shape


def table() -> str:
    """The text of shapes.json: every shape that a step's request or response holds, one a line."""
    from botocore.loaders import Loader  # noqa: PLC0415 - only this command needs it
    from botocore.model import ServiceModel  # noqa: PLC0415

    loader = Loader()
    model = ServiceModel(loader.load_service_model("sagemaker", "service-2"))
    found: dict[str, Any] = {}
    operations: dict[str, dict[str, str]] = {}
    for name in OPERATIONS.values():
        request = model.operation_model(name).input_shape
        response = model.operation_model(name.replace("Create", "Describe", 1)).output_shape
        assert request is not None, name  # noqa: S101 - every call of the table has both
        assert response is not None, name  # noqa: S101
        operations[name] = {"request": request.name, "response": response.name}
        _add(request, found)
        _add(response, found)
    lines = [f"  {json.dumps(name)}: {json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found)]
    shapes = ",\n".join(lines)
    return f'{{"operations": {json.dumps(operations)},\n"shapes": {{\n{shapes}\n}}}}\n'


def _add(shape: Shape, found: dict[str, Any]) -> None:
    """Put a shape and all that it holds into the table."""
    if shape.name in found:
        return
    entry: dict[str, Any] = {"type": shape.type_name}
    found[shape.name] = entry
    entry |= {key: shape.metadata[key] for key in ("min", "max", "pattern") if key in shape.metadata}
    if enumeration := getattr(shape, "enum", None):
        entry["enum"] = list(enumeration)
    members: dict[str, Shape] = {}
    match shape.type_name:
        case "structure":
            members = dict(getattr(shape, "members"))  # noqa: B009 - botocore's types know it of one subclass only
            entry["members"] = {name: member.name for name, member in members.items()}
            if shape.metadata.get("required"):
                entry["required"] = shape.metadata["required"]
        case "list" | "map":
            members = {part: getattr(shape, part) for part in ("member", "key", "value") if hasattr(shape, part)}
            entry |= {part: member.name for part, member in members.items()}
    for member in members.values():
        _add(member, found)


@command
@click.option("--check", is_flag=True, help="Only say whether the table is up to date (exit code 1 if not).")
def main(check: bool) -> None:
    """Write pipeline/definition/service_rules/shapes.json from the installed botocore's model of SageMaker."""
    text = table()
    if SHAPES_FILE.exists() and SHAPES_FILE.read_text(encoding="utf-8") == text:
        click.echo(f"{SHAPES_FILE.name} is up to date", err=True)
    elif check:
        click.echo(f"{SHAPES_FILE.name} is stale: run python -m scripts.writers.service_shapes", err=True)
        sys.exit(1)
    else:
        SHAPES_FILE.write_text(text, encoding="utf-8")
        click.echo(f"wrote {SHAPES_FILE.name} ({len(text):,} characters)", err=True)


if __name__ == "__main__":
    main()
