"""Training on several hosts in SageMaker local mode: the same model, or a reason that names the container that died."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from containers import REASON, Nights, command, containers_of, environment, outcome, run_local

WITHIN_SECONDS = 60  # of a container's death the run has failed


def test_containers_train_the_candidate_that_one_process_trains(
    image: str, league: Path, embedded: Nights, prepared: Path
) -> None:
    expected = embedded.printed["registered"]["metrics"]["candidate"]
    options = ("--docker", "--image", image)
    found = outcome(run_local(prepared, league, *options, TrainInstanceCount="3", TriggerReason=REASON))
    assert (found["status"], found["decision"]) == ("Succeeded", "registered")
    assert found["metrics"]["candidate"]["log_loss"] == pytest.approx(expected["log_loss"], rel=0.001)
    assert {step["name"] for step in found["steps"] if step["cached"]} == {"Prepare", "Predict"}
    logs = list((prepared / "runs" / found["execution_id"]).glob("steps/Train/logs/job*.log"))
    assert len(logs) == 3
    assert all("model fitted on" in log.read_text(encoding="utf-8") for log in logs)
    assert containers_of(prepared) == []


def test_a_container_that_is_killed_fails_the_run_by_name_and_nothing_is_left(
    image: str, league: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    options = ("--docker", "--image", image)
    with subprocess.Popen(
        command(store, league, *options, TrainInstanceCount="2", BoostingRounds="5000"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        victim = training_container(store, process)
        subprocess.run(["docker", "kill", victim], capture_output=True, check=True)
        killed = time.monotonic()
        out, err = process.communicate(timeout=2 * WITHIN_SECONDS)
    assert time.monotonic() - killed < WITHIN_SECONDS
    assert process.returncode == 1, err
    failure = json.loads(out)["failure"]
    assert failure["step"] == "Train"
    assert failure["reason"].startswith("algo-2: ended by signal SIGKILL")
    assert not list(store.glob("registry/*/*.json"))
    assert not list((store / "objects").rglob("model.tar.gz"))
    assert containers_of(store) == []


def training_container(store: Path, process: subprocess.Popen[str]) -> str:
    """The container of Train's second host, once both of them train."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        logs = [path.read_text(encoding="utf-8") for path in store.glob("runs/*/steps/Train/logs/job*.log")]
        if sum("walking forward" in log for log in logs) == 2:
            (name,) = [name for name in containers_of(store) if name.endswith("-algo-2")]
            return name
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"the hosts of Train did not both train: {process.communicate()}")
