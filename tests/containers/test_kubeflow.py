"""The compiled pipelines under Kubeflow's own DockerRunner: outcomes, reasons and numbers are those of embedded runs.

Asserted are registry, last-evaluated record and the run's record, not the engine's status alone: a failed container can
count as success (kubeflow/pipelines #13332).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from containers import NIGHTS, NIGHTS_WITHOUT_SPARK, REASON, SMALL, Nights, outcome

from pipeline.local.local_deployment import MODEL_PACKAGE_GROUP
from pipeline.local.run.run_summary import decide
from pipeline.local.store.local_champion import read_champion
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.run_record import RunResult, recent_runs
from pipeline.local.store.store import Store
from pipeline.workloads.bike_demand.sample import write as write_rentals

ROOT = Path(__file__).resolve().parents[2]
KUBEFLOW = ROOT / ".venv-kubeflow" / "bin" / "python"


def kubeflow(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(KUBEFLOW), "-m", "targets.kubeflow", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def ours(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of the project's commands, in its own environment."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@dataclass(frozen=True)
class Night:
    """A run under Kubeflow: its record, what people see of its tasks, and the registered versions after it."""

    record: RunResult
    log: str
    versions: tuple[int, ...]


@dataclass(frozen=True)
class Cluster:
    """Compiled pipelines, and the folder that stands for the volume."""

    pipelines: Path
    volume: Path

    def store(self, workload: str) -> Store:
        return Store(self.volume / workload / "store")

    def run(self, workload: str, parameters: Mapping[str, str]) -> Night:
        chosen = [f"--param={name}={value}" for name, value in parameters.items()]
        done = kubeflow("run", str(self.pipelines / f"{workload}.yaml"), "--volume", str(self.volume), *chosen)
        store = self.store(workload)
        packages = LocalRegistry(store).packages(MODEL_PACKAGE_GROUP)
        return Night(
            recent_runs(store)[0],
            f"{done.stdout}{done.stderr}",
            tuple(package["ModelPackageVersion"] for package in packages),
        )


@pytest.fixture(scope="module")
def cluster(targets_image: str) -> Iterator[Cluster]:
    if not KUBEFLOW.exists():
        pytest.skip("Kubeflow's SDK is not here: make kubeflow installs it in .venv-kubeflow")
    with TemporaryDirectory(prefix="retraining-test-") as name:
        cluster = Cluster(Path(name, "pipelines"), Path(name, "volume"))
        cluster.pipelines.mkdir()
        cluster.volume.mkdir()
        compiled = kubeflow("compile", "--image", targets_image, "--into", str(cluster.pipelines))
        assert compiled.returncode == 0, compiled.stderr
        yield cluster


@pytest.fixture(scope="module")
def nights(cluster: Cluster, world: Path) -> dict[str, Night]:
    """The nights of the embedded runs, on the same files; after the first one a person approves, as in any store."""
    folder = cluster.volume / "nba"
    shutil.copytree(world / "games", folder / "data")
    shutil.copytree(world / "events", folder / "events")
    found = {}
    for decision, given in NIGHTS_WITHOUT_SPARK.items():
        found[decision] = cluster.run("nba", {**SMALL, "TriggerReason": REASON, **given})
        if decision == "registered":
            approved = ours("scripts.review_model", "approve", "--store", str(folder / "store"))
            assert approved.returncode == 0, approved.stderr
    return found


def evaluation(store: Path, execution_id: str) -> dict[str, Any]:
    """What a run evaluated, without the versions of Python and the packages."""
    path = store / "objects/artifacts/runs" / execution_id / "evaluate/evaluation/evaluation.json"
    return {name: value for name, value in json.loads(path.read_bytes()).items() if name != "versions"}


def predictions(store: Path) -> bytes:
    return (store / "objects/artifacts/predictions/predictions.csv").read_bytes()


def steps(found: list[dict[str, Any]]) -> dict[str, tuple[str, bool | None]]:
    """Status and outcome of each; how play-by-play is aggregated differs, and what it says is the same."""
    kept = [step for step in found if "Aggregate" not in step["name"] and step["name"] != "NoSpark"]
    return {step["name"]: (step["status"], step["outcome"]) for step in kept}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("decision", NIGHTS)
def test_each_outcome_is_that_of_the_embedded_run(
    nights: dict[str, Night], embedded: Nights, cluster: Cluster, decision: str
) -> None:
    night, expected = nights[decision], embedded.printed[decision]
    assert decide(night.record) == expected["decision"] == decision, night.log
    assert steps([vars(step) for step in night.record.steps]) == steps(expected["steps"])
    assert night.versions == (1,)  # registered by the first night, and by no other
    if decision == "failed":
        assert night.record.failure
        assert night.record.failure.reason == expected["failure"]["reason"]
        assert f"QualityGateFailed failed: {expected['failure']['reason']}" in " ".join(night.log.split())
    else:
        assert night.record.status == "Succeeded"


@pytest.mark.timeout(900)
def test_numbers_are_those_of_the_embedded_runs(nights: dict[str, Night], embedded: Nights, cluster: Cluster) -> None:
    store = cluster.store("nba")
    first, theirs = nights["registered"].record.execution_id, embedded.printed["registered"]["execution_id"]
    assert evaluation(store.root, first) == evaluation(embedded.store, theirs)
    assert predictions(store.root) == predictions(embedded.store)  # the approved champion's
    marker = "objects/artifacts/evaluated/last_evaluated.json"
    assert (
        json.loads((store.root / marker).read_bytes())["summary"] == embedded.printed["champion-kept"]["last_evaluated"]
    )
    assert read_champion(store, "artifacts")["version"] == 1
    assert [step.status for step in nights["registered"].record.steps if step.name == "Aggregate"] == ["Succeeded"]


@pytest.mark.timeout(900)
def test_another_workload(cluster: Cluster, tmp_path: Path) -> None:
    given = {"AsOfDate": "2023-10-01", "WalkForwardRows": "1500", "MaxRelativeBias": "0.3"}
    data = cluster.volume / "bike_demand" / "data"
    write_rentals(data, date(2023, 10, 1))
    chosen = [f"--param={name}={value}" for name, value in given.items()]
    here = ["--workload=bike_demand", f"--data={data}", f"--store={tmp_path / 'store'}", "--json", *chosen]
    expected = outcome(ours("scripts.run_local", *here))
    night = cluster.run("bike_demand", given)
    assert decide(night.record) == expected["decision"] == "registered", night.log
    assert night.versions == (1,)
    store = cluster.store("bike_demand").root
    ids = night.record.execution_id, expected["execution_id"]
    assert evaluation(store, ids[0]) == evaluation(tmp_path / "store", ids[1])
    assert predictions(store) == predictions(tmp_path / "store")
