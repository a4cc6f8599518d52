"""The four outcomes of a run and both aggregations: embedded, in containers, and under the SDK's own local executor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from containers import CONTAINER_NIGHTS, NIGHTS, SMALL, Nights, environment, run

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
def under_the_sdk(
    image: str, spark_image: str, world: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """How the SDK's executor ended each night, step by step."""
    work = tmp_path_factory.mktemp("sdk")
    given = [str(world / "games"), str(world / "events"), str(work), json.dumps(SMALL)]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), image, spark_image, *given],
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


def besides_aggregation(steps: dict[str, Any]) -> dict[str, Any]:
    """Embedded, nothing is aggregated on the night on which Spark does it in containers."""
    return {name: value for name, value in steps.items() if "Aggregate" not in name and name != "NoSpark"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("decision", CONTAINER_NIGHTS)
def test_embedded_and_in_containers(embedded: Nights, in_containers: Nights, decision: str) -> None:
    here, there = embedded.printed[decision], in_containers.printed[decision]
    assert there["decision"] == here["decision"] == decision
    assert CONDITIONS[decision].items() <= found(there).items()
    assert {name for name in ended(there) if name.startswith("Aggregate")} == AGGREGATES[decision]
    assert besides_aggregation(found(there)) == besides_aggregation(found(here))
    assert besides_aggregation(ended(there)) == besides_aggregation(ended(here))
    assert there["metrics"] == here["metrics"]
    assert there["reason"] == here["reason"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("decision", NIGHTS)
def test_under_the_sdks_own_executor(
    embedded: Nights, in_containers: Nights, under_the_sdk: dict[str, dict[str, Any]], decision: str
) -> None:
    """It knows no RegisterModel, and runs one step after another: a failure leaves more of them out."""
    theirs, ours = under_the_sdk[decision], {**embedded.printed, **in_containers.printed}[decision]
    assert theirs["status"] == ours["status"]
    steps = {name: status for name, status in theirs["steps"].items() if status}
    expected = {name: status for name, status in ended(ours).items() if name != "Register"}
    if decision == "failed":
        assert steps.items() <= expected.items()
        assert theirs["outcomes"]["QualityGate"] is False
        assert theirs["outcomes"].items() <= found(ours).items()  # in which order it comes to conditions is not fixed
        assert ours["failure"]["reason"] in theirs["failure"]
    else:
        assert CONDITIONS[decision].items() <= theirs["outcomes"].items()
        assert steps == expected
        assert theirs["outcomes"] == found(ours)
    assert theirs["evaluation"].get("metrics", {}) == ours["metrics"]
