"""Values that a definition leaves open: deployment constants `${Name}` and pipeline parameters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.contract.parameters import prefix_conflict, with_any_reason
from pipeline.contract.reasons import hint
from pipeline.local.plan.expressions import Value

_CONSTANT = re.compile(r"\$\{([A-Za-z0-9_:.]+)\}")


class PlanError(Exception):
    """A definition or a start of it that is refused before anything runs; the message says what to change."""


def parse_parameters(items: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` items as a mapping; raises PlanError for one without `=` and for a name given twice."""
    parsed: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise PlanError(f'--param "{item}" is not NAME=VALUE')
        if name.strip() in parsed:
            raise PlanError(f"--param {name.strip()} is given twice")
        parsed[name.strip()] = value
    return with_any_reason(parsed)


def bind_parameters(definition: Mapping[str, Any], overrides: Mapping[str, Value]) -> dict[str, Value]:
    """A value for each parameter; text is read as the parameter's type, as StartPipelineExecution does.

    Raises PlanError for an unknown name, a value of the wrong type or outside the enumeration, and a missing value.
    """
    declared: dict[str, Mapping[str, Any]] = {entry["Name"]: entry for entry in definition.get("Parameters", [])}
    unknown = [name for name in overrides if name not in declared]
    problems = [f'there is no parameter "{name}"{hint(name, declared)}' for name in unknown]
    bound: dict[str, Value] = {}
    for name, entry in declared.items():
        try:
            if name in overrides:
                bound[name] = _typed(entry, overrides[name])
            elif entry.get("DefaultValue") is None:
                raise ValueError(f'parameter "{name}" has no default and needs a value')
            else:
                bound[name] = entry["DefaultValue"]
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise PlanError(f"{'; '.join(problems)}. {_listing(declared)}")
    prefixes = bound.get("DataPrefix"), bound.get("EventsPrefix")
    if None not in prefixes and (conflict := prefix_conflict(*map(str, prefixes))):
        raise PlanError(conflict)
    return bound


def _typed(declared: Mapping[str, Any], value: Value) -> Value:
    """`value` as the type of a parameter; raises ValueError that names both."""
    what, kind, allowed = f'parameter "{declared["Name"]}"', declared["Type"], declared.get("EnumValues")
    if allowed and value not in allowed:
        raise ValueError(f"{what} is one of {', '.join(allowed)}, not {value!r}")
    typed = _read(kind, value)
    if typed is None:
        raise ValueError(f"{what} is of type {kind}, which {value!r} is not")
    if kind == "String" and typed == "":
        raise ValueError(f"{what} cannot be empty text: SageMaker refuses a value of length 0")
    return typed


def _read(type_name: str, value: Value) -> Value | None:
    """`value` as that type, or None if it is not of it."""
    if type_name == "String":
        return value if isinstance(value, str) else None
    if type_name == "Boolean" or isinstance(value, bool):
        of_text = {"true": True, "false": False}.get(str(value).lower())
        return of_text if type_name == "Boolean" else None
    try:
        number = float(value) if type_name == "Float" else int(str(value))
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def _listing(declared: Mapping[str, Mapping[str, Any]]) -> str:
    if not declared:
        return "The pipeline has no parameters."
    lines = ["The pipeline's parameters:"]
    for name, entry in declared.items():
        allowed = f" of {', '.join(entry['EnumValues'])}" if entry.get("EnumValues") else ""
        default = entry.get("DefaultValue")
        needed = "needs a value" if default is None else f"default {default!r}"
        lines.append(f"  {name}  {entry['Type']}{allowed}  ({needed})")
    return "\n".join(lines)


def bind_constants(definition: Mapping[str, Any], constants: Mapping[str, str]) -> dict[str, Any]:
    """The definition with each `${Name}` replaced; raises PlanError for missing constants and for unused ones."""
    text = json.dumps(definition)
    used = set(_CONSTANT.findall(text))
    problems = []
    if missing := sorted(used - constants.keys()):
        problems.append(f"the definition needs a value for {', '.join(f'${{{name}}}' for name in missing)}")
    if unknown := sorted(constants.keys() - used):
        problems.append(f"the definition has no {', '.join(f'${{{name}}}' for name in unknown)}")
    if problems:
        raise PlanError(f"{'; '.join(problems)}. Its constants: {', '.join(sorted(used)) or 'none'}")
    bound: dict[str, Any] = json.loads(_CONSTANT.sub(lambda match: json.dumps(constants[match[1]])[1:-1], text))
    return bound
