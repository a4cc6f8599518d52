"""The rules of parameters: their names, types, defaults and allowed values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.definition.service_rules.graph import lists, objects, unknown_keys
from pipeline.definition.service_rules.rules import Finding, finding

Json = Mapping[str, Any]
MAX_PARAMETERS: Final = 200
MAX_PARAMETER_VALUE: Final = 1024
MAX_CHOICES: Final = 16
PARAMETER_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}
_PARAMETER: Final = ("Name", "Type", "DefaultValue", "EnumValues", "Description")
_PARAMETER_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


def parameter_findings(definition: Json) -> Iterator[Finding]:
    """The declarations of parameters."""
    declared = objects(definition.get("Parameters"))
    if len(declared) > MAX_PARAMETERS:
        yield finding("parameter-count", "", "Parameters", f"{len(declared)} parameters, the limit is {MAX_PARAMETERS}")
    seen: set[str] = set()
    for parameter in declared:
        name = str(parameter.get("Name", ""))
        field = f"Parameters.{name}"
        if not _PARAMETER_NAME.fullmatch(name):
            yield finding("parameter-name", "", field, f'"{name}" is not 1 to 256 letters, digits, "-" and "_"')
        if name in seen:
            yield finding("parameter-name", "", field, f'two parameters have the name "{name}"')
        seen.add(name)
        yield from unknown_keys("", field, parameter, _PARAMETER)
        yield from _default_findings(name, field, parameter)


def _default_findings(name: str, field: str, parameter: Json) -> Iterator[Finding]:
    kind, default, choices = parameter.get("Type", "String"), parameter.get("DefaultValue"), parameter.get("EnumValues")
    types = PARAMETER_TYPES.get(str(kind))
    choices = choices if isinstance(choices, list) else None
    yield from lists("", parameter, ("EnumValues",), of=(object,))
    if types is None:
        yield finding("parameter-value", "", field, f"type {kind}; the types are {', '.join(PARAMETER_TYPES)}")
        return
    if choices is not None and len(choices) > MAX_CHOICES:
        yield finding("parameter-choices", "", field, f"{len(choices)} allowed values, the limit is {MAX_CHOICES}")
    if default is None:
        return
    if not isinstance(default, types) or (isinstance(default, bool) and kind != "Boolean"):
        yield finding(
            "parameter-value", "", field, f"the default {default!r} is not of type {kind}", parameters=(name,)
        )
    elif len(str(default)) > MAX_PARAMETER_VALUE:
        text = f"a default of {len(str(default)):,} characters, the limit is {MAX_PARAMETER_VALUE:,}"
        yield finding("parameter-value", "", field, text, parameters=(name,))
    elif choices and default not in choices:
        text = f"the default {default!r} is none of the allowed values {', '.join(map(str, choices))}"
        yield finding("parameter-choices", "", field, text, parameters=(name,))
