"""What expressions refer to: parameters, steps, properties of jobs, property files, execution variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.definition.service_rules.nodes import Node, Scope, at, meant
from pipeline.definition.service_rules.rules import Finding
from pipeline.definition.service_rules.shapes import response_shape, shape
from pipeline.definition.service_rules.values import expressions, function_of

EXECUTION_VARIABLES: Final = (
    *("StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn", "PipelineExecutionId"),
    *("PipelineExecutionArn", "TrainingJobName", "ProcessingJobName"),
)
_PART: Final = re.compile(r"\.?(?P<name>[A-Za-z0-9_]+)|\[(?:'(?P<key>[^']*)'|(?P<place>\d+))\]")
_JSON_GET: Final = {"PropertyFile", "S3Uri", "Path"}


def reference_findings(node: Node, scope: Scope) -> Iterator[Finding]:
    """What the expressions of a step's arguments (of a condition: its conditions) get wrong."""
    found = list(expressions(node.arguments))
    within_json_get = {id(at(expression, "Std:JsonGet").get("PropertyFile")) for _, expression in found}
    for field, expression in found:
        for rule, text in _problems(expression, scope, within_json_get=id(expression) in within_json_get):
            yield node.found(rule, field, text)


def _problems(expression: Mapping[str, Any], scope: Scope, *, within_json_get: bool) -> Iterator[tuple[str, str]]:
    """The rules that an expression breaks, each with a sentence."""
    match function_of(expression):
        case "Get" if not within_json_get:
            yield from _get(str(expression["Get"]), scope)
        case "Std:Join":
            yield from _join(expression["Std:Join"])
        case "Std:JsonGet":
            yield from _json_get(expression["Std:JsonGet"], scope)


def _get(path: str, scope: Scope) -> Iterator[tuple[str, str]]:
    kind, _, rest = path.partition(".")
    name, _, inner = rest.partition(".")
    if kind == "Parameters":
        if rest not in scope.types:
            yield "parameter-exists", f'there is no parameter "{rest}"{meant(rest, scope.types)}'
    elif kind == "Execution":
        if rest not in EXECUTION_VARIABLES:
            yield "execution-variable", f'there is no execution variable "{rest}"{meant(rest, EXECUTION_VARIABLES)}'
    elif kind != "Steps":
        yield "function", f'"{path}" begins with none of Parameters., Execution., Steps.'
    elif name not in scope.steps:
        yield "step-exists", f'there is no step "{name}"{meant(name, scope.steps)}'
    elif scope.steps[name].type == "Fail":
        yield "depends-on-fail", f"it refers to the Fail step {name}, which has no properties"
    else:
        yield from _property(scope.steps[name], inner)


def _property(source: Node, path: str) -> Iterator[tuple[str, str]]:
    name, position = response_shape(source.type), 0
    while name is not None and position < len(path):
        part = _PART.match(path, position)
        if part is None:
            yield "property-exists", f'the path "{path}" cannot be read at "{path[position:]}"'
            return
        position, described = part.end(), shape(name)
        member, key = part["name"], part["key"]
        if member is not None and described["type"] == "structure" and member in described["members"]:
            name = described["members"][member]
        elif member is None and described["type"] in ("list", "map"):
            name = described["member" if described["type"] == "list" else "value"]
            if key is not None and name == "ProcessingOutput" and key not in source.outputs:
                yield "property-exists", f'step {source.name} has no output "{key}"{meant(key, source.outputs)}'
        else:
            hint = meant(part[0].strip("."), described.get("members", ()))
            yield "property-exists", f'step {source.name} has no property "{path}": "{part[0]}" is unknown{hint}'
            return


def _join(join: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(join, Mapping) or set(join) != {"On", "Values"} or not isinstance(join["Values"], list):
        yield "function", "Std:Join has On, a text, and Values, a list"
        return
    for value in join["Values"]:
        if not isinstance(value, str | int | float) and function_of(value) is None:
            yield "function", f"Std:Join cannot join {value!r}"


def _json_get(given: Any, scope: Scope) -> Iterator[tuple[str, str]]:
    if not isinstance(given, Mapping) or "Path" not in given or not set(given) <= _JSON_GET or len(given) != 2:
        yield "function", "Std:JsonGet has Path, and either PropertyFile or S3Uri"
        return
    if not isinstance(given["Path"], str):
        yield "function", "the Path of Std:JsonGet must be literal text, not an expression"
    if "PropertyFile" not in given:
        return
    reference = given["PropertyFile"]
    path = str(reference.get("Get") if isinstance(reference, Mapping) else reference)
    match path.split("."):
        case ["Steps", step, "PropertyFiles", _] if step not in scope.steps:
            yield "step-exists", f'there is no step "{step}"{meant(step, scope.steps)}'
        case ["Steps", step, "PropertyFiles", file]:
            if file not in (files := scope.steps[step].property_files):
                yield "property-file", f'step {step} has no property file "{file}"{meant(file, files)}'
        case _:
            yield "function", f'"{path}" is not of the form Steps.NAME.PropertyFiles.FILE'
