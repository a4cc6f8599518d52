"""A definition against all rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.definition.service_rules import graph
from pipeline.definition.service_rules.graph import Node
from pipeline.definition.service_rules.jobs import job_findings
from pipeline.definition.service_rules.parameters import parameter_findings
from pipeline.definition.service_rules.policies import policy_findings
from pipeline.definition.service_rules.references import reference_findings
from pipeline.definition.service_rules.requests import Context, request_findings
from pipeline.definition.service_rules.rules import Finding


def check_definition(definition: Mapping[str, Any], parameters: Mapping[str, Any] | None = None) -> list[Finding]:
    """What SageMaker would refuse in a definition, in its order; empty where nothing is known against it.

    `parameters` are the values that a start gives, in place of the defaults. Constants `${Name}` may be bound or not:
    those that are not count as text that is not known yet.
    """
    return list(dict.fromkeys(_findings(definition, parameters or {})))


def _findings(definition: Mapping[str, Any], chosen: Mapping[str, Any]) -> Iterator[Finding]:
    declared = graph.objects(definition.get("Parameters"))
    types = {str(p.get("Name")): str(p.get("Type", "String")) for p in declared}
    values = {str(p.get("Name")): p["DefaultValue"] for p in declared if p.get("DefaultValue") is not None}
    values |= {name: value for name, value in chosen.items() if name in types}
    steps = tuple(graph.nodes(definition.get("Steps")))
    by_name: dict[str, Node] = {node.name: node for node in steps}
    yield from graph.document_findings(definition)
    yield from parameter_findings(definition)
    yield from graph.step_findings(steps)
    yield from graph.dependency_findings(steps)
    for node in steps:
        context = Context(node, types, values)
        yield from reference_findings(node, by_name, types)
        yield from policy_findings(context)
        yield from request_findings(context)
        yield from job_findings(context)
