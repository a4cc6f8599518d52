"""The four outcomes of a run and both aggregations: embedded, in containers, and under the SDK's own local executor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from containers import NIGHTS, SMALL, environment, outcome, run, run_local, write_events

from pipeline.local import workspace
from pipeline.local.champion import promote
from pipeline.local.registry import APPROVED, Registry
from pipeline.local.store import Store

PROGRAM = Path(__file__).with_name("sdk_pipeline.py")
NO_EVENTS = {"NoAggregate": True, "NoSpark": True}
JUDGED = {"HasNewData": True, "QualityGate": True}
# What each condition finds, night by night; one that is not named was never started.
CONDITIONS = {
    "registered": {**JUDGED, "BeatsChampion": True, "NoAggregate": False, "NoSpark": True},
    "no-new-data": {"HasNewData": False, "NoAggregate": True, "NoSpark": False},
    "failed": {"HasNewData": True, "QualityGate": False, "BeatsChampion": False},
    "champion-kept": {**JUDGED, "BeatsChampion": False, **NO_EVENTS},
}
AGGREGATES = {
    "registered": {"Aggregate"},
    "no-new-data": {"AggregateOnSpark"},
    "failed": set(),
    "champion-kept": set(),
}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play-by-play of four games."""
    return write_events(tmp_path_factory.mktemp("play-by-play") / "events", 4)


def nights(store: Path, league: Path, events: Path, *options: str) -> dict[str, dict[str, Any]]:
    """What each night's run printed; the first one's version is approved."""
    printed = {}
    for decision, given in NIGHTS.items():
        played = [] if "EventsPrefix" in given else ["--events", str(events)]
        done = run_local(store, league, *options, *played, **given)
        printed[decision] = outcome(done, code=1 if decision == "failed" else 0)
        if decision == "registered":
            opened = Store(store)
            Registry(opened).set_approval(workspace.MODEL_PACKAGE_GROUP, 1, APPROVED)
            promote(opened, workspace.MODEL_PACKAGE_GROUP, workspace.ARTIFACT_BUCKET)
    return printed


@pytest.fixture(scope="module")
def embedded(league: Path, events: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return nights(tmp_path_factory.mktemp("embedded") / "store", league, events)


@pytest.fixture(scope="module")
def in_containers(
    image: str, spark_image: str, league: Path, events: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    options = ("--docker", "--image", image, "--spark-image", spark_image)
    return nights(tmp_path_factory.mktemp("containers") / "store", league, events, *options)


@pytest.fixture(scope="module")
def under_the_sdk(
    image: str, spark_image: str, league: Path, events: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """How the SDK's executor ended each night, step by step."""
    work = tmp_path_factory.mktemp("sdk")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), image, spark_image, str(league), str(events), str(work), json.dumps(SMALL)],
        env={**environment(work), "AWS_DEFAULT_REGION": "us-east-1", "SAGEMAKER_VALIDATE_ROLE": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    if os.geteuid() != 0:  # the SDK's own local mode leaves files of the container's users
        owner = f"{os.geteuid()}:{os.getegid()}"
        run("--user", "0", "-v", f"{work}:/work", "--entrypoint", "chown", image, "-R", owner, "/work")
    leftovers = (
        "docker ps -aq --filter network=sagemaker-local | xargs -r docker rm -f; docker network rm sagemaker-local"
    )
    subprocess.run(["sh", "-c", leftovers], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, dict[str, Any]] = json.loads((work / "result.json").read_text(encoding="utf-8"))
    return result


def found(printed: dict[str, Any]) -> dict[str, bool]:
    return {step["name"]: step["outcome"] for step in printed["steps"] if step["outcome"] is not None}


def ended(printed: dict[str, Any]) -> dict[str, str]:
    never = ("Skipped", "NotStarted")
    return {step["name"]: step["status"] for step in printed["steps"] if step["status"] not in never}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("decision", NIGHTS)
def test_embedded_and_in_containers(
    embedded: dict[str, dict[str, Any]], in_containers: dict[str, dict[str, Any]], decision: str
) -> None:
    for printed in (embedded[decision], in_containers[decision]):
        assert printed["decision"] == decision
        assert CONDITIONS[decision].items() <= found(printed).items()
        assert {name for name in ended(printed) if name.startswith("Aggregate")} == AGGREGATES[decision]
    assert ended(in_containers[decision]) == ended(embedded[decision])
    assert in_containers[decision]["metrics"] == embedded[decision]["metrics"]
    assert in_containers[decision]["reason"] == embedded[decision]["reason"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("decision", NIGHTS)
def test_under_the_sdks_own_executor(
    embedded: dict[str, dict[str, Any]], under_the_sdk: dict[str, dict[str, Any]], decision: str
) -> None:
    """It knows no RegisterModel, and runs one step after another: a failure leaves more of them out."""
    theirs, ours = under_the_sdk[decision], embedded[decision]
    assert theirs["status"] == ours["status"]
    assert CONDITIONS[decision].items() <= theirs["outcomes"].items()
    steps = {name: status for name, status in theirs["steps"].items() if status}
    expected = {name: status for name, status in ended(ours).items() if name != "Register"}
    if decision == "failed":
        assert steps.items() <= expected.items()
        assert ours["failure"]["reason"] in theirs["failure"]
    else:
        assert steps == expected
        assert theirs["outcomes"] == found(ours)
    assert theirs["evaluation"].get("metrics", {}) == ours["metrics"]
