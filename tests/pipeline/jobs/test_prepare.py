"""Prepare as the container runs it: its own base directory, files in, files out."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pipeline.contract.container import run_step
from pipeline.contract.workload import load_spec
from pipeline.ingest.values import MISSING_RULE
from pipeline.jobs.prepare import fingerprint, main, parse_arguments
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.game_data.game_rules import POINTS_RULE
from pipeline.workloads.nba.play_by_play.event_features import COUNTED
from pipeline.workloads.nba.sample import write as write_sample

AS_OF = "2025-03-01"


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two simulated seasons."""
    folder = write_sample(tmp_path_factory.mktemp("prepare") / "games", date.fromisoformat(AS_OF))
    return sorted(folder.glob("simulated_*.csv"))[-2:]


def prepare(base: Path, *arguments: str, last_evaluated: str | None = None) -> int:
    """Run the step on the data in `base`, and on `last_evaluated` if it is given; its exit code."""
    seeds = dict(load_spec("nba").all_seed_objects)
    if last_evaluated is not None:
        seeds["evaluated/last_evaluated.json"] = last_evaluated
    for key, text in seeds.items():
        path = base / "processing" / "input" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        return run_step(main, ["--as-of", AS_OF, "--min-rows", "500", *arguments])


def report(base: Path) -> dict[str, Any]:
    return json.loads((base / "processing/output/report/prepared.json").read_text())


def games_folder(base: Path) -> Path:
    folder = base / "processing" / "input" / "data"
    folder.mkdir(parents=True)
    return folder


def outputs(base: Path) -> dict[str, bytes]:
    """The bytes that depend on the games and not on the files' names."""
    folder = base / "processing" / "output"
    names = ("features/features.parquet", "features/results.parquet", "upcoming/upcoming.parquet")
    return {name: (folder / name).read_bytes() for name in names}


def as_given(files: list[Path], folder: Path) -> None:
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes())


def shuffled_and_split(files: list[Path], folder: Path) -> None:
    """All rows in another order, in three files of three formats, some of them twice."""
    rows = [row for path in files for row in csv.DictReader(path.open(encoding="utf-8"))]
    random.Random(7).shuffle(rows)  # noqa: S311 - a test's order, no secret
    third = len(rows) // 3
    frame = pd.DataFrame(rows)
    frame[: third + 50].to_csv(folder / "z.csv", index=False)
    frame[third : 2 * third + 50].to_csv(folder / "a.csv.gz", index=False)
    frame[2 * third :].to_parquet(folder / "m.parquet")


@pytest.mark.parametrize("reason", ["-rerun", "--force", "--min-rows", "- a fix", "a=b", ""])
def test_any_text_may_be_what_started_a_run(reason: str) -> None:
    given = parse_arguments(load_spec("nba"), ["--as-of", "today", "--trigger", reason, "--min-rows", "7"])
    assert (given.as_of, given.trigger, given.min_rows) == ("today", reason, 7)


def test_order_of_rows_and_files_changes_no_output_byte(league: list[Path], tmp_path: Path) -> None:
    results = []
    ways: tuple[Callable[[list[Path], Path], None], ...] = (as_given, shuffled_and_split)
    for number, way in enumerate(ways):
        base = tmp_path / str(number)
        way(league, games_folder(base))
        assert prepare(base) == 0
        prepared = report(base)
        results.append((outputs(base), prepared["fingerprint"], prepared["data"]["n_labelled"]))
    assert results[0] == results[1]
    assert prepared["has_new_data"] == "yes"
    assert prepared["data"]["n_duplicates_collapsed"] == 100


def test_play_by_play_adds_a_file_and_a_note_and_changes_nothing_else(league: list[Path], tmp_path: Path) -> None:
    results = []
    for name in ("without", "with"):
        base = tmp_path / name
        as_given(league, games_folder(base))
        if name == "with":
            write_team_games(base / "processing/input/team_games", league[-1])
        assert prepare(base) == 0
        prepared = report(base)
        files = {path.name for path in (base / "processing/output/features").iterdir()}
        results.append((outputs(base), files, prepared["fingerprint"], prepared["data"]["notes"]))
    without, with_events = results
    assert with_events[0] == without[0]
    assert with_events[1] == without[1] | {nba.EVENT_FEATURES_FILE}
    assert with_events[2] == without[2]
    assert with_events[3][: len(without[3])] == without[3]
    fits, contradicts = with_events[3][len(without[3]) :]
    assert fits == "play-by-play of 100 games, of which 99 fit a game played before the as-of date"
    assert contradicts.startswith("in 1 game(s) the play-by-play's points are not the final score: ")
    features = pd.read_parquet(tmp_path / "with/processing/output/features" / nba.EVENT_FEATURES_FILE)
    assert features["net_efficiency_difference"].abs().max() > 0
    assert len(features) > 100  # the games to come of that season, too


def write_team_games(folder: Path, games: Path) -> None:
    """Both teams' rows of the first hundred games of a file; the first game's points are wrong."""
    rows = []
    for number, game in enumerate(pd.read_csv(games).head(100).to_dict("records")):
        home = {"date": game["date"], "team": game["home_team"], "opponent": game["away_team"]}
        away = {"date": game["date"], "team": game["away_team"], "opponent": game["home_team"]}
        points = int(game["home_points"]) + (number == 0), int(game["away_points"])
        counted = dict.fromkeys(COUNTED, 20)
        rows.append({**counted, **home, "points": points[0], "opponent_points": points[1]})
        rows.append({**counted, **away, "points": points[1], "opponent_points": points[0]})
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(folder / nba.TEAM_GAMES_FILE, index=False)


TEAM_GAMES = f"date,team,opponent,opponent_points,{','.join(COUNTED)}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "team_games.csv cannot be read"),
        ("date,team\n", 'team_games.csv: column "opponent" is missing'),
        (f"{TEAM_GAMES}x,BOS,LAL,90{',1' * len(COUNTED)}\n", "team_games.csv cannot be read"),
        (f"{TEAM_GAMES}2021-01-01,BOS,LAL,90{',x' * len(COUNTED)}\n", "team_games.csv cannot be read"),
    ],
)
def test_a_broken_file_of_team_games_is_refused(league: list[Path], tmp_path: Path, text: str, reason: str) -> None:
    as_given(league, games_folder(tmp_path))
    (tmp_path / "processing/input/team_games").mkdir()
    (tmp_path / "processing/input/team_games" / nba.TEAM_GAMES_FILE).write_text(text)
    assert prepare(tmp_path) == 1
    message = (tmp_path / "output/message").read_text()
    assert reason in message
    assert "run Aggregate again, or remove team_games/team_games.csv" in message


def test_a_known_fingerprint_is_nothing_new(league: list[Path], tmp_path: Path) -> None:
    as_given(league, games_folder(tmp_path))
    assert prepare(tmp_path) == 0
    assert prepare(tmp_path, last_evaluated=json.dumps({"fingerprint": report(tmp_path)["fingerprint"]})) == 0
    assert report(tmp_path)["has_new_data"] == "no"
    assert prepare(tmp_path, last_evaluated="{") == 1
    assert "last_evaluated.json is missing or unreadable" in (tmp_path / "output/message").read_text()


def test_refused_data_leaves_reason_and_quarantine(
    league: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = games_folder(tmp_path)
    as_given(league, folder)
    games = pd.read_csv(league[0], dtype=str)
    games.loc[:99, "home_points"] = "abc"
    games.to_csv(folder / league[0].name, index=False)
    assert prepare(tmp_path) == 1
    reason = (tmp_path / "output" / "message").read_text()
    assert f'{league[0].name}, line 2: home_points "abc" is not a whole number from 1 to 250' in reason
    assert "Traceback" not in capsys.readouterr().err
    quarantine = list(csv.DictReader((tmp_path / "processing/output/report/quarantine.csv").open()))
    assert len(quarantine) == 100
    assert quarantine[0] == {
        "file": league[0].name,
        "line": "2",
        "column": "home_points",
        "value": "abc",
        "rule": f"{POINTS_RULE}: {MISSING_RULE}",
    }


def test_today_is_the_default(league: list[Path], tmp_path: Path) -> None:
    """Without an as-of date, games after the sample's day that have no score are past games without a score."""
    as_given(league, games_folder(tmp_path))
    shares = ("--max-bad-row-share", "0.5", "--max-bad-row-share-of-file", "1")
    assert prepare(tmp_path, "--as-of", "today", *shares) == 0
    prepared = report(tmp_path)
    assert prepared["as_of_date"] in {
        str(datetime.now(ZoneInfo("America/New_York")).date() - timedelta(days=n)) for n in (0, 1)
    }
    assert prepared["data"]["n_bad_rows"] > 0


def test_fingerprint_is_of_games_recipe_and_code() -> None:
    base = ("games", ["max_depth=3", "eta=0.1"], {"FirstSeason": "2004"}, "code")
    others: list[tuple[int, Any]] = [
        (0, "other"),
        (1, ["max_depth=4", "eta=0.1"]),
        (2, {"FirstSeason": "2005"}),
        (3, "edited"),
    ]
    found = [fingerprint(*base[:place], other, *base[place + 1 :]) for place, other in others]
    assert len({fingerprint(*base), *found}) == 5
    assert fingerprint("games", ["eta=0.10", "max_depth=3.0"], *base[2:]) == fingerprint(*base)


def test_a_share_is_from_0_to_1(league: list[Path], tmp_path: Path) -> None:
    as_given(league, games_folder(tmp_path))
    assert prepare(tmp_path, "--max-bad-row-share", "2") == 1
    assert (tmp_path / "output/message").read_text() == "MaxBadRowShare 2 is not a share from 0 to 1"
