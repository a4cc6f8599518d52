"""Values of a definition as far as they are known before a run.

A parameter has its default (or the value that a start gives it). A deployment constant `${Name}`, an execution
variable, a property of another step and a number of a property file are known in a run only: a text that holds one is
known in parts, and a rule is applied to it as far as the known parts can break it, and no further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

FUNCTIONS: Final = ("Get", "Std:Join", "Std:JsonGet")
_CONSTANT: Final = re.compile(r"\$\{[A-Za-z0-9_:.]+\}")


@dataclass(frozen=True)
class Value:
    """`value` where it is known; else the `parts` of a text, None for each that is known in a run only."""

    known: bool
    value: Any = None
    parts: tuple[str | None, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def least_length(self) -> int:
        """The characters that the text has at least."""
        return len(self.value) if self.known else sum(len(part) for part in self.parts if part)

    @property
    def origin(self) -> str:
        """The parameters that take part, in words."""
        return f" (with {', '.join(dict.fromkeys(self.parameters))})" if self.parameters else ""

    @property
    def known_parts(self) -> tuple[str, ...]:
        return (str(self.value),) if self.known else tuple(part for part in self.parts if part is not None)


def function_of(value: object) -> str | None:
    """`Get`, `Std:Join` or `Std:JsonGet` if `value` is such an expression (also a malformed one), else None."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in FUNCTIONS:
        return str(next(iter(value)))
    return None


def resolve(value: object, parameters: Mapping[str, Any]) -> Value:
    """What is known of a value; `parameters` maps names to values, those without one left out."""
    match function_of(value), value:
        case None, str(text):
            return _text(_split(text), ())
        case "Get", {"Get": str(path)} if path.removeprefix("Parameters.") in parameters and "." in path:
            name = path.removeprefix("Parameters.")
            return Value(known=True, value=parameters[name], parameters=(name,))
        case "Get", {"Get": str(path)}:
            named = (path.removeprefix("Parameters."),) if path.startswith("Parameters.") else ()
            return Value(known=False, parts=(None,), parameters=named)
        case "Std:Join", {"Std:Join": {"On": str(on), "Values": [*values]}}:
            return _join(on, [resolve(part, parameters) for part in values])
        case None, _:
            return Value(known=True, value=value)
        case _:
            return Value(known=False, parts=(None,))


def _join(on: str, values: list[Value]) -> Value:
    parts: list[str | None] = []
    for place, value in enumerate(values):
        parts += [on] if place and on else []
        parts += [_as_text(value.value)] if value.known else value.parts
    return _text(tuple(parts), tuple(name for value in values for name in value.parameters))


def _text(parts: tuple[str | None, ...], parameters: tuple[str, ...]) -> Value:
    if None in parts:
        return Value(known=False, parts=parts, parameters=parameters)
    return Value(known=True, value="".join(part for part in parts if part), parameters=parameters)


def _split(text: str) -> tuple[str | None, ...]:
    literals = _CONSTANT.split(text)
    return tuple(part for literal in literals for part in (None, literal))[1:] if len(literals) > 1 else (text,)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def expressions(value: object, path: str = "", *, within: bool = False) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every expression within a value, those within others included, each with the path of its field."""
    if isinstance(value, dict):
        within = within or function_of(value) is not None
        if function_of(value):
            yield path, value
        for name, item in value.items():
            yield from expressions(item, path if within else join(path, str(name)), within=within)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from expressions(item, path if within else f"{path}[{place}]", within=within)


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
