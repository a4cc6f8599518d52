"""A value against its shape (shapes.py): keys, types, counts, lengths, characters, ranges, choices."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pipeline.definition.service_rules.nodes import Json, Node, Scope, meant
from pipeline.definition.service_rules.rules import Finding
from pipeline.definition.service_rules.shapes import shape
from pipeline.definition.service_rules.values import Value, function_of, join, resolve

# Types of values; with those of the pipeline's parameters that may take their place.
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], tuple[str, ...]]]] = {
    "string": ((str,), ("String",)),
    "boolean": ((bool,), ("Boolean",)),
    "integer": ((int,), ("Integer",)),
    "long": ((int,), ("Integer",)),
    "float": ((int, float), ("Float", "Integer")),
    "double": ((int, float), ("Float", "Integer")),
    "object": ((dict,), ()),
}
_WORDS: Final = {"structure": "object", "union": "object"}
_COMPARABLE: Final = "text, number, boolean or expression"
# The service names what a run makes; a definition need not.
_NAMED_BY_THE_SERVICE: Final = (
    *("ProcessingJobName", "TrainingJobName", "TransformJobName", "ModelName", "HyperParameterTuningJobName"),
)
_ONE_CLASS: Final = re.compile(
    r"\(?\[(?P<inside>(?:\\.(?:\{\w+\})?|[^\]\\])*)\](?:[*+]|\{[\d,]+\})?\)?(?:\$?\{[\d,]+\})?"
)
_INSTANCE_TYPES: Final = re.compile(r"\w*InstanceType")
_NO_VALUE: Final = Value(known=False)
_ITEM_NAMES: Final = ("Name", "InputName", "OutputName", "ChannelName", "Key")


@dataclass(frozen=True)
class Fields:
    """The fields of one step, or of the pipeline itself."""

    node: Node
    scope: Scope

    def check(self, value: Any, name: str, field: str = "", page: str = "") -> Iterator[Finding]:
        """What a value breaks of the shape `name`; `page` is the API structure that has the field."""
        described = shape(name)
        kind, expression = described["type"], function_of(value) is not None
        if value is None:
            yield self.node.found("null-key", field, "null: leave the key out")
        elif kind == "any":
            yield from self._nulls(value, field)
        elif kind == _COMPARABLE and (expression or isinstance(value, str | int | float)):
            return
        elif expression and (page or described.get("expression")):
            yield from self._expression(value, name, field, page)
        elif kind == "union" and isinstance(value, Mapping):
            yield from self._union(value, name, field, page)
        elif kind == "structure" and isinstance(value, Mapping):
            yield from self._structure(value, name, field)
        elif kind == "map" and isinstance(value, Mapping):
            yield from self._count(value, described, field, page)
            for key, item in value.items():
                yield from self._constraints(resolve(key, {}), described["key"], f"{field} key {key}", page)
                yield from self.check(item, described["value"], join(field, str(key)), page)
        elif kind == "list" and (isinstance(value, list) or described.get("or_one")):
            items = value if isinstance(value, list) else [value]
            yield from self._count(items, described, field, page)
            for place, item in enumerate(items):
                yield from self.check(item, described["member"], f"{field}[{_name(item, place)}]", page)
        elif kind in _TYPES and isinstance(value, _TYPES[kind][0]) and (kind == "boolean") is isinstance(value, bool):
            yield from self._constraints(resolve(value, {}), name, field, page)
        elif kind != "timestamp":
            text = f"{_shown(value)} is no {_WORDS.get(kind, kind)}" + (
                ": the service takes text here" if kind == "string" else ""
            )
            yield self._found(described, "field-type", field, text, page)

    def _found(self, described: Json, rule: str, field: str, text: str, page: str, of: Value = _NO_VALUE) -> Finding:
        """A finding of the shape's own rule, or else of `rule`; names the parameters that take part."""
        rule = described.get("rule", rule)
        return self.node.found(rule, field, text + of.origin, structure=page, parameters=of.parameters)

    def _nulls(self, value: object, field: str) -> Iterator[Finding]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in inner:
            where = f"{field}[{key}]" if isinstance(value, list) else join(field, str(key))
            yield from self.check(item, "Any", where)

    def _union(self, value: Json, name: str, field: str, page: str) -> Iterator[Finding]:
        described, kind = shape(name), value.get("Type")
        if chosen := described["shapes"].get(str(kind)):
            yield from self.check(value, chosen, field, page)
        else:
            text = f'there is no type "{kind}"{meant(kind, described["shapes"])}'
            yield self._found(described, "choice", join(field, "Type"), text, page)

    def _structure(self, value: Json, name: str, field: str) -> Iterator[Finding]:
        described, page = shape(name), name.removesuffix("Request").removesuffix("Input")
        own = "" if "rule" in described else page  # the documentation's page of the structure
        for key, item in value.items():
            if key in described["members"]:
                yield from self.check(item, described["members"][key], join(field, key), own)
            elif described.get("open"):
                yield from self.check(item, "Any", join(field, key))
            else:
                text = f'{page} has no property "{key}"{meant(key, described["members"])}'
                yield self.node.found("unknown-key", join(field, str(key)), text)
        for key in described.get("required", ()):
            if key not in value and not (field == "" and key in _NAMED_BY_THE_SERVICE):
                yield self._found(described, "required", join(field, key), f"{page} needs {key}", own)

    def _expression(self, value: Json, name: str, field: str, page: str) -> Iterator[Finding]:
        """An expression where a value is taken: its type, and the constraints as far as the value is known."""
        kind, resolved = shape(name)["type"], resolve(value, self.scope.values)
        if kind not in _TYPES:
            text = f"an expression cannot stand for a {kind}"
            yield self.node.found("reference-type", field, text, structure=page)
            return
        kind_of, _, parameter = str(value.get("Get")).partition(".")
        given = self.scope.types.get(parameter) if kind_of == "Parameters" else None
        if given in shape("ParameterType")["enum"] and given not in _TYPES[kind][1]:
            remedy = ": put it in a Std:Join (the SDK's to_string())" if kind == "string" else ""
            text = f"the parameter {parameter} of type {given}, but SageMaker takes a {kind} here{remedy}"
            yield self.node.found("reference-type", field, text, parameters=(parameter,))
        elif function_of(value) == "Std:Join" and kind != "string":
            text = f"Std:Join makes text, but SageMaker takes a {kind} here"
            yield self.node.found("reference-type", field, text)
        else:
            yield from self._constraints(resolved, name, field, page)

    def _constraints(self, value: Value, name: str, field: str, page: str) -> Iterator[Finding]:
        """Length, characters and choices of a text, range of a number; of what is known of it."""
        described = shape(name)
        for rule, text in (
            _broken(value, name, described) if described["type"] == "string" else _range(value, described)
        ):
            yield self._found(described, rule, field, text, page, value)

    def _count(self, value: Any, described: Json, field: str, page: str) -> Iterator[Finding]:
        low, high, n = described.get("min", 0), described.get("max"), len(value)
        if high is not None and n > high:
            yield self._found(described, "count", field, f"{n} entries, the limit is {high}", page)
        elif n < low:
            hint = "" if n else ": leave the key out, if it may be"
            yield self._found(described, "count", field, f"{n} entries, at least {low} are needed{hint}", page)


def _broken(value: Value, name: str, described: Json) -> Iterator[tuple[str, str]]:
    """The rules that a text breaks, as far as it is known."""
    if value.known and not isinstance(value.value, str):
        return  # a default of the wrong type is named where the parameter is declared
    longest, at_least = described.get("max"), "" if value.known else "at least "
    if longest is not None and value.least_length > longest:
        yield "length", f"{at_least}{value.least_length:,} characters, the limit is {longest:,}"
    if value.known and value.least_length < described.get("min", 0):
        yield "length", f"{value.least_length} characters, at least {described['min']} are needed"
    if "enum" in described and value.known and value.value not in described["enum"]:
        rule = "instance-type" if _INSTANCE_TYPES.fullmatch(name) else "choice"
        yield rule, f'"{value.value}" is none of {name}{meant(value.value, described["enum"])}'
    if "pattern" in described and (text := _wrong_characters(described["pattern"], value)):
        yield "characters", text


def _range(value: Value, described: Json) -> Iterator[tuple[str, str]]:
    number, low, high = value.value, described.get("min"), described.get("max")
    if not value.known or isinstance(number, bool) or not isinstance(number, int | float):
        return
    if (low is not None and number < low) or (high is not None and number > high):
        ends = [*([f"from {low}"] if low is not None else []), *([f"to {high:,}"] if high is not None else [])]
        yield "range", f"{number:,} is outside the range {' '.join(ends)}"


def _wrong_characters(pattern: str, value: Value) -> str:
    """Why a text does not have the form of `pattern`, or nothing."""
    allowed = _character_class(pattern)
    if allowed is not None:  # each known part must keep to the class, whatever the others are
        wrong = sorted({ch for part in value.known_parts for ch in part if not allowed(ch)})
        return f"the characters {' '.join(map(repr, wrong))} are not allowed" if wrong else ""
    if value.known and not re.fullmatch(pattern.replace(r"\p{Alnum}", "a-zA-Z0-9"), value.value):
        return f"{_shown(value.value)} does not have the form {pattern}"
    return ""


@cache
def _character_class(pattern: str) -> Callable[[str], bool] | None:
    """A predicate for patterns that are one class of characters in any number, else None.

    Of the Unicode properties in it (`\\p{L}`) the first letter of the category counts.
    """
    found = _ONE_CLASS.fullmatch(pattern)
    if found is None:
        return None
    categories = set(re.findall(r"\\p\{(\w)\}", found["inside"]))
    rest = re.sub(r"\\p\{\w\}", "", found["inside"])
    literal = re.compile(f"[{rest}]") if rest else None
    return lambda ch: unicodedata.category(ch)[0] in categories or bool(literal and literal.fullmatch(ch))


def _name(item: Any, place: int) -> str:
    names = [item.get(key) for key in _ITEM_NAMES] if isinstance(item, Mapping) else []
    return next((name for name in names if isinstance(name, str)), str(place))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
