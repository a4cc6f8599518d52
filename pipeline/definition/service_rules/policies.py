"""What belongs to a step beside its request: conditions, a Fail step's message, retries, cache, property files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.definition.service_rules.graph import Node, meant, objects, unknown_keys
from pipeline.definition.service_rules.references import outputs
from pipeline.definition.service_rules.requests import Context
from pipeline.definition.service_rules.rules import Finding, finding
from pipeline.definition.service_rules.values import function_of, resolve

MAX_FAIL_MESSAGE: Final = 3072
COMPARISONS: Final = (*("Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"),)
_CONDITION_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(COMPARISONS, ("Type", "LeftValue", "RightValue")),
    "In": ("Type", "QueryValue", "Values"),
    "Or": ("Type", "Conditions"),
    "Not": ("Type", "Condition"),
}
_RETRYABLE: Final = (
    "Processing",
    "Training",
    "Tuning",
    "AutoML",
    "Model",
    "RegisterModel",
    "Transform",
    "EndpointConfig",
)
_EXCEPTIONS: Final = (
    *("Step.SERVICE_FAULT", "Step.THROTTLING"),
    *("SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"),
)
_RETRY_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "IntervalSeconds": (0, float("inf")),
    "BackoffRate": (0, float("inf")),
    "MaxAttempts": (1, 20),
    "ExpireAfterMin": (1, 14400),
}
_DURATION: Final = re.compile(r"P(?!$)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?", re.IGNORECASE)


def policy_findings(context: Context) -> Iterator[Finding]:
    """What a step breaks outside its request."""
    node = context.node
    if node.type == "Condition":
        conditions = node.arguments.get("Conditions")
        if not isinstance(conditions, list) or not conditions:
            yield finding("condition", node.name, "Conditions", "a Condition step has at least one condition")
        else:
            yield from _conditions(node, conditions, "Conditions")
    if node.type == "Fail":
        yield from _fail_message(context)
    yield from _retries(node)
    yield from _cache(node)
    yield from _property_files(node)


def _conditions(node: Node, conditions: list[Any], field: str) -> Iterator[Finding]:
    for place, condition in enumerate(conditions):
        where = f"{field}[{place}]"
        kind = condition.get("Type") if isinstance(condition, Mapping) else None
        keys = _CONDITION_KEYS.get(str(kind))
        if keys is None:
            yield finding(
                "condition",
                node.name,
                where,
                f"there is no condition of type {kind}{meant(str(kind), _CONDITION_KEYS)}",
            )
            continue
        yield from unknown_keys(node.name, where, condition, keys)
        for key in keys:
            if key not in condition:
                yield finding("condition", node.name, f"{where}.{key}", f"a condition of type {kind} needs {key}")
            elif key in ("LeftValue", "RightValue", "QueryValue") and not _comparable(condition[key]):
                text = f"{condition[key]!r} cannot be compared: a text, a number, a boolean or an expression can"
                yield finding("condition", node.name, f"{where}.{key}", text)
        if kind == "Or" and isinstance(condition.get("Conditions"), list):
            yield from _conditions(node, condition["Conditions"], f"{where}.Conditions")
        if kind == "Not" and "Condition" in condition:
            yield from _conditions(node, [condition["Condition"]], f"{where}.Condition")


def _comparable(value: object) -> bool:
    return isinstance(value, str | int | float) or function_of(value) is not None


def _fail_message(context: Context) -> Iterator[Finding]:
    node = context.node
    given = node.entry.get("Arguments")
    if not isinstance(given, Mapping) or "ErrorMessage" not in given:
        yield finding("structure", node.name, "Arguments.ErrorMessage", "a Fail step has an ErrorMessage")
        return
    yield from unknown_keys(node.name, "Arguments", given, ("ErrorMessage",))
    message = given["ErrorMessage"]
    if function_of(message) is None and not isinstance(message, str):
        yield finding("fail-message", node.name, "ErrorMessage", f"{message!r} is no text")
        return
    value = resolve(message, context.values)
    if not (value.known and not isinstance(value.value, str)) and value.least_length > MAX_FAIL_MESSAGE:
        text = f"{value.least_length:,} characters, the limit is {MAX_FAIL_MESSAGE:,}"
        yield finding("fail-message", node.name, "ErrorMessage", text, parameters=value.parameters)


def _retries(node: Node) -> Iterator[Finding]:
    policies = objects(node.entry.get("RetryPolicies"))
    if not policies:
        return
    if node.type not in _RETRYABLE:
        text = f"a step of type {node.type} takes no retry policy; {', '.join(_RETRYABLE)} do"
        yield finding("retry-policy", node.name, "RetryPolicies", text)
    for place, policy in enumerate(policies):
        field = f"RetryPolicies[{place}]"
        yield from unknown_keys(node.name, field, policy, ("ExceptionType", *_RETRY_RANGES))
        named = policy.get("ExceptionType")
        for exception in named if isinstance(named, list) and named else [named]:
            if exception not in _EXCEPTIONS:
                text = f'"{exception}" is no exception type{meant(str(exception), _EXCEPTIONS)}'
                yield finding("retry-policy", node.name, f"{field}.ExceptionType", text)
        for key, (low, high) in _RETRY_RANGES.items():
            number = policy.get(key, low)
            if not isinstance(number, int | float) or not low <= number <= high:
                text = f"{number!r} is outside the range from {low} to {high}"
                yield finding("retry-policy", node.name, f"{field}.{key}", text)
        if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
            yield finding("retry-policy", node.name, field, "exactly one of MaxAttempts and ExpireAfterMin is needed")


def _cache(node: Node) -> Iterator[Finding]:
    config = node.entry.get("CacheConfig")
    if not isinstance(config, Mapping):
        return
    yield from unknown_keys(node.name, "CacheConfig", config, ("Enabled", "ExpireAfter"))
    if not isinstance(config.get("Enabled"), bool):
        yield finding("cache", node.name, "CacheConfig.Enabled", f"{config.get('Enabled')!r} is neither true nor false")
    duration = config.get("ExpireAfter")
    if duration is not None and not _DURATION.fullmatch(str(duration)):
        yield finding(
            "cache", node.name, "CacheConfig.ExpireAfter", f'"{duration}" is no ISO 8601 duration such as P30D'
        )


def _property_files(node: Node) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, item in enumerate(objects(node.entry.get("PropertyFiles"))):
        field = f"PropertyFiles[{place}]"
        yield from unknown_keys(node.name, field, item, ("PropertyFileName", "OutputName", "FilePath"))
        name = str(item.get("PropertyFileName"))
        if item.get("OutputName") not in outputs(node):
            text = (
                f'the step has no output "{item.get("OutputName")}"{meant(str(item.get("OutputName")), outputs(node))}'
            )
            yield finding("property-file", node.name, f"{field}.OutputName", text)
        if not item.get("FilePath") or str(item["FilePath"]).startswith("/"):
            text = f"{item.get('FilePath')!r} is no path below the output's folder"
            yield finding("property-file", node.name, f"{field}.FilePath", text)
        if name in seen:
            yield finding("property-file", node.name, field, f'two property files have the name "{name}"')
        seen.add(name)
