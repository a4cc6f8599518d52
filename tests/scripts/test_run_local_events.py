"""Play-by-play through the whole local run: aggregated in one run, joined by the next, left out where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from local_runs import Command, run_command, run_local

from pipeline import contract as c
from pipeline.contract import EVENT_COLUMNS


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
    root: Path, league: Path, events: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    first = run_local(root, store, league, "--events", str(events))
    assert first.code == 0, first.err
    assert statuses(first)["Aggregate"] == "Succeeded"
    assert len(pd.read_csv(object_of(store, f"team_games/{c.TEAM_GAMES_FILE}"))) == 40
    assert json.loads(object_of(store, f"team_games/{c.AGGREGATED_FILE}").read_text())["n_games"] == 20
    run = first.json["execution_id"]
    assert not list(object_of(store, f"runs/{run}").rglob(c.EVENT_FEATURES_FILE))
    second = run_local(root, store, league, "--events", str(events))
    assert second.code == 0, second.err
    assert second.json["decision"] == "no-new-data"  # the model has no features of events
    (joined,) = object_of(store, f"runs/{second.json['execution_id']}").rglob(c.EVENT_FEATURES_FILE)
    assert pd.read_parquet(joined)["free_throw_difference"].notna().all()
    without = run_local(root, store, league)
    assert without.code == 0, without.err
    assert statuses(without)["Aggregate"] == "Skipped"


def test_bad_events_fail_the_run_with_their_reason(root: Path, league: Path, events: Path, tmp_path: Path) -> None:
    text = (events / "events.csv").read_text().replace("PT01M00.00S", "1:00")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "events.csv").write_text(text)
    done = run_local(root, tmp_path / "store", league, "--events", str(tmp_path / "events"))
    assert done.code == 1
    assert done.json["failure"]["step"] == "Aggregate"
    assert 'events.csv: clock "1:00" is not a clock like PT11M44.00S' in done.json["failure"]["reason"]
    run = done.json["execution_id"]
    assert f"--resume {run}" in done.err
    assert f"--events {tmp_path / 'events'}" in done.err
    mended = run_command(
        root,
        tmp_path,
        "scripts.run_local",
        "--resume",
        run,
        "--store",
        str(tmp_path / "store"),
        "--events",
        str(events),
    )
    assert mended.code == 0, mended.err


def test_a_run_without_events_does_not_go_on_with_some(root: Path, league: Path, events: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    failed = run_local(root, store, league, MaxLogLoss="0.1")
    given = ["--resume", failed.json["execution_id"], "--store", str(store), "--events", str(events)]
    done = run_command(root, tmp_path, "scripts.run_local", *given)
    assert done.code == 2
    assert "had no play-by-play: start a new run with --events" in done.err
