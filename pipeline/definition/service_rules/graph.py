"""The rules of the graph: unique names, branches of conditions, what steps depend on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from pipeline.definition.service_rules.nodes import Json, Node, at, meant, objects
from pipeline.definition.service_rules.rules import Finding
from pipeline.definition.service_rules.values import expressions


def graph_findings(pipeline: Node, steps: tuple[Node, ...]) -> Iterator[Finding]:
    """What the steps break together."""
    by_name = {node.name: node for node in steps}
    yield from pipeline.unique("step-name", "Steps", [node.name for node in steps])
    for node in steps:
        if node.type == "Condition":
            yield from _branches(node)
        for name in _depends_on(node):
            yield from _dependency(node, name, by_name)
    try:
        TopologicalSorter({node.name: _waits_for(node, by_name) for node in steps}).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1][::-1]
        yield by_name[circle[0]].found("cycle", "DependsOn", f"steps wait for each other: {' -> '.join(circle)}")


def _branches(node: Node) -> Iterator[Finding]:
    if node.branch:
        text = f"a condition in a branch ({node.branch[1]}) of the condition {node.branch[0]}"
        yield node.found("nested-condition", "Type", text)
    then, otherwise = (objects(at(node.entry, "Arguments").get(side)) for side in ("IfSteps", "ElseSteps"))
    for step in otherwise:
        for twin in then:
            if step.get("Name") == twin.get("Name") or _content(step) == _content(twin):
                text = f"step {step.get('Name')} is also in IfSteps, as {twin.get('Name')}"
                yield node.found("same-step-in-both-branches", "ElseSteps", text)


def _content(step: Json) -> str:
    kept = {key: value for key, value in step.items() if key not in ("Name", "DisplayName", "Description")}
    return json.dumps(kept, sort_keys=True)


def _dependency(node: Node, name: str, by_name: Mapping[str, Node]) -> Iterator[Finding]:
    target = by_name.get(name)
    if target is None:
        yield node.found("depends-on", "DependsOn", f'there is no step "{name}"{meant(name, by_name)}')
    elif target.type == "Condition":
        hint = "a property file that the condition reads, or an output of the step before it, makes the same order"
        yield node.found("depends-on-condition", "DependsOn", f"it names the condition {name}: {hint}")
    elif target.type == "Fail":
        yield node.found("depends-on-fail", "DependsOn", f"it names the Fail step {name}")


def _depends_on(node: Node) -> list[str]:
    given = node.entry.get("DependsOn")
    named = given if isinstance(given, list) else []
    return [str(item.get("Step", "")) if isinstance(item, Mapping) else str(item) for item in named]


def _waits_for(node: Node, by_name: Mapping[str, Node]) -> set[str]:
    """The steps that must end before this one begins."""
    paths = [str(expression.get("Get")) for _, expression in expressions(node.arguments)]
    referred = [path.split(".")[1] for path in paths if path.startswith("Steps.")]
    branch = [node.branch[0]] if node.branch else []
    return {name for name in (*_depends_on(node), *referred, *branch) if name in by_name}
