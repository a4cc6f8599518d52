"""Training on several hosts, through the command line, in child processes: one model, or a reason that names one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from local_runs import Command, run_local, start_local

from scripts.run_local import main

WITHIN_SECONDS = 60  # of a host's death the run has failed


def training_was_cached(run: Command) -> bool:
    return {step["name"]: step["cached"] for step in run.json["steps"]}["Train"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosts") / "store"


@pytest.fixture(scope="module")
def runs(root: Path, league: Path, store: Path) -> dict[int, Command]:
    """A run with one host and one with three, on the same games; without a champion each candidate is registered."""
    return {
        count: run_local(root, store, league, TrainInstanceCount=str(count), ForceTraining="yes") for count in (1, 3)
    }


def test_several_hosts_train_the_candidate_that_one_trains(store: Path, runs: dict[int, Command]) -> None:
    count, done = 3, runs[3]
    assert done.code == 0, done.err
    assert (done.json["status"], done.json["decision"]) == ("Succeeded", "registered")
    expected, found = (run.json["metrics"]["candidate"] for run in (runs[1], done))
    assert found["log_loss"] == pytest.approx(expected["log_loss"], rel=0.001)
    assert found["n_rows"] == expected["n_rows"]
    version = done.json["model_package"]["version"]
    package = json.loads((store / "registry" / "model" / f"{version}.json").read_text(encoding="utf-8"))
    assert package["CustomerMetadataProperties"]["training_instances"] == str(count)
    logs = list((store / "runs" / done.json["execution_id"]).glob("steps/Train/logs/*.log"))
    assert len(logs) == count
    assert all("model fitted on" in log.read_text(encoding="utf-8") for log in logs)


def test_a_cached_model_is_one_of_as_many_hosts(
    root: Path, league: Path, store: Path, runs: dict[int, Command]
) -> None:
    assert {count: training_was_cached(run) for count, run in runs.items()} == {1: False, 3: False}
    again = run_local(root, store, league, TrainInstanceCount="3", ForceTraining="yes")
    assert training_was_cached(again), "so that it was not the input that made the difference"
    assert again.json["metrics"] == runs[3].json["metrics"]


@pytest.mark.parametrize(
    ("name", "count"),
    [("TrainInstanceCount", "0"), ("TrainInstanceCount", "101"), ("TrainInstanceCount", "two"),
     ("AggregateInstanceCount", "0"), ("AggregateInstanceCount", "101")],
)  # fmt: skip
def test_a_number_of_instances_that_no_job_can_have_is_refused(
    league: Path, tmp_path: Path, name: str, count: str
) -> None:
    arguments = ["--data", str(league), "--events", str(league), "--store", str(tmp_path / "store")]
    done = CliRunner().invoke(main, [*arguments, "--param", f"{name}={count}"])
    assert (done.exit_code, name in done.stderr) == (2, True)


def training_hosts(store: Path, process: subprocess.Popen[str], count: int) -> list[int]:
    """The process of each host of Train, the first one first, once all of them train."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        logs = [path.read_text(encoding="utf-8") for path in store.glob("runs/*/steps/Train/logs/*.log")]
        if sum("walking forward" in log for log in logs) == count:
            (held,) = store.glob("runs/*/steps/Train/process")
            return [int(pid) for pid in held.read_text(encoding="utf-8").split()]
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the hosts of Train did not all train: {process.communicate()}")


@pytest.mark.parametrize("victim", ["algo-1", "algo-2"])
def test_a_host_that_is_killed_fails_the_run_by_name_and_nothing_is_left(
    root: Path, league: Path, tmp_path: Path, victim: str, new_store: Callable[[Path], Path]
) -> None:
    store = new_store(tmp_path / "store")
    process = start_local(root, store, league, TrainInstanceCount="3", BoostingRounds="5000")
    pids = training_hosts(store, process, 3)
    os.kill(pids[int(victim.removeprefix("algo-")) - 1], signal.SIGKILL)
    killed = time.monotonic()
    out, err = process.communicate(timeout=2 * WITHIN_SECONDS)
    assert time.monotonic() - killed < WITHIN_SECONDS
    assert process.returncode == 1, err
    outcome: dict[str, Any] = json.loads(out)
    assert outcome["failure"]["step"] == "Train"
    assert outcome["failure"]["reason"].startswith(f"{victim}: ended by signal SIGKILL")
    assert outcome["model_package"] is None
    assert "--resume" in err
    assert not list(store.glob("registry/*/*.json"))
    assert not list((store / "objects").rglob("model.tar.gz"))
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)
