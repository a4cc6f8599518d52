"""Runs, versions and the champion in MLflow: its real server, read back through its client and by a foreign process."""

from __future__ import annotations

import csv
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from emulated_pipeline import BUCKET, CONSTANTS, GROUP, PIPELINE, emulated
from local_runs import Command, run_command, run_local
from sagemaker_emulation import REGION
from sagemaker_emulation import Run as CloudRun

from pipeline.training.artifact import read_artifact
from pipeline.training.model import predict, predict_quantiles
from pipeline.training.training_sets import feature_matrix
from scripts.review_model import main as review_model
from scripts.runs import main as runs
from scripts.tracking import record as recording
from scripts.tracking.page import address, server

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

NBA, BIKES = "nba-home-win-local", "bike-demand-simulated"
QUICK = ("ApprovalStatus=Approved", "WalkForwardRows=1400", "MinEvaluatedRows=700", "BoostingRounds=10")
LOAD = """
import json, os, sys
import mlflow, pandas as pd
for name, rows in json.load(sys.stdin).items():
    model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    example, answer = model.input_example, model.predict(pd.DataFrame(rows))
    assert len(model.predict(example)) == len(example)
    assert [column.name for column in model.metadata.signature.outputs] == list(answer)
    print(json.dumps({"from": sys.modules["pipeline"].__file__, **answer.to_dict("list")}))
"""


@dataclass(frozen=True)
class Tracker:
    """MLflow's server, and the commands that write to it."""

    uri: str

    @property
    def client(self) -> MlflowClient:
        from mlflow.tracking import MlflowClient  # two seconds, which only these tests should cost

        return MlflowClient(self.uri, self.uri)

    def export(self, store: Path, *arguments: str) -> dict[str, Any]:
        """What `export-mlflow` did."""
        options = ["--mlflow", self.uri, "--store", str(store), "--json"]
        done = CliRunner().invoke(runs, ["export-mlflow", *options, *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    def runs(self, experiment: str) -> list[Run]:
        """The runs of an experiment, oldest first."""
        found = self.client.get_experiment_by_name(experiment)
        assert found
        return list(reversed(self.client.search_runs([found.experiment_id], run_view_type=3)))  # deleted ones too

    def champion(self, name: str) -> str | None:
        """The version of ours that has the alias."""
        alias = self.client.get_registered_model(name).aliases.get("champion")
        return self.client.get_model_version(name, str(alias)).tags["package_version"] if alias else None


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    with server(tmp_path_factory.mktemp("mlflow"), port := free_port()):
        yield Tracker(address(port))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Candidates:
    """A store with two versions that were registered while there was no tracker; version 1 was approved between."""

    store: Path
    first: Command


@pytest.fixture(scope="module")
def nba(root: Path, tmp_path_factory: pytest.TempPathFactory, league: Path, new_store: Callable[[Path], Path]) -> Any:
    store = new_store(tmp_path_factory.mktemp("nba") / "store")
    first = run_local(root, store, league, "--mlflow", f"http://me:secret@127.0.0.1:{free_port()}", MaxDepth="2")
    decide(store, "approve", 1)
    second = run_local(root, store, league, MaxDepth="3", MinImprovement="-1")
    assert [done.json["decision"] for done in (first, second)] == ["registered"] * 2, second.err
    return Candidates(store, first)


def decide(store: Path, verb: str, version: int) -> None:
    arguments = [verb, "--version", str(version), "--reason", f"{verb} it", "--store", str(store)]
    done = CliRunner().invoke(review_model, arguments, env={"MLFLOW_TRACKING_URI": None})
    assert done.exit_code == 0, done.output


def batch(store: Path) -> list[dict[str, str]]:
    """What Predict wrote last."""
    with (store / "objects/artifacts/predictions/predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_tracker_that_is_not_there_is_a_warning_that_names_the_remedy(nba: Candidates) -> None:
    assert nba.first.code == 0
    (warning,) = [line for line in nba.first.err.splitlines() if line.startswith("warning: ")]
    run = nba.first.json["execution_id"]
    assert f"run {run} is not in MLflow at http://127.0.0.1:" in warning
    assert f"python -m scripts.runs export-mlflow --store {nba.store} --run {run}" in warning
    assert "secret" not in nba.first.err


def test_a_tracker_that_does_not_answer_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        recording.record(f"http://me:secret@127.0.0.1:{port}", ["--store", "a b"], "run a", timeout=0.05)
    said = capsys.readouterr().err
    assert f"run a is not in MLflow at http://127.0.0.1:{port} (no answer after 0.05 s)" in said
    assert "export-mlflow --store 'a b'" in said


def test_another_program_on_the_port_is_not_taken_for_the_page(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(click.ClickException, match=f"port {port} of this machine is in use"),
            server(tmp_path, port),
        ):
            pass
    assert [*tmp_path.iterdir()] == []


def test_without_the_package_the_remedy_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recording.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(recording, "OWN_PYTHON", tmp_path / "python")
    recording.record("http://127.0.0.1:9", [], "run a")
    assert "MLflow is not installed: make mlflow" in capsys.readouterr().err
    recording.record(None, [], "run a")
    assert capsys.readouterr().err == ""


def test_an_export_catches_up_and_may_be_repeated(tracker: Tracker, nba: Candidates) -> None:
    """All that a run is, from the client."""
    done = tracker.export(nba.store)
    assert (len(done["runs"]), done["versions"], done["champion"]) == (2, ["1", "2"], 1)
    assert tracker.champion(NBA) == "1"
    again = tracker.export(nba.store)
    assert (again["runs"], again["versions"]) == ([], [])
    found = tracker.runs(NBA)
    assert len(found) == 2
    for number, run in enumerate(found, 1):
        record = json.loads((nba.store / "runs" / run.info.run_name / "run.json").read_text(encoding="utf-8"))
        assert run.data.params == {key: str(value) for key, value in record["parameters"].items()}
        evaluation = nba.store / "objects/artifacts/runs" / run.info.run_name / "evaluate/evaluation/evaluation.json"
        judged = json.loads(evaluation.read_text(encoding="utf-8"))
        for who in ("candidate", "baseline"):
            for key, value in judged["metrics"][who].items():
                assert run.data.metrics[f"{who}/{key}"] == pytest.approx(value)
        assert run.data.metrics["difference/mean"] == pytest.approx(judged["comparison"]["difference"]["mean"])
        wanted = {
            "execution_id": run.info.run_name,
            "trigger": record["parameters"]["TriggerReason"],
            "fingerprint": judged["fingerprint"],
            "git_revision": record["constants"]["GitRevision"],
            "definition_hash": record["constants"]["DefinitionHash"],
            "code_version": record["constants"]["CodeVersion"],
            "workload": "nba",
            "decision": "registered",
            "package_version": str(number),
        }
        assert {key: run.data.tags.get(key) for key in wanted} == wanted
        assert (run.info.status, run.info.end_time) == ("FINISHED", int(record["ended_at"] * 1000))
        kept = {entry.path for entry in tracker.client.list_artifacts(run.info.run_id)}
        assert {"evaluation.json", "report.html", "run.json", "model"} <= kept


def test_what_was_interrupted_is_done_again_and_what_was_deleted_stays_deleted(
    tracker: Tracker, nba: Candidates
) -> None:
    first, second = tracker.runs(NBA)
    tracker.client.delete_tag(first.info.run_id, "exported_state")
    assert tracker.export(nba.store)["runs"] == [first.info.run_name]
    assert [run.info.run_id for run in tracker.runs(NBA)] == [first.info.run_id, second.info.run_id]
    tracker.client.delete_run(second.info.run_id)
    assert tracker.export(nba.store)["runs"] == []
    tracker.client.restore_run(second.info.run_id)


def test_the_alias_follows_promotion_and_roll_back(tracker: Tracker, nba: Candidates) -> None:
    chosen = ["--version", "2", "--reason", "deeper", "--store", str(nba.store)]
    away = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    done = CliRunner().invoke(review_model, ["approve", *chosen], env=away)
    assert (done.exit_code, "version 2 is approved and is now the champion" in done.output) == (0, True)
    assert "the decision about version 2 is not in MLflow" in done.stderr
    remedy = shlex.split(done.stderr.partition("export-mlflow ")[2])
    assert tracker.export(nba.store, *remedy)["champion"] == 2
    assert tracker.champion(NBA) == "2"
    approvals = {v.tags["package_version"]: v.tags["approval"] for v in tracker.client.search_model_versions()}
    assert approvals == {"1": "Approved approve it", "2": "Approved deeper"}
    for verb, version, champion in (("reject", 2, "1"), ("reject", 1, None), ("approve", 1, "1")):
        decide(nba.store, verb, version)
        tracker.export(nba.store, *remedy)
        assert tracker.champion(NBA) == champion


def test_a_loaded_model_gives_the_batch_predictions(
    root: Path, tracker: Tracker, nba: Candidates, tmp_path: Path, new_store: Callable[[Path], Path]
) -> None:
    """In a process that has neither this folder nor the store, from the models' own files."""
    bikes = new_store(tmp_path / "bikes")
    chosen = ["--workload", "bike_demand", "--store", str(bikes), "--quiet"]
    chosen += [part for setting in QUICK for part in ("--param", setting)]
    rode = run_command(root, tmp_path, "scripts.run_local", *chosen, "--mlflow", tracker.uri)
    assert (rode.code, "warning" in rode.err) == (0, False), rode.err
    assert [run.data.tags["decision"] for run in tracker.runs(BIKES)] == ["registered"]

    games = batch(nba.store)
    assert {row["model"] for row in games} == {"champion"}
    asked = {NBA: [{key: row[key] for key in ("game_id", "date", "home_team", "away_team")} for row in games]}
    (upcoming,) = (bikes / "objects/artifacts/runs").rglob("upcoming.parquet")
    hours = pq.read_table(upcoming)
    columns = [name for name in hours.column_names if name not in ("row_id", "time", "target")]
    asked[BIKES] = [
        {"hour": str(hour), **{k: v for k, v in row.items() if v is not None}}
        for hour, row in zip(hours["time"].to_pylist(), hours.select(columns).to_pylist(), strict=True)
    ]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "WORKLOAD")}
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=tmp_path,
        env={**environment, "MLFLOW_TRACKING_URI": tracker.uri, "MLFLOW_LOGGING_LEVEL": "ERROR"},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr[-3000:]
    of_games, of_hours = (json.loads(line) for line in loaded.stdout.splitlines() if line.startswith("{"))
    assert not of_games["from"].startswith(str(root))
    assert of_games["home_win_probability"] == pytest.approx(
        [float(g["home_win_probability"]) for g in games], abs=5e-5
    )
    (archive,) = (bikes / "objects/artifacts/champion").rglob("model.tar.gz")
    model, matrix = read_artifact(archive), feature_matrix(hours)  # what Predict does with them
    assert of_hours["rentals_forecast"] == pytest.approx(predict(model.booster, matrix))
    assert model.quantile_booster
    for name, values in zip(
        ("quantile_10", "quantile_90"), predict_quantiles(model.quantile_booster, matrix).T, strict=True
    ):
        assert of_hours[name] == pytest.approx(values)


def test_runs_of_the_cloud_are_exported_by_the_same_command(
    root: Path, tracker: Tracker, nba: Candidates, tmp_path: Path, definition: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the local run of version 1 wrote, in an emulated account: jobs, files, version and champion."""
    record = json.loads((nba.store / "runs" / nba.first.json["execution_id"] / "run.json").read_text(encoding="utf-8"))
    steps = {step["name"]: step for step in record["steps"]}
    package = json.loads((nba.store / "registry/model/1.json").read_text(encoding="utf-8"))
    with emulated(root, tmp_path, definition) as cloud:
        sagemaker, s3 = cloud.client("sagemaker"), cloud.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        objects = nba.store / "objects" / BUCKET
        for uri in (uri for step in steps.values() for uri in step["outputs"]):
            s3.upload_file(str(objects / (key := uri.removeprefix(f"s3://{BUCKET}/"))), BUCKET, key)
        s3.put_object(Bucket=BUCKET, Key="champion/champion.json", Body=b'{"version": 1}')
        chosen = [{"Name": "TriggerReason", "Value": "schedule"}]
        started = sagemaker.start_pipeline_execution(PipelineName=PIPELINE, PipelineParameters=chosen)
        run = CloudRun(started["PipelineExecutionArn"])
        known = sagemaker.meta.service_model.operation_model("CreateProcessingJob").input_shape.members
        for name in ("Prepare", "Evaluate"):
            job = {key: value for key, value in steps[name]["properties"].items() if key in known}
            job["RoleArn"] = CONSTANTS["ExecutionRoleArn"]
            made = sagemaker.create_processing_job(**job)["ProcessingJobArn"]
            run.step(name, "Succeeded", seconds=60, Metadata={"ProcessingJob": {"Arn": made}})
        sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
        given = {key: package[key] for key in ("ModelPackageDescription", "InferenceSpecification")}
        version = sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={**package["CustomerMetadataProperties"], "execution": run.arn},
            **given,
        )["ModelPackageArn"]
        run.step("HasNewData", "Succeeded", seconds=1, Metadata={"Condition": {"Outcome": "True"}})
        run.step("Register", "Succeeded", seconds=2, Metadata={"RegisterModel": {"Arn": version}})
        run.end("Succeeded")
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        command = ["export-mlflow", "--aws", "--pipeline", PIPELINE, "--mlflow", tracker.uri]
        done = [CliRunner().invoke(runs, command) for _ in range(2)]
    assert [one.exit_code for one in done] == [0, 0], done[0].output
    assert "1 runs and 1 versions written; version 1 is the champion" in done[0].stdout
    assert "0 runs and 0 versions written" in done[1].stdout
    (there,) = tracker.runs(PIPELINE)
    (local, _, *_) = tracker.runs(NBA)
    assert there.data.params == {"TriggerReason": "schedule"}
    same = ("fingerprint", "git_revision", "definition_hash", "decision", "package_version", "as_of_date")
    assert {key: there.data.tags[key] for key in same} == {key: local.data.tags[key] for key in same}
    assert there.data.metrics["candidate/log_loss"] == local.data.metrics["candidate/log_loss"]
    assert there.data.metrics["seconds/Evaluate"] == 60
    assert tracker.champion(GROUP) == "1"


def test_a_run_that_there_is_not_is_said(tracker: Tracker, nba: Candidates) -> None:
    chosen = ["--store", str(nba.store), "--run", "nosuch"]
    done = CliRunner().invoke(runs, ["export-mlflow", "--mlflow", tracker.uri, *chosen])
    assert (done.exit_code, "warning: no run nosuch has ended here" in done.stderr) == (1, True)


def test_a_damaged_artifact_costs_its_model_only(tracker: Tracker, nba: Candidates) -> None:
    run = tracker.runs(NBA)[0]
    (archive,) = (nba.store / "objects/artifacts/runs" / run.info.run_name).rglob("model.tar.gz")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-9] + b"x" * 9)
    chosen = ["--store", str(nba.store), "--experiment", "other", "--run", run.info.run_name]
    done = CliRunner().invoke(runs, ["export-mlflow", "--mlflow", tracker.uri, *chosen])
    archive.write_bytes(whole)
    assert done.exit_code == 1
    assert f"run {run.info.run_name} is there without its model" in done.stderr
    (there,) = tracker.runs("other")
    assert there.data.tags["decision"] == "registered"
    assert tracker.client.search_model_versions("name = 'other'") == []
