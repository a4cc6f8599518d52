"""The rules of the document: its keys, parameters and steps, how steps depend on each other, what they refer to."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.definition.service_rules.rules import Finding, finding
from pipeline.definition.service_rules.values import expressions

Json = Mapping[str, Any]
MAX_DEFINITION: Final = 1_048_576
SCHEMA_VERSION: Final = "2020-12-01"
STEP_TYPES: Final = (
    *("Processing", "Training", "Condition", "Fail", "RegisterModel", "Model", "Transform", "Tuning", "AutoML"),
    *("Lambda", "Callback", "EMR", "EMRServerless", "QualityCheck", "ClarifyCheck", "EndpointConfig", "Endpoint"),
    *("InferenceComponent", "Lineage", "Job", "Cleanup", "ForEach"),
)
_TOP: Final = ("Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps")
_STEP: Final = ("Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description")
_MORE: Final[Mapping[str, tuple[str, ...]]] = {
    "Processing": ("CacheConfig", "RetryPolicies", "PropertyFiles"),
    "Training": ("CacheConfig", "RetryPolicies"),
    "RegisterModel": ("RetryPolicies",),
    "Model": ("RetryPolicies",),
    "Condition": (),
    "Fail": (),
}
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Node:
    """A step of the definition; `branch` is the condition and the side that it belongs to."""

    name: str
    type: str
    entry: Json
    branch: tuple[str, str] | None = None

    @property
    def arguments(self) -> Json:
        """The step's arguments; of a condition those of the step alone, without its branches."""
        given = self.entry.get("Arguments")
        found = dict(given) if isinstance(given, Mapping) else {}
        return (
            {k: v for k, v in found.items() if k not in ("IfSteps", "ElseSteps")} if self.type == "Condition" else found
        )


def nodes(steps: object, branch: tuple[str, str] | None = None) -> Iterator[Node]:
    """Every step, those in branches included; what is no step is left to `document_findings`."""
    for entry in steps if isinstance(steps, list) else []:
        if not isinstance(entry, Mapping):
            continue
        node = Node(str(entry.get("Name", "")), str(entry.get("Type", "")), entry, branch)
        yield node
        given = entry.get("Arguments")
        if node.type == "Condition" and isinstance(given, Mapping):
            for side in ("IfSteps", "ElseSteps"):
                yield from nodes(given.get(side), (node.name, side))


def objects(value: object) -> list[Json]:
    """The objects of a list; what is no list, or no object, is left to `lists`."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def lists(step: str, holder: Json, keys: Iterable[str], *, of: tuple[type, ...] = (Mapping,)) -> Iterator[Finding]:
    """Members that must be lists of objects (or of another type), and are not."""
    what = "objects" if of == (Mapping,) else "names"
    for key in keys:
        value = holder.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, of) for item in value)):
            yield finding("structure", step, key, f"a list of {what} is needed")


def document_findings(definition: Json) -> Iterator[Finding]:
    """The keys, the size, the version, and what each list holds."""
    size = len(json.dumps(definition, separators=(",", ":"), ensure_ascii=False))
    if size > MAX_DEFINITION:
        yield finding("definition-size", "", "definition", f"{size:,} characters, the limit is {MAX_DEFINITION:,}")
    if definition.get("Version", SCHEMA_VERSION) != SCHEMA_VERSION:
        yield finding("version", "", "Version", f"{definition['Version']!r}, the schema's version is {SCHEMA_VERSION}")
    yield from unknown_keys("", "", definition, _TOP)
    yield from null_keys("", "", {key: value for key, value in definition.items() if key != "Steps"})
    yield from lists("", definition, ("Parameters", "Steps"))
    if not definition.get("Steps"):
        yield finding("structure", "", "Steps", "a pipeline has a list of at least one step")


def step_findings(steps: tuple[Node, ...]) -> Iterator[Finding]:
    """Names, types and keys of steps, the nesting of conditions, and their branches."""
    seen: set[str] = set()
    for node in steps:
        if not _NAME.fullmatch(node.name):
            yield finding("step-name", node.name, "Name", f'"{node.name}" is not 1 to 64 letters, digits, "-" and "_"')
        if node.name in seen:
            yield finding("step-name", node.name, "Name", f'two steps have the name "{node.name}"')
        seen.add(node.name)
        if node.type not in STEP_TYPES:
            yield finding(
                "step-type", node.name, "Type", f"there is no step of type {node.type}{meant(node.type, STEP_TYPES)}"
            )
        if node.type in _MORE:
            yield from unknown_keys(node.name, "", node.entry, (*_STEP, *_MORE[node.type]))
        own = {key: value for key, value in node.entry.items() if key != "Arguments"}
        yield from null_keys(node.name, "", own)
        yield from lists(node.name, own, ("RetryPolicies", "PropertyFiles"))
        yield from lists(node.name, own, ("DependsOn",), of=(str, Mapping))
        if node.type == "Condition" and node.branch:
            yield finding(
                "nested-condition",
                node.name,
                "Type",
                f"a condition in a branch ({node.branch[1]}) of the condition {node.branch[0]}",
            )
        if node.type == "Condition":
            yield from _branch_findings(node)


def _branch_findings(node: Node) -> Iterator[Finding]:
    given = node.entry.get("Arguments")
    if not isinstance(given, Mapping):
        yield finding("structure", node.name, "Arguments", "a condition has Arguments with Conditions")
        return
    yield from unknown_keys(node.name, "Arguments", given, ("Conditions", "IfSteps", "ElseSteps"))
    then, otherwise = (objects(given.get(side)) for side in ("IfSteps", "ElseSteps"))
    for step in otherwise:
        for twin in then:
            if step.get("Name") == twin.get("Name") or _content(step) == _content(twin):
                yield finding(
                    "same-step-in-both-branches",
                    node.name,
                    "ElseSteps",
                    f"step {step.get('Name')} is also in IfSteps, as {twin.get('Name')}",
                )


def _content(step: Json) -> str:
    return json.dumps(
        {k: v for k, v in step.items() if k not in ("Name", "DisplayName", "Description")}, sort_keys=True
    )


def dependency_findings(steps: tuple[Node, ...]) -> Iterator[Finding]:
    """DependsOn, references to steps, and circles."""
    by_name = {node.name: node for node in steps}
    for node in steps:
        for name in _depends_on(node):
            yield from _dependency(node, name, by_name)
    waits = {node.name: _waits_for(node, by_name) for node in steps}
    if circle := _circle(waits):
        yield finding("cycle", circle[0], "DependsOn", f"steps wait for each other: {' -> '.join(circle)}")


def _dependency(node: Node, name: str, by_name: Mapping[str, Node]) -> Iterator[Finding]:
    target = by_name.get(name)
    if target is None:
        yield finding("depends-on", node.name, "DependsOn", f'there is no step "{name}"{meant(name, by_name)}')
    elif target.type == "Condition":
        hint = "a property file that the condition reads, or an output of the step before it, makes the same order"
        yield finding("depends-on-condition", node.name, "DependsOn", f"it names the condition {name}: {hint}")
    elif target.type == "Fail":
        yield finding("depends-on-fail", node.name, "DependsOn", f"it names the Fail step {name}")


def _depends_on(node: Node) -> list[str]:
    given = node.entry.get("DependsOn")
    if not isinstance(given, list):
        return []
    return [str(item.get("Step", "")) if isinstance(item, Mapping) else str(item) for item in given]


def referred_steps(value: object) -> Iterator[str]:
    """The names of steps that expressions within a value refer to."""
    for _, expression in expressions(value):
        path = expression.get("Get")
        if isinstance(path, str) and path.startswith("Steps."):
            yield path.split(".")[1]


def _waits_for(node: Node, by_name: Mapping[str, Node]) -> set[str]:
    branch = {node.branch[0]} if node.branch else set()
    return {name for name in (*_depends_on(node), *referred_steps(node.arguments), *branch) if name in by_name}


def _circle(waits: Mapping[str, set[str]]) -> list[str]:
    """The steps of a circle, the first again as the last; empty where there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(waits[name]):
            if found := visit(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in waits if (found := visit(name, []))), [])


def unknown_keys(step: str, field: str, value: Json, known: Iterable[str]) -> Iterator[Finding]:
    """Keys that a strict parser does not know."""
    names = tuple(known)
    for key in value:
        if key not in names:
            yield finding(
                "unknown-key", step, f"{field}.{key}".lstrip("."), f'unknown property "{key}"{meant(str(key), names)}'
            )


def null_keys(step: str, field: str, value: object) -> Iterator[Finding]:
    """Properties that are null, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = f"{field}.{key}".lstrip(".")
            if item is None:
                yield finding("null-key", step, inner, "null: leave the key out")
            yield from null_keys(step, inner, item)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from null_keys(step, f"{field}[{place}]", item)


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or the names that there are."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; there is {', '.join(names[:30]) or 'none'}{', ...' if len(names) > 30 else ''}"
