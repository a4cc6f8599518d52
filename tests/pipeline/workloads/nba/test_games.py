"""Validated games as a whole: their form, the limits that stop a run, and the real games."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.ingest.quarantine import BadData, count_rules
from pipeline.ingest.validated import ValidatedRows, rows_digest
from pipeline.workloads.nba.columns import AWAY_FRANCHISE, GAME_COLUMNS, HOME_FRANCHISE
from pipeline.workloads.nba.game_data.games import load_games

HEADER = "date,season,home_team,away_team,home_points,away_points,neutral_site,playoff\n"
Load = Callable[..., ValidatedRows]


def rows(*days: str) -> str:
    return HEADER + "".join(f"{day},2021,BOS,LAL,100,90,,\n" for day in days)


def test_games_have_the_columns_types_and_order_of_the_contract(load: Load) -> None:
    text = rows("2021-02-01", "2021-01-01") + "2021-01-01,2021,ATL,PHO,100,90,1,\n2021-03-01,2021,SEA,LAL,,,,\n"
    with pytest.raises(AssertionError):
        assert load({"a.csv": text}).n_bad_rows == 0, "SEA ended in 2008"
    games = load({"a.csv": text.replace("SEA", "OKC")}).rows
    assert games["game_id"].tolist() == [
        "2021-01-01-ATL-PHX", "2021-01-01-BOS-LAL", "2021-02-01-BOS-LAL", "2021-03-01-OKC-LAL",
    ]  # fmt: skip
    assert tuple(games.columns) == (*GAME_COLUMNS, HOME_FRANCHISE, AWAY_FRANCHISE, ROW_ID, TIME, TARGET)
    assert games.dtypes.astype(str).tolist() == [
        "str", "datetime64[s]", "int16", "str", "str", "Int16", "Int16", "bool", "bool", "str", "str",
        "str", "datetime64[s]", "Int8",
    ]  # fmt: skip
    assert isinstance(games.index, pd.RangeIndex)


def test_too_many_bad_rows_stop_the_run_with_share_limit_and_commonest(load: Load) -> None:
    text = rows("2021-01-01", "2021-01-03", "2021-01-05") + "2021-01-07,2021,BOS,LAL,abc,90,,\n"
    bad = text + "2021-01-09,2021,BOS,LAL,100,999,,\n2021-02-30,2021,BOS,LAL,100,90,,\n"
    assert load({"a.csv": text}, max_bad_row_share=0.25).n_bad_rows == 1
    with pytest.raises(BadData) as caught:
        load({"a.csv": bad}, max_bad_row_share=0.25)
    assert str(caught.value) == (
        "3 of 6 rows are bad (50.00%, limit 25.00%); most common (2 violations): a.csv, line 5: "
        'home_points "abc" is not a whole number from 1 to 250: '
        "missing is written as nothing or NA, N/A, #N/A, NaN, NaT, <NA>, null, None, \\N, (null), -; "
        "correct the files (quarantine.csv lists every row), or raise MaxBadRowShare"
    )
    assert caught.value.quarantine["line"].tolist() == [5, 6, 7]


def test_the_reason_is_what_most_rows_break_and_not_an_old_row_of_the_first_file(load: Load) -> None:
    old = rows("2021-01-01", "2021-01-03") + "2021-01-04,2021,BOS,LAL,0,90,,\n2021-01-05,2021,BOS,LAL,100,100,,\n"
    new = HEADER + "".join(f"2021-01-{day:02d},2021,BOS,LAL,abc,90,,\n" for day in (7, 9, 11))
    with pytest.raises(
        BadData, match=r'limit 20\.00%\); most common \(4 violations\): b\.csv, line 2: home_points "abc"'
    ):
        load({"a.csv": old, "b.csv": new}, max_bad_row_share=0.2)


def test_the_reason_names_rows_that_the_limit_counts(load: Load) -> None:
    """Games called off long ago are listed, but are not why data is refused."""
    played = rows("2021-01-01", "2021-01-03", "2021-01-05", "2021-01-07", "2021-01-09")
    called_off = "2021-01-12,2021,BOS,LAL,,,,\n2021-01-14,2021,BOS,LAL,,,,\n"
    bad = "2021-01-16,2021,BOS,LAL,abc,90,,\n"
    with pytest.raises(BadData) as caught:
        load({"a.csv": played + called_off + bad}, as_of=date(2021, 6, 1), max_bad_row_share=0.1)
    message = str(caught.value)
    assert message.startswith("1 of 8 rows is bad (12.50%, limit 10.00%); most common (1 violation): a.csv, line 9: ")
    assert caught.value.quarantine["line"].tolist() == [7, 8, 9]


def test_too_few_played_games_stop_the_run(load: Load) -> None:
    text = rows("2021-01-01", "2021-01-03", "2021-02-01")
    assert len(load({"a.csv": text}, min_rows=3).rows) == 3
    for day, played in (date(2021, 2, 1), "2 games were"), (date(2021, 1, 2), "1 game was"):
        with pytest.raises(BadData) as caught:
            load({"a.csv": text}, min_rows=3, as_of=day)
        assert str(caught.value) == (
            f"{played} played before {day}, fewer than the minimum of 3; add older games, or lower MinRows"
        )


def test_only_bad_rows_still_give_an_account(load: Load) -> None:
    loaded = load({"a.csv": HEADER + "x,x,x,x,x,x,x,x\n"})
    assert (len(loaded.rows), loaded.n_bad_rows, loaded.files[0].first_date) == (0, 1, None)


def test_a_later_morning_changes_the_fingerprint_only_when_a_game_was_played(load: Load) -> None:
    text = rows("2021-01-01", "2021-02-01")
    days = (date(2021, 2, 1), date(2021, 1, 15), date(2021, 2, 2))
    before, same, after = (rows_digest(load({"a.csv": text}, as_of=day).rows) for day in days)
    assert before == same != after


def test_real_games_are_accounted_for_row_by_row(real_games: Path) -> None:
    loaded = load_games(
        real_games, as_of=date(2023, 7, 1), today=date(2023, 7, 1), max_bad_row_share=0.01, min_rows=70_000
    )
    assert loaded.n_rows_read == 73_357
    unscored = loaded.quarantine["rule"].str.startswith("is missing, yet the game was played before")
    assert unscored.sum() == 101
    rest = loaded.quarantine[~unscored]
    assert count_rules(rest).index.tolist() == [
        "contradicts another row of the same game",
        "is a score that no team has had",
        "is not a whole number from 1 to 250",
    ]
    # Five pairs of games of one day (1954 to 1983), and a forfeit that was scored 2 to 0.
    clashes = rest[rest["rule"].str.startswith("contradicts")]
    assert clashes["line"].drop_duplicates().tolist() == [
        2953, 2954, 10364, 10365, 17453, 17454, 20723, 20724, 24725, 24726,
    ]  # fmt: skip
    assert rest[~rest["rule"].str.startswith("contradicts")][["line", "value"]].to_numpy().tolist() == [
        [13344, "2"],
        [13344, "0"],
    ]
    assert (len(loaded.rows), loaded.n_bad_rows) == (73_245, 112)
    assert (loaded.n_duplicates_collapsed, loaded.n_labels_hidden) == (0, 0)


def test_real_games_of_a_past_morning_hide_every_later_score(real_games: Path) -> None:
    loaded = load_games(real_games, as_of=date(2019, 1, 1), today=date(2023, 7, 1), max_bad_row_share=0.01, min_rows=1)
    played = loaded.rows["home_points"].notna()
    assert (played == (loaded.rows["date"] < "2019-01-01")).all()
    assert (loaded.rows["away_points"].notna() == played).all()
    assert loaded.n_labels_hidden == (~played).sum() - 101
