"""Whole runs in SageMaker local mode: the same as embedded runs, and nothing left behind, however they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from containers import SOMEBODY, Nights, command, containers_of, environment, outcome, run_local

from pipeline.local.launch.container_runtime import image_details
from scripts.run_local import child_processes, containers


def evaluation_of(store: Path, execution: str) -> dict[str, Any]:
    (path,) = store.glob(f"objects/artifacts/runs/{execution}/evaluate/evaluation/evaluation.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_numbers_and_decision_are_those_of_an_embedded_run(embedded: Nights, in_containers: Nights) -> None:
    """Of a night on which a candidate is trained and compared with the champion."""
    here, there = (nights.printed["failed"] for nights in (embedded, in_containers))
    for key in ("decision", "reason", "metrics"):
        assert there[key] == here[key]
    assert there["metrics"]["champion"]["n_rows"] > 0
    assert [(s["name"], s["status"], s["cached"]) for s in there["steps"]] == [
        (s["name"], s["status"], s["cached"]) for s in here["steps"]
    ]
    assert not next(s["cached"] for s in there["steps"] if s["name"] == "Train")
    evaluated = evaluation_of(embedded.store, here["execution_id"])
    in_container = evaluation_of(in_containers.store, there["execution_id"])
    assert evaluated["versions"].pop("python").split(".")[0] == in_container["versions"].pop("python").split(".")[0]
    assert in_container == evaluated
    predictions = "objects/artifacts/predictions/predictions.csv"
    assert (in_containers.store / predictions).read_bytes() == (embedded.store / predictions).read_bytes()


def test_nothing_is_left_in_the_engine_and_nothing_is_roots(world: Path, in_containers: Nights) -> None:
    assert in_containers.owners == {SOMEBODY if os.geteuid() == 0 else os.geteuid()}
    assert containers_of(world) == []
    assert not [
        link for link in Path(tempfile.gettempdir()).glob("retraining-job-*/base") if world in link.resolve().parents
    ]


def test_the_image_is_part_of_what_a_cached_result_is_known_by(image: str) -> None:
    """That the launcher's digest of the code decides is tested job by job."""
    place = containers(image)
    assert place.code == (image_details(image) or {})["Id"] != child_processes().code


def test_a_failed_step_gives_the_reason_of_an_embedded_run(image: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "games.csv").write_text("date,season,home_team\n2024-01-01,2024,BOS\n")
    embedded = outcome(run_local(tmp_path / "embedded", bad), code=1)
    docker = run_local(tmp_path / "docker", bad, "--docker", "--image", image)
    assert outcome(docker, code=1)["failure"] == embedded["failure"]
    assert "games.csv" in embedded["failure"]["reason"]
    assert re.search(rf"--resume \w+ --docker --image {image}", docker.stderr)


class Running:
    """A run in a process group of its own, as a terminal has it, up to the moment when Train's container is there."""

    def __init__(self, store: Path, data: Path, *arguments: str, besides: Collection[str] = ()) -> None:
        self.log = (store.parent / "log").open("w+")
        self.process = subprocess.Popen(
            command(store, data, *arguments),
            cwd=store.parent,
            env=environment(store.parent),
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while not any("Train" in name for name in containers_of(store) if name not in besides):
            assert time.monotonic() < deadline, "Train's container did not appear"
            assert self.process.poll() is None, Path(self.log.name).read_text()
            time.sleep(0.1)

    def end(self, number: signal.Signals, *, group: bool) -> int:
        (os.killpg if group else os.kill)(self.process.pid, number)
        return self.process.wait(timeout=60)


def test_ctrl_c_and_a_kill_leave_nothing_for_long_and_the_run_goes_on(image: str, league: Path, tmp_path: Path) -> None:
    store, in_containers = tmp_path / "store", ("--docker", "--image", image)
    Running(store, league, *in_containers).end(signal.SIGKILL, group=False)
    left = set(containers_of(store))
    assert any("Train" in name for name in left)
    (execution,) = [path.name for path in (store / "runs").iterdir()]

    refused = run_local(store, league, "--resume", execution)
    assert refused.returncode == 2
    assert f"resume it with --docker --image {image}" in refused.stderr

    running = Running(store, league, "--resume", execution, *in_containers, besides=left)
    assert not left & set(containers_of(store)), "the next run removes what the killed one has left"
    assert running.end(signal.SIGINT, group=True) == 130
    assert containers_of(store) == []
    assert f"--resume {execution} --docker --image {image}" in Path(running.log.name).read_text()

    resumed = outcome(run_local(store, league, "--resume", execution, *in_containers))
    assert (resumed["status"], resumed["decision"]) == ("Succeeded", "registered")
    assert containers_of(store) == []
    assert {path.lstat().st_uid for path in store.rglob("*")} == {os.geteuid()}
