"""The whole pipeline in one container, run after run, hardened as the manifests of docs/targets.md start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from containers import SOMEBODY, as_somebody, environment, hand_over, outcome

from pipeline.contract.code_version import code_version
from pipeline.workloads.churn.sample import write

pytestmark = pytest.mark.timeout(600)  # whichever test is the first builds the image and waits for the runs
HARDENED = ["--read-only", "--tmpfs=/tmp", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
SMALL = {
    "AsOfDate": "2023-10-01",
    "BoostingRounds": "20",
    "LearningRate": "0.2",
    "WalkForwardRows": "1500",
    "MinEvaluatedRows": "1000",
}


@dataclass(frozen=True)
class Scheduled:
    """A folder with data and a store, and the image that runs over them."""

    image: str
    folder: Path

    def container(self, *command: str, user: int | None = None) -> list[str]:
        """One of the image's commands on the mounted folders."""
        user = user or (SOMEBODY if os.geteuid() == 0 else os.geteuid())
        mounts = [f"--volume={self.folder / 'data'}:/data:ro", f"--volume={self.folder / 'store'}:/store"]
        return ["docker", "run", "--rm", f"--user={user}:{user}", *HARDENED, *mounts, self.image, *command]

    def command(self, *arguments: str, user: int | None = None, **parameters: str) -> list[str]:
        """The scheduler's command line."""
        chosen = [f"--param={name}={value}" for name, value in {**SMALL, **parameters}.items()]
        run = ["run", "--workload=churn", "--data=/data", "--store=/store", *chosen, *arguments]
        return self.container(*run, user=user)

    def run(self, *, user: int | None = None, **parameters: str) -> subprocess.CompletedProcess[str]:
        """One scheduled run."""
        command = self.command("--json", user=user, **parameters)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def scheduled(targets_image: str) -> Iterator[Scheduled]:
    with tempfile.TemporaryDirectory(prefix="retraining-test-") as name:  # pytest's folders are for one user only
        write(Path(name, "data"), date(2023, 10, 1))
        Path(name, "store").mkdir()
        hand_over(Path(name))
        yield Scheduled(targets_image, Path(name))


@pytest.fixture(scope="module")
def runs(scheduled: Scheduled) -> dict[str, dict[str, Any]]:
    """What each run printed, by decision; the container of the one before them was killed while it trained."""
    killed = f"retraining-test-killed-{os.getpid()}"
    command = scheduled.command()
    command.insert(2, f"--name={killed}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr
        next(line for line in first.stderr if line.startswith("Train: started"))
        subprocess.run(["docker", "kill", killed], check=True, capture_output=True)
    printed = {
        "registered": outcome(scheduled.run()),
        "no-new-data": outcome(scheduled.run()),
        "failed": outcome(scheduled.run(ForceTraining="yes", MaxCalibrationError="0.0001"), code=1),
    }
    review = [sys.executable, "-m", "scripts.review_model", "approve", "--store", str(scheduled.folder / "store")]
    subprocess.run([*as_somebody(), *review], check=True, env=environment(scheduled.folder), capture_output=True)
    return {**printed, "champion-kept": outcome(scheduled.run(ForceTraining="yes", MaxDepth="1"))}


@pytest.mark.parametrize("decision", ["registered", "no-new-data", "failed", "champion-kept"])
def test_each_run_ends_with_the_decision_of_a_local_run(runs: dict[str, dict[str, Any]], decision: str) -> None:
    printed = runs[decision]
    assert printed["decision"] == decision
    if decision == "failed":
        assert printed["failure"]["step"] == "QualityGateFailed"
        assert "above the limit 0.0001 (MaxCalibrationError)" in printed["failure"]["reason"]
    if decision == "champion-kept":
        assert printed["metrics"]["champion"]["n_rows"] == int(SMALL["WalkForwardRows"])


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("review", "list"), "in use"),
        (("review", "history"), "until now"),
        (("runs", "list"), "champion-kept"),
        (("clean", "--dry-run"), "would remove 0 runs"),
    ],
)
def test_every_other_command_works_on_the_store_in_the_image(
    runs: dict[str, dict[str, Any]], scheduled: Scheduled, command: tuple[str, ...], told: str
) -> None:
    ended = subprocess.run(
        scheduled.container(*command, "--store=/store"), capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert told in ended.stdout + ended.stderr


def test_a_killed_container_is_in_the_record_and_its_results_are_used(
    runs: dict[str, dict[str, Any]], scheduled: Scheduled
) -> None:
    records = [json.loads(path.read_text()) for path in (scheduled.folder / "store" / "runs").glob("*/run.json")]
    assert len(records) == len(runs) + 1
    (killed,) = (record for record in records if record["status"] == "Stopped")
    assert {step["reason"] for step in killed["steps"] if step["status"] == "Stopped"} == {"the runner was killed"}
    assert [step["cached"] for step in runs["registered"]["steps"] if step["name"] == "Prepare"] == [True]


def test_the_code_version_is_that_of_this_folder(runs: dict[str, dict[str, Any]], scheduled: Scheduled) -> None:
    version = json.loads((scheduled.folder / "store" / "registry" / "model" / "1.json").read_text())
    assert version["CustomerMetadataProperties"]["code_version"] == code_version("churn")


def test_a_store_of_another_user_is_refused_with_path_and_remedy(
    runs: dict[str, dict[str, Any]], scheduled: Scheduled
) -> None:
    owner = (scheduled.folder / "store" / "runs").stat().st_uid
    refused = scheduled.run(user=4242)
    assert refused.returncode == 2
    assert f"Error: /store belongs to user {owner}:" in refused.stderr
    assert f"docker run --user {owner}:" in refused.stderr
    assert "chown -R 4242:4242" in refused.stderr
