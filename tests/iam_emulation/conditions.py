"""The condition block of a policy's statement: operators, IfExists, ForAllValues and ForAnyValue, policy variables.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html. What is not known here
raises: a condition that is quietly true (or false) would make the evaluation worthless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

Context = Mapping[str, str | Sequence[str]]  # condition key in lower case -> its value in the request, or its values


def holds(block: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether every condition of the block is true of a request."""
    return all(
        _holds(operator, context.get(key.lower()), [resolved(value, context) for value in as_list(wanted)])
        for operator, keys in block.items()
        for key, wanted in keys.items()
    )


def as_list(value: Any) -> list[Any]:
    """A policy's element, which may be one value instead of a list."""
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def resolved(value: Any, context: Context) -> str:
    """A policy's text with its variables, such as `${aws:username}`, replaced by the request's values."""
    text = str(value).lower() if isinstance(value, bool) else str(value)

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        return name if name in ("*", "?", "$") else str(context.get(name.lower(), match[0]))

    return re.sub(r"\$\{([^}]+)\}", variable, text)


def like(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """IAM's wildcards: `*` is any text, `?` any one character, and nothing else is special."""
    parts = (".*" if ch == "*" else "." if ch == "?" else re.escape(ch) for ch in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def like_arn(pattern: str, value: str) -> bool:
    """Each of the six parts of an ARN by itself, so that a wildcard does not reach over a colon."""
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) and all(like(p, v) for p, v in zip(patterns, values, strict=True))


def _holds(operator: str, found: str | Sequence[str] | None, wanted: list[str]) -> bool:
    quantifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return (found is None) == (wanted == ["true"])
    negated = "Not" in name
    test = _TESTS[name.replace("Not", "")]
    if found is None:
        # A missing key fails a condition, unless that is negated, or says IfExists, or is about all of no values.
        return optional or negated or quantifier == "ForAllValues"

    def matches(value: str) -> bool:
        return any(test(value, one) for one in wanted) != negated

    values = as_list(found)
    if quantifier == "ForAllValues":
        return all(matches(value) for value in values)
    if quantifier == "ForAnyValue" or len(values) == 1:
        return any(matches(value) for value in values)
    raise ValueError(f"{operator} compares one value, and the request has {values}")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": lambda value, wanted: like(wanted, value),
    "NumericEquals": lambda value, wanted: float(value) == float(wanted),
    "NumericLessThan": lambda value, wanted: float(value) < float(wanted),
    "NumericLessThanEquals": lambda value, wanted: float(value) <= float(wanted),
    "NumericGreaterThan": lambda value, wanted: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda value, wanted: float(value) >= float(wanted),
    "DateEquals": lambda value, wanted: _time(value) == _time(wanted),
    "DateLessThan": lambda value, wanted: _time(value) < _time(wanted),
    "DateLessThanEquals": lambda value, wanted: _time(value) <= _time(wanted),
    "DateGreaterThan": lambda value, wanted: _time(value) > _time(wanted),
    "DateGreaterThanEquals": lambda value, wanted: _time(value) >= _time(wanted),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "BinaryEquals": lambda value, wanted: value == wanted,
    "IpAddress": lambda value, wanted: ip_address(value) in ip_network(wanted),
    "ArnEquals": lambda value, wanted: like_arn(wanted, value),
    "ArnLike": lambda value, wanted: like_arn(wanted, value),
}
