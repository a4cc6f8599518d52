"""Compile the pipelines for Kubeflow from the committed definitions, check them, or try one on this machine.

make kubeflow                                 in Kubeflow's own environment: write targets/kubeflow/<workload>.yaml
python -m targets.kubeflow compile --check    needs no SDK of Kubeflow
.venv-kubeflow/bin/python -m targets.kubeflow run targets/kubeflow/nba.yaml --volume FOLDER

A file's first line has the SHA-256 of the tasks that the definition gives, of the compiler and its locked packages, and
of the rest of the file: --check compares it. That compiling gives the file again is tested where the SDK is.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from pipeline.contract.workload import read_definition, workload_names
from pipeline.local.plan.parameters import parse_parameters
from scripts.output.command_line import FOLDER, group
from targets.graph import tasks_of, unbound_plan

HERE: Final = Path(__file__).parent
IMAGE: Final = "retraining-targets:local"
SOURCES: Final = (HERE / "pipeline.py", HERE / "requirements.txt")
FIRST_LINE: Final = "# make kubeflow wrote this file; do not edit it. SHA-256: "


def stamp(workload: str, content: str) -> str:
    tasks = [
        [
            task.step.name,
            [step.name for step in task.decides],
            [(channel.step, channel.name) for channel in task.inputs],
            [channel.name for channel in task.outputs],
            [(branch.condition, branch.outcome) for branch in task.branches],
        ]
        for task in tasks_of(unbound_plan(read_definition(workload)))
    ]
    whole = hashlib.sha256(json.dumps([workload, tasks, content]).encode())
    for path in SOURCES:
        whole.update(path.read_bytes())
    return f"{FIRST_LINE}{whole.hexdigest()}\n"


def compiled(workload: str, image: str) -> str:
    """The pipeline of a workload as YAML; needs the SDK."""
    from targets.kubeflow.pipeline import compile_pipeline  # noqa: PLC0415 - of another environment

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(workload, tasks_of(unbound_plan(read_definition(workload))), image, path)
        content = path.read_text(encoding="utf-8")
    return stamp(workload, content) + content


@group
def main() -> None:
    """Pipelines for Kubeflow (docs/targets.md)."""


@main.command("compile")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where a file is not current.")
@click.option("--image", default=IMAGE, help="The image of the tasks, as the cluster pulls it.")
@click.option("--into", type=FOLDER, default=HERE, show_default="targets/kubeflow", help="Folder.")
def compile_all(check: bool, image: str, into: Path) -> None:
    """Write <workload>.yaml of every workload."""
    stale = []
    for workload in workload_names():
        path = into / f"{workload}.yaml"
        if not check:
            into.mkdir(parents=True, exist_ok=True)
            path.write_text(compiled(workload, image), encoding="utf-8")
            continue
        first, _, rest = path.read_text(encoding="utf-8").partition("\n") if path.exists() else ("", "", "")
        if first and f"{first}\n" != stamp(workload, rest):  # a new workload need not have a file
            stale.append(path.name)
    if stale:
        sys.exit(f"targets/kubeflow: {', '.join(stale)} not current: run make kubeflow")


@main.command("run")
@click.argument("pipeline", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--volume", required=True, type=click.Path(file_okay=False, exists=True, resolve_path=True), help="Folder."
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A pipeline parameter; repeatable.")
def run_here(pipeline: str, volume: str, params: tuple[str, ...]) -> None:
    """Run a compiled PIPELINE by Kubeflow's DockerRunner; the folder is the claim. Exit code 1 if it failed.

    FOLDER/<workload>/data holds the data; FOLDER/<workload>/store is the store, FOLDER/artifacts gets the artifacts.
    """
    from docker.types import Mount  # noqa: PLC0415 - of another environment
    from kfp import components, local  # noqa: PLC0415

    from targets.kubeflow.pipeline import MOUNTED  # noqa: PLC0415

    parameters = parse_parameters(params)
    # In a cluster the component's command replaces the image's entry point; in Docker it would follow it.
    runner = local.DockerRunner(
        entrypoint="",
        user=f"{os.getuid()}:{os.getgid()}",
        mounts=[Mount(MOUNTED, volume, type="bind")],
        network_mode="none",
    )
    local.init(runner=runner, pipeline_root=f"{volume}/artifacts")
    try:
        components.load_component_from_file(pipeline)(parameters=parameters)
    except RuntimeError as error:  # the task's log above has the reason
        sys.exit(str(error))


if __name__ == "__main__":
    main()
