"""Values that a definition leaves open: deployment constants `${Name}` and pipeline parameters."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.contract.parameters import prefix_conflict, with_any_reason
from pipeline.local.plan.expressions import Value

_CONSTANT = re.compile(r"\$\{([A-Za-z0-9_:.]+)\}")


class PlanError(Exception):
    """A definition or a start of it that is refused before anything runs; the message says what to change."""


@dataclass(frozen=True)
class DeclaredParameter:
    """A pipeline parameter as the definition declares it."""

    name: str
    type: str  # String, Integer, Float or Boolean
    default: Value | None
    allowed: tuple[str, ...] = ()  # empty: any value


def declared_parameters(definition: Mapping[str, Any]) -> tuple[DeclaredParameter, ...]:
    """The parameters of a definition, in its order."""
    return tuple(
        DeclaredParameter(
            name=entry["Name"],
            type=entry["Type"],
            default=entry.get("DefaultValue"),
            allowed=tuple(entry.get("EnumValues") or ()),
        )
        for entry in definition.get("Parameters", [])
    )


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


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


def bind_parameters(parameters: Sequence[DeclaredParameter], overrides: Mapping[str, Value]) -> dict[str, Value]:
    """A value for each parameter; text is read as the parameter's type, as StartPipelineExecution does.

    Raises PlanError for an unknown name, a value of the wrong type or outside the enumeration, and a missing value.
    """
    known = {parameter.name: parameter for parameter in parameters}
    problems = [f'there is no parameter "{name}"{_suggestion(name, known)}' for name in overrides if name not in known]
    bound: dict[str, Value] = {}
    for parameter in parameters:
        value = overrides.get(parameter.name, parameter.default)
        if value is None:
            problems.append(f'parameter "{parameter.name}" has no default and needs a value')
            continue
        try:
            bound[parameter.name] = _typed(parameter, value) if parameter.name in overrides else value
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise PlanError(f"{'; '.join(problems)}. {_listing(parameters)}")
    prefixes = bound.get("DataPrefix"), bound.get("EventsPrefix")
    if None not in prefixes and (conflict := prefix_conflict(*map(str, prefixes))):
        raise PlanError(conflict)
    return bound


def _typed(parameter: DeclaredParameter, value: Value) -> Value:
    """`value` as the type of `parameter`; raises ValueError that names both."""
    if parameter.allowed and value not in parameter.allowed:
        raise ValueError(f'parameter "{parameter.name}" is one of {", ".join(parameter.allowed)}, not {value!r}')
    typed = _read(parameter.type, value)
    if typed is None:
        raise ValueError(f'parameter "{parameter.name}" is of type {parameter.type}, which {value!r} is not')
    if parameter.type == "String" and typed == "":
        raise ValueError(f'parameter "{parameter.name}" cannot be empty text: SageMaker refuses a value of length 0')
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
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _listing(parameters: Sequence[DeclaredParameter]) -> str:
    if not parameters:
        return "The pipeline has no parameters."
    lines = [
        f"  {parameter.name}  {parameter.type}{' of ' + ', '.join(parameter.allowed) if parameter.allowed else ''}"
        f"{'  (needs a value)' if parameter.default is None else f'  (default {parameter.default!r})'}"
        for parameter in parameters
    ]
    return "The pipeline's parameters:\n" + "\n".join(lines)


def bind_constants(definition: Mapping[str, Any], constants: Mapping[str, str]) -> dict[str, Any]:
    """The definition with each `${Name}` replaced; raises PlanError for missing constants and for unused ones."""
    used = {name for text in texts(definition) for name in _CONSTANT.findall(text)}
    problems = []
    if missing := sorted(used - constants.keys()):
        problems.append(f"the definition needs a value for {', '.join(f'${{{name}}}' for name in missing)}")
    if unknown := sorted(constants.keys() - used):
        problems.append(f"the definition has no {', '.join(f'${{{name}}}' for name in unknown)}")
    if problems:
        raise PlanError(f"{'; '.join(problems)}. Its constants: {', '.join(sorted(used)) or 'none'}")
    bound = _substitute(dict(definition), constants)
    return dict(bound)


def texts(value: object) -> Iterator[str]:
    """All texts of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts(item)


def _substitute(value: Any, constants: Mapping[str, str]) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, str):
        return _CONSTANT.sub(lambda match: constants[match.group(1)], value)
    if isinstance(value, dict):
        return {name: _substitute(item, constants) for name, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, constants) for item in value]
    return value
