"""The classifier notices each kind of bad outcome, and calls nothing bad that is good."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import BAD, Outcome, SilentlyWrongError, UnclearError, classify, faults_of, time_limit
from written_games import Row, Written, load, original, original_rows, rendered, written_lines, written_rows

CLEAR = 'games.csv, line 8: home_points "abc" is not a whole number; correct the file'


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("", "is empty"),
        (f"{CLEAR} {'x' * 1_024}", "has 1,1"),
        (f"{CLEAR}\nand more", "control characters"),
        (f"{CLEAR} \x1b[31m", "control characters"),
        ("games.csv, line 8 is bad. Correct the file", "several sentences"),
        ("games.csv, line 8: ValueError, correct the file", "speaks of programs"),
        ("games.csv, line 8: KeyError: 'x' (unexpected error: see the log)", "speaks of programs"),
        ('games.csv, line 8: home_points "add" is a word', "has no remedy"),
        ("line 8 is bad; correct the file", "does not name games.csv"),
        ("games.csv is bad; correct the file", "does not name line 8|row 7"),
    ],
)
def test_what_people_cannot_act_on_is_unclear(reason: str, fault: str) -> None:
    assert any(found.startswith(fault) or fault in found for found in faults_of(reason, ("games.csv", "line 8|row 7")))


def test_a_clear_reason_has_no_fault() -> None:
    assert faults_of(CLEAR, ("games.csv", "line 8|row 7")) == []
    assert faults_of("a.gz is a corrupt file (CRC Error. Not gzip.); export it again") == [], (
        "a library's words, quoted"
    )


def refuse(error: type[Exception], text: str = "") -> Callable[[], Outcome]:
    def read() -> Outcome:
        raise error(text)

    return read


def hang() -> Outcome:
    try:
        time.sleep(5)
    except Exception:
        return Outcome.RIGHT
    return Outcome.RIGHT


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda: Outcome.RIGHT, Outcome.RIGHT),
        (lambda: Outcome.QUARANTINED, Outcome.QUARANTINED),
        (refuse(ValueError, CLEAR), Outcome.REFUSED),
        (refuse(ValueError, "no"), Outcome.UNCLEAR),
        (refuse(UnclearError), Outcome.UNCLEAR),
        (refuse(KeyError, CLEAR), Outcome.TRACEBACK),
        (refuse(AssertionError), Outcome.TRACEBACK),
        (hang, Outcome.HANG),
        (refuse(SilentlyWrongError), Outcome.SILENT),
    ],
)
def test_each_outcome_is_noticed(read: Callable[[], Outcome], outcome: Outcome) -> None:
    assert classify("a/b/0", read, (ValueError,), must_name=("games.csv",), seconds=0.05).outcome == outcome


def test_to_refuse_what_is_right_is_unclear() -> None:
    assert classify("a/b/0", refuse(ValueError, CLEAR), (ValueError,), must_be_read=True).outcome in BAD


def test_the_timer_that_ran_before_goes_on() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    with time_limit(50):
        with time_limit(5):
            pass
        assert 40 < signal.getitimer(signal.ITIMER_REAL)[0] <= 50
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


# --- what is compared -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original's files, read by nobody yet."""
    made = tmp_path_factory.mktemp("games")
    for name, cells in original(tmp_path_factory.mktemp("sample")).items():
        (made / f"{name}.csv").write_bytes(rendered(cells, "csv"))
    return made


def says_of(folder: Path) -> dict[str, dict[int, Any]]:
    return {path.name: written_lines(path.read_bytes()) for path in folder.iterdir()}


def games_of(says: dict[str, dict[int, Any]]) -> frozenset[Row]:
    rows = {row.without_id() for lines in says.values() for row in lines.values()}
    played = {row.key for row in rows if row.home_points}
    return frozenset(row for row in rows if row.home_points or row.key not in played)


@pytest.mark.parametrize("change", [{"home_points": 111}, {"playoff": True}, {"date": "2024-03-03"}, None])
def test_a_game_that_is_not_read_as_it_is_written_is_silently_wrong(
    folder: Path, change: dict[str, Any] | None
) -> None:
    """Planted: the file says something else in one line than what the pipeline has read."""
    says, loaded = says_of(folder), load(folder)
    games = games_of(says)
    assert Written(says, games, False).judge(loaded) == Outcome.RIGHT
    says["season_2024.csv"][9] = says["season_2024.csv"][9]._replace(**change) if change else 1
    with pytest.raises(SilentlyWrongError, match=r"season_2024\.csv, line 9 is lost|no line says"):
        Written(says, games, True).judge(loaded)


@pytest.mark.parametrize("limit", [True, False])
def test_a_change_that_only_the_original_tells_is_a_limit_by_name_or_silently_wrong(folder: Path, limit: bool) -> None:
    """Planted: the file was read as it is written, and the original was another."""
    says = says_of(folder)
    first, *rest = sorted(games_of(says))
    other = Written(says, frozenset([first._replace(home_points=1), *rest]), limit)
    if limit:
        assert other.judge(load(folder)) == Outcome.LIMIT
    else:
        with pytest.raises(SilentlyWrongError, match="1 games changed or are lost without a word"):
            other.judge(load(folder))


def test_a_file_that_is_neither_read_nor_named_is_silently_wrong(folder: Path) -> None:
    says = says_of(folder)
    with pytest.raises(SilentlyWrongError, match=r"lost\.csv"):
        Written({**says, "lost.csv": {}}, frozenset(), True).judge(load(folder))


def test_lines_are_read_one_by_one() -> None:
    text = (
        b'date,season,home_team,away_team,home_points,away_points\n2021-01-01,2021,"sim01",Simulated team 2,100.0,90\n'
    )
    game = Row("2021-01-01", 2021, "SIM01", "SIM02", 100, 90, None, None)
    assert written_lines(text + b'"x\n\n1,2,3\n') == {2: game, 3: 1, 5: 1}
    assert written_rows([["Date", "season"], ["2021-01-01", "2021"]]) == {1: 1}
    assert original_rows([]) == frozenset()
