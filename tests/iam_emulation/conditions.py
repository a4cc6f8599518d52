"""The condition block of a policy's statement: the operators that this stack uses, with and without IfExists.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html. What is not known here
raises: a condition that is quietly true (or false) would make the evaluation worthless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Context = Mapping[str, str]  # condition key in lower case -> its value in the request


def holds(block: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    """Whether every condition of the block is true of a request."""
    return all(
        _holds(operator, context.get(key.lower()), [_text(value) for value in as_list(wanted)])
        for operator, keys in block.items()
        for key, wanted in keys.items()
    )


def as_list(value: Any) -> list[Any]:
    """A policy's element, which may be one value instead of a list."""
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def like(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """IAM's wildcards: `*` is any text, `?` any one character, and nothing else is special."""
    parts = (".*" if ch == "*" else "." if ch == "?" else re.escape(ch) for ch in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None


def like_arn(pattern: str, value: str) -> bool:
    """Each of the six parts of an ARN by itself, so that a wildcard does not reach over a colon."""
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) and all(like(p, v) for p, v in zip(patterns, values, strict=True))


def _text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "${" in text:
        raise ValueError(f"variables of policies are not evaluated here: {text}")
    return text


def _holds(operator: str, found: str | None, wanted: list[str]) -> bool:
    name = operator.removesuffix("IfExists")
    if name == "Null":
        return (found is None) == (wanted == ["true"])
    test = _TESTS[name]
    if found is None:  # a missing key fails a condition, unless that says IfExists
        return name != operator
    return any(test(found, one) for one in wanted)


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": lambda value, wanted: like(wanted, value),
    "NumericLessThan": lambda value, wanted: float(value) < float(wanted),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "ArnEquals": lambda value, wanted: like_arn(wanted, value),
    "ArnLike": lambda value, wanted: like_arn(wanted, value),
}
