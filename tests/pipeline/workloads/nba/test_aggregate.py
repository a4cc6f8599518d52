"""What Aggregate counts in a game, what it says about bad data, and that points agree with the final scores."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from play_by_play import Event, a_game, event, random_season, write_events

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.play_by_play.aggregate import main


def aggregate(folder: Path, *options: str) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Rows by column and the account."""
    main(["--input", str(folder), "--output", str(folder.parent / "out"), *options])
    with (folder.parent / "out" / nba.TEAM_GAMES_FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((folder.parent / "out" / nba.AGGREGATED_FILE).read_text(encoding="utf-8"))


def test_a_game_counted_by_hand(tmp_path: Path) -> None:
    rows, account = aggregate(write_events(tmp_path / "in", {"a.parquet": a_game()}))
    away, home = rows  # by date, game and team
    assert (home["team"], home["opponent"], home["date"], home["minutes"]) == ("HOM", "AWY", "2022-10-18", "48")
    assert (home["points"], home["opponent_points"]) == ("8", "3")
    assert (home["possessions"], home["opponent_possessions"]) == ("4", "4")
    assert (home["field_goals_made"], home["field_goals_attempted"]) == ("3", "3")
    assert (home["free_throws_made"], home["free_throws_attempted"], home["turnovers"]) == ("1", "4", "2")
    assert (home["offensive_rebounds"], home["defensive_rebounds"]) == ("2", "1")
    assert (away["offensive_rebounds"], away["defensive_rebounds"]) == ("1", "0")
    assert home["pace"] == "4.0"
    assert home["offensive_efficiency"] == away["defensive_efficiency"] == "200.0"
    assert home["effective_field_goal_share"] == str((3 + 0.5) / 3)
    assert home["turnover_share"] == away["opponent_turnover_share"] == "0.5"
    assert home["offensive_rebound_share"] == "1.0"  # both that there were to have
    assert away["offensive_rebound_share"] == "0.5"
    assert home["free_throw_rate"] == away["opponent_free_throw_rate"] == str(1 / 3)
    assert account["n_rows_not_counted"] == {"foul": 1, "substitution": 1}


def test_overtime_lengthens_the_game_not_the_pace(tmp_path: Path) -> None:
    overtime = [event(100 + n, "2pt", team, "Made", period=5) for n, team in enumerate(("HOM", "AWY"))]
    rows, _ = aggregate(write_events(tmp_path / "in", {"a.csv": [*a_game(), *overtime]}))
    assert rows[0]["minutes"] == "53"
    assert float(rows[0]["pace"]) == pytest.approx(5 * 48 / 53)


def test_repeated_events_count_once_in_whatever_file_and_format(tmp_path: Path) -> None:
    once, _ = aggregate(write_events(tmp_path / "once" / "in", {"a.parquet": a_game()}))
    files = {"a.parquet": a_game(), "b.csv": a_game(date="20221018"), "c.csv.gz": [*a_game(), *a_game()]}
    often, account = aggregate(write_events(tmp_path / "often" / "in", files))
    assert often == once
    assert account["n_duplicates_collapsed"] == 3 * account["n_events"]


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    names = {"a[1].parquet": "1", "a1.parquet": "2", "b?.csv": "3", "bb.csv": "4"}
    files = {name: a_game(game_id=game) for name, game in names.items()}
    rows, _ = aggregate(write_events(tmp_path / "events [2]" / "in", files))
    assert {row["game_id"] for row in rows} == {"1", "2", "3", "4"}


def test_types_may_differ_between_files(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    day = pd.Timestamp("2022-10-18")
    kinds = [{"date": 20221018}, {"date": day}, {"date": day.date()}, {"game_id": 22200001}, {"period": float}]
    kinds += [{"game_id": " 22200001"}, {"game_id": "22200001  ", "date": "2022-10-18 00:00:00"}]
    for number, columns in enumerate(kinds):
        frame = pd.DataFrame(a_game())
        frame = frame.astype(columns) if columns == {"period": float} else frame.assign(**columns)
        frame[sorted(frame, reverse=number % 2 == 0)].to_parquet(folder / f"{number}.parquet")
    _, account = aggregate(folder)
    assert account["n_bad_rows"] == 0
    assert account["n_duplicates_collapsed"] == len(kinds) * account["n_events"]


def test_columns_within_columns_are_no_columns(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    parquet_of(details=[{"team": 1.5, "more": {"clock": [2.5]}}] * len(a_game())).to_parquet(folder / "b.parquet")
    _, account = aggregate(folder)
    assert account["n_duplicates_collapsed"] == account["n_events"]


def test_files_of_other_kinds_are_left_alone(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    for name in ("_SUCCESS", ".a.csv.crc", "README.md"):
        (folder / name).write_text("?")
    rows, _ = aggregate(folder)
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([event(7, "2pt", "HOM", "Made"), event(7, "3pt", "HOM", "Made")], "contradict each other"),
        ([event(200, "2pt", "XXX", "Made")], "two teams"),
        ([event(200, "2pt", "HOM", "Made", date="2022-10-19")], "several days"),
        ([event(200, "2pt", "HOM", "?")], "bad events"),
    ],
)
def test_a_game_that_cannot_be_counted_is_left_out_and_named(tmp_path: Path, bad: list[Event], reason: str) -> None:
    other = a_game(game_id="22200002")
    folder = write_events(tmp_path / "in", {"a.csv": [*a_game(), *bad, *other]})
    rows, account = aggregate(folder, "--max-bad-row-share", "0.5")
    assert {row["game_id"] for row in rows} == {"22200002"}
    (left_out,) = account["games_left_out"]
    assert left_out["game_id"] == "22200001"
    assert reason in left_out["rule"]


def test_a_game_under_way_is_left_out(tmp_path: Path) -> None:
    under_way = [row for row in a_game() if row["period"] < 4]
    _, account = aggregate(write_events(tmp_path / "in", {"a.csv": [*under_way, *a_game(game_id="2")]}))
    assert account["games_left_out"] == [{"game_id": "22200001", "rule": "has not reached the fourth period"}]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("clock", "11:44", 'a.csv: clock "11:44" is not a clock like PT11M44.00S'),
        ("date", "18.10.2022", 'a.csv: date "18.10.2022" is not a day like 2022-10-19 or 20221019'),
        ("date", "2022-02-30", 'a.csv: date "2022-02-30" is not a day like 2022-10-19 or 20221019'),
        ("period", "0", 'a.csv: period "0" is not a whole number from 1 to 99'),
        ("actionNumber", "7.5", 'a.csv: actionNumber "7.5" is not a whole number of at most nine digits'),
        ("shotResult", "made", 'a.csv: shotResult "made" is neither Made nor Missed'),
        ("shotResult", "none", 'a.csv: shotResult "none" is neither Made nor Missed'),
        ("date", "2022-10-18x", 'a.csv: date "2022-10-18x" is not a day like 2022-10-19 or 20221019'),
        ("date", "20221018 1", 'a.csv: date "20221018 1" is not a day like 2022-10-19 or 20221019'),
        ("date", "2022-10-19T02:30:00", 'a.csv: date "2022-10-19T02:30:00" is not a day like 2022-10-19 or 20221019'),
        ("date", "2022-10-19T00:00:00Z", 'a.csv: date "2022-10-19T00:00:00Z" is not a day like 2022-10-19 or 20221019'),
        ("date", "2022-10-19 00:00:00+00", 'a.csv: date "2022-10-19 00:00:00+00" is not a day like 2022-10-19 or 2022'),
        ("date", "20221301", 'a.csv: date "20221301" is not a day like 2022-10-19 or 20221019'),
        ("date", "20230229", 'a.csv: date "20230229" is not a day like 2022-10-19 or 20221019'),
        ("date", "20220431", 'a.csv: date "20220431" is not a day like 2022-10-19 or 20221019'),
        ("clock", "", 'a.csv: clock "" is not a clock like PT11M44.00S'),
        ("date", None, 'a.csv: date "" is not a day like 2022-10-19 or 20221019'),
        ("period", "", 'a.csv: period "" is not a whole number from 1 to 99'),
        ("actionNumber", None, 'a.csv: actionNumber "" is not a whole number of at most nine digits'),
        ("shotResult", None, 'a.csv: shotResult "" is neither Made nor Missed'),
        ("team", "", 'a.csv: team "" is empty'),
        ("team", "  ", 'a.csv: team "" is empty'),
        ("game_id", "", 'a.csv: game_id "" is empty'),
        ("actionType", "", 'a.csv: actionType "" is empty'),
    ],
)
def test_bad_values_are_refused_by_file_column_value_and_rule(
    tmp_path: Path, column: str, value: str | None, message: str
) -> None:
    bad = {**event(500, "2pt", "HOM", "Made"), column: value}
    folder = write_events(tmp_path / "in", {"a.csv": [*a_game(), bad]})
    with pytest.raises(StepError) as error:
        aggregate(folder)
    assert message in str(error.value)
    assert "1 of 25 event rows is bad (4.00%, limit 1.00%)" in str(error.value)
    assert "raise MaxBadRowShare" in str(error.value)


def parquet_of(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(a_game()).assign(**columns)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": b""}, "a.csv is empty (0 bytes); export it again or remove it"),
        ({"a.parquet": b"PAR1"}, "a.parquet is a truncated or corrupt Parquet file"),
        ({"a.csv.gz": b"\x1f\x8b\x08"}, "a.csv.gz is a truncated or corrupt gzip file"),
        ({"a.csv": b"\xff\xfe"}, "a.csv is UTF-16, not UTF-8: save it as UTF-8"),
        ({"a.csv": b"PK\x03\x04[Content_Types].xml"}, "a.csv is an Excel workbook: save it as CSV"),
        ({"a.csv.gz": b"gameId,date\n"}, "a.csv.gz is text, not gzipped"),
        ({"notes.txt": b"?"}, "there is no *.csv, *.csv.gz or *.parquet file"),
        ({"a.csv": b"game_id,date,period,clock\n"}, 'a.csv: column "actionNumber" is missing; found: game_id, date'),
        ({"a.parquet": parquet_of().rename(columns={"team": "teams"})}, 'did you mean "teams"? rename it'),
        (
            {"a.parquet": parquet_of(date=pd.Timestamp("2022-10-19", tz="America/New_York"))},
            "a.parquet: date is a time in UTC (timestamp with time zone), and a day in UTC is often the next local day",
        ),
        ({"a.parquet": parquet_of(team=1.5)}, "a.parquet: team is of type double; write it as text"),
        ({"a.csv": b"game_id," * 2 + ",".join(nba.EVENT_COLUMNS).encode()}, 'column "game_id" appears twice'),
        ({"a.csv": ",".join(nba.EVENT_COLUMNS).encode() + b"\n"}, "no game could be counted from 0 event rows"),
    ],
)
def test_files_that_cannot_be_read_are_refused_by_name(
    tmp_path: Path, files: dict[str, bytes | pd.DataFrame], message: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, content in files.items():
        if isinstance(content, pd.DataFrame):
            content.to_parquet(folder / name, index=False)
        else:
            (folder / name).write_bytes(content)
    with pytest.raises(StepError) as error:
        aggregate(folder)
    assert message in str(error.value)


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    (folder / "notes.txt").write_text("?")
    (folder / "gone.csv").symlink_to("nowhere.csv")
    os.mkfifo(folder / "pipe.csv")
    _, account = aggregate(folder)
    assert account["left_out"] == [
        {"name": "gone.csv", "reason": "is a link to nothing"},
        {"name": "notes.txt", "reason": "is no *.csv, *.csv.gz or *.parquet"},
        {"name": "pipe.csv", "reason": "is a pipe"},
    ]


def test_checksums_are_compared_although_duckdb_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    table = pd.DataFrame(a_game())
    packed = bytearray(gzip.compress(table.to_csv(index=False).encode()))
    packed[-6] ^= 1  # of the checksum at the end
    (folder / "a.csv.gz").write_bytes(packed)
    with pytest.raises(StepError, match=r"a\.csv\.gz is a truncated or corrupt gzip file \(CRC check failed"):
        aggregate(folder)
    (folder / "a.csv.gz").unlink()
    whole = table.to_parquet(index=False, write_page_checksum=True, compression="none", use_dictionary=False)
    assert whole.count(b"HOM rebound") > 1
    (folder / "a.parquet").write_bytes(whole.replace(b"HOM rebound", b"HOM rebounX", 1))
    with pytest.raises(StepError, match=r"a\.parquet is a truncated or corrupt Parquet file \(.*CRC"):
        aggregate(folder)


def test_a_bad_row_is_told_for_each_file_that_holds_it(tmp_path: Path) -> None:
    bad = {**event(500, "freethrow", "HOM", "Made"), "description": ""}
    files = {"a.csv": [*a_game(), bad, bad], "b.csv": [*a_game(), bad], "c.csv": a_game(game_id="2")}
    _, account = aggregate(write_events(tmp_path / "in", files), "--max-bad-row-share", "1")
    assert account["n_bad_rows"] == 3
    assert [(row["file"], row["column"], row["rows"]) for row in account["bad_rows"]] == [
        ("a.csv", "description", 2),
        ("b.csv", "description", 1),
    ]


def test_a_memory_limit_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"DuckDB needs more than 1MB .*; raise --memory-limit"):
        aggregate(write_events(tmp_path / "in", {"a.csv": a_game()}), "--memory-limit", "1MB")


def test_a_memory_limit_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r'--memory-limit "much": .*; give it like 1GB'):
        aggregate(write_events(tmp_path / "in", {"a.csv": a_game()}), "--memory-limit", "much")


def test_as_a_step_it_reads_and_writes_channels_and_leaves_its_reason(tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.workloads.nba.play_by_play.aggregate"]
        environment = {**os.environ, c.BASE_DIR_VARIABLE: str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    failed = run()
    assert failed.returncode == 1
    assert "give the folder that holds the files" in (tmp_path / c.PROCESSING_FAILURE_FILE).read_text()
    write_events(tmp_path / "processing/input" / nba.EVENTS_CHANNEL, {"a.csv": a_game()})
    done = run()
    assert done.returncode == 0, done.stderr
    assert "24 rows, 0 of them repeated; 1 game, 0 left out; 2 rows of teams and games with duckdb" in done.stderr
    assert (tmp_path / "processing/output" / nba.TEAM_GAMES_CHANNEL / nba.TEAM_GAMES_FILE).exists()
    assert (tmp_path / "processing/output" / nba.TEAM_GAMES_CHANNEL / nba.AGGREGATED_FILE).exists()


def test_it_works_under_a_memory_limit_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    folder = write_events(tmp_path / "in", random_season(3, 200))
    free, _ = aggregate(folder, "--max-bad-row-share", "1")
    limited, _ = aggregate(folder, "--max-bad-row-share", "1", "--memory-limit", "256MB")
    assert limited == free
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_stopped_job_leaves_no_temporary_files(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    (tmp_path / "temporary").mkdir()
    stopped = (
        "import os, pathlib, signal, sys\n"
        "from pipeline.workloads.nba.play_by_play.aggregate_duckdb import open_duckdb\n"
        "with open_duckdb(pathlib.Path(sys.argv[1])):\n"
        "    assert list(pathlib.Path(os.environ['TMPDIR']).iterdir())\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run([sys.executable, "-c", stopped, str(folder)], env=environment, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit, with which files are kept small, is Linux's")
def test_a_disk_that_is_full_is_named_and_no_half_file_is_left(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"a.csv": a_game()})
    aggregate = [
        sys.executable,
        "-m",
        "pipeline.workloads.nba.play_by_play.aggregate",
        "--input",
        str(folder),
        "--output",
        str(tmp_path),
    ]
    environment = {**os.environ, c.BASE_DIR_VARIABLE: str(tmp_path / "base")}
    command = ["prlimit", "--fsize=200", *aggregate]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{tmp_path / nba.TEAM_GAMES_FILE} cannot be written (File too large); make room there" in done.stderr
    assert not list(tmp_path.glob("*team_games*"))


@pytest.fixture(scope="module")
def real_team_games(real_events: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    output = tmp_path_factory.mktemp("real")
    main(["--input", str(real_events), "--output", str(output)])
    account = json.loads((output / nba.AGGREGATED_FILE).read_text())
    # Each event stands there exactly twice: in the files of both teams, or (16 games) twice in one of them.
    assert account["n_duplicates_collapsed"] == account["n_events"] == 436_365
    assert (account["n_games"], account["n_games_left_out"], account["n_bad_rows"]) == (1_230, 0, 0)
    return pd.read_csv(output / nba.TEAM_GAMES_FILE)


def test_points_of_events_are_the_final_scores_of_every_real_game(
    real_team_games: pd.DataFrame, real_games: Path
) -> None:
    games = pd.read_csv(real_games / "games_2020_2023.csv")
    season = games[(games[nba.SEASON] == 2023) & ~games[nba.PLAYOFF]]
    sides = {
        nba.HOME_TEAM: "team",
        nba.AWAY_TEAM: "opponent",
        nba.HOME_POINTS: "final",
        nba.AWAY_POINTS: "opponent_final",
    }
    both = real_team_games.merge(season.rename(columns=sides), on=["date", "team", "opponent"], validate="one_to_one")
    assert len(both) == len(season) == 1_230
    agrees = (both["points"] == both["final"]) & (both["opponent_points"] == both["opponent_final"])
    assert agrees.sum() == 1_230  # of these, every one: without collapsing repeated events, none


def test_possessions_of_two_teams_alternate_in_every_real_game(real_team_games: pd.DataFrame) -> None:
    """A count that forgets or invents possessions drifts apart; the ball changes sides, so a true one cannot."""
    difference = (real_team_games["possessions"] - real_team_games["opponent_possessions"]).abs()
    assert difference.max() <= 4  # a team may have the last one of each period
    assert difference.mean() < 1
    assert real_team_games["pace"].mean() == pytest.approx(98.2, abs=0.3)
    assert real_team_games["offensive_efficiency"].mean() == pytest.approx(115.6, abs=0.5)
