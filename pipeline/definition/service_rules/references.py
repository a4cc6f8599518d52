"""What expressions refer to: parameters, steps, properties of jobs, property files, execution variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.definition.service_rules.graph import Node, meant, objects
from pipeline.definition.service_rules.rules import Finding, finding
from pipeline.definition.service_rules.shapes import response_shape, shape
from pipeline.definition.service_rules.values import expressions, function_of

EXECUTION_VARIABLES: Final = (
    *("StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn", "PipelineExecutionId"),
    *("PipelineExecutionArn", "TrainingJobName", "ProcessingJobName"),
)
_PART: Final = re.compile(r"\.?(?P<name>[A-Za-z0-9_]+)|\[(?:'(?P<key>[^']*)'|(?P<place>\d+))\]")
_JSON_GET: Final = {"PropertyFile", "S3Uri", "Path"}


def reference_findings(node: Node, steps: Mapping[str, Node], parameters: Mapping[str, str]) -> Iterator[Finding]:
    """What the expressions of a step's arguments (of a condition: its conditions) get wrong."""
    within_json_get = {
        id(expression["Std:JsonGet"].get("PropertyFile"))
        for _, expression in expressions(node.arguments)
        if isinstance(expression.get("Std:JsonGet"), Mapping)
    }
    for field, expression in expressions(node.arguments):
        match function_of(expression):
            case "Get" if id(expression) not in within_json_get:
                yield from _get(node, field, expression["Get"], steps, parameters)
            case "Std:Join":
                yield from _join(node, field, expression["Std:Join"])
            case "Std:JsonGet":
                yield from _json_get(node, field, expression["Std:JsonGet"], steps)


def _get(
    node: Node,
    field: str,
    path: Any,
    steps: Mapping[str, Node],
    parameters: Mapping[str, str],
) -> Iterator[Finding]:
    kind, _, rest = str(path).partition(".")
    if kind == "Parameters":
        if rest not in parameters:
            text = f'there is no parameter "{rest}"{meant(rest, parameters)}'
            yield finding("parameter-exists", node.name, field, text)
    elif kind == "Execution":
        if rest not in EXECUTION_VARIABLES:
            text = f'there is no execution variable "{rest}"{meant(rest, EXECUTION_VARIABLES)}'
            yield finding("execution-variable", node.name, field, text)
    elif kind == "Steps":
        name, _, inner = rest.partition(".")
        if name not in steps:
            yield finding("step-exists", node.name, field, f'there is no step "{name}"{meant(name, steps)}')
        elif steps[name].type == "Fail":
            yield finding(
                "depends-on-fail", node.name, field, f"it refers to the Fail step {name}, which has no properties"
            )
        else:
            yield from _property(node, field, steps[name], inner)
    else:
        yield finding("function", node.name, field, f'"{path}" begins with none of Parameters., Execution., Steps.')


def _property(node: Node, field: str, source: Node, path: str) -> Iterator[Finding]:
    name = response_shape(source.type)
    if name is None:
        return
    position = 0
    while position < len(path):
        part = _PART.match(path, position)
        if part is None:
            yield finding(
                "property-exists", node.name, field, f'the path "{path}" cannot be read at "{path[position:]}"'
            )
            return
        position, described = part.end(), shape(name)
        member = part["name"]
        if member is not None and described["type"] == "structure" and member in described["members"]:
            name = described["members"][member]
        elif member is None and described["type"] in ("list", "map"):
            name = described["member" if described["type"] == "list" else "value"]
            if part["key"] is not None and name == "ProcessingOutput":
                yield from _output(node, field, source, part["key"])
        else:
            known = described.get("members", ())
            text = (
                f'step {source.name} has no property "{path}": "{part[0]}" is unknown{meant(part[0].strip("."), known)}'
            )
            yield finding("property-exists", node.name, field, text)
            return


def outputs(node: Node) -> list[str]:
    """The names of a processing step's outputs."""
    config = node.arguments.get("ProcessingOutputConfig")
    items = objects(config.get("Outputs") if isinstance(config, Mapping) else None)
    return [str(item.get("OutputName")) for item in items]


def _output(node: Node, field: str, source: Node, name: str) -> Iterator[Finding]:
    if name not in outputs(source):
        text = f'step {source.name} has no output "{name}"{meant(name, outputs(source))}'
        yield finding("property-exists", node.name, field, text)


def _join(node: Node, field: str, join: Any) -> Iterator[Finding]:
    if not isinstance(join, Mapping) or set(join) != {"On", "Values"} or not isinstance(join["Values"], list):
        yield finding("function", node.name, field, "Std:Join has On, a text, and Values, a list")
        return
    for value in join["Values"]:
        if not isinstance(value, str | int | float) and function_of(value) is None:
            yield finding("function", node.name, field, f"Std:Join cannot join {value!r}")


def _json_get(node: Node, field: str, given: Any, steps: Mapping[str, Node]) -> Iterator[Finding]:
    if not isinstance(given, Mapping) or "Path" not in given or not set(given) <= _JSON_GET or len(given) != 2:
        yield finding("function", node.name, field, "Std:JsonGet has Path, and either PropertyFile or S3Uri")
        return
    if not isinstance(given["Path"], str):
        yield finding("function", node.name, field, "the Path of Std:JsonGet must be literal text, not an expression")
    if "PropertyFile" not in given:
        return
    reference = given["PropertyFile"]
    path = str(reference.get("Get") if isinstance(reference, Mapping) else reference).split(".")
    if len(path) != 4 or path[0] != "Steps" or path[2] != "PropertyFiles":
        text = f'"{".".join(path)}" is not of the form Steps.NAME.PropertyFiles.FILE'
        yield finding("function", node.name, field, text)
    elif path[1] not in steps:
        yield finding("step-exists", node.name, field, f'there is no step "{path[1]}"{meant(path[1], steps)}')
    elif path[3] not in (files := property_files(steps[path[1]])):
        text = f'step {path[1]} has no property file "{path[3]}"{meant(path[3], files)}'
        yield finding("property-file", node.name, field, text)


def property_files(node: Node) -> list[str]:
    """The names of the property files that a step declares."""
    return [str(item.get("PropertyFileName")) for item in objects(node.entry.get("PropertyFiles"))]
