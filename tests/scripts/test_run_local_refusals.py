"""What run_local says where store or data cannot be used: one sentence, the documented exit code, JSON for programs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from pipeline.local import local_deployment
from pipeline.local.plan.parameters import PlanError
from pipeline.local.store.store import Store
from scripts import run_local

GAMES = "date,season,home_team,away_team,home_points,away_points\n2025-01-01,2025,BOS,NYK,100,90\n"


@pytest.fixture
def games(tmp_path: Path) -> Path:
    folder = tmp_path / "games"
    folder.mkdir()
    (folder / "games.csv").write_text(GAMES)
    return folder


def test_the_day_of_a_sample_is_no_path(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (store.root / "simulated").mkdir()
    with pytest.raises(PlanError, match="is not a date"):
        run_local.sample(store, ".")


def refused(*arguments: object, code: int = 2) -> str:
    """The sentence, which is the same for people and for programs."""
    result: Result = CliRunner().invoke(run_local.main, [*map(str, arguments), "--json"])
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    reason: str = json.loads(result.stdout)["error"]
    assert f"Error: {reason}" in result.stderr
    assert "\n" not in reason
    return reason


def test_a_store_inside_the_data_is_refused(games: Path) -> None:
    reason = refused("--data", games, "--store", games / "store")
    assert f"the store {games / 'store'} is inside the data folder {games}" in reason
    assert not list((games / "store" / "objects").iterdir())


def test_a_store_inside_the_play_by_play_is_refused(games: Path, tmp_path: Path) -> None:
    plays = tmp_path / "plays"
    plays.mkdir()
    assert "inside the data folder" in refused("--data", games, "--events", plays, "--store", plays / "a" / "store")


@pytest.mark.parametrize(
    ("data", "events"), [("games", "games"), ("games", "games/plays"), ("all/games", "all"), ("games/", "games/x/")]
)
def test_one_prefix_inside_the_other_is_refused(games: Path, tmp_path: Path, data: str, events: str) -> None:
    prefixes = ("--param", f"DataPrefix={data}", "--param", f"EventsPrefix={events}")
    reason = refused("--data", games, "--store", tmp_path / "store", *prefixes)
    assert f'EventsPrefix "{events}" and DataPrefix "{data}" overlap' in reason


def test_a_file_in_the_way_of_the_store(games: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    assert "is a file" in refused("--data", games, "--store", tmp_path / "store")
    assert f"{tmp_path / 'store' / 'x'} cannot hold a store" in refused(
        "--data", games, "--store", tmp_path / "store/x"
    )


def test_names_that_are_not_utf_8(games: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    (games / name).write_text(GAMES)
    reason = refused("--data", games, "--store", tmp_path / "store")
    assert rf"{games}/caf\xe9.csv: its name is not UTF-8" in reason
    assert "rename the file" in reason
    assert r"st\xe9: its name is not UTF-8" in refused("--data", games, "--store", tmp_path / os.fsdecode(b"st\xe9"))


@pytest.mark.parametrize("name", ["g" * 250, "with space and ü", os.fsdecode(b"caf\xe9")])
def test_a_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "games.csv").write_text(GAMES)
    store = Store(tmp_path / "store")
    assert local_deployment.put_data(store, tmp_path / name, local_deployment.data_prefix(tmp_path / name)) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "permission denied; let this user read and write it"),
        (OSError(28, "No space left on device"), "no space left on device; free disk space"),
        (OSError(30, "Read-only file system"), "read-only file system; use a writable path"),
        (OSError(36, "File name too long"), "file name too long; give it a shorter name"),
    ],
)
def test_what_the_file_system_refuses(
    games: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    def refuse(_: Store, source: Path, path: Path) -> None:
        raise type(error)(error.errno, error.strerror, str(source))

    monkeypatch.setattr(Store, "copy", refuse)
    reason = refused("--data", games, "--store", tmp_path / "store")
    assert reason.startswith(f"{games / 'games.csv'}: {words}")


def test_damaged_files_are_named_before_anything_starts(
    games: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    version = store.root / "registry" / local_deployment.MODEL_PACKAGE_GROUP / "3.json"
    record = store.root / "runs" / "0123456789ab" / "run.json"
    for path in (version, record):
        path.parent.mkdir()
        path.write_text("{")

    class Started(Exception):  # noqa: N818
        pass

    def start(*_: Any, **__: Any) -> None:
        raise Started

    monkeypatch.setattr(run_local, "run", start)
    result = CliRunner().invoke(run_local.main, ["--data", str(games), "--store", str(store.root)])
    assert isinstance(result.exception, Started)
    for path, what in ((version, "version 3 is ignored"), (record, "the run is ignored")):
        assert f"warning: {path} is damaged" in result.stderr
        assert what in result.stderr


def test_bad_data_is_named_with_places_that_can_be_opened_and_nothing_a_terminal_obeys(
    games: Path, tmp_path: Path
) -> None:
    with (games / "games.csv").open("a") as file:
        file.write("2025-01-03,2025,\x1b[2J\x07BOS,NYK,100,90\n")
    result = CliRunner().invoke(run_local.main, ["--data", str(games), "--store", str(tmp_path / "store"), "--json"])
    assert result.exit_code == 1
    reason = json.loads(result.stdout)["failure"]["reason"]
    place = re.search(r"\((\S+) lists every row\)", reason)
    assert place and pd.read_csv(place[1])["value"].tolist() == [r"\x1b[2J\x07BOS"]
    shown = CliRunner().invoke(run_local.main, ["--data", str(games), "--store", str(tmp_path / "store")])
    assert " ".join(shown.output.split()).count("is an unknown team") == 1, (
        "once in a terminal, which shows both streams"
    )
    assert "/base/processing/" not in reason
    assert "\x1b[2J" not in result.stderr and r"\x1b[2J\x07BOS" in result.stderr


def test_how_to_resume_names_the_workload_that_only_a_variable_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKLOAD", "churn")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("contract_id\n1\n")
    arguments = ["--data", str(tmp_path / "data"), "--store", str(tmp_path / "store"), "--quiet"]
    result = CliRunner().invoke(run_local.main, arguments)
    assert result.exit_code == 1
    assert re.search(r"to resume: .* --resume \w+ --workload churn --data ", result.stderr)
