"""What SageMaker refuses, as code: what it would not accept is refused here first. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.definition.service_rules.graph import graph_findings
from pipeline.definition.service_rules.jobs import job_findings
from pipeline.definition.service_rules.nodes import Node, Scope, nodes, objects
from pipeline.definition.service_rules.references import reference_findings
from pipeline.definition.service_rules.rules import RULES, Finding, Rule
from pipeline.definition.service_rules.steps import document_findings, step_findings

__all__ = ["RULES", "Finding", "Rule", "check_definition"]


def check_definition(definition: Mapping[str, Any], parameters: Mapping[str, Any] | None = None) -> list[Finding]:
    """What SageMaker would refuse in a definition, in its order; empty where nothing is known against it.

    `parameters` are the values that a start gives, in place of the defaults. Constants `${Name}` may be bound or not:
    those that are not count as text that is not known yet.
    """
    return list(dict.fromkeys(_findings(definition, parameters or {})))


def _findings(definition: Mapping[str, Any], chosen: Mapping[str, Any]) -> Iterator[Finding]:
    declared = objects(definition.get("Parameters"))
    types = {str(p.get("Name")): str(p.get("Type", "String")) for p in declared}
    values = {str(p.get("Name")): p["DefaultValue"] for p in declared if p.get("DefaultValue") is not None}
    values |= {name: value for name, value in chosen.items() if name in types}
    steps = tuple(nodes(definition.get("Steps")))
    scope = Scope({node.name: node for node in steps}, types, values)
    pipeline = Node("", "", definition)
    yield from document_findings(pipeline, scope)
    yield from graph_findings(pipeline, steps)
    for node in steps:
        for findings in (reference_findings, step_findings, job_findings):
            yield from findings(node, scope)
