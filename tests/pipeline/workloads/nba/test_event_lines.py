"""Every line of a CSV event file is accounted for, or refused by its number: with DuckDB, and without an engine."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from event_csv import HEADER, LINES, PLAIN, READ, REFUSED, write_contents
from play_by_play import a_game, event, write_events

from pipeline.contract.container import StepError
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.play_by_play import event_lines
from pipeline.workloads.nba.play_by_play.aggregate import main
from pipeline.workloads.nba.play_by_play.event_files import CSV, EventFile
from pipeline.workloads.nba.play_by_play.event_lines import LinesError, count_lines, read_header, read_lines


def account_of(folder: Path, *options: str) -> dict[str, Any]:
    main(["--input", str(folder), "--output", str(folder.parent / "out"), *options])
    found: dict[str, Any] = json.loads((folder.parent / "out" / nba.AGGREGATED_FILE).read_text(encoding="utf-8"))
    return found


def test_lines_of_every_kind_are_accounted_for(tmp_path: Path) -> None:
    found = account_of(write_contents(tmp_path / "in", {name: content for name, (content, _) in READ.items()}))
    files = {file["name"]: file for file in found["files"]}
    lines = {
        name: (file["lines"], file["blank_lines"], file["continued_lines"], file["rows"])
        for name, file in files.items()
    }
    assert lines == {
        name: (n, blank, continued, n - blank - continued - 1) for name, (_, (n, blank, continued)) in READ.items()
    }
    check_sums(found)
    # all of them hold the same events, and the first by name keeps them
    kept = {name: file["kept"] for name, file in files.items() if file["kept"]}
    assert kept == {min(name for name in READ if not name.startswith("header_")): found["n_events"]}


def check_sums(found: Mapping[str, Any]) -> None:
    for file in found["files"]:
        rows = file["kept"] + file["collapsed"] + file["bad_rows"] + file["not_counted"]
        assert file["rows"] == rows
        assert file.get("lines", 1 + rows) == 1 + rows + file.get("blank_lines", 0) + file.get("continued_lines", 0)
    for total, part in (
        ("n_rows_read", "rows"),
        ("n_events", "kept"),
        ("n_duplicates_collapsed", "collapsed"),
        ("n_bad_rows", "bad_rows"),
    ):
        assert sum(file[part] for file in found["files"]) == found[total]


def test_an_event_is_kept_once_and_each_repeat_is_told_by_its_file(tmp_path: Path) -> None:
    game, bad = a_game(), event(500, "2pt", "HOM", "?", game_id="9")
    files = {"b.csv": [*game[:9], *game[:3], bad], "a.csv": game[3:6], "c/a.parquet": [*game, bad]}
    for name, rows in files.items():
        write_events(tmp_path / "in" / Path(name).parent, {Path(name).name: rows})
    found = account_of(tmp_path / "in", "--max-bad-row-share", "1")
    check_sums(found)
    # the fifth event is a foul, which nothing counts
    parts = ("kept", "collapsed", "bad_rows", "not_counted")
    assert {file["name"]: tuple(file[part] for part in parts) for file in found["files"]} == {
        "a.csv": (2, 0, 0, 1),
        "b.csv": (6, 5, 1, 1),
        "c/a.parquet": (14, 8, 1, 2),
    }


@pytest.mark.parametrize(("name", "case"), REFUSED.items(), ids=REFUSED)
def test_lines_that_are_no_rows_are_refused_by_their_numbers(
    tmp_path: Path, name: str, case: tuple[bytes, str]
) -> None:
    content, reason = case
    folder = write_contents(tmp_path / "in", {"a.csv": PLAIN, f"{name}.csv": content, "z.csv": PLAIN})
    with pytest.raises(StepError) as error:
        account_of(folder, "--max-bad-row-share", "1")
    assert str(error.value).startswith(f"{name}.csv{reason}")


def test_two_marks_far_from_each_other_are_named_by_both_lines(tmp_path: Path) -> None:
    rows = [line.replace("x,", f"x{number},", 1) for number in range(500) for line in LINES[1:] if '"' not in line]
    rows[10], rows[9_000] = rows[10].replace("x0,", '"x,'), re.sub("^x[0-9]+,", 'x",', rows[9_000])
    folder = write_contents(tmp_path / "in", {"a.csv.gz": gzip.compress("\n".join([HEADER, *rows]).encode())})
    with pytest.raises(StepError, match=r"^a\.csv\.gz: lines 12 to 9,002 are one row, because quotation marks open in"):
        account_of(folder)


def test_a_file_of_a_few_bad_rows_among_many_good_ones_is_named(tmp_path: Path) -> None:
    """The share of all rows is below its limit."""
    bad = [event(number, "2pt", "HOM", "?", game_id="9") for number in range(5)]
    files = {f"{n}.parquet": a_game(game_id=str(n)) for n in range(30)}
    folder = write_events(tmp_path / "in", {**files, "more.csv": [*bad, *a_game(game_id="10")[:15]]})
    with pytest.raises(StepError) as error:
        account_of(folder)
    assert str(error.value) == (
        'more.csv: 5 of 20 event rows are bad (25.00%, limit 20.00%); first: more.csv: shotResult "?" is neither Made '
        "nor Missed (5 rows); correct the file, remove it, or raise MaxBadRowShareOfFile"
    )
    found = account_of(folder, "--max-bad-row-share-of-file", "0.25")
    by_name = {file["name"]: file for file in found["files"]}
    assert by_name["0.parquet"] == {
        "name": "0.parquet",
        "rows": 24,
        "kept": 22,
        "collapsed": 0,
        "bad_rows": 0,
        "not_counted": 2,
    }
    assert by_name["more.csv"]["bad_rows"] == found["n_bad_rows"] == 5


@pytest.mark.parametrize("option", ["--max-bad-row-share", "--max-bad-row-share-of-file"])
def test_a_share_is_a_share(option: str) -> None:
    with pytest.raises(StepError, match=r"MaxBadRowShare(OfFile)? 20 is not a share from 0 to 1"):
        main([option, "20"])


def test_files_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "in", {"b.csv": a_game()})
    write_events(folder / "more", {"b.csv": a_game()[:-1]})
    assert [(file["name"], file["rows"]) for file in account_of(folder)["files"]] == [("b.csv", 24), ("more/b.csv", 23)]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_lines_are_counted_the_same_in_blocks_of_any_size(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_lines, "_BLOCK", block)
    rng = random.Random(block)  # noqa: S311 (not for secrets)
    for _ in range(300):
        text = "".join(rng.choice(("a", "é", ",", "\n", "\r\n", "\r")) for _ in range(rng.randrange(12)))
        n_lines = count_lines(io.BytesIO(text.encode()), 100)
        ends = {line[len(line.rstrip("\r\n")) :] for line in io.StringIO(text, newline="")} - {""}
        assert n_lines == (None if len(ends) > 1 else len(list(io.StringIO(text, newline=""))))


def test_a_file_that_unpacks_to_too_much_is_refused_before_its_end() -> None:
    file = io.BytesIO(b"1\n" * 1_000_000)
    with pytest.raises(LinesError, match="unpacks to more than 10 bytes"):
        count_lines(file, 10)
    assert file.tell() < 1_000_000


def test_a_header_without_an_end_is_not_read_into_memory() -> None:
    file = io.BytesIO(b"x" * 5_000_000)
    with pytest.raises(LinesError, match="line 1 is longer than 131,072 characters; export it again"):
        read_header(file)


def test_an_engine_that_reads_other_rows_than_there_are_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(PLAIN)
    file = EventFile("a.csv", tmp_path / "a.csv", (CSV, "0"), len(LINES))
    assert file.lines_of(24) == read_lines(io.BytesIO(PLAIN), nba.EVENT_COLUMNS)
    with pytest.raises(StepError, match=r"^a\.csv has 24 rows, of which 23 were read; export it again$"):
        file.lines_of(23)
