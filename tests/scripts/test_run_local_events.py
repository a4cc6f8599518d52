"""Play-by-play through the whole local run: aggregated in one run, joined by the next, left out where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from local_runs import Command, run_command, run_local

from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.columns import EVENT_COLUMNS

NewStore = Callable[[Path], Path]


@pytest.fixture(scope="module")
def events(league: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events that make the final scores of the season's first games, by free throws alone."""
    games = pd.read_csv(sorted(league.glob("*.csv"))[-1]).head(20)
    rows: list[dict[str, Any]] = []
    for number, game in enumerate(games.to_dict("records")):
        for team, points in ((game["home_team"], game["home_points"]), (game["away_team"], game["away_points"])):
            for _ in range(int(points)):
                values = (number, game["date"], 1 + len(rows) % 4, "PT01M00.00S", len(rows), "freethrow", "Made", team)
                rows.append(dict(zip(EVENT_COLUMNS, (*values, "Free Throw 2 of 2", "[]"), strict=True)))
    folder = tmp_path_factory.mktemp("events")
    pd.DataFrame(rows).to_csv(folder / "events.csv", index=False)
    return folder


def statuses(done: Command) -> dict[str, str]:
    return {step["name"]: step["status"] for step in done.json["steps"]}


def object_of(store: Path, key: str) -> Path:
    return store / "objects" / "artifacts" / key


def test_events_are_aggregated_in_one_run_and_joined_in_the_next(
    root: Path, league: Path, events: Path, tmp_path: Path, new_store: Callable[[Path], Path]
) -> None:
    store = new_store(tmp_path / "store")
    first = run_local(root, store, league, "--events", str(events))
    assert first.code == 0, first.err
    assert statuses(first)["Aggregate"] == "Succeeded"
    assert len(pd.read_csv(object_of(store, f"team_games/{nba.TEAM_GAMES_FILE}"))) == 40
    assert json.loads(object_of(store, f"team_games/{nba.AGGREGATED_FILE}").read_text())["n_games"] == 20
    extra = first.json["extra"]["team_games"]
    assert (extra["step"], extra["n_games"], extra["n_games_left_out"]) == ("Aggregate", 20, 0)
    assert extra["folder"] == str(object_of(store, "team_games"))
    run = first.json["execution_id"]
    assert not list(object_of(store, f"runs/{run}").rglob(nba.EVENT_FEATURES_FILE))
    second = run_local(root, store, league, "--events", str(events))
    assert second.code == 0, second.err
    assert second.json["decision"] == "no-new-data"  # the model has no features of events
    (joined,) = object_of(store, f"runs/{second.json['execution_id']}").rglob(nba.EVENT_FEATURES_FILE)
    assert pd.read_parquet(joined)["free_throw_difference"].notna().all()
    without = run_local(root, store, league)
    assert without.code == 0, without.err
    assert statuses(without)["Aggregate"] == "Skipped"
    assert without.json["extra"] == {}
    arguments = ["--data", str(league), "--store", str(store), "--events", str(events)]
    shown = run_command(root, tmp_path, "scripts.run_local", *arguments)
    assert "play-by-play" in shown.out
    assert "of 20 games; the next run's Prepare joins it" in shown.out


@pytest.mark.skipif(not shutil.which("java"), reason="Java, which Spark needs, is not installed")
def test_two_machines_aggregate_with_spark_to_the_same_bytes(
    root: Path, league: Path, events: Path, tmp_path: Path, new_store: Callable[[Path], Path]
) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    rows, store = {}, new_store(tmp_path / "store")  # one store: what does not change is not run again
    for count, step in ((1, "Aggregate"), (2, "AggregateOnSpark")):
        done = run_local(root, store, league, "--events", str(events), AggregateInstanceCount=str(count))
        assert done.code == 0, done.err
        assert {name: s for name, s in statuses(done).items() if name.startswith("Aggregate")} == {
            "Aggregate": "Succeeded" if count == 1 else "Skipped",
            "AggregateOnSpark": "Succeeded" if count == 2 else "Skipped",
        }
        assert done.json["extra"]["team_games"]["n_games"] == 20
        rows[step] = object_of(store, f"team_games/{nba.TEAM_GAMES_FILE}").read_bytes()
        account = json.loads(object_of(store, f"team_games/{nba.AGGREGATED_FILE}").read_text())
        assert account["engine"] == {1: "duckdb", 2: "spark"}[count]
    assert rows["AggregateOnSpark"] == rows["Aggregate"]
    logs = store / "runs" / done.json["execution_id"] / "steps" / "AggregateOnSpark" / "logs"
    assert "Spark's tasks by host: 127.0.0.1" in (logs / "job.log").read_text()
    assert {path.name for path in logs.iterdir()} == {"job.log", "job-algo-2.log"}
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "events.csv").write_text((events / "events.csv").read_text().replace("clock", "time", 1))
    done = run_local(root, store, league, "--events", str(broken), AggregateInstanceCount="2")
    assert done.code == 1
    assert done.json["failure"]["step"] == "AggregateOnSpark"
    assert done.json["failure"]["reason"].startswith('algo-1: events.csv: column "clock" is missing; found: game_id, ')
    assert object_of(store, f"team_games/{nba.TEAM_GAMES_FILE}").read_bytes() == rows["Aggregate"], (
        "nothing was written"
    )
    again = run_local(root, store, league, "--events", str(events), AggregateInstanceCount="2")
    (cached,) = [step["cached"] for step in again.json["steps"] if step["name"] == "AggregateOnSpark"]
    assert cached


def test_spark_that_is_not_here_is_missed_before_anything_runs(
    root: Path, league: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_store: NewStore
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    store = new_store(tmp_path / "store")
    done = run_local(root, store, league, "--events", str(events), AggregateInstanceCount="2")
    assert done.code == 2
    assert "AggregateInstanceCount above 1 aggregates with Spark, which lacks something here" in done.err
    assert "Java 17: sudo apt-get install openjdk-17-jre-headless" in done.err
    assert not list((store / "runs").glob("*"))
    without = run_local(root, store, league, AggregateInstanceCount="2")  # nothing to aggregate: Spark is not asked for
    assert without.code == 0, without.err


def test_bad_events_fail_the_run_with_their_reason(
    root: Path, league: Path, events: Path, tmp_path: Path, new_store: Callable[[Path], Path]
) -> None:
    text = (events / "events.csv").read_text().replace("PT01M00.00S", "1:00")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "events.csv").write_text(text)
    done = run_local(root, new_store(tmp_path / "store"), league, "--events", str(tmp_path / "events"))
    assert done.code == 1
    assert done.json["failure"]["step"] == "Aggregate"
    assert 'events.csv: clock "1:00" is not a clock like PT11M44.00S' in done.json["failure"]["reason"]
    run = done.json["execution_id"]
    assert f"--resume {run}" in done.err
    assert f"--events {tmp_path / 'events'}" in done.err
    again = ("--resume", run, "--store", str(tmp_path / "store"), "--events", str(events))
    mended = run_command(root, tmp_path, "scripts.run_local", *again)
    assert mended.code == 0, mended.err


def test_a_run_without_events_does_not_go_on_with_some(
    root: Path, league: Path, events: Path, tmp_path: Path, new_store: Callable[[Path], Path]
) -> None:
    store = new_store(tmp_path / "store")
    failed = run_local(root, store, league, MaxLogLoss="0.1")
    given = ["--resume", failed.json["execution_id"], "--store", str(store), "--events", str(events)]
    done = run_command(root, tmp_path, "scripts.run_local", *given)
    assert done.code == 2
    assert "had no event files: start a new run with --events" in done.err
