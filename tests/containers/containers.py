"""Real containers: through the engine's own command, and through the command line of a run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from inline_program import inline
from play_by_play import random_game

from pipeline.contract.code_version import image_content
from pipeline.local import local_deployment
from pipeline.local.launch.launch_docker import DockerLauncher
from pipeline.local.plan.plan import load_plan
from pipeline.local.run.runner import run as run_plan
from pipeline.local.store.local_champion import promote
from pipeline.local.store.registry import APPROVED, LocalRegistry
from pipeline.local.store.run_record import RunResult
from pipeline.local.store.store import Store

# Three seasons are enough for the gates with a record of 600 games.
SMALL = {"WalkForwardRows": "600", "MinEvaluatedRows": "400", "BoostingRounds": "20", "AsOfDate": "2025-03-01"}
REASON = "costs $5 and $HOME"
SOMEBODY = 12345  # a user of this machine who is not root, and has no account
DOCKER_SOCKET = Path("/var/run/docker.sock")
OUT = "/opt/ml/processing/output/out"  # goes to s3://artifacts/out


# One night after another, on one store and the same games: what each is given, and what becomes of its candidate.
NIGHTS: dict[str, dict[str, str]] = {
    "registered": {},
    "no-new-data": {"AggregateInstanceCount": "2"},
    "failed": {"ForceTraining": "yes", "MaxDepth": "1", "MaxLogLoss": "0.5", "EventsPrefix": "none"},
    "champion-kept": {"ForceTraining": "yes", "MaxDepth": "1", "EventsPrefix": "none"},
}
# The last night's jobs are those of the one before: its other outcome is the runner's, of whatever ran the jobs.
CONTAINER_NIGHTS = {name: given for name, given in NIGHTS.items() if name != "champion-kept"}
# Spark on one machine: tests/scripts/test_run_local_events.py.
NIGHTS_WITHOUT_SPARK = {**NIGHTS, "no-new-data": {"EventsPrefix": "none"}}


@dataclass(frozen=True)
class Nights:
    """A store after these nights, what each printed, and who owned what the runs left."""

    store: Path
    printed: dict[str, dict[str, Any]]
    owners: set[int]


def run(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """`docker run --rm` with these arguments."""
    return subprocess.run(
        ["docker", "run", "--rm", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )


def job(
    image: str,
    program: str,
    *arguments: str,
    kind: str = "Processing",
    count: int = 1,
    isolated: bool = True,
    seconds: int = 60,
) -> dict[str, Any]:
    """A step whose hosts run a program that is given as Python code."""
    container = {
        "ContainerEntrypoint": inline(program),
        **({"ContainerArguments": list(arguments)} if arguments else {}),
    }
    cluster = {"InstanceCount": count, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    request: dict[str, Any] = {
        "RoleArn": "arn:aws:iam::111122223333:role/jobs",
        "Environment": {"PRICE": "$5 for $HOME: $$ $(PATH)"},
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
    }
    if kind == "Training":
        request |= {
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File", **container},
            "HyperParameters": {},
            "OutputDataConfig": {"S3OutputPath": "s3://artifacts/train"},
            "ResourceConfig": cluster,
            "EnableNetworkIsolation": isolated,
        }
    else:
        place = {"S3Uri": "s3://artifacts/out", "LocalPath": OUT, "S3UploadMode": "EndOfJob"}
        request |= {
            "AppSpecification": {"ImageUri": image, **container},
            "ProcessingResources": {"ClusterConfig": cluster},
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": place}]},
            "NetworkConfig": {"EnableNetworkIsolation": isolated},
        }
    return {"Name": "Job", "Type": kind, "Arguments": request}


def end_of(image: str, store: Store, step: dict[str, Any]) -> RunResult:
    """How a run of one step ends in containers."""
    launcher = DockerLauncher(image, content=image_content("nba"), grace_seconds=1)
    definition = {"Version": "2020-12-01", "Parameters": [], "Steps": [step]}
    return run_plan(load_plan(definition, {}, {}), store, launcher, code=launcher.image_id)


def containers_of(folder: Path) -> list[str]:
    """Names of the containers and networks of the runs below a folder, running or not."""
    label = '{{.Label "retraining.run"}}'
    found = []
    for command, name in ((["ps", "--all"], "{{.Names}}"), (["network", "ls"], "{{.Name}}")):
        listed = subprocess.run(
            ["docker", *command, "--filter", "label=retraining.run", "--format", f"{name} {label}"],
            capture_output=True,
            text=True,
            check=True,
        )
        found += [line.split()[0] for line in listed.stdout.splitlines() if str(folder) in line]
    return found


def as_somebody() -> list[str]:
    """A command's prefix that makes it run without root, but with the right to read the interpreter in root's home."""
    if os.geteuid() != 0:
        return []
    identity = [f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", f"--groups={DOCKER_SOCKET.stat().st_gid}"]
    return ["setpriv", *identity, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def run_local(
    store: Path, data: Path, *arguments: str, prefix: Sequence[str] = (), **parameters: str
) -> subprocess.CompletedProcess[str]:
    """`run_local --json` on small settings, overridden by `parameters`."""
    return subprocess.run(
        [*prefix, *command(store, data, *arguments, **parameters)],
        cwd=store.parent,
        env=environment(store.parent),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def command(store: Path, data: Path, *arguments: str, **parameters: str) -> list[str]:
    """The command line of `run_local`."""
    chosen = [part for name, value in {**SMALL, **parameters}.items() for part in ("--param", f"{name}={value}")]
    given = [] if "--resume" in arguments else chosen
    module = [sys.executable, "-m", "scripts.run_local"]
    return [*module, "--data", str(data), "--store", str(store), "--json", *given, *arguments]


def environment(home: Path) -> dict[str, str]:
    """No AWS credentials, and no place where some could be found."""
    root = Path(__file__).resolve().parents[2]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = os.pathsep.join((str(root), str(root / "tests")))
    return {**kept, "PYTHONPATH": path, "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}


def run_nights(
    store: Path,
    games: Path,
    events: Path,
    *options: str,
    chosen: Mapping[str, Mapping[str, str]],
) -> Nights:
    """A run for each night, by somebody who is not root; the first one's version is approved."""
    nights = Nights(store, {}, set())
    for decision, given in chosen.items():
        played = [] if "EventsPrefix" in given else ["--events", str(events)]
        parameters = {**given, "TriggerReason": REASON}
        done = run_local(store, games, *options, *played, prefix=as_somebody(), **parameters)
        nights.printed[decision] = outcome(done, code=1 if decision == "failed" else 0)
        nights.owners.update(path.lstat().st_uid for path in store.rglob("*"))
        if decision == "registered":
            opened = Store(store)
            LocalRegistry(opened).set_approval(local_deployment.MODEL_PACKAGE_GROUP, 1, APPROVED)
            promote(opened, local_deployment.MODEL_PACKAGE_GROUP, local_deployment.ARTIFACT_BUCKET)
        hand_over(store.parent)
    return nights


def hand_over(folder: Path) -> None:
    """Where root runs these tests: give a folder and what is in it to somebody who is not root."""
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)


def outcome(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """What a run printed, after it ended with this exit code."""
    assert done.returncode == code, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def write_events(folder: Path, n_files: int) -> Path:
    """Random games with every quirk of a feed, one in each file, so that there is a task for every worker."""
    folder.mkdir()
    rng = random.Random(2)  # noqa: S311 (not for secrets)
    for number in range(n_files):
        pd.DataFrame(random_game(rng, number)).replace("\n", " ", regex=True).to_csv(
            folder / f"{number}.csv", index=False
        )
    return folder
