"""The graph of a definition for an engine of tasks: a task a step, each with the conditions that it decides.

A condition is decided by the task that wrote the file it reads, from definition.json, so that the engine compares the
words "true" and "false" only. A step of another image than the pipeline's (a Spark cluster's) is no task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.local.launch.job import image_of
from pipeline.local.plan.expressions import references
from pipeline.local.plan.plan import JOB_TYPES, Branch, Plan, Step, load_plan

_EXECUTION: Final = "Execution.PipelineExecutionId"
_MODEL: Final = "model"
_CONSTANT: Final = re.compile(r"\$\{(\w+)\}")
# Steps.<step>.ProcessingOutputConfig.Outputs['<name>']..., .ModelArtifacts... and .PropertyFiles.<name>
_REFERENCE: Final = re.compile(r"Steps\.(\w+)\.(?:.*Outputs\['(\w+)'\]|(ModelArtifacts)|PropertyFiles\.(\w+))")


@dataclass(frozen=True)
class Channel:
    """An output whose place belongs to one execution: the engine carries it from task to task."""

    step: str
    name: str
    uri: Any  # where the local run puts it: an expression of the definition


@dataclass(frozen=True)
class Task:
    """A step, what it decides when it has ended, and the channels of the run that it reads and writes."""

    step: Step
    decides: tuple[Step, ...]
    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    branches: tuple[Branch, ...]  # what must have been decided for it to run, the first decision first


def unbound_plan(definition: Mapping[str, Any]) -> Plan:
    """The plan of a definition whose deployment constants stay open."""
    names = _CONSTANT.findall(json.dumps(definition))
    return load_plan(definition, {name: f"${{{name}}}" for name in names}, {})


def tasks_of(plan: Plan) -> tuple[Task, ...]:
    """The tasks of a plan, each after those that it needs; the first one decides what depends on parameters alone."""
    steps = [step for step in plan.steps if step.type != "Condition" and step not in foreign_steps(plan)]
    channels = {(channel.step, channel.name): channel for step in steps for channel in _outputs(step)}
    deciders = {
        condition.name: next((step for step in reversed(plan.steps) if step.name in condition.depends_on), steps[0])
        for condition in plan.steps
        if condition.type == "Condition"
    }
    return tuple(
        Task(
            step=step,
            decides=(decided := tuple(plan.step(name) for name, decider in deciders.items() if decider is step)),
            inputs=tuple(
                channels[key]
                for key in dict.fromkeys(key for part in (step, *decided) for key in _read(plan, part))
                if key in channels and key[0] != step.name
            ),
            outputs=_outputs(step),
            branches=_branches(plan, step),
        )
        for step in steps
    )


def foreign_steps(plan: Plan) -> tuple[Step, ...]:
    """The jobs of another image."""
    return tuple(
        step for step in plan.steps if step.type in JOB_TYPES and image_of(step.arguments) != plan.constants["ImageUri"]
    )


def _outputs(step: Step) -> tuple[Channel, ...]:
    places = {
        entry["OutputName"]: entry["S3Output"]["S3Uri"]
        for entry in step.arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
    }
    if step.type == "Training":
        places[_MODEL] = step.arguments["OutputDataConfig"]["S3OutputPath"]
    return tuple(Channel(step.name, name, uri) for name, uri in places.items() if _EXECUTION in references(uri))


def _read(plan: Plan, step: Step) -> list[tuple[str, str]]:
    """The outputs of other steps that a step names, as (step, output)."""
    found = []
    for match in filter(None, map(_REFERENCE.match, references(step.arguments))):
        name, output, model, file = match.groups()
        found.append((name, output or (_MODEL if model else plan.step(name).property_files[file][0])))
    return found


def _branches(plan: Plan, step: Step) -> tuple[Branch, ...]:
    """The branches that a step and those it depends on are in; of the ones that contain each other, the longest list.

    The definition keeps a condition on a conditional step's file beside that step's condition; here it is inside.
    """
    ways = [_branches(plan, plan.step(name)) for name in step.depends_on]
    if step.branch:
        ways.append((*_branches(plan, plan.step(step.branch.condition)), step.branch))
    return max(ways, key=len, default=())
