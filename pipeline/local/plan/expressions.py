"""Values of a definition that are known only at run time: `Get`, `Std:Join`, `Std:JsonGet`, and conditions on them.

The forms are those of the pipeline definition schema, version 2020-12-01.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.definition.service_rules.values import expressions, function_of
from pipeline.local.store.store import Store, join_uri

if TYPE_CHECKING:
    from pipeline.local.plan.plan import Plan
    from pipeline.local.store.run_record import RunResult

Value = str | int | float | bool

# In the place of AWS's region and account in ARNs. Nothing in AWS has this account number.
LOCAL_ARN = "arn:aws:sagemaker:local-store:000000000000"
_PATH_PART = re.compile(r"""\.?([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")
# Describe* responses hold lists; a definition names their elements by one of these members.
_NAME_MEMBERS = ("OutputName", "InputName", "ChannelName", "Name")


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


class ExpressionError(Exception):
    """An expression that has no value; the message is the reason the step fails with."""


def timestamp(seconds: float) -> str:
    """A moment (seconds since the epoch) in ISO 8601, UTC, as execution variables and Describe* responses write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pipeline_arn(name: str) -> str:
    return f"{LOCAL_ARN}:pipeline/{name}"


def execution_arn(name: str, execution_id: str) -> str:
    return f"{pipeline_arn(name)}/execution/{execution_id}"


def references(value: object) -> Iterator[str]:
    """Every path that a `Get` in `value` names, at any depth."""
    return (str(expression["Get"]) for _, expression in expressions(value) if "Get" in expression)


class RunScope:
    """What expressions name: parameters of a plan, variables of a run, and properties of its steps that have ended."""

    def __init__(self, plan: Plan, store: Store, run: Callable[[], RunResult], job_name: str = "") -> None:
        self._plan, self._store, self._run, self._job_name = plan, store, run, job_name
        self.parameters = plan.parameters

    def execution(self, name: str) -> str | None:
        """The execution variable `name`, or None if there is no such one."""
        run = self._run()
        variables = {
            "PipelineName": run.pipeline_name,
            "PipelineArn": pipeline_arn(run.pipeline_name),
            "PipelineExecutionId": run.execution_id,
            "PipelineExecutionArn": execution_arn(run.pipeline_name, run.execution_id),
            "StartDateTime": timestamp(run.started_at),
            "CurrentDateTime": timestamp(time.time()),
            "TrainingJobName": self._job_name or None,
            "ProcessingJobName": self._job_name or None,
        }
        return variables.get(name)

    def properties(self, step: str) -> Mapping[str, Any]:
        return self._run().step(step).properties

    def property_file(self, step: str, name: str) -> str:
        """The S3 location of a property file of a step that has ended."""
        output_name, path = self._plan.step(step).property_files[name]
        for output in self.properties(step).get("ProcessingOutputConfig", {}).get("Outputs", []):
            if output["OutputName"] == output_name:
                return join_uri(output["S3Output"]["S3Uri"], path)
        raise ExpressionError(f'property file "{name}" is in output "{output_name}", which is not one of step {step}')

    def read_json(self, uri: str) -> object:
        """The JSON document at an S3 location; raises FileNotFoundError or ValueError."""
        return self._store.read_json(uri)


def evaluate(value: object, scope: RunScope) -> Any:  # noqa: ANN401 (any JSON value comes in and goes out)
    """`value` with each expression in it, at any depth, replaced by its value; raises ExpressionError."""
    match function_of(value), value:
        case "Get", {"Get": str(path)}:
            return _get(path, scope)
        case "Std:Join", {"Std:Join": dict(join)}:
            parts = [as_text(evaluate(part, scope)) for part in join.get("Values", [])]
            return str(join.get("On", "")).join(parts)
        case "Std:JsonGet", {"Std:JsonGet": dict(json_get)}:
            return _json_get(json_get, scope)
        case _, dict(members):
            return {name: evaluate(member, scope) for name, member in members.items()}
        case _, list(items):
            return [evaluate(item, scope) for item in items]
        case _:
            return value


def as_text(value: object) -> str:
    """A value as `Std:Join` writes it: booleans as JSON does, numbers as Python does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ExpressionError(f"cannot join {value!r}: only strings, numbers and booleans have a text")


def at_path(document: object, path: str, what: str) -> Any:  # noqa: ANN401 (any JSON value)
    """The value at `path`, such as `a.b[0]['c']`, of a JSON document.

    `what` names the document in the ExpressionError that a missing part raises.
    """
    value = document
    for part in _parts(path, what):
        value = _member(value, part, path, what)
    return value


def _parts(path: str, what: str) -> list[str | int]:
    text = path.removeprefix("$")
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        match = _PATH_PART.match(text, position)
        if match is None:
            raise ExpressionError(f'{what}: the path "{path}" cannot be read at "{text[position:]}"')
        name, index, single, double = match.groups()
        parts.append(int(index) if index is not None else name or single or double or "")
        position = match.end()
    return parts


def _member(value: object, part: str | int, path: str, what: str) -> object:
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    if isinstance(value, dict) and str(part) in value:
        return value[str(part)]
    if isinstance(value, list) and isinstance(part, str):
        for element in value:
            if isinstance(element, dict) and part in (element.get(member) for member in _NAME_MEMBERS):
                return element
    raise ExpressionError(f'{what} has no value at "{path}": "{part}" is missing, {_holding(value)}')


def _holding(value: object) -> str:
    if isinstance(value, dict):
        return f"there is {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, list):
        return f"there is a list of {len(value)}"
    return f"there is the value {value!r}"


def _get(path: str, scope: RunScope) -> object:
    kind, _, rest = path.partition(".")
    if kind == "Parameters" and rest in scope.parameters:
        return scope.parameters[rest]
    if kind == "Execution" and (value := scope.execution(rest)) is not None:
        return value
    if kind == "Steps":
        step, _, inner = rest.partition(".")
        return at_path(scope.properties(step), inner, f"step {step}")
    raise ExpressionError(f'"{path}" is not known to a local run')


def _json_get(json_get: Mapping[str, Any], scope: RunScope) -> Value:
    uri, what = _json_location(json_get, scope)
    try:
        document = scope.read_json(uri)
    except FileNotFoundError:
        raise ExpressionError(f"{what} was not written: there is no object {uri}") from None
    except ValueError as error:
        raise ExpressionError(f"{what} is not valid JSON ({error})") from None
    value = at_path(document, str(json_get["Path"]), what)
    if not isinstance(value, str | int | float):
        raise ExpressionError(f'{what} holds {value!r} at "{json_get["Path"]}", not a string, number or boolean')
    return value


def _json_location(json_get: Mapping[str, Any], scope: RunScope) -> tuple[str, str]:
    if "PropertyFile" not in json_get:
        uri = str(evaluate(json_get["S3Uri"], scope))
        return uri, uri
    reference = json_get["PropertyFile"]
    path = reference["Get"] if isinstance(reference, dict) else str(reference)
    _, step, _, name = str(path).split(".", 3)
    uri = scope.property_file(step, name)
    return uri, f"{uri.rsplit('/', 1)[-1]} of step {step}"


def all_hold(conditions: Sequence[Mapping[str, Any]], scope: RunScope) -> bool:
    """Whether every condition of the list holds; raises ExpressionError where one cannot be evaluated."""
    return all(holds(condition, scope) for condition in conditions)


def holds(condition: Mapping[str, Any], scope: RunScope) -> bool:
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
