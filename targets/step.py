"""Run one step of a run as a task of an engine: the program of each container of Kubeflow and Azure ML.

python -m targets.step Prepare --workload nba --run ID --folder /retraining/nba --parameters {} --output features PATH

The folder, on a volume that all tasks share, holds data/ (and events/) and store/: registry, champion, last-evaluated
record, predictions, monitor, and the record of each run. The run's own channels come from the engine and go to it.
Step, conditions, cache, registration and failure reason are the local runner's (pipeline.local.run.execution).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from pipeline.contract.parameters import with_any_reason
from pipeline.contract.rules.calls import WorkloadError
from pipeline.contract.workload import WORKLOAD_VARIABLE, read_definition
from pipeline.local import local_deployment as deployment
from pipeline.local.launch.launch_process import ProcessLauncher
from pipeline.local.plan.expressions import RunScope, evaluate
from pipeline.local.plan.parameters import PlanError
from pipeline.local.plan.plan import Plan, Step, load_plan
from pipeline.local.run.cache import Cache
from pipeline.local.run.execution import Execution
from pipeline.local.run.job_step import JobContext
from pipeline.local.run.progress import listener_for
from pipeline.local.run.runner import job_day, new_run, stop_signals
from pipeline.local.store.history import note_run
from pipeline.local.store.local_champion import note_registration, promote
from pipeline.local.store.locks import locked
from pipeline.local.store.retention import clean
from pipeline.local.store.run_record import (
    EXECUTING,
    FAILED,
    NOT_STARTED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    RunError,
    RunFailure,
    RunResult,
    StepResult,
    load_run,
    record_path,
    save_run,
)
from pipeline.local.store.store import Store, same_content
from pipeline.local.store.store_errors import StoreError, explain
from targets.graph import Task, foreign_steps, tasks_of

LEFT_OUT: Final = "left-out"  # a file in each output of a step that was left out
DONE: Final = "Output"  # in place of a condition: "true" when the step has succeeded


class TaskExecution(Execution):
    """The part of a run that is one task's, in a record that several tasks may change at once."""

    mine: frozenset[str]

    def _ready(self) -> list[Step]:
        return [step for step in super()._ready() if step.name in self.mine]

    def _save(self) -> None:
        save_part(self._context.store, self._run, self.mine)


def save_part(store: Store, part: RunResult, mine: frozenset[str]) -> None:
    """Put the state of some steps into the run's record; the run has ended when no step waits or executes."""
    with locked(store.run_folder(part.execution_id) / "record.lock"):
        run = load_run(store, part.execution_id)
        steps = tuple(
            ours if ours.name in mine or ours.status == SKIPPED else theirs
            for ours, theirs in zip(part.steps, run.steps, strict=True)
        )
        failure = part.failure or (run.failure if run.failure and run.failure.step not in mine else None)
        found = {step.status for step in steps}
        status = FAILED if failure else STOPPED if STOPPED in found else SUCCEEDED
        if status == SUCCEEDED and found & {NOT_STARTED, EXECUTING}:
            status = EXECUTING
        ended_at = None if status == EXECUTING else time.time()
        run = replace(run, steps=steps, failure=failure, status=status, ended_at=ended_at)
        save_run(store, run)
        if ended_at:
            note_run(store, run)  # the next run writes over the monitor


def first_record(store: Store, workload: str, run: str, folder: Path, parameters: str) -> None:
    """Do what comes before a run's first step, as scripts.run_local does, and write the record."""
    try:
        chosen = with_any_reason(json.loads(parameters))
    except (ValueError, AttributeError) as error:
        raise PlanError(f'--parameters {parameters} is not a JSON object, such as {{"MaxDepth": 2}}') from error
    deployment.claim(store, simulated=False)
    deployment.seed(store)
    for kind, name in zip(deployment.COPY_FOLDERS, ("DataPrefix", "EventsPrefix"), strict=True):
        source = folder / kind
        if name not in chosen and (source.is_dir() or name == "DataPrefix"):
            chosen[name] = deployment.data_prefix(source, kind)
            deployment.put_data(store, source, chosen[name])
    constants = deployment.constants(spark_image="none")  # a step of another image is no task
    plan = load_plan(read_definition(workload), constants, chosen, name=deployment.PIPELINE_NAME)
    note_registration(store, deployment.MODEL_PACKAGE_GROUP, deployment.ARTIFACT_BUCKET)
    store.sweep_temporary()
    Cache(store).prune()
    clean(store)
    save_run(store, new_run(plan, run))


def run_task(store: Store, plan: Plan, task: Task, run: RunResult) -> RunResult:
    """Run a task's step and what it decides; returns the run as this task leaves it."""
    mine = frozenset({task.step.name, *(step.name for step in task.decides)})
    if run.failure and run.failure.step not in mine:
        raise RunError(f"stopped because step {run.failure.step} failed: {run.failure.reason}")
    again = tuple(StepResult(step.name, step.type) if step.name in mine else step for step in run.steps)
    run = replace(run, failure=None, status=EXECUTING, steps=again)  # the engine may repeat a task
    code, day = deployment.step_code(), job_day(run.parameters)
    context = JobContext(store, ProcessLauncher(deployment.ROOT), True, code, day)
    execution = TaskExecution(plan, context, run, listener_for(quiet=True), len(plan.steps))
    execution.mine = mine
    with stop_signals(execution.stop):
        run = execution.run()
    if task.step.type == "RegisterModel":
        note_registration(store, deployment.MODEL_PACKAGE_GROUP, deployment.ARTIFACT_BUCKET)
        promote(store, deployment.MODEL_PACKAGE_GROUP, deployment.ARTIFACT_BUCKET)  # it may be registered as approved
    for step in foreign_steps(plan):
        branch = step.branch
        if branch and branch.condition in mine and run.step(branch.condition).outcome is branch.outcome:
            reason = f"{step.name} needs another image and does not run here: {branch.condition} must not lead to it"
            failed = replace(run.step(step.name), status=FAILED, reason=reason)
            run = replace(run.with_step(failed), status=FAILED, failure=RunFailure(step.name, reason))
            save_part(store, run, mine | {step.name})
    return run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", metavar="STEP")
@click.option("--workload", required=True, help="Which of pipeline/workloads.")
@click.option("--run", "run_id", required=True, help="The engine's id of the run: the execution id in the store.")
@click.option("--folder", required=True, type=click.Path(path_type=Path), help="The shared folder: data/ and store/.")
@click.option("--parameters", help="Pipeline parameters as a JSON object: with the first step, which begins the run.")
@click.option("--input", "inputs", type=(str, Path), multiple=True, help="A channel, and where the engine has put it.")
@click.option("--output", "outputs", type=(str, Path), multiple=True, help="A channel, and where the engine takes it.")
@click.option(
    "--decide", "decisions", type=(str, Path), multiple=True, help='A condition, and the file for "true"/"false".'
)
@click.option("--every-step", is_flag=True, help="The engine has no conditions: a step that is left out ends at once.")
@click.option("--executor-input", help="Kubeflow's description of the task, as JSON; its artifacts are reported back.")
def main(
    name: str,
    workload: str,
    run_id: str,
    folder: Path,
    parameters: str | None,
    inputs: tuple[tuple[str, Path], ...],
    outputs: tuple[tuple[str, Path], ...],
    decisions: tuple[tuple[str, Path], ...],
    every_step: bool,
    executor_input: str | None,
) -> None:
    """Run one step of a run. Exit code 0 when it succeeded; else its reason is on stderr and in the run's record."""
    os.environ[WORKLOAD_VARIABLE] = workload
    try:
        store = Store(folder / "store")
        if parameters is not None and not record_path(store, run_id).exists():
            first_record(store, workload, run_id, folder, parameters)
        run = load_run(store, run_id)
        plan = load_plan(read_definition(workload), run.constants, run.parameters, name=run.pipeline_name)
        task = next(task for task in tasks_of(plan) if task.step.name == name)
        scope = RunScope(plan, store, lambda: run)
        places = {item.name: str(evaluate(item.uri, scope)) for item in (*task.inputs, *task.outputs)}
        for channel, path in inputs:
            keep(store, path, store.object_path(places[channel]))
        run = run_task(store, plan, task, run)
        if run.step(name).status == SUCCEEDED:
            for channel, path in outputs:
                shutil.copytree(store.object_path(places[channel]), path, dirs_exist_ok=True)
    except OSError as error:
        sys.exit(f"{name} did not run: {explain(error) if error.errno else error}")
    except (PlanError, RunError, StoreError, WorkloadError, ValueError) as error:
        sys.exit(f"{name} did not run: {error}")
    done = show_end(store, run, name, every_step=every_step)
    for _, path in () if done else outputs:
        write(path / LEFT_OUT, "an engine may mount no empty folder\n")
    for decision, path in decisions:
        write(path, str(done if decision == DONE else run.step(decision).outcome).lower())
    if executor_input:
        described = json.loads(executor_input)["outputs"]
        write(Path(described["outputFile"]), json.dumps({"artifacts": described["artifacts"]}))


def show_end(store: Store, run: RunResult, name: str, *, every_step: bool) -> bool:
    """Print a step's log; true if it succeeded, false if it is left out and that may be. Else exits with the reason."""
    if (log := run.step(name).log_path) and (store.root / log).is_file():
        click.echo((store.root / log).read_text(encoding="utf-8", errors="replace"), nl=False)
    if run.failure:
        sys.exit(f"{run.failure.step} failed: {run.failure.reason}")
    status = run.step(name).status
    if status == SKIPPED and every_step:
        click.echo(f"{name} is left out: a decision of this run leads elsewhere")
    elif status != SUCCEEDED:
        sys.exit(f"{name} was not to run: it is {status} in the run's record")
    return status == SUCCEEDED


def keep(store: Store, folder: Path, place: Path) -> None:
    """Put the files of a folder into the store, where they are not the same already."""
    for file in (file for file in folder.rglob("*") if file.is_file() and file.name != LEFT_OUT):
        if not same_content(file, place / file.relative_to(folder)):
            store.copy(file, place / file.relative_to(folder))


def write(path: Path, text: str) -> None:
    """Write a file of the engine, whose folder may be missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
