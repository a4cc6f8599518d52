"""A pipeline definition made ready to run: values bound, steps flattened out of their branches, dependencies known.

Reads the JSON that SageMaker Pipelines takes (schema version 2020-12-01) and nothing else.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.local.conditions import CONDITION_TYPES
from pipeline.local.expressions import Value, references
from pipeline.local.hosts import check_host_count
from pipeline.local.parameters import PlanError, bind_constants, bind_parameters, declared_parameters
from pipeline.local.request_check import check_texts

SCHEMA_VERSION = "2020-12-01"
JOB_TYPES = ("Processing", "Training")
STEP_TYPES = (*JOB_TYPES, "Condition", "Fail", "RegisterModel")
_STEP_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after which faults of the service, a job is started again."""

    exception_types: tuple[str, ...]
    interval_seconds: float
    backoff_rate: float
    max_attempts: int | None  # retries after the first attempt
    expire_after_minutes: float | None


@dataclass(frozen=True)
class PropertyFile:
    """A JSON file of a processing output that expressions read."""

    name: str
    output_name: str
    path: str


@dataclass(frozen=True)
class Branch:
    """The side of a Condition step that a step stands on."""

    condition: str
    outcome: bool


@dataclass(frozen=True)
class Step:
    """A step of the flattened graph; `arguments` still holds expressions."""

    name: str
    type: str
    arguments: dict[str, Any]
    depends_on: tuple[str, ...]  # explicit and by data, each once, without the branch's condition
    branch: Branch | None
    property_files: tuple[PropertyFile, ...]
    retry_policies: tuple[RetryPolicy, ...]

    @property
    def predecessors(self) -> tuple[str, ...]:
        """Every step that must end before this one starts."""
        return (*self.depends_on, self.branch.condition) if self.branch else self.depends_on


@dataclass(frozen=True)
class Plan:
    """A definition bound to constants and parameters; in `steps` each follows its predecessors."""

    name: str
    definition: Mapping[str, Any]  # as it came, unbound
    definition_sha256: str
    constants: Mapping[str, str]
    parameters: Mapping[str, Value]
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)


def load_plan(
    definition: Mapping[str, Any],
    constants: Mapping[str, str],
    parameters: Mapping[str, Value],
    *,
    name: str = "pipeline",
) -> Plan:
    """Binds and checks a definition; raises PlanError that says what is wrong and what exists.

    `name` is the pipeline's name, which a definition does not hold; the execution variable PipelineName shows it.
    """
    if definition.get("Version") != SCHEMA_VERSION:
        raise PlanError(
            f"the definition's Version is {definition.get('Version')!r}; a local run reads {SCHEMA_VERSION}"
        )
    bound = bind_constants(definition, constants)
    declared = declared_parameters(bound)
    values = bind_parameters(declared, parameters)
    steps = tuple(_flatten(bound.get("Steps", []), None))
    _check_names(steps)
    _check_references(steps, {parameter.name for parameter in declared})
    for step in steps:
        check_texts(step.name, step.arguments, {parameter.name: parameter.type for parameter in declared})
    check_machines(bound.get("Steps", []), values)
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":")).encode()
    return Plan(
        name=name,
        definition=definition,
        definition_sha256=hashlib.sha256(canonical).hexdigest(),
        constants=dict(constants),
        parameters=values,
        steps=_in_order(steps),
    )


def check_machines(entries: Iterable[Mapping[str, Any]], parameters: Mapping[str, Value]) -> None:
    """Raises PlanError where a job among a definition's steps would get a number of machines that none can have."""
    for entry in entries:
        arguments = entry.get("Arguments", {})
        if entry["Type"] in JOB_TYPES:
            check_host_count(entry["Name"], arguments, parameters)
        for branch in ("IfSteps", "ElseSteps"):
            check_machines(arguments.get(branch, []), parameters)


def _flatten(entries: list[dict[str, Any]], branch: Branch | None) -> Iterator[Step]:
    for entry in entries:
        step = _step(entry, branch)
        yield step
        if step.type == "Condition":
            for side, outcome in (("IfSteps", True), ("ElseSteps", False)):
                yield from _flatten(entry["Arguments"].get(side, []), Branch(step.name, outcome))


def _step(entry: dict[str, Any], branch: Branch | None) -> Step:
    name, kind = entry["Name"], entry["Type"]
    if kind not in STEP_TYPES:
        raise PlanError(f"step {name} is of type {kind}; a local run runs the types {', '.join(STEP_TYPES)} only")
    arguments = entry.get("Arguments", {})
    if kind == "Condition":
        arguments = {"Conditions": arguments.get("Conditions", [])}
        _check_conditions(name, arguments["Conditions"])
    explicit = [_completed(name, item) for item in entry.get("DependsOn", [])]
    by_data = [path.split(".")[1] for path in references(arguments) if path.startswith("Steps.")]
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        depends_on=tuple(dict.fromkeys([*explicit, *by_data])),
        branch=branch,
        property_files=tuple(
            PropertyFile(item["PropertyFileName"], item["OutputName"], item["FilePath"])
            for item in entry.get("PropertyFiles", [])
        ),
        retry_policies=tuple(map(_retry_policy, entry.get("RetryPolicies", []))),
    )


def _completed(name: str, dependency: str | dict[str, str]) -> str:
    if isinstance(dependency, str):
        return dependency
    if dependency.get("Trigger", "Completed") != "Completed":
        raise PlanError(
            f'step {name} runs when step {dependency["Step"]} is "{dependency["Trigger"]}"; '
            "a local run starts a step only after those it depends on have succeeded"
        )
    return dependency["Step"]


def _retry_policy(entry: dict[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        exception_types=tuple(entry["ExceptionType"]),
        interval_seconds=entry.get("IntervalSeconds", 1),
        backoff_rate=entry.get("BackoffRate", 2.0),
        max_attempts=entry.get("MaxAttempts"),
        expire_after_minutes=entry.get("ExpireAfterMin"),
    )


def _check_conditions(name: str, conditions: list[dict[str, Any]]) -> None:
    for condition in conditions:
        kind = condition.get("Type")
        if kind not in CONDITION_TYPES:
            raise PlanError(f"step {name} has a condition of type {kind}; the types are {', '.join(CONDITION_TYPES)}")
        nested = [condition["Condition"]] if kind == "Not" else condition.get("Conditions", [])
        _check_conditions(name, nested)


def _check_names(steps: tuple[Step, ...]) -> None:
    seen: set[str] = set()
    for step in steps:
        if not _STEP_NAME.fullmatch(step.name):
            raise PlanError(f'step name "{step.name}" must be 1 to 64 letters, digits, "-" and "_"')
        if step.name in seen:
            raise PlanError(f'two steps have the name "{step.name}"; names are unique in a pipeline')
        seen.add(step.name)


def _check_references(steps: tuple[Step, ...], parameters: set[str]) -> None:
    by_name = {step.name: step for step in steps}
    for step in steps:
        for name in step.depends_on:
            if name not in by_name:
                raise PlanError(f'step {step.name} depends on step "{name}", {_missing(name, by_name.keys())}')
        for path in references(step.arguments):
            kind, _, rest = path.partition(".")
            if kind == "Parameters" and rest not in parameters:
                raise PlanError(f'step {step.name} uses parameter "{rest}", {_missing(rest, parameters)}')
            if kind == "Steps" and ".PropertyFiles." in path:
                _check_property_file(step, by_name[path.split(".")[1]], path.split(".", 3)[3])


def _check_property_file(step: Step, source: Step, name: str) -> None:
    files = {item.name for item in source.property_files}
    if name not in files:
        raise PlanError(f'step {step.name} reads property file "{name}" of step {source.name}, {_missing(name, files)}')


def _missing(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else f"; there is {', '.join(names) or 'none'}"
    return f"which does not exist{hint}"


def _in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps, each after its predecessors and otherwise in the definition's order; raises PlanError for a cycle."""
    ordered: dict[str, Step] = {}
    waiting = list(steps)
    while waiting:
        ready = next((step for step in waiting if all(name in ordered for name in step.predecessors)), None)
        if ready is None:
            raise PlanError(f"steps wait for each other in a circle: {', '.join(step.name for step in waiting)}")
        ordered[ready.name] = ready
        waiting.remove(ready)
    return tuple(ordered.values())
