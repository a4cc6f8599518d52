"""The jobs of Azure ML: current, accepted by azure-ai-ml, complete, and run by a small stand-in for its scheduler.

The stand-in knows what azure-ai-ml's loader says and nothing of ours: it replaces placeholders, starts a command where
every job that its inputs name has succeeded, keeps outputs in folders, and mounts no empty one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipeline.contract.workload import load_workload, workload_names
from targets.azure.__main__ import main, unbound

DATASTORE = "azureml://datastores/workspaceblobstore/paths/"
SMALL = {
    "churn": {"WalkForwardRows": "1500", "MinEvaluatedRows": "1000", "LearningRate": "0.2", "AsOfDate": "2023-10-01"},
    "nba": {"WalkForwardRows": "600", "MinEvaluatedRows": "400", "AsOfDate": "2025-03-01"},
}


@pytest.fixture(scope="module")
def loaded(root: Path) -> dict[str, Any]:
    """The committed jobs by workload, as azure-ai-ml loads and validates them."""
    python = root / ".venv-azure" / "bin" / "python"
    if not python.exists():
        pytest.skip("azure-ai-ml is not here: make targets-environments")
    files = sorted(map(str, (root / "targets" / "azure").glob("*.yaml")))
    validate = [str(python), str(root / "targets" / "azure" / "validate.py"), *files]
    done = subprocess.run(validate, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    jobs: dict[str, Any] = json.loads(done.stdout)
    return jobs


@dataclass
class StandIn:
    """Azure ML's scheduler, on the folders of this machine."""

    jobs: dict[str, Any]
    place: Path  # of the datastore, and of outputs
    run_id: str = ""
    log: str = ""

    def run(self, run_id: str, **parameters: str) -> dict[str, int]:
        """The exit code of each job that was started."""
        self.run_id, given, codes = run_id, {"parent.inputs.parameters": json.dumps(parameters)}, {}
        for name, job in self.jobs.items():  # each follows those that its inputs name
            sources = re.findall(r"parent\.jobs\.(\w+)\.", " ".join(job["inputs"].values()))
            if all(codes.get(source) == 0 for source in sources):
                codes[name] = self._start(name, job, given)
        return codes

    def _start(self, name: str, job: dict[str, Any], given: dict[str, str]) -> int:
        values = {f"inputs.{port}": given[binding.strip("${}")] for port, binding in job["inputs"].items()}
        assert all(any(Path(value).iterdir()) for value in values.values() if value.startswith("/"))
        for port, path in job["outputs"].items():
            folder = self.place / (path.removeprefix(DATASTORE) or f"{self.run_id}/{name}/{port}")
            folder.mkdir(parents=True, exist_ok=True)
            values[f"outputs.{port}"] = given[f"parent.jobs.{name}.outputs.{port}"] = str(folder)
        command = re.sub(r"\$\{\{(.*?)\}\}", lambda match: values[match[1]], job["command"])
        done = subprocess.run(
            ["bash", "-c", command],
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
                "AZUREML_ROOT_RUN_ID": self.run_id,
            },
            cwd=self.place,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.log += done.stdout + done.stderr
        return done.returncode


def test_the_committed_jobs_are_current_and_one_that_is_not_is_named(tmp_path: Path) -> None:
    def compiled(*options: str) -> Result:
        return CliRunner().invoke(main, ["compile", *options])

    assert compiled("--check").exit_code == 0
    tmp_path /= "jobs"  # which is not there yet
    assert compiled("--into", str(tmp_path)).exit_code == 0
    (tmp_path / "churn.yaml").write_text("jobs: {}\n")
    stale = compiled("--check", "--into", str(tmp_path))
    assert (stale.exit_code, "churn.yaml not current" in stale.output) == (1, True)


def test_every_job_is_accepted_by_azures_own_validation(loaded: dict[str, Any]) -> None:
    assert set(SMALL) < set(loaded) <= set(workload_names())
    for jobs in loaded.values():
        assert {"prepare", "predict", "train", "evaluate", "quality_gate_failed", "register"} <= set(jobs)


def test_a_placeholder_with_nothing_behind_it_is_refused(root: Path) -> None:
    """Azure's validation accepts a command with one, which would fail in the run."""
    broken = yaml.safe_load((root / "targets" / "azure" / "churn.yaml").read_text(encoding="utf-8"))
    jobs = broken["jobs"]
    del jobs["train"]["component"]["inputs"]["features"]
    del jobs["predict"]["inputs"]["report"]
    del jobs["evaluate"]["component"]["outputs"]["evaluation"]
    assert sorted(unbound(broken)) == [
        "evaluate: there is no outputs.evaluation",
        "predict: nothing is given for report",
        "quality_gate_failed: there is no parent.jobs.evaluate.outputs.evaluation",
        "register: there is no parent.jobs.evaluate.outputs.evaluation",
        "train: there is no inputs.features",
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workload", SMALL)
def test_the_stand_in_comes_to_the_decisions_of_a_local_run(
    loaded: dict[str, Any], workload: str, tmp_path: Path, new_store: Callable[[Path], Path]
) -> None:
    """First run, no new data, failing gate: seen in the registry, the record and the last-evaluated record."""
    azure, folder = StandIn(loaded[workload], tmp_path), tmp_path / "retraining" / workload
    store = new_store(folder / "store")
    small = {**SMALL[workload], "BoostingRounds": "20"}
    data = load_workload(workload).sample.write(folder / "data", date.fromisoformat(small["AsOfDate"]))
    for path in sorted(data.glob("simulated_*.csv"))[:-3]:
        path.unlink()

    def left() -> tuple[list[str], bytes]:
        registry, evaluated = store / "registry" / "model", store / "objects" / "artifacts" / "evaluated"
        return [path.name for path in registry.glob("*.json")], (evaluated / "last_evaluated.json").read_bytes()

    def statuses() -> dict[str, str]:
        record = json.loads((store / "runs" / azure.run_id / "run.json").read_text(encoding="utf-8"))
        return {"run": record["status"]} | {step["name"]: step["status"] for step in record["steps"]}

    assert set(azure.run("first", **small).values()) == {0}, azure.log
    assert {"run": "Succeeded", "Register": "Succeeded", "QualityGateFailed": "Skipped"}.items() <= statuses().items()
    first = left()
    assert first[0] == ["1.json"]
    if workload != "churn":
        return  # a first run is enough for a workload with more steps

    assert set(azure.run("no-new-data", **small).values()) == {0}, azure.log
    assert {"run": "Succeeded", "Predict": "Succeeded"}.items() <= statuses().items()
    assert {statuses()[step] for step in ("Train", "Evaluate", "Register", "QualityGateFailed")} == {"Skipped"}
    assert left() == first

    codes = azure.run("failed", **small, ForceTraining="yes", MaxCalibrationError="0.0001")
    assert (codes["evaluate"], codes["quality_gate_failed"], "register" in codes) == (0, 1, False)
    assert "above the limit 0.0001 (MaxCalibrationError)" in azure.log
    assert (statuses()["run"], left()[0]) == ("Failed", ["1.json"])
