"""The whole pipeline through the command line, in child processes, on a small simulated league."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from local_runs import SMALL, Command, run_command, run_local, start_local
from model_card_schema import refusals

from pipeline.contract.workload import load_spec
from pipeline.local import local_deployment
from pipeline.local.store.registry import LocalRegistry, RegistryError
from pipeline.local.store.run_record import RunResult
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError
from scripts.run_local import retrain

METRICS = {"log_loss", "brier", "accuracy", "roc_auc", "calibration_error", "n_rows"}
JOBS = ("Prepare", "Predict", "Train", "Evaluate")

REASON = 'drift, again: "50 %"'  # not in the characters of a model package's metadata


@pytest.fixture(scope="session")
def first(
    root: Path, league: Path, tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], Path]
) -> tuple[Path, Command]:
    """The first run on an empty store."""
    store = new_store(tmp_path_factory.mktemp("first") / "store")
    return store, run_local(root, store, league, TriggerReason=REASON)


@pytest.fixture
def store(first: tuple[Path, Command], tmp_path: Path) -> Path:
    """A copy of the store after the first run, for a test to go on with."""
    return shutil.copytree(first[0], tmp_path / "store", symlinks=True)


@pytest.fixture
def approved(root: Path, store: Path) -> Path:
    """The same after the approval of version 1."""
    done = run_command(root, store, "scripts.review_model", "approve", "--version", "1", "--store", str(store))
    assert done.code == 0, done.err
    assert "version 1 is approved and is now the champion" in done.out
    return store


def statuses(outcome: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in outcome["steps"]}


def outcomes(outcome: dict[str, Any]) -> dict[str, bool]:
    """What each condition found."""
    return {step["name"]: step["outcome"] for step in outcome["steps"] if step["outcome"] is not None}


def predictions(outcome: dict[str, Any]) -> list[dict[str, str]]:
    with Path(outcome["predictions"]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def prepared_reason(store: Path, outcome: dict[str, Any]) -> str:
    """Why a run trained, or did not."""
    run = store / "objects" / "artifacts" / "runs" / outcome["execution_id"]
    return str(json.loads((run / "prepare" / "report" / "prepared.json").read_text(encoding="utf-8"))["reason"])


def test_first_run_registers_version_1_for_approval(first: tuple[Path, Command]) -> None:
    store, done = first
    assert done.code == 0, done.err
    outcome = done.json
    assert (outcome["status"], outcome["decision"]) == ("Succeeded", "registered")
    assert outcome["reason"].startswith("there is no champion yet")
    package = outcome["model_package"]
    assert (package["version"], package["approval_status"]) == (1, "PendingManualApproval")
    scored = {name: set(values) for name, values in outcome["metrics"].items() if values}
    assert scored == dict.fromkeys(("candidate", "baseline", "constant"), METRICS)
    assert outcome["metrics"]["candidate"]["n_rows"] == 600
    assert outcome["metrics"]["candidate"]["log_loss"] < outcome["metrics"]["constant"]["log_loss"]
    assert Path(outcome["report"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    page = Path(outcome["model_card"]).read_text(encoding="utf-8")
    assert "<title>Model card: model, version 1</title>" in page
    package = json.loads((store / "registry" / "model" / "1.json").read_text(encoding="utf-8"))
    assert refusals(package["ModelCard"]) == []
    monitor = outcome["monitor"]
    assert monitor["summary"] == "simulated games: no alarm; no version is approved yet"
    assert monitor["alarms"] == []
    assert "too early to judge the champion" in Path(monitor["report"]).read_text(encoding="utf-8")
    assert outcome["failure"] is None
    assert statuses(outcome)["QualityGateFailed"] == "Skipped"
    conditions = ("HasNewData", "QualityGate", "BeatsChampion", "NoAggregate", "NoSpark")
    assert outcomes(outcome) == dict.fromkeys(conditions, True)
    lineage = package["CustomerMetadataProperties"]
    assert float(lineage["loss"]) == outcome["metrics"]["candidate"]["log_loss"]
    assert len(lineage["fingerprint"]) == len(lineage["definition_hash"]) == 64
    assert lineage["trigger"] == "drift again: 50", "in the characters that the registry takes"
    assert lineage["training_instances"] == "1"
    assert outcome["execution_id"] in lineage["execution"]


def test_first_run_predicts_every_unplayed_game_with_elo(first: tuple[Path, Command], league: Path) -> None:
    rows = predictions(first[1].json)
    unplayed = [row for path in league.glob("*.csv") for row in csv.DictReader(path.open()) if not row["home_points"]]
    assert len(rows) == len(unplayed) > 0
    columns = "game_id date home_team away_team home_win_probability model champion_version as_of_date"
    assert set(rows[0]) == set(columns.split())
    assert {(row["model"], row["champion_version"], row["as_of_date"]) for row in rows} == {
        ("fallback", "none", "2025-03-01")
    }
    assert all(0 < float(row["home_win_probability"]) < 1 for row in rows)


def test_same_data_again_is_no_news_and_the_champion_predicts(root: Path, approved: Path, league: Path) -> None:
    done = run_local(root, approved, league)
    assert done.code == 0
    assert done.json["decision"] == "no-new-data"
    left_out = {name for name, status in statuses(done.json).items() if status == "Skipped"}
    never = {"Train", "Evaluate", "QualityGate", "QualityGateFailed", "BeatsChampion", "Register"}
    assert left_out == {*never, "Aggregate", "AggregateOnSpark"}, "what reads Evaluate's numbers never starts either"
    assert outcomes(done.json) == {"HasNewData": False, "NoAggregate": True, "NoSpark": True}
    assert {(row["model"], row["champion_version"]) for row in predictions(done.json)} == {("champion", "1")}
    assert done.json["monitor"]["summary"].endswith(
        "0 games since its cut-off are too few to judge version 1 (at least 50)"
    )
    again = run_local(root, approved, league)
    assert all(step["cached"] for step in again.json["steps"] if step["name"] in ("Prepare", "Predict"))


def test_more_games_are_compared_with_the_champion(root: Path, approved: Path, later_league: Path) -> None:
    waiting = run_local(root, approved, later_league, AsOfDate="2025-03-20", TriggerReason="schedule").json
    assert waiting["decision"] == "no-new-data"
    assert "the last training was 19 days ago, and a run started by schedule waits 30" in waiting["reason"]
    assert {row["model"] for row in predictions(waiting)} == {"champion"}, "fresh state needs no fresh weights"
    done = run_local(root, approved, later_league, AsOfDate="2025-03-20")
    outcome = done.json
    assert outcome["decision"] == "champion-kept"
    assert (outcomes(outcome)["QualityGate"], outcomes(outcome)["BeatsChampion"]) == (True, False)
    assert statuses(outcome)["Register"] == "Skipped"
    assert "only 19 days old" in outcome["reason"]
    comparison = outcome["comparison"]
    assert comparison["champion_version"] == "1"
    assert comparison["n_rows"] == 600
    assert comparison["last_date"] == "2025-03-19"
    assert outcome["metrics"]["champion"]["n_rows"] == 600
    old = run_local(root, approved, later_league, AsOfDate="2025-04-05").json
    assert old["decision"] == "registered"
    assert "35 days old" in old["reason"]
    assert old["model_package"]["version"] == 2


def test_as_of_date_hides_later_scores(root: Path, store: Path, league: Path, later_league: Path) -> None:
    """A run as of March 1 on data that know the weeks after it gives the candidate of that morning's data."""
    morning = run_local(root, store, league, ForceTraining="yes").json
    later = run_local(root, store, later_league, ForceTraining="yes").json
    assert later["data"]["n_labels_hidden"] > 100
    assert later["metrics"] == morning["metrics"]
    assert later["data"]["last_labelled_date"] == "2025-02-28"


def test_forced_training_on_known_data_is_cached(root: Path, store: Path, league: Path) -> None:
    run_local(root, store, league, ForceTraining="yes", TriggerReason=REASON)
    again = run_local(root, store, league, ForceTraining="yes", TriggerReason=REASON)
    cached = {step["name"]: step["cached"] for step in again.json["steps"] if step["name"] in JOBS}
    assert cached == dict.fromkeys(JOBS, True)


def test_gate_fails_the_run_and_names_metric_value_and_limit(
    root: Path, tmp_path: Path, league: Path, new_store: Callable[[Path], Path]
) -> None:
    store = new_store(tmp_path / "store")
    done = run_local(root, store, league, MaxLogLoss="0.5")
    assert done.code == 1
    outcome = done.json
    assert (outcome["status"], outcome["decision"]) == ("Failed", "failed")
    assert outcome["failure"]["step"] == "QualityGateFailed"
    assert (outcomes(outcome)["QualityGate"], outcomes(outcome)["BeatsChampion"]) == (False, False)
    value = outcome["metrics"]["candidate"]["log_loss"]
    broken = outcome["failure"]["reason"].removeprefix("The candidate is below the quality limits: ")
    assert broken.startswith(f"log loss {value:.4g} is above the limit 0.5 (MaxLogLoss)")
    assert outcome["model_package"] is None
    assert Path(outcome["report"]).is_file()
    assert "--resume" not in done.err, "the same gate would say the same"
    again = run_local(root, store, league, MaxLogLoss="0.5")
    assert again.json["decision"] == "no-new-data", "a run later, nothing is trained for the same failure again"
    assert again.json["reason"].endswith(f"was below the quality limits: {broken}")
    assert "run the command again with another value of the named parameter: --param NAME=VALUE" in done.err
    accepted = run_local(root, store, league)
    assert accepted.json["decision"] == "registered", "what the advice says, works"
    assert "would be today" in prepared_reason(store, accepted.json)


def test_a_candidate_whose_registration_failed_is_found_again_the_next_night(
    tmp_path: Path, league: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], Path]
) -> None:
    store = new_store(tmp_path / "new")

    def retrain_here(**parameters: str) -> RunResult:
        result, _ = retrain(data=league, store=store, parameters={**SMALL, **parameters}, quiet=True)
        return result

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as refusing:
        refusing.setattr(LocalRegistry, "register", refuse)
        failed = retrain_here()
    assert (failed.status, failed.failure and failed.failure.step) == ("Failed", "Register")
    assert not (tmp_path / "new/objects/artifacts/evaluated/registered.json").exists()
    scheduled = retrain_here(TriggerReason="schedule")
    assert scheduled.step("HasNewData").outcome is True, "not before the registry has it"
    assert scheduled.step("Register").status == "Succeeded"
    assert retrain_here(TriggerReason="schedule").step("HasNewData").outcome is False


def refuse(*_: object) -> None:
    raise RegistryError("AccessDeniedException: not authorized to perform: sagemaker:CreateModelPackage")


def test_a_run_killed_after_registering_is_made_up_for_by_the_next(root: Path, store: Path, league: Path) -> None:
    """Else the next run would register the same candidate twice."""
    noted = store / "objects/artifacts/evaluated/registered.json"
    content = noted.read_text(encoding="utf-8")
    noted.unlink()
    assert run_local(root, store, league).json["decision"] == "no-new-data"
    assert noted.read_text(encoding="utf-8") == content


def test_bad_data_fails_with_file_and_reason_and_resume_takes_mended_data(
    root: Path, tmp_path: Path, league: Path, new_store: Callable[[Path], Path]
) -> None:
    data = shutil.copytree(league, tmp_path / "games")
    broken = data / "broken.csv"
    broken.write_text("date,season,home_team,away_team,home_points\n2025-01-01,2025,SIM01,SIM02,99\n")
    done = run_local(root, new_store(tmp_path / "store"), data)
    assert done.code == 1
    assert done.json["failure"]["step"] == "Prepare"
    assert "broken.csv" in done.json["failure"]["reason"]
    assert "away_points" in done.json["failure"]["reason"]
    assert "Traceback" not in done.err
    broken.unlink()
    (command,) = [line for line in done.err.splitlines() if "--resume" in line]
    arguments = command.split(" -m scripts.run_local ")[1].split()
    resumed = run_command(root, tmp_path, "scripts.run_local", *arguments, "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["execution_id"] == done.json["execution_id"]
    assert resumed.json["decision"] == "registered"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--param", "MaxDeph=2"), 'there is no parameter "MaxDeph"; did you mean "MaxDepth"?'),
        (("--param", "MaxDepth=deep"), 'parameter "MaxDepth" is of type Integer'),
        (("--param", "ApprovalStatus=Perhaps"), "PendingManualApproval"),
        (("--param", "ForceTraining=true"), "parameter \"ForceTraining\" is one of no, yes, not 'true'"),
        (("--param", "MaxDepth"), "is not NAME=VALUE"),
        (("--data", "nowhere"), "nowhere"),
        (("--resume", "0123456789ab"), "there is no run 0123456789ab"),
        (("--resume", "0123456789ab", "--param", "MaxDepth=2"), "omit --param"),
        (("--frobnicate",), "--frobnicate"),
    ],
)
def test_bad_usage_is_refused_with_what_there_is(
    root: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = run_command(root, tmp_path, "scripts.run_local", "--store", str(tmp_path / "store"), *arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    if "parameter" in words:
        assert "MaxChampionAgeDays" in done.err, "the list of what exists"


def test_a_hyperparameter_out_of_range_fails_the_step_by_name(
    root: Path, tmp_path: Path, league: Path, new_store: Callable[[Path], Path]
) -> None:
    done = run_local(root, new_store(tmp_path / "store"), league, MaxDepth="99")
    assert done.code == 1
    reason = 'hyperparameter max_depth "99" is not a whole number from 1 to 10'
    assert done.json["failure"] == {"step": "Train", "reason": reason}


def test_simulated_and_given_games_do_not_share_a_store(root: Path, store: Path) -> None:
    done = run_command(root, store, "scripts.run_local", "--store", str(store))
    assert done.code == 2
    assert "cannot be compared with simulated rows of nba" in done.err


def test_another_word_for_the_rows_leaves_the_store_to_its_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.write(tmp_path / "rows", b"given contracts\n")  # as it was written before the word changed
    for rows in ("contracts", "customers", "people"):
        spec = replace(load_spec("churn"), rows=rows)
        monkeypatch.setattr(local_deployment, "load_spec", lambda _, spec=spec: spec)
        if rows == "customers":
            (tmp_path / "rows").unlink()
        local_deployment.claim(store, simulated=False)
    with pytest.raises(StoreError, match="given rows of churn, which cannot be compared with simulated rows of churn"):
        local_deployment.claim(store, simulated=True)


def test_interrupt_stops_the_run_and_resume_ends_it(root: Path, tmp_path: Path, league: Path) -> None:
    store = tmp_path / "store"
    process = start_local(root, store, league)
    assert process.stderr
    for line in process.stderr:
        if line.startswith("Train: started"):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.stderr.read()
    assert process.wait(timeout=30) == 130
    (run_file,) = store.glob("runs/*/run.json")
    assert json.loads(run_file.read_text())["status"] == "Stopped"
    resume = ("--store", str(store), "--resume", run_file.parent.name, "--json")
    resumed = run_command(root, tmp_path, "scripts.run_local", *resume)
    assert resumed.code == 0, resumed.err
    assert resumed.json["decision"] == "registered"


def test_text_output_shows_steps_metrics_decision_and_the_way_on(root: Path, store: Path, league: Path) -> None:
    chosen = [part for name, value in SMALL.items() for part in ("--param", f"{name}={value}")]
    store = store.rename(store.with_name("st[b]:car:ore"))  # no markup of a terminal, and no emoji
    arguments = ["--store", str(store), "--data", str(league), *chosen, "--param", "ForceTraining=yes"]
    done = run_command(root, store.parent, "scripts.run_local", *arguments)
    assert done.code == 0, done.err
    for words in ("Train", "candidate", "Elo-logistic", "registered:", "report", "monitor", "approve --version 2"):
        assert words in done.out
    assert "simulated games" in done.out
    assert "st[b]:car:ore/objects/artifacts/predictions/predictions.csv" in done.out
    assert "approve --version 2 --store 'st[b]:car:ore'" in done.out


def test_without_the_cache_another_store_gives_the_same_evaluation(
    root: Path, first: tuple[Path, Command], tmp_path: Path, league: Path, new_store: Callable[[Path], Path]
) -> None:
    store = new_store(tmp_path / "store")
    other = run_local(root, store, league, "--no-cache", TriggerReason=REASON)

    def evaluation(store: Path) -> bytes:
        (path,) = (store / "objects" / "artifacts" / "runs").glob("*/evaluate/evaluation/evaluation.json")
        return path.read_bytes()

    assert other.code == 0
    assert not any(step["cached"] for step in other.json["steps"])
    assert evaluation(store) == evaluation(first[0])
