"""What the shapes of the document and of its steps cannot say: parameters, retry policies, property files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from pipeline.definition.service_rules.fields import Fields
from pipeline.definition.service_rules.nodes import Json, Node, Scope, meant, objects
from pipeline.definition.service_rules.rules import Finding
from pipeline.definition.service_rules.shapes import arguments_shape

MAX_DEFINITION: Final = 1_048_576
MAX_PARAMETER_VALUE: Final = 1024
_PARAMETER_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}
_RETRYABLE: Final = (
    *("Processing", "Training", "Tuning", "AutoML", "Model", "RegisterModel", "Transform", "EndpointConfig"),
)


def document_findings(pipeline: Node, scope: Scope) -> Iterator[Finding]:
    """The definition itself: its keys, its size, its parameters."""
    size = len(json.dumps(pipeline.entry, separators=(",", ":"), ensure_ascii=False))
    if size > MAX_DEFINITION:
        yield pipeline.found("definition-size", "definition", f"{size:,} characters, the limit is {MAX_DEFINITION:,}")
    yield from Fields(pipeline, scope).check(pipeline.entry, "Pipeline")
    if not pipeline.entry.get("Steps"):
        yield pipeline.found("structure", "Steps", "a pipeline has a list of at least one step")
    declared = objects(pipeline.entry.get("Parameters"))
    yield from pipeline.unique("parameter-name", "Parameters", [parameter.get("Name") for parameter in declared])
    for parameter in declared:
        yield from _default(pipeline, parameter)


def _default(pipeline: Node, parameter: Json) -> Iterator[Finding]:
    name, kind, default = (
        str(parameter.get("Name")),
        str(parameter.get("Type", "String")),
        parameter.get("DefaultValue"),
    )
    types, choices = _PARAMETER_TYPES.get(kind), parameter.get("EnumValues")
    if types is None or default is None:
        return
    rule, text = "parameter-value", ""
    if not isinstance(default, types) or (isinstance(default, bool) and kind != "Boolean"):
        text = f"the default {default!r} is not of type {kind}"
    elif len(str(default)) > MAX_PARAMETER_VALUE:
        text = f"a default of {len(str(default)):,} characters, the limit is {MAX_PARAMETER_VALUE:,}"
    elif isinstance(choices, list) and choices and default not in choices:
        rule = "parameter-choices"
        text = f"the default {default!r} is none of the allowed values {', '.join(map(str, choices))}"
    if text:
        yield pipeline.found(rule, f"Parameters.{name}", text, parameters=(name,))


def step_findings(node: Node, scope: Scope) -> Iterator[Finding]:
    """A step: its own fields, and the arguments that it gives."""
    fields, own = Fields(node, scope), {key: value for key, value in node.entry.items() if key != "Arguments"}
    yield from fields.check(own, "Step")
    if expected := arguments_shape(node.type):
        given = node.entry.get("Arguments")
        if isinstance(given, dict):
            yield from fields.check(given, expected)
        else:
            yield node.found("structure", "Arguments", f"a {node.type} step has an object of Arguments")
    policies = objects(node.entry.get("RetryPolicies"))
    if policies and node.type not in _RETRYABLE:
        text = f"a step of type {node.type} takes no retry policy; {', '.join(_RETRYABLE)} do"
        yield node.found("retry-policy", "RetryPolicies", text)
    for place, policy in enumerate(policies):
        if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
            text = "exactly one of MaxAttempts and ExpireAfterMin is needed"
            yield node.found("retry-policy", f"RetryPolicies[{place}]", text)
    yield from node.unique("property-file", "PropertyFiles", node.property_files)
    for place, item in enumerate(objects(node.entry.get("PropertyFiles"))):
        if (name := str(item.get("OutputName"))) not in node.outputs:
            text = f'the step has no output "{name}"{meant(name, node.outputs)}'
            yield node.found("property-file", f"PropertyFiles[{place}].OutputName", text)
