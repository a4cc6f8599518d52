"""Compile the pipeline jobs of Azure Machine Learning from the committed definitions.

python -m targets.azure compile             writes targets/azure/<workload>.yaml of every workload
python -m targets.azure compile --check     exit code 1 where one that is there is not current
python -m targets.azure compile --image registry.azurecr.io/retraining-targets@sha256:... --into jobs/

There is no generally available condition: each job starts, reads in the record of the run what was decided, and ends at
once where it is left out. One job follows another, because a mounted datastore has no locks between machines.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import yaml

from pipeline.contract.workload import read_definition, workload_names
from scripts.output.command_line import group
from targets.graph import Task, tasks_of, unbound_plan
from targets.image import TARGETS_IMAGE

HERE: Final = Path(__file__).parent
SCHEMA: Final = "https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json"
FIRST_LINE: Final = "# Made by python -m targets.azure compile; do not edit.\n"
FOLDER: Final = {"type": "uri_folder"}
ENDED: Final = "ended"  # the output that makes the next job wait
_PLACEHOLDER: Final = re.compile(r"\$\{\{(.*?)\}\}")


def job_name(step: str) -> str:
    """A step's name as Azure takes it: small letters, digits and underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", step).lower()


def pipeline_job(workload: str, *, image: str, compute: str, folder: str) -> dict[str, Any]:
    """The pipeline job of a workload; `folder` of a datastore holds data/ and store/."""
    tasks = tasks_of(unbound_plan(read_definition(workload)))
    jobs: dict[str, Any] = {}
    for before, task in zip((None, *tasks), tasks, strict=False):
        jobs[job_name(task.step.name)] = _job(workload, task, before, image, f"{folder.rstrip('/')}/{workload}")
    return {
        "$schema": SCHEMA,
        "type": "pipeline",
        "experiment_name": f"retraining-{workload.replace('_', '-')}",
        "settings": {"default_compute": f"azureml:{compute}", "continue_on_step_failure": False},
        "inputs": {"parameters": "{}"},  # of the pipeline, as a JSON object
        "jobs": jobs,
    }


def _job(workload: str, task: Task, before: Task | None, image: str, folder: str) -> dict[str, Any]:
    """A command job whose component is inside; `before` is the task that it follows."""
    inputs: dict[str, Any] = {}
    bound: dict[str, str] = {}
    options = ["--every-step", f"--decide Output ${{{{outputs.{ENDED}}}}}/Output"]
    if before is None:
        inputs["parameters"], bound["parameters"] = {"type": "string"}, "${{parent.inputs.parameters}}"
        options.append("--parameters '${{inputs.parameters}}'")
    else:
        inputs["after"], bound["after"] = FOLDER, f"${{{{parent.jobs.{job_name(before.step.name)}.outputs.{ENDED}}}}}"
    for channel in task.inputs:
        inputs[channel.name] = FOLDER
        bound[channel.name] = f"${{{{parent.jobs.{job_name(channel.step)}.outputs.{channel.name}}}}}"
        options.append(f"--input {channel.name} ${{{{inputs.{channel.name}}}}}")
    options += [f"--output {channel.name} ${{{{outputs.{channel.name}}}}}" for channel in task.outputs]
    mounted = {**FOLDER, "mode": "rw_mount"}
    run = f'--workload {workload} --run "$AZUREML_ROOT_RUN_ID" --folder ${{{{outputs.folder}}}}'
    component = {
        "type": "command",
        "is_deterministic": False,  # what a job reads of the folder is no input that Azure compares
        "environment": {"image": image},
        "command": " ".join([f"python -m targets.step {task.step.name} {run}", *options]),
        "inputs": inputs,
        "outputs": {"folder": mounted, ENDED: FOLDER, **{channel.name: FOLDER for channel in task.outputs}},
    }
    outputs = {"folder": {**mounted, "path": folder}}
    return {"type": "command", "component": component, "inputs": bound, "outputs": outputs}


def unbound(job: Mapping[str, Any]) -> Iterator[str]:
    """What Azure's own validation does not see: each placeholder without anything behind it, as a sentence."""
    jobs = job["jobs"]
    known = {f"parent.inputs.{name}" for name in job["inputs"]}
    known |= {f"parent.jobs.{name}.outputs.{out}" for name, one in jobs.items() for out in one["component"]["outputs"]}
    for name, one in jobs.items():
        component = one["component"]
        own = {f"{kind}.{port}" for kind in ("inputs", "outputs") for port in component[kind]}
        for text, there in ((component["command"], own), (" ".join(one["inputs"].values()), known)):
            yield from (f"{name}: there is no {what}" for what in _PLACEHOLDER.findall(text) if what not in there)
        yield from (
            f"{name}: nothing is given for {port}" for port in component["inputs"].keys() - one["inputs"].keys()
        )


def text_of(job: Mapping[str, Any]) -> str:
    """A job as a file; raises ValueError for one with an unbound placeholder."""
    if faults := list(unbound(job)):
        raise ValueError("; ".join(faults))
    plain = json.loads(json.dumps(job))  # no object twice: YAML would refer to the first one
    return f"{FIRST_LINE}{yaml.safe_dump(plain, sort_keys=False, width=10_000)}"


@group
def main() -> None:
    """Pipeline jobs of Azure Machine Learning (docs/targets.md)."""


@main.command("compile")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where a file that is there is not current.")
@click.option("--image", default=TARGETS_IMAGE, help="Image of the jobs, as the workspace pulls it.")
@click.option("--compute", default="retraining", help="Name of the compute cluster.")
@click.option(
    "--folder",
    default="azureml://datastores/workspaceblobstore/paths/retraining",
    help="Folder of a datastore with a folder for each workload, in which are data/ and store/.",
)
@click.option(
    "--into",
    default=HERE,
    show_default=False,
    type=click.Path(file_okay=False, path_type=Path),
    help="Default: targets/azure.",
)
def compile_all(check: bool, image: str, compute: str, folder: str, into: Path) -> None:
    """Write <workload>.yaml of every workload."""
    stale = []
    for workload in workload_names():
        path = into / f"{workload}.yaml"
        text = text_of(pipeline_job(workload, image=image, compute=compute, folder=folder))
        if not check:
            into.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif path.exists() and path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"targets/azure: {', '.join(stale)} not current: run python -m targets.azure compile")


if __name__ == "__main__":
    main()
