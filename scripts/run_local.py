"""Run the pipeline on this machine: the committed definition, no AWS, in child processes or in containers.

python -m scripts.run_local                          the simulated sample
python -m scripts.run_local --data folder/           your data
python -m scripts.run_local --param MaxDepth=2       any pipeline parameter
python -m scripts.run_local --docker                 each job in a container of the image (SageMaker local mode)
python -m scripts.run_local --data folder/ --events folder/    with what the workload's extra steps read
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from pipeline.contract import names as c
from pipeline.contract.code_version import image_content
from pipeline.contract.workload import (
    WORKLOAD_VARIABLE,
    configured_workload,
    current_workload,
    default_workload,
    load_spec,
    read_definition,
)
from pipeline.local import local_deployment
from pipeline.local.launch.container_runtime import IMAGE
from pipeline.local.launch.job import Launcher
from pipeline.local.launch.launch_docker import DockerLauncher
from pipeline.local.launch.launch_process import ProcessLauncher
from pipeline.local.launch.spark import SPARK_IMAGE, require_spark_here, require_spark_image, wants_spark
from pipeline.local.plan.parameters import PlanError, parse_parameters
from pipeline.local.plan.plan import load_plan
from pipeline.local.run.progress import listener_for
from pipeline.local.run.run_summary import run_summary
from pipeline.local.run.runner import run
from pipeline.local.store.local_champion import note_registration, promote
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.retention import clean
from pipeline.local.store.run_record import FAILED, STOPPED, SUCCEEDED, RunError, RunResult, damaged_records, load_run
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError, StoreLostError, explain, is_text, shown
from scripts.output.command_line import FOLDER, GIVEN, command, json_option, params_option, workload_option
from scripts.tracking.record import mlflow_option, record

EXIT_CODES: Final = {SUCCEEDED: 0, FAILED: 1, STOPPED: 130}


@dataclass(frozen=True)
class JobRuntime:
    """The launcher of jobs, their image, and the digest of their code, which is part of each cache key."""

    launcher: Launcher
    image: str
    code: str
    spark_image: str
    require_spark: Callable[[], None]  # raises PlanError or ContainerRuntimeError where Spark cannot run there


def child_processes() -> JobRuntime:
    """The programs of this folder, as children of this process."""
    launcher, no_image = ProcessLauncher(local_deployment.ROOT), local_deployment.NO_IMAGE
    return JobRuntime(launcher, no_image, local_deployment.step_code(), no_image, require_spark_here)


def containers(image: str, spark_image: str = SPARK_IMAGE) -> JobRuntime:
    """Containers of an image; raises ContainerRuntimeError without a runtime, or without a current image."""
    launcher = DockerLauncher(image, content=image_content(default_workload()))
    return JobRuntime(launcher, image, launcher.image_id, spark_image, lambda: require_spark_image(spark_image))


def retrain(
    *,
    data: Path | None = None,
    events: Path | None = None,
    store: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    use_cache: bool = True,
    resume: str | None = None,
    quiet: bool = False,
    docker: bool = False,
    image: str = IMAGE,
    spark_image: str = SPARK_IMAGE,
) -> tuple[RunResult, Store]:
    """Run the pipeline on `data` (a file or folder; None: the store's sample) and return its result and the store.

    `events`: a file or folder of what the workload's extra steps read. With `resume`, the run of that id is resumed;
    `data` and `events`, if given, replace its data (fixed files). With `docker`, each job is a container of `image`,
    that of AggregateOnSpark of `spark_image`.

    Raises PlanError for an unknown parameter or one of the wrong type, RunError for a run that cannot be resumed,
    FileNotFoundError for missing data, ContainerRuntimeError where containers cannot run, StoreError or OSError where
    the store cannot be used, StoreLostError once the run has started.
    """
    runtime = containers(image, spark_image) if docker else child_processes()
    if store is None and resume:
        store = local_deployment.last_store()
    folder = store or (local_deployment.default_store() if data else local_deployment.sample_store())
    opened = open_store(folder)
    local_deployment.check_apart(opened, data, events)
    local_deployment.seed(opened)
    chosen = dict(_previous(opened, resume, runtime).parameters if resume else parameters or {})
    source = data
    if not resume:
        if data is None:
            chosen.setdefault("AsOfDate", c.SAMPLE_AS_OF)
        local_deployment.claim(opened, simulated=data is None)
        source = data or sample(opened, str(chosen["AsOfDate"]))
        chosen.setdefault("DataPrefix", local_deployment.data_prefix(source))
        if events:
            chosen.setdefault("EventsPrefix", local_deployment.data_prefix(events, "events"))
    constants = local_deployment.constants(runtime.image, runtime.spark_image)
    plan = load_plan(read_definition(default_workload()), constants, chosen, name=local_deployment.PIPELINE_NAME)
    if wants_spark(plan.parameters):
        runtime.require_spark()
        local_deployment.put_spark_code(opened)
    if source:
        local_deployment.put_data(opened, source, str(plan.parameters["DataPrefix"]))
    if events:
        prefix = str(plan.parameters["EventsPrefix"])
        if prefix == c.NO_FOLDER:
            raise RunError(f"run {resume} had no event files: start a new run with --events")
        local_deployment.put_data(opened, events, prefix)
    local_deployment.remember_store(folder)
    registry = (opened, local_deployment.MODEL_PACKAGE_GROUP, local_deployment.ARTIFACT_BUCKET)
    note_registration(*registry)  # by a run that was killed before it could
    damaged = LocalRegistry(opened).damaged(local_deployment.MODEL_PACKAGE_GROUP)
    for fault in (*damaged.values(), *damaged_records(opened)):
        click.echo(f"warning: {fault}", err=True)
    result = run(
        plan,
        opened,
        runtime.launcher,
        use_cache=use_cache,
        resume=resume,
        listener=listener_for(quiet=quiet),
        code=runtime.code,
    )
    try:
        note_registration(*registry)
        for problem in promote(*registry):  # a version may be registered as approved
            click.echo(f"note: {problem}", err=True)
    except (StoreError, OSError) as error:
        ended = f"run {result.execution_id} has {result.status}, but the champion was not updated"
        raise StoreLostError(f"{ended}: {explain(error)}") from error
    try:
        clean(opened)
    except (StoreError, OSError) as error:  # the result of the run is not affected
        click.echo(f"warning: old runs are kept: {explain(error)}", err=True)
    return result, opened


def open_store(folder: Path) -> Store:
    """The store in a folder; raises StoreError where there can be none."""
    if not is_text(folder):
        raise StoreError(f"{shown(folder)}: its name is not UTF-8; give another --store")
    try:
        return Store(folder)
    except OSError as error:
        raise StoreError(f"{shown(folder)} cannot hold a store: {explain(error)}") from error


def _previous(store: Store, resume: str, runtime: JobRuntime) -> RunResult:
    """The run to resume; raises RunError when it ran in another runtime: its results would be of other programs."""
    previous = load_run(store, resume)
    image = previous.constants["ImageUri"]
    if image == local_deployment.NO_IMAGE != runtime.image:
        raise RunError(f"run {resume} was not one in containers: resume it without --docker")
    if image != runtime.image:
        other = "" if image == IMAGE else f" --image {image}"
        raise RunError(f"run {resume} was one in containers: resume it with --docker{other}")
    return previous


def sample(store: Store, as_of: str) -> Path:
    """The simulated rows up to a day, made once; raises PlanError for a day that is none."""
    from datetime import date  # noqa: PLC0415 - numpy is not imported where there is nothing to simulate

    try:
        day = date.fromisoformat(as_of)
    except ValueError as error:
        raise PlanError(f'AsOfDate "{as_of}" is not a date: for the simulated sample, give YYYY-MM-DD') from error
    folder = store.root / "simulated" / as_of
    if folder.is_dir():
        return folder
    workload = current_workload()
    click.echo(f"generating simulated {workload.spec.rows} (no real ones were given: see --data)", err=True)
    temporary = store.temporary()
    workload.sample.write(temporary, day)
    folder.parent.mkdir(exist_ok=True)
    try:
        temporary.rename(folder)
    except OSError:  # another run made the same sample first
        if not folder.is_dir():
            raise
    return folder


@command
@click.option("--data", type=GIVEN, help="Data (CSV, gzipped CSV, Parquet). Default: a simulated sample.")
@click.option("--events", type=GIVEN, help="What the workload's extra steps read: used from the next run on.")
@params_option
@click.option(
    "--store",
    type=FOLDER,
    help=f"Where models, runs and cache are kept. Default: {local_deployment.STORES}, for the sample "
    f"{local_deployment.STORES / 'sample'}; of a workload that cdk.json does not name, below "
    f"{local_deployment.STORES}/NAME.",
)
@click.option("--docker", is_flag=True, help="Run each job in a container, in SageMaker local mode (see make image).")
@click.option("--image", default=IMAGE, help="The image for --docker, built from this folder.")
@click.option("--spark-image", default=SPARK_IMAGE, help="That of AggregateOnSpark (make spark-image).")
@click.option("--no-cache", is_flag=True, help="Run every step, even where its result is cached.")
@workload_option
@click.option("--resume", metavar="RUN_ID", help="Resume a failed or stopped run from the step that failed.")
@mlflow_option
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@json_option
def main(
    workload: str | None,
    data: Path | None,
    events: Path | None,
    params: tuple[str, ...],
    store: Path | None,
    docker: bool,
    image: str,
    spark_image: str,
    no_cache: bool,
    resume: str | None,
    uri: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Retrain on this machine without AWS: in child processes, or with --docker in containers.

    Exit code 0 when the run succeeded, 1 when it failed, 2 when it could not start, 130 when it was stopped. With
    --json an error is an object too: {"error": "..."}.
    """
    os.environ[WORKLOAD_VARIABLE] = load_spec(workload or default_workload()).name
    read_definition(default_workload())
    if events and not current_workload().spec.inputs:
        raise click.UsageError(f"--events: the workload {default_workload()} reads no event files")
    if not docker and (image, spark_image) != (IMAGE, SPARK_IMAGE):
        raise click.UsageError(f"{'--image' if image != IMAGE else '--spark-image'} is for containers: add --docker")
    if resume and params:
        raise click.UsageError("--resume keeps the run's parameters: omit --param")
    try:
        result, opened = retrain(
            data=data,
            events=events,
            store=store,
            parameters=parse_parameters(params),
            use_cache=not no_cache,
            resume=resume,
            quiet=quiet,
            docker=docker,
            image=image,
            spark_image=spark_image,
        )
    except StoreLostError as error:  # the run had started
        raise click.ClickException(str(error)) from error
    outcome, ran = run_summary(result, opened), result.execution_id
    record(uri, ["--store", str(opened.root), "--run", ran], f"run {ran}")
    other = default_workload() != configured_workload()
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    else:
        from scripts.output.run_summary import show  # noqa: PLC0415 - rich is needed for people only

        on_screen = not quiet and sys.stderr.isatty() and sys.stdout.isatty()
        shown_store = store or (opened.root if other else None)
        show(outcome, result, f"{python()} -m scripts.review_model", shown_store, progress_shown=on_screen)
    if result.status != SUCCEEDED:
        given = {
            # also where the variable named it, as `make run WORKLOAD=` does: the next shell does not have it
            "--workload": default_workload() if workload or other else None,
            "--events": events,
            "--image": image if image != IMAGE else None,
            "--spark-image": spark_image if spark_image != SPARK_IMAGE else None,
            "--data": data,
            "--store": store,
        }
        again = [part for option, value in given.items() if value for part in (option, str(value))]
        print_failure(result, opened, ["--docker"] * docker + again, reason=as_json)  # stdout has it for people
    sys.exit(EXIT_CODES[result.status])


def print_failure(result: RunResult, store: Store, again: Sequence[str], *, reason: bool) -> None:
    """Print on stderr how to resume a run that did not succeed, and with `reason` why it did not."""
    if result.failure:
        step = result.step(result.failure.step)
        if reason:
            click.echo(f"\n{step.name} failed: {result.failure.reason}", err=True)
        # A step that gives its own reason logs it, too.
        if lines := [line for line in result.failure.log_lines if line.strip() not in result.failure.reason]:
            click.echo(f"last lines of the log of {step.name}:", err=True)
            click.echo("".join(f"  {line}\n" for line in lines), nl=False, err=True)
        if step.log_path:
            click.echo(f"whole log: {store.root / step.log_path}", err=True)
        if step.type == "Fail":  # resumed, the same gate would fail again
            click.echo(
                "see the report; to accept the candidate, run the command again with another value of the named "
                "parameter: --param NAME=VALUE",
                err=True,
            )
            return
    command = [python(), "-m", "scripts.run_local", "--resume", result.execution_id, *again]
    click.echo(f"to resume: {shlex.join(command)}", err=True)


def python() -> str:
    """This interpreter as the user would type it."""
    here = Path(sys.executable)
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else "python"


if __name__ == "__main__":
    main()
