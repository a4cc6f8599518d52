"""What took no part is said in one line, and the counts of a file must add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.ingest.csv_rows import read_csv, read_lines
from pipeline.ingest.files.data_folder import LeftOut
from pipeline.ingest.raw_rows import NO_BAD_LINES, LineCounts
from pipeline.ingest.row_counts import took_no_part
from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba.columns import COLUMNS

ROWS = "date,season,home_team,away_team,home_points,away_points,attendance\n2021-01-01,2021,BOS,LAL,100,90,5\n1,2\n"


def test_one_line_says_what_took_no_part(load: Callable[..., ValidatedRows]) -> None:
    loaded = load({"a.csv": ROWS, ".hidden.csv": "", "new.csv.zip": b"PK\x03\x04"})
    assert took_no_part(loaded.files, loaded.left_out) == (
        "1 bad row (quarantine.csv); .hidden.csv (is hidden), new.csv.zip (is a zip archive); column attendance"
    )
    many = [LeftOut(f"{number}.txt", "is no *.csv") for number in range(5)]
    assert took_no_part([], many).endswith("2.txt (is no *.csv) and 2 more")
    assert took_no_part([], []) == ""


def test_names_of_columns_and_teams_reach_no_terminal_as_they_are(load: Callable[..., ValidatedRows]) -> None:
    header = "date,season,home_team\u200b,away_team,home_points,away_points,\x1b[2J\n"
    loaded = load({"a.csv": f"{header}2021-01-01,2021,BOS\x00,LAL,100,90,5\n"})
    assert loaded.notes == (
        r'column "home_team\u200b" is taken as home_team (a.csv)',
        r"teams taken by their code: BOS\x00 as BOS",
    )
    assert took_no_part(loaded.files, loaded.left_out) == r"column \x1b[2J"


def test_lines_are_counted_by_kind() -> None:
    counts = LineCounts.of(np.array([0, 1, 2, 3, 2, 4, 0], dtype=np.uint8))
    assert counts == LineCounts(lines=7, header=1, rows=2, continued=1, bad=1, blank=2)


def test_counts_that_do_not_add_up_are_an_error(load: Callable[..., ValidatedRows]) -> None:
    (rows,) = read_csv([read_lines(ROWS.encode(), "a.csv", COLUMNS)], COLUMNS)
    (file,) = rows.files
    with pytest.raises(AssertionError, match=r"a\.csv: 1 rows were read of 2"):
        replace(rows, files=(replace(file, counts=replace(file.counts, rows=2, bad=0), bad=NO_BAD_LINES),))
    with pytest.raises(AssertionError, match=r"a\.csv: 1 lines are bad of"):
        replace(file, counts=replace(file.counts, rows=2, bad=0))
    with pytest.raises(AssertionError):
        replace(file, counts=replace(file.counts, blank=1))
