"""Conditions of a Condition step, with the types of the pipeline definition schema."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.local.plan.expressions import ExpressionError, evaluate

if TYPE_CHECKING:
    from pipeline.local.plan.scope import RunScope

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


def all_hold(conditions: Sequence[Mapping[str, Any]], scope: RunScope) -> bool:
    """Whether every condition of the list holds; raises ExpressionError where one cannot be evaluated."""
    return all(holds(condition, scope) for condition in conditions)


def holds(condition: Mapping[str, Any], scope: RunScope) -> bool:
    """Whether one condition holds; raises ExpressionError where it cannot be evaluated."""
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"], scope)
    if kind == "Or":
        return any(holds(alternative, scope) for alternative in condition["Conditions"])
    if kind == "In":
        query = evaluate(condition["QueryValue"], scope)
        values = [evaluate(value, scope) for value in condition["Values"]]
        return any(_family(value) == _family(query) and value == query for value in values)
    return _compare(kind, evaluate(condition["LeftValue"], scope), evaluate(condition["RightValue"], scope))


def _compare(kind: str, left: object, right: object) -> bool:
    if _family(left) != _family(right):
        raise ExpressionError(
            f"{kind} cannot compare {left!r} ({_family(left)}) with {right!r} ({_family(right)}): make both of one type"
        )
    if kind != "Equals" and _family(left) == "boolean":
        raise ExpressionError(f"{kind} cannot order the booleans {left!r} and {right!r}; use Equals")
    return _COMPARISONS[kind](left, right)


def _family(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else type(value).__name__
