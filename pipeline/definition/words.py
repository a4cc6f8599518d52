"""A definition's expressions, conditions and steps in words, for people who compare or review definitions.

Standard library only. Works on any definition in SageMaker's JSON schema (version 2020-12-01).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_COMPARISONS = {
    "Equals": "=",
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": ">=",
    "LessThan": "<",
    "LessThanOrEqualTo": "<=",
}
# Lists whose items have a name: an item is found by it, not by its place.
_NAME_KEYS = ("Name", "InputName", "OutputName", "ChannelName", "PropertyFileName")
_PROPERTY_FILE = re.compile(r"Steps\.([^.]+)\.PropertyFiles\.(.+)")


@dataclass(frozen=True)
class FlatStep:
    """A step of the definition wherever it stands: its place in words and its fields."""

    name: str
    type: str
    place: str
    fields: Mapping[str, str]


def flat_steps(definition: Mapping[str, Any]) -> dict[str, FlatStep]:
    """All steps by name, those in the branches of conditions included, in the order of the definition."""
    return {step.name: step for step in _walk(definition.get("Steps", ()), "always")}


def _walk(steps: list[Mapping[str, Any]], place: str) -> Iterator[FlatStep]:
    for step in steps:
        arguments = step.get("Arguments", {})
        branches = {"IfSteps": "yes", "ElseSteps": "no"} if step["Type"] == "Condition" else {}
        own = {key: value for key, value in step.items() if key not in ("Name", "Type", "Arguments")}
        own |= {key: value for key, value in arguments.items() if key not in branches}
        yield FlatStep(step["Name"], step["Type"], place, dict(_fields("", own)))
        for branch, answer in branches.items():
            yield from _walk(arguments.get(branch, ()), f"when {step['Name']} says {answer}")


def _fields(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every leaf with its dotted path; an expression or a condition is a leaf in words."""
    if isinstance(value, Mapping) and not is_expression(value) and value:
        for key, child in value.items():
            yield from _fields(f"{path}.{key}" if path else key, child)
    elif isinstance(value, list) and value:
        yield from _list_fields(path, value)
    else:
        yield path, words(value)


def _list_fields(path: str, items: list[Any]) -> Iterator[tuple[str, str]]:
    if path.rpartition(".")[2] == "ContainerArguments":
        yield from _options(path, items)
        return
    for place, item in enumerate(items, start=1):
        name = next((item[key] for key in _NAME_KEYS if isinstance(item, Mapping) and key in item), None)
        if isinstance(item, Mapping) and ("LeftValue" in item or item.get("Type") in ("Or", "Not", "In")):
            yield f"{path}[{place}]", condition_words(item)
        elif name is not None:
            yield from _fields(f"{path}[{name}]", item)
        elif all(_is_leaf(other) for other in items):
            yield path, ", ".join(words(other) for other in items)
            return
        else:
            yield from _fields(f"{path}[{place}]", item)


def _options(path: str, items: list[Any]) -> Iterator[tuple[str, str]]:
    """Command-line arguments by option, so that one more option is one more field."""
    option = ""
    values: list[str] = []
    for item in [*map(words, items), "--"]:
        if item.startswith("--"):
            if option or values:
                yield f"{path} {option}".rstrip(), " ".join(values)
            option, values = item, []
        else:
            values.append(item)


def _is_leaf(value: Any) -> bool:
    return is_expression(value) if isinstance(value, Mapping) else not isinstance(value, list)


def is_expression(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a reference or a function of the definition's language."""
    return len(value) == 1 and next(iter(value)) in ("Get", "Std:Join", "Std:JsonGet")


def words(value: Any) -> str:
    """A value or an expression in words: `{"Get": "Parameters.X"}` -> `<X>`."""
    if not isinstance(value, Mapping):
        return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    if "Get" in value:
        return f"<{str(value['Get']).removeprefix('Parameters.')}>"
    if "Std:Join" in value:
        return str(value["Std:Join"]["On"]).join(words(part) for part in value["Std:Join"]["Values"])
    if "Std:JsonGet" in value:
        source = value["Std:JsonGet"].get("PropertyFile") or value["Std:JsonGet"].get("S3Uri")
        found = _PROPERTY_FILE.match(str(source.get("Get", ""))) if isinstance(source, Mapping) else None
        where = f"{found[1]}'s {found[2]}" if found else words(source)
        return f"{value['Std:JsonGet']['Path']} of {where}"
    return "nothing" if not value else str(dict(value))


def condition_words(condition: Mapping[str, Any]) -> str:
    """A condition in words: `metrics.accuracy of Evaluate's Evaluation <= <MaxAccuracy>`."""
    kind = condition["Type"]
    if kind == "Or":
        return " or ".join(condition_words(part) for part in condition["Conditions"])
    if kind == "Not":
        return f"not ({condition_words(condition['Condition'])})"
    if kind == "In":
        return f"{words(condition['QueryValue'])} is one of {', '.join(words(v) for v in condition['Values'])}"
    return f"{words(condition['LeftValue'])} {_COMPARISONS[kind]} {words(condition['RightValue'])}"
