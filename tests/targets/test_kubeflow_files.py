"""The committed pipelines for Kubeflow and the program of their tasks, without containers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipeline.contract.workload import read_definition
from pipeline.local.local_deployment import ROOT
from pipeline.local.plan.parameters import PlanError
from pipeline.local.plan.plan import Branch
from pipeline.local.store.history import HISTORY_FILE, read_history
from pipeline.local.store.run_record import load_run
from pipeline.local.store.store import Store
from pipeline.workloads.nba.sample import write
from targets.graph import tasks_of, unbound_plan
from targets.kubeflow.__main__ import HERE, main
from targets.step import first_record

KUBEFLOW = ROOT / ".venv-kubeflow" / "bin" / "python"


def test_a_task_is_inside_the_conditions_of_what_it_reads() -> None:
    tasks = {task.step.name: task for task in tasks_of(unbound_plan(read_definition("nba")))}
    news = Branch("HasNewData", True)
    assert {name: task.branches for name, task in tasks.items()} == {
        "Prepare": (),
        "Predict": (),
        "Train": (news,),
        "Evaluate": (news,),
        "QualityGateFailed": (news, Branch("QualityGate", False)),
        "Register": (news, Branch("BeatsChampion", True)),
        "Aggregate": (Branch("NoAggregate", False),),
    }
    assert [step.name for step in tasks["Evaluate"].decides] == ["QualityGate", "BeatsChampion"]
    assert [(item.step, item.name) for item in tasks["Register"].inputs] == [
        ("Evaluate", "evaluation"),
        ("Train", "model"),
    ]


def test_check_notices_an_edit_and_the_file_of_another_workload(tmp_path: Path) -> None:
    check = ["compile", "--check", "--into", str(tmp_path)]
    for path in HERE.glob("*.yaml"):
        shutil.copyfile(path, tmp_path / path.name)
    assert CliRunner().invoke(main, check).exit_code == 0
    edited = (HERE / "churn.yaml").read_text(encoding="utf-8").replace("== 'true'", "== 'false'")
    (tmp_path / "churn.yaml").write_text(edited, encoding="utf-8")
    shutil.copyfile(HERE / "churn.yaml", tmp_path / "bike_demand.yaml")  # whose tasks have the same names
    refused = CliRunner().invoke(main, check)
    assert refused.exit_code == 1
    assert "bike_demand.yaml, churn.yaml not current: run make kubeflow" in refused.output


def test_compiling_gives_the_committed_files(tmp_path: Path) -> None:
    if not KUBEFLOW.exists():
        pytest.skip("Kubeflow's SDK is not here: make kubeflow installs it in .venv-kubeflow")
    tmp_path /= "files"  # which is not there yet
    subprocess.run([str(KUBEFLOW), "-m", "targets.kubeflow", "compile", "--into", str(tmp_path)], cwd=ROOT, check=True)
    committed = {path.name: path.read_bytes() for path in HERE.glob("*.yaml")}
    assert {"bike_demand.yaml", "churn.yaml", "nba.yaml"} <= set(committed)
    assert {name: (tmp_path / name).read_bytes() for name in committed} == committed


@pytest.mark.parametrize("path", sorted(HERE.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_cluster_understands_what_the_local_runner_does(path: Path) -> None:
    """A command has placeholders of KFP's launcher only (launcher_v2.go, getPlaceholders); no task may be cached."""
    pipeline, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    executors = pipeline["deploymentSpec"]["executors"]
    known = (
        r"\{\{\$(\.inputs\.parameters\['\w+'\]|\.(in|out)puts\.artifacts\['\w+'\]\.path|"
        r"\.outputs\.parameters\['\w+'\]\.output_file)?\}\}"
    )
    for executor in executors.values():
        given = [part for part in executor["container"]["args"] if "{{" in part]
        assert given
        assert all(re.fullmatch(known, part) for part in given)
    dags = [pipeline["root"]["dag"], *(c["dag"] for c in pipeline["components"].values() if "dag" in c)]
    tasks = [task for dag in dags for task in dag["tasks"].values() if "triggerPolicy" not in task]
    assert [task["cachingOptions"] for task in tasks] == [{}] * len(executors)
    assert set(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) == set(executors)


def step(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = [name, "--workload=nba", "--run=r1", f"--folder={folder}", *arguments]
    command = [sys.executable, "-m", "targets.step", *given]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_cannot_run_in_a_task_fails_with_its_reason(tmp_path: Path) -> None:
    """A Spark step that is chosen; then a step that the engine starts although nothing was decided, or not at all."""
    write(tmp_path / "data", date(2025, 3, 1))
    shutil.copytree(tmp_path / "data", tmp_path / "events")  # what is in it is not read
    decided = tmp_path / "decided"
    given = json.dumps({"AggregateInstanceCount": 2, "AsOfDate": "2025-03-01"})
    refused = step(tmp_path, "Prepare", "--parameters", given, "--decide", "Output", str(decided))
    reason = "AggregateOnSpark needs another image and does not run here: NoSpark must not lead to it"
    assert (refused.returncode, decided.exists()) == (1, False)
    assert f"AggregateOnSpark failed: {reason}" in refused.stderr
    run = load_run(Store(tmp_path / "store"), "r1")
    assert run.failure and (run.status, run.failure.reason) == ("Failed", reason)
    entries, _ = read_history(Store(tmp_path / "store"))
    assert (entries["r1"].status, (tmp_path / "store" / HISTORY_FILE).exists()) == ("Failed", True)
    late = step(tmp_path, "Train")
    assert (late.returncode, "stopped because step AggregateOnSpark failed" in late.stderr) == (1, True)


@pytest.mark.parametrize("given", ["[]", "null", "5", "{"])
def test_parameters_that_are_no_object_are_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(PlanError, match="is not a JSON object"):
        first_record(Store(tmp_path / "store"), "nba", "r1", tmp_path, given)


def test_a_task_that_was_not_decided_on_does_nothing(tmp_path: Path) -> None:
    write(tmp_path / "data", date(2025, 3, 1))
    assert "there is no run r1" in step(tmp_path, "Register").stderr
    assert step(tmp_path, "Prepare", "--parameters", '{"AsOfDate": "2025-03-01"}').returncode == 0
    early = step(tmp_path, "Register")
    assert (early.returncode, "Register was not to run" in early.stderr) == (1, True)
    assert not list((tmp_path / "store" / "registry").glob("*/*.json"))
