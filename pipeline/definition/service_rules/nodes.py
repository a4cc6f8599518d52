"""The steps of a definition as the rules see them, and the pipeline's parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.contract.reasons import hint
from pipeline.definition.service_rules.rules import RULES, Finding, page

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Node:
    """A step, or the pipeline itself (without a name); `branch` is the condition and the side that it belongs to."""

    name: str
    type: str
    entry: Json
    branch: tuple[str, str] | None = None

    @property
    def arguments(self) -> Json:
        """The step's arguments; of a condition those of the step alone, without its branches."""
        given = at(self.entry, "Arguments")
        return {k: v for k, v in given.items() if self.type != "Condition" or k not in ("IfSteps", "ElseSteps")}

    @property
    def outputs(self) -> list[str]:
        found = objects(at(self.arguments, "ProcessingOutputConfig").get("Outputs"))
        return [str(item.get("OutputName")) for item in found]

    @property
    def property_files(self) -> list[str]:
        return [str(item.get("PropertyFileName")) for item in objects(self.entry.get("PropertyFiles"))]

    def found(
        self, rule: str, field: str, message: str, *, structure: str = "", parameters: tuple[str, ...] = ()
    ) -> Finding:
        """A finding of this step; `structure` is the API structure whose page states the rule for this very field."""
        broken = RULES[rule]
        return Finding(self.name, field, broken, message, page(structure) if structure else broken.source, parameters)

    def unique(self, rule: str, field: str, names: Iterable[object], structure: str = "") -> Iterator[Finding]:
        """Names that are given more than once."""
        for name, count in Counter(name for name in names if isinstance(name, str)).items():
            if count > 1:
                yield self.found(rule, field, f'"{name}" is given {count} times', structure=structure)


@dataclass(frozen=True)
class Scope:
    """What a step may refer to: steps by name, the types of all parameters, the values of those that have one."""

    steps: Mapping[str, Node]
    types: Mapping[str, str]
    values: Json


def nodes(steps: object, branch: tuple[str, str] | None = None) -> Iterator[Node]:
    """Every step, those in branches included; what is no step is left to the shapes."""
    for entry in objects(steps):
        node = Node(str(entry.get("Name", "")), str(entry.get("Type", "")), entry, branch)
        yield node
        if node.type == "Condition":
            for side in ("IfSteps", "ElseSteps"):
                yield from nodes(at(entry, "Arguments").get(side), (node.name, side))


def objects(value: object) -> list[Json]:
    """The objects of a list; what is no list, or no object, is left to the shapes."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def at(value: Any, *path: str) -> Json:
    """The object at a path, an empty one where there is none: what is of another type is left to the shapes."""
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def meant(word: object, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or the names that there are."""
    names = sorted(known)
    return hint(word, names) or f"; there is {', '.join(names[:30]) or 'none'}{', ...' if len(names) > 30 else ''}"
