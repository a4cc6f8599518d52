"""The same steps under the SDK's own LocalPipelineSession, with S3 from moto: each ends as in our runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from containers import SMALL, environment, outcome, run, run_local

from pipeline.local.record import load_run
from pipeline.local.store import Store

PROGRAM = Path(__file__).with_name("sdk_pipeline.py")


@pytest.fixture(scope="module")
def under_the_sdk(image: str, league: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How the SDK's executor ended, step by step."""
    work = tmp_path_factory.mktemp("sdk")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), image, str(league), str(work), json.dumps(SMALL)],
        env={**environment(work), "AWS_DEFAULT_REGION": "us-east-1", "SAGEMAKER_VALIDATE_ROLE": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    if os.geteuid() != 0:  # the SDK's own local mode leaves files of the container's users
        owner = f"{os.geteuid()}:{os.getegid()}"
        run("--user", "0", "-v", f"{work}:/work", "--entrypoint", "chown", image, "-R", owner, "/work")
    leftovers = (
        "docker ps -aq --filter network=sagemaker-local | xargs -r docker rm -f; docker network rm sagemaker-local"
    )
    subprocess.run(["sh", "-c", leftovers], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((work / "result.json").read_text(encoding="utf-8"))
    return result


def test_steps_conditions_and_numbers_are_those_of_our_runner(
    under_the_sdk: dict[str, Any], league: Path, tmp_path: Path
) -> None:
    ours = outcome(run_local(tmp_path / "store", league))
    assert (under_the_sdk["status"], under_the_sdk["failure"]) == ("Succeeded", None)
    ended = {step["name"]: step["status"] for step in ours["steps"] if step["status"] != "Skipped"}
    assert ended.pop("Register") == "Succeeded"
    assert {name: status for name, status in under_the_sdk["steps"].items() if status} == ended
    record = load_run(Store(tmp_path / "store"), ours["execution_id"])
    assert under_the_sdk["outcomes"] == {s.name: s.outcome for s in record.steps if s.outcome is not None}
    assert {"HasNewData", "QualityGate", "Promote"} <= set(under_the_sdk["outcomes"])
    assert ours["decision"] == "registered"
    assert under_the_sdk["evaluation"]["metrics"] == ours["metrics"]
