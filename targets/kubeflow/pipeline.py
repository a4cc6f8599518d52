"""A definition as a pipeline of Kubeflow: a container component a step, with the SDK of requirements.txt.

    Prepare
    |- Predict                    before all that is inside a condition, so that a gate that fails does not prevent it
    |- HasNewData is true         Train, Evaluate
    |  |- QualityGate is false    QualityGateFailed
    |  `- BeatsChampion is true   Register
    `- NoAggregate is false       Aggregate

The conditions on a task's decisions are inside one more, on its Output: a backend may count a failed container as
success (kubeflow/pipelines #13332), and such a one has decided nothing. KFP's local runner also needs it: of a task at
the same level it knows the output of that name only, and takes a condition on another for false.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from kfp import compiler, dsl, kubernetes
from kfp.dsl import container_component_class, structures
from kfp.dsl.types import type_utils

from pipeline.local.plan.plan import Branch
from targets.graph import Task

VOLUME: Final = "retraining"  # the claim of the shared volume
MOUNTED: Final = "/retraining"  # a folder for each workload is in it
DONE: Final = "Output"


def compile_pipeline(workload: str, tasks: Sequence[Task], image: str, path: Path) -> None:
    """Write the pipeline of a workload's tasks as YAML."""
    components = {task.step.name: _component(workload, task, image, first=task is tasks[0]) for task in tasks}
    made: dict[str, dsl.PipelineTask] = {}

    def start(task: Task, parameters: object, after: Sequence[str]) -> None:
        ports = {channel.name: made[channel.step].outputs[channel.name] for channel in task.inputs}
        given = {"parameters": parameters} if task is tasks[0] else {}
        run = dsl.PIPELINE_JOB_ID_PLACEHOLDER  # a cluster fills it in for an input only, and not within a command
        started = components[task.step.name](run=run, **ports, **given).after(*(made[name] for name in after))
        started.set_display_name(task.step.name)
        started.set_caching_options(enable_caching=False)  # what a task reads of the store is no input that KFP knows
        kubernetes.mount_pvc(started, pvc_name=VOLUME, mount_path=MOUNTED)
        made[task.step.name] = started

    def add(branches: tuple[Branch, ...], parameters: object, after: Sequence[str]) -> None:
        here = [task for task in tasks if task.branches == branches]
        for task in here:
            start(task, parameters, after)
        names = [task.step.name for task in here]
        for task in (task for task in here if task.decides):
            outputs = made[task.step.name].outputs
            with dsl.If(outputs[DONE] == "true", name=f"after-{task.step.name}"):
                for branch in (Branch(step.name, outcome) for step in task.decides for outcome in (True, False)):
                    if any(inner.branches == (*branches, branch) for inner in tasks):
                        word = str(branch.outcome).lower()
                        with dsl.If(outputs[branch.condition] == word, name=f"{branch.condition}-{word}"):
                            add((*branches, branch), parameters, names)

    def pipeline(parameters: dict[str, object] = {}) -> None:  # noqa: B006 - KFP reads the default, and calls it once
        add((), parameters, ())

    made_pipeline = dsl.pipeline(name=f"retraining-{workload.replace('_', '-')}")(pipeline)
    compiler.Compiler().compile(made_pipeline, str(path))


def _component(workload: str, task: Task, image: str, *, first: bool) -> Callable[..., dsl.PipelineTask]:
    """The container component of a task, as KFP's decorator would make it: a function cannot have a port `Output`."""
    artifact = type_utils.create_bundled_artifact_type(dsl.Artifact.schema_title, dsl.Artifact.schema_version)
    inputs = {"run": structures.InputSpec("String")}
    inputs |= {channel.name: structures.InputSpec(artifact) for channel in task.inputs}
    outputs = {channel.name: structures.OutputSpec(artifact) for channel in task.outputs}
    args = ["--workload", workload, "--run", "{{$.inputs.parameters['run']}}", "--folder", f"{MOUNTED}/{workload}"]
    if first:
        inputs["parameters"] = structures.InputSpec("Dict")
        args += ["--parameters", "{{$.inputs.parameters['parameters']}}"]
    for channel in task.inputs:
        args += ["--input", channel.name, f"{{{{$.inputs.artifacts['{channel.name}'].path}}}}"]
    for channel in task.outputs:
        args += ["--output", channel.name, f"{{{{$.outputs.artifacts['{channel.name}'].path}}}}"]
    for decision in (DONE, *(step.name for step in task.decides)) if task.decides else ():
        outputs[decision] = structures.OutputSpec("String")
        args += ["--decide", decision, f"{{{{$.outputs.parameters['{decision}'].output_file}}}}"]
    args += ["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER] if task.outputs else []
    command = ["python", "-m", "targets.step", task.step.name]
    container = structures.ContainerSpecImplementation(image=image, command=command, args=args)
    implementation = structures.Implementation(container=container)
    spec = structures.ComponentSpec(task.step.name, implementation, inputs=inputs, outputs=outputs)
    component: Callable[..., dsl.PipelineTask] = container_component_class.ContainerComponent(spec, lambda: None)
    return component
