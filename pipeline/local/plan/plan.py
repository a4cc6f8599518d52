"""A pipeline definition made ready to run: values bound, steps flattened out of their branches, dependencies known.

Reads the JSON that SageMaker Pipelines takes (schema version 2020-12-01) and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.definition.service_rules import check_definition
from pipeline.local.plan.expressions import Value, references
from pipeline.local.plan.parameters import PlanError, bind_constants, bind_parameters

JOB_TYPES = ("Processing", "Training")
STEP_TYPES = (*JOB_TYPES, "Condition", "Fail", "RegisterModel")


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after which faults of the service, a job is started again."""

    exception_types: tuple[str, ...]
    interval_seconds: float
    backoff_rate: float
    max_attempts: int | None  # retries after the first attempt
    expire_after_minutes: float | None


@dataclass(frozen=True)
class Branch:
    """The branch of a Condition step that a step is in."""

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
    property_files: Mapping[str, tuple[str, str]]  # output and path of each JSON file that expressions read
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
        return next(step for step in self.steps if step.name == name)


def load_plan(
    definition: Mapping[str, Any],
    constants: Mapping[str, str],
    parameters: Mapping[str, Value],
    *,
    name: str = "pipeline",
) -> Plan:
    """Binds a definition and checks it as SageMaker would (pipeline.definition.service_rules).

    Raises PlanError with the reason.

    `name` is the pipeline's name, which a definition does not hold; the execution variable PipelineName shows it.
    """
    bound = bind_constants(definition, constants)
    values = bind_parameters(bound, parameters)
    # With the constants unbound: those of a local run are no ARNs and no images.
    if found := check_definition(definition, values):
        raise PlanError("\n".join(["SageMaker would refuse this pipeline:", *map(str, found)]))
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":")).encode()
    return Plan(
        name=name,
        definition=definition,
        definition_sha256=hashlib.sha256(canonical).hexdigest(),
        constants=dict(constants),
        parameters=values,
        steps=_in_order(tuple(_flatten(bound["Steps"], None))),
    )


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
    explicit = [_completed(name, item) for item in entry.get("DependsOn", [])]
    by_data = [path.split(".")[1] for path in references(arguments) if path.startswith("Steps.")]
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        depends_on=tuple(dict.fromkeys([*explicit, *by_data])),
        branch=branch,
        property_files={
            item["PropertyFileName"]: (item["OutputName"], item["FilePath"]) for item in entry.get("PropertyFiles", [])
        },
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


def _in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps, each after its predecessors and otherwise in the definition's order; there are no cycles."""
    ordered: dict[str, Step] = {}
    waiting = list(steps)
    while waiting:
        ready = next(step for step in waiting if all(name in ordered for name in step.predecessors))
        ordered[ready.name] = ready
        waiting.remove(ready)
    return tuple(ordered.values())
