"""Small pipeline definitions, and the step programs they run, for the tests of the local runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.local.launch.launch_process import ProcessLauncher
from pipeline.local.plan.expressions import Value
from pipeline.local.plan.plan import load_plan
from pipeline.local.run.runner import run
from pipeline.local.store.run_record import RunResult
from pipeline.local.store.store import Store

REPOSITORY = Path(__file__).resolve().parents[3]
Json = dict[str, Any]
ROLE = "arn:aws:iam::111122223333:role/jobs"

# One program for all steps; its arguments are small commands, so that a test shows what each step does.
PROGRAM = """
import json, os, pathlib, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
for command in sys.argv[1:]:
    verb, _, rest = command.partition(":")
    if verb == "write":      # write:<path>=<text>
        path, _, text = rest.partition("=")
        target = pathlib.Path(path) if path.startswith("/") else base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("\\\\n", "\\n"))  # an argument holds no line break
    elif verb == "big":      # big:<path>=<number>: so many x
        path, _, number = rest.partition("=")
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text("x" * int(number))
    elif verb == "cat":      # cat:<folder>=<file>: every input's name and text, joined
        folder, _, path = rest.partition("=")
        files = sorted(p for p in (base / folder).rglob("*") if p.is_file())
        text = ";".join(f"{p.relative_to(base / folder)}={p.read_text()}" for p in files)
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(text)
    elif verb == "count":    # count:<file>: one more line, outside the base directory: how often a step really ran
        with open(rest, "a") as log:
            log.write("ran\\n")
    elif verb == "env":      # env:<file>: the environment as JSON
        (base / rest).write_text(json.dumps(dict(os.environ)))
    elif verb == "sleep":
        time.sleep(float(rest))
    elif verb == "say":
        print(rest, file=sys.stderr)
    elif verb == "raise":
        raise ValueError(rest)
    elif verb == "exit":
        sys.exit(int(rest))
    elif verb == "wait":     # wait:<file>: until that file exists
        while not os.path.exists(rest):
            time.sleep(0.01)
    elif verb == "failunless":  # failunless:<file>
        if not os.path.exists(rest):
            sys.exit(3)
"""


def processing(name: str, commands: Sequence[Any], **options: Any) -> Json:
    """A Processing step. Options: inputs and outputs ({name: S3 location}), environment, seconds, property_files,
    depends_on, retries, entrypoint."""
    arguments: Json = {
        "RoleArn": ROLE,
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "AppSpecification": {
            "ImageUri": "image",
            "ContainerEntrypoint": options.get("entrypoint", ["python3", "-I", "-S", "program.py"]),
            **({"ContainerArguments": list(commands)} if commands else {}),
        },
        "ProcessingInputs": [
            {
                "InputName": key,
                "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{key}", "S3DataType": "S3Prefix"},
            }
            for key, uri in options.get("inputs", {}).items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": key,
                    "S3Output": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{key}", "S3UploadMode": "EndOfJob"},
                }
                for key, uri in options.get("outputs", {}).items()
            ]
        },
        "Environment": options.get("environment", {}),
        "StoppingCondition": {"MaxRuntimeInSeconds": options.get("seconds", 60)},
    }
    return _with_common({"Name": name, "Type": "Processing", "Arguments": arguments}, options)


def training(name: str, commands: Sequence[Any], **options: Any) -> Json:
    """A Training step. Options: channels ({name: S3 location}), output, hyperparameters, environment, depends_on."""
    arguments: Json = {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-I", "-S", "program.py"],
            **({"ContainerArguments": list(commands)} if commands else {}),
        },
        "OutputDataConfig": {"S3OutputPath": options.get("output", "s3://artifacts/training")},
        "HyperParameters": options.get("hyperparameters", {}),
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    if channels := options.get("channels"):
        arguments["InputDataConfig"] = [
            {"ChannelName": key, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
            for key, uri in channels.items()
        ]
    return _with_common({"Name": name, "Type": "Training", "Arguments": arguments}, options)


def _with_common(step: Json, options: Mapping[str, Any]) -> Json:
    if "depends_on" in options:
        step["DependsOn"] = options["depends_on"]
    if "property_files" in options:
        step["PropertyFiles"] = [
            {"PropertyFileName": name, "OutputName": output, "FilePath": path}
            for name, (output, path) in options["property_files"].items()
        ]
    if "retries" in options:
        step["RetryPolicies"] = options["retries"]
    return step


def condition(name: str, conditions: Sequence[Json], then: Sequence[Json] = (), otherwise: Sequence[Json] = ()) -> Json:
    """A Condition step."""
    arguments = {"Conditions": list(conditions), "IfSteps": list(then), "ElseSteps": list(otherwise)}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def fail(name: str, message: Any) -> Json:
    """A Fail step."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def register(name: str, model: Any, **more: Any) -> Json:
    """A RegisterModel step of the group "models"."""
    containers = {"Containers": [{"Image": "image", "ModelDataUrl": model}]}
    arguments = {"ModelPackageGroupName": "models", "InferenceSpecification": containers, **more}
    return {"Name": name, "Type": "RegisterModel", "Arguments": arguments}


def compare(kind: str, left: Any, right: Any) -> Json:
    """A comparison of two values."""
    return {"Type": kind, "LeftValue": left, "RightValue": right}


def get(path: str) -> Json:
    """A Get expression."""
    return {"Get": path}


def join(on: str, *values: Any) -> Json:
    """A Std:Join expression."""
    return {"Std:Join": {"On": on, "Values": list(values)}}


def json_get(step: str, file: str, path: str) -> Json:
    """A Std:JsonGet expression of a property file."""
    return {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{step}.PropertyFiles.{file}"}, "Path": path}}


def output_uri(step: str, output: str) -> Json:
    """The S3 location of a processing output."""
    return get(f"Steps.{step}.ProcessingOutputConfig.Outputs['{output}'].S3Output.S3Uri")


def run_prefix(*parts: str) -> Json:
    """A location below one that belongs to the execution alone."""
    return join("/", "s3://artifacts", get("Execution.PipelineExecutionId"), *parts)


def definition(*steps: Json, parameters: Sequence[Json] = ()) -> Json:
    """A pipeline definition."""
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": list(steps)}


def parameter(name: str, kind: str, default: Value | None = None, allowed: Sequence[str] = ()) -> Json:
    """The declaration of a parameter."""
    declared: Json = {"Name": name, "Type": kind}
    if default is not None:
        declared["DefaultValue"] = default
    if allowed:
        declared["EnumValues"] = list(allowed)
    return declared


class Workbench:
    """A store and a project folder with the step program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "program.py").write_text(PROGRAM)
        self.store = Store(folder / "store")
        self.launcher = ProcessLauncher(self.project, grace_seconds=0.5)

    def run(self, pipeline: Json, parameters: Mapping[str, Value] | None = None, **options: Any) -> RunResult:
        """Loads and runs a definition."""
        launcher = options.pop("launcher", self.launcher)
        return run(load_plan(pipeline, {}, parameters or {}, name="test"), self.store, launcher, **options)

    def put(self, uri: str, text: str) -> None:
        """Writes an object."""
        self.store.write(self.store.object_path(uri), text.encode())

    def text(self, uri: str) -> str:
        """Reads an object."""
        return self.store.object_path(uri).read_text()

    def output(self, result: RunResult, step: str, relative: str) -> str:
        """Reads the object of a step's outputs whose location ends with `relative`."""
        return self.text(next(uri for uri in result.step(step).outputs if uri.endswith(relative)))

    def ran(self, name: str) -> int:
        """How often a step with the command count:<counter(name)> has run."""
        path = Path(self.counter(name))
        return len(path.read_text().splitlines()) if path.exists() else 0

    def counter(self, name: str) -> str:
        """The file that counts the runs of a step."""
        return str(self.folder / f"{name}.count")

    def spawn(self, pipeline: Json, *, max_parallel: int = 4, use_cache: bool = True) -> subprocess.Popen[str]:
        """Runs a definition in a process of its own: it prints "ready", and at the end execution id and status."""
        path = self.folder / "definition.json"
        path.write_text(json.dumps(pipeline))
        script = (
            "import json, pathlib\n"
            "from pipeline.local.launch.launch_process import ProcessLauncher\n"
            "from pipeline.local.plan.plan import load_plan\n"
            "from pipeline.local.run.runner import run\n"
            "from pipeline.local.store.store import Store\n"
            f"plan = load_plan(json.loads(pathlib.Path({str(path)!r}).read_text()), {{}}, {{}})\n"
            f"store, launcher = Store(pathlib.Path({str(self.store.root)!r})), "
            f"ProcessLauncher(pathlib.Path({str(self.project)!r}), 0.5)\n"
            "print('ready', flush=True)\n"
            f"result = run(plan, store, launcher, max_parallel={max_parallel}, use_cache={use_cache})\n"
            "print(result.execution_id, result.status, flush=True)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)


def end_of(runner: subprocess.Popen[str]) -> tuple[str, str]:
    """Waits for the end of a run that `spawn` has started; its execution id and status."""
    execution_id, status = runner.communicate(timeout=60)[0].split()[-2:]
    return execution_id, status
