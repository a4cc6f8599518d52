"""The arguments of a step against the service's own model of the request: keys, types, counts, lengths, characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pipeline.definition.service_rules.graph import Node, meant
from pipeline.definition.service_rules.parameters import PARAMETER_TYPES
from pipeline.definition.service_rules.rules import Finding, finding
from pipeline.definition.service_rules.shapes import request_shape, shape
from pipeline.definition.service_rules.values import Value, function_of, join, resolve

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}
_PARAMETERS_THAT_FIT: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("String",),
    "boolean": ("Boolean",),
    "integer": ("Integer",),
    "long": ("Integer",),
    "float": ("Float", "Integer"),
    "double": ("Float", "Integer"),
}
# The service names what a run makes; a definition need not.
_NAMED_BY_THE_SERVICE: Final = (
    *("ProcessingJobName", "TrainingJobName", "TransformJobName", "ModelName", "HyperParameterTuningJobName"),
)
_ONE_CLASS: Final = re.compile(
    r"\(?\[(?P<inside>(?:\\.(?:\{\w+\})?|[^\]\\])*)\](?:[*+]|\{[\d,]+\})?\)?(?:\$?\{[\d,]+\})?"
)
_INSTANCE_TYPES: Final = re.compile(r"\w*InstanceType")


@dataclass(frozen=True)
class Context:
    """The step that is checked, and the pipeline's parameters: the types of all, the values of those that have one."""

    node: Node
    types: Mapping[str, str]
    values: Mapping[str, Any]


def request_findings(context: Context) -> Iterator[Finding]:
    """What the request of a step breaks; nothing for types of steps that are not in the table."""
    name = request_shape(context.node.type)
    if name is None:
        return
    if not isinstance(context.node.entry.get("Arguments"), Mapping):
        yield finding("structure", context.node.name, "Arguments", "a step has Arguments: the request of its API call")
        return
    yield from _check(context, context.node.arguments, name, "", name.removesuffix("Request").removesuffix("Input"))


def _check(context: Context, value: Any, name: str, field: str, structure: str) -> Iterator[Finding]:
    step, described = context.node.name, shape(name)
    kind = described["type"]
    if value is None:
        yield finding("null-key", step, field, "null: leave the key out")
    elif function_of(value):
        yield from _expression(context, value, name, field, structure)
    elif kind == "structure" and isinstance(value, Mapping):
        yield from _structure(context, value, name, field)
    elif kind == "map" and isinstance(value, Mapping):
        yield from _count(step, value, described, field, structure)
        for key, item in value.items():
            yield from _constraints(context, resolve(key, {}), described["key"], f"{field} key {key}", structure)
            yield from _check(context, item, described["value"], join(field, str(key)), structure)
    elif kind == "list" and isinstance(value, list):
        yield from _count(step, value, described, field, structure)
        for place, item in enumerate(value):
            yield from _check(context, item, described["member"], f"{field}[{_name(item, place)}]", structure)
    elif kind in _TYPES and isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)):
        yield from _constraints(context, resolve(value, {}), name, field, structure)
    elif kind != "timestamp":
        text = f"{_shown(value)} is no {kind}" + (": the service takes text here" if kind == "string" else "")
        yield finding("field-type", step, field, text, structure=structure)


def _structure(context: Context, value: Mapping[str, Any], name: str, field: str) -> Iterator[Finding]:
    step, described, page = context.node.name, shape(name), name.removesuffix("Request").removesuffix("Input")
    for key, item in value.items():
        if key in described["members"]:
            yield from _check(context, item, described["members"][key], join(field, key), page)
        else:
            text = f'{page} has no property "{key}"{meant(str(key), described["members"])}'
            yield finding("unknown-key", step, join(field, str(key)), text)
    for key in described.get("required", ()):
        if key not in value and not (field == "" and key in _NAMED_BY_THE_SERVICE):
            yield finding("required", step, join(field, key), f"{page} needs {key}", structure=page)


def _expression(context: Context, value: Mapping[str, Any], name: str, field: str, structure: str) -> Iterator[Finding]:
    """An expression where a value is taken: its type, and the constraints as far as the value is known."""
    step, kind = context.node.name, shape(name)["type"]
    if kind not in _TYPES:
        yield finding("reference-type", step, field, f"an expression cannot stand for a {kind}", structure=structure)
        return
    resolved = resolve(value, context.values)
    if function_of(value) == "Get" and str(value["Get"]).startswith("Parameters."):
        parameter = str(value["Get"]).removeprefix("Parameters.")
        given = context.types.get(parameter)
        if given in PARAMETER_TYPES and given not in _PARAMETERS_THAT_FIT[kind]:
            remedy = ": put it in a Std:Join (the SDK's to_string())" if kind == "string" else ""
            text = f"the parameter {parameter} of type {given}, but SageMaker takes a {kind} here{remedy}"
            yield finding("reference-type", step, field, text, parameters=(parameter,))
            return
    if function_of(value) == "Std:Join" and kind != "string":
        yield finding("reference-type", step, field, f"Std:Join makes text, but SageMaker takes a {kind} here")
        return
    yield from _constraints(context, resolved, name, field, structure)


def _constraints(context: Context, value: Value, name: str, field: str, structure: str) -> Iterator[Finding]:
    """Length, characters and choices of a text, range of a number; of what is known of it."""
    step, described = context.node.name, shape(name)
    if described["type"] != "string":
        if value.known:
            yield from _range(step, value, described, field, structure)
        return
    if value.known and not isinstance(value.value, str):
        return  # a default of the wrong type is named where the parameter is declared
    longest = described.get("max")
    if longest is not None and value.least_length > longest:
        at_least = "" if value.known else "at least "
        text = f"{at_least}{value.least_length:,} characters, the limit is {longest:,}"
        yield finding("length", step, field, text + _of(value), structure=structure, parameters=value.parameters)
    if value.known and len(value.value) < described.get("min", 0):
        text = f"{len(value.value)} characters, at least {described['min']} are needed{_of(value)}"
        yield finding("length", step, field, text, structure=structure, parameters=value.parameters)
    if "enum" in described and value.known and value.value not in described["enum"]:
        rule = "instance-type" if _INSTANCE_TYPES.fullmatch(name) else "choice"
        text = f'"{value.value}" is none of {name}{meant(value.value, described["enum"])}{_of(value)}'
        yield finding(rule, step, field, text, structure=structure, parameters=value.parameters)
    if "pattern" in described and (text := _wrong_characters(described["pattern"], value)):
        yield finding("characters", step, field, text + _of(value), structure=structure, parameters=value.parameters)


def _range(step: str, value: Value, described: Mapping[str, Any], field: str, structure: str) -> Iterator[Finding]:
    number = value.value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return
    low, high = described.get("min"), described.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        between = (
            f"from {low}" + (f" to {high:,}" if high is not None else " on") if low is not None else f"up to {high:,}"
        )
        text = f"{number:,} is outside the range {between}{_of(value)}"
        yield finding("range", step, field, text, structure=structure, parameters=value.parameters)


def _count(step: str, value: Any, described: Mapping[str, Any], field: str, structure: str) -> Iterator[Finding]:
    low, high = described.get("min", 0), described.get("max")
    if high is not None and len(value) > high:
        yield finding("count", step, field, f"{len(value)} entries, the limit is {high}", structure=structure)
    elif len(value) < low:
        text = f"{len(value)} entries, at least {low} are needed: leave the key out" if not value else f"needs {low}"
        yield finding("count", step, field, text, structure=structure)


def _wrong_characters(pattern: str, value: Value) -> str:
    """Why a text does not have the form of `pattern`, or nothing."""
    allowed = _character_class(pattern)
    if allowed is not None:  # each known part must keep to the class, whatever the others are
        wrong = sorted({ch for part in value.known_parts for ch in part if not allowed(ch)})
        return f"the characters {' '.join(map(repr, wrong))} are not allowed" if wrong else ""
    if value.known and not re.fullmatch(_in_python(pattern), value.value):
        return f"{_shown(value.value)} does not have the form {pattern}"
    return ""


@cache
def _character_class(pattern: str) -> Any:
    """A predicate for patterns that are one class of characters in any number, else None.

    Of the Unicode properties in it (`\\p{L}`) the first letter of the category counts.
    """
    found = _ONE_CLASS.fullmatch(pattern)
    if found is None:
        return None
    inside = found["inside"]
    categories = set(re.findall(r"\\p\{(\w)\}", inside))
    rest = re.sub(r"\\p\{\w\}", "", inside)
    literal = re.compile(f"[{rest}]") if rest else None
    return lambda ch: unicodedata.category(ch)[0] in categories or bool(literal and literal.fullmatch(ch))


def _in_python(pattern: str) -> str:
    return pattern.replace(r"\p{Alnum}", "a-zA-Z0-9")


def _name(item: Any, place: int) -> str:
    keys = ("InputName", "OutputName", "ChannelName", "Key")
    return next(
        (str(item[key]) for key in keys if isinstance(item, Mapping) and isinstance(item.get(key), str)), str(place)
    )


def _of(value: Value) -> str:
    return f" (with {', '.join(dict.fromkeys(value.parameters))})" if value.parameters else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
