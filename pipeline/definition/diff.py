"""The difference of two definitions, by parameter, step and field, in words. Standard library only.

Works on any definition in SageMaker's JSON schema (version 2020-12-01).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from pipeline.definition.service_rules.nodes import nodes
from pipeline.definition.service_rules.values import function_of

_COMPARISONS: Final = {
    "Equals": "=",
    "GreaterThan": ">",
    "GreaterThanOrEqualTo": ">=",
    "LessThan": "<",
    "LessThanOrEqualTo": "<=",
}
# Lists whose items have a name: an item is found by it, not by its place.
_NAME_KEYS: Final = ("Name", "InputName", "OutputName", "ChannelName", "PropertyFileName")
_PROPERTY_FILE: Final = re.compile(r"Steps\.([^.]+)\.PropertyFiles\.(.+)")


@dataclass(frozen=True)
class DefinitionChange:
    """One thing that differs: what it belongs to, which field, before and after (None: not there)."""

    subject: str
    field: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    def __str__(self) -> str:
        name = f"{self.subject}: {self.field}" if self.field else self.subject
        if self.kind == "changed":
            return f"~ {name}: {self.before} -> {self.after}"
        value = self.after if self.kind == "added" else self.before
        return f"{'+' if self.kind == 'added' else '-'} {name}" + (f": {value}" if value else "")

    def as_json(self) -> dict[str, str | None]:
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class _Part:
    """The definition itself, a parameter or a step: its fields, and what is said of it as a whole."""

    fields: Mapping[str, str]
    whole: str = ""


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[DefinitionChange, ...]:
    """All differences: the definition's own fields, then parameters, then steps; empty when they say the same."""
    found = tuple(_changes(_parts(before), _parts(after)))
    if not found and before != after:  # 1 and "1" are the same words
        return (DefinitionChange("definition", "JSON types", "other types", "the same words"),)
    return found


def _parts(definition: Mapping[str, Any]) -> dict[str, _Part]:
    found = {"definition": _Part({k: words(v) for k, v in definition.items() if k not in ("Parameters", "Steps")})}
    for parameter in definition.get("Parameters", ()):
        fields = {key: words(value) for key, value in parameter.items() if key != "Name"}
        found[f"parameter {parameter['Name']}"] = _Part(fields, ", ".join(f"{k} {v}" for k, v in fields.items()))
    for node in nodes(definition.get("Steps")):
        place = f"when {node.branch[0]} says {'yes' if node.branch[1] == 'IfSteps' else 'no'}" if node.branch else ""
        own = {key: value for key, value in node.entry.items() if key not in ("Name", "Type", "Arguments")}
        named = {"type": node.type, "runs": place or "always"}
        fields = named | dict(_fields("", {**own, **node.arguments}))
        found[f"step {node.name}"] = _Part(fields, f"{node.type}, runs {named['runs']}")
    return found


def _changes(old: Mapping[str, _Part], new: Mapping[str, _Part]) -> Iterator[DefinitionChange]:
    for subject in sorted({**old, **new}, key=lambda subject: subject.split()[0]):  # of a kind in their own order
        if subject not in old or subject not in new:
            whole = [parts[subject].whole if subject in parts else None for parts in (old, new)]
            yield DefinitionChange(subject, "", *whole)
            continue
        had, has = old[subject].fields, new[subject].fields
        for field in {**had, **has}:
            if had.get(field) != has.get(field):
                yield DefinitionChange(subject, field, had.get(field), has.get(field))
    steps = {name for name in old if name in new and name.startswith("step ")}
    before, after = (", ".join(name.removeprefix("step ") for name in parts if name in steps) for parts in (old, new))
    if before != after:
        yield DefinitionChange("definition", "order of steps", before, after)


def _fields(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every leaf with its dotted path; an expression or a condition is a leaf in words."""
    if isinstance(value, Mapping) and function_of(value) is None and value:
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
    return function_of(value) is not None if isinstance(value, Mapping) else not isinstance(value, list)


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
