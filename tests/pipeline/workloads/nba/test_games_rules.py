"""Each rule of the data contract for one row: the bad row is quarantined with its place, column, value and rule."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date

import pandas as pd
import pytest

from pipeline.ingest.quarantine import count_rules, describe
from pipeline.ingest.validated import ValidatedRows

HEADER = "date,season,home_team,away_team,home_points,away_points,neutral_site,playoff\n"
GOOD = "2021-01-01,2021,BOS,LAL,100,90,false,false\n"
Load = Callable[..., ValidatedRows]

MISSING = "missing is written as nothing or NA, N/A, #N/A, NaN, NaT, <NA>, null, None, \\N, (null), -"
POINTS = f"is not a whole number from 1 to 250: {MISSING}"
DATE = "is not a real date written YYYY-MM-DD"
SEASON = "is not a year from 1900 to 2200: write the year in which the season ends"
TIME = f"{DATE}: write the local day alone; a day in UTC is often the day after"
FLAG = f"is not true or false: yes, no, y, n, t, f, 1, 0, 1.0 and 0.0 are read as well; {MISSING}"
UNPLAYED = "is missing, yet the game was played before 2021-03-01; add the score, or remove a game that was called off"


@pytest.mark.parametrize(
    ("row", "column", "value", "rule"),
    [
        ("2021-02-30,2021,BOS,LAL,100,90,,", "date", "2021-02-30", DATE),
        ("2021-02-29,2021,BOS,LAL,100,90,,", "date", "2021-02-29", DATE),
        ("20210115,2021,BOS,LAL,100,90,,", "date", "20210115", DATE),
        ("21-01-05,2021,BOS,LAL,100,90,,", "date", "21-01-05", DATE),
        ("2021-W01-1,2021,BOS,LAL,100,90,,", "date", "2021-W01-1", DATE),
        ("01/15/2021,2021,BOS,LAL,100,90,,", "date", "01/15/2021", DATE),
        ("2021-01-15 19:30:00,2021,BOS,LAL,100,90,,", "date", "2021-01-15 19:30:00", TIME),
        ("2021-01-15T00:00:00Z,2021,BOS,LAL,100,90,,", "date", "2021-01-15T00:00:00Z", TIME),
        ("1510102800000,2021,BOS,LAL,100,90,,", "date", "1510102800000", DATE),
        ("2021-07-15T00:00:00-05:00,2021,BOS,LAL,100,90,,", "date", "2021-07-15T00:00:00-05:00", TIME),
        (
            '2021-01-15,2021,BOS,LAL,"100,0",90,,',
            "home_points",
            "100,0",
            "is not a whole number from 1 to 250: write decimals with a point, and thousands without a mark",
        ),
        (",2021,BOS,LAL,100,90,,", "date", "", DATE),
        ("2021-01-15,1899,BOS,LAL,100,90,,", "season", "1899", SEASON),
        ("2021-01-15,2201,BOS,LAL,100,90,,", "season", "2201", SEASON),
        ("2021-01-15,2020-22,BOS,LAL,100,90,,", "season", "2020-22", SEASON),
        ("2021-01-15,22020,BOS,LAL,100,90,,", "season", "22020", SEASON),
        ("2021-01-15,,BOS,LAL,100,90,,", "season", "", SEASON),
        ("2021-01-15,2021,BOS,LAL,abc,90,,", "home_points", "abc", POINTS),
        ("2021-01-15,2021,BOS,LAL,112.5,90,,", "home_points", "112.5", POINTS),
        ("2021-01-15,2021,BOS,LAL,-3,90,,", "home_points", "-3", POINTS),
        ("2021-01-15,2021,BOS,LAL,100,0,,", "away_points", "0", POINTS),
        ("2021-01-15,2021,BOS,LAL,100,251,,", "away_points", "251", POINTS),
        ("2021-01-15,2021,BOS,LAL,100,99999999999,,", "away_points", "99999999999", POINTS),
        ("2021-01-15,2021,BOS,LAL,100,1e2,,", "away_points", "1e2", POINTS),
        ("2021-01-15,2021,BOS,LAL,100,NaN,,", "away_points", "NaN", "is missing while home_points is given"),
        ("2021-01-15,2021,BOS,NA,100,90,,", "away_team", "NA", "is empty"),
        ("2021-01-15,2021,BOS,LAL,100,90,,1.5", "playoff", "1.5", FLAG),
        ("2021-01-15,2021,BOS,LAL,,90,,", "home_points", "", "is missing while away_points is given"),
        ("2021-01-15,2021,BOS,LAL,100,,,", "away_points", "", "is missing while home_points is given"),
        ("2021-01-15,2021,BOS,LAL,100,100,,", "away_points", "100", "equals home_points; a game has a winner"),
        ("2021-01-15,2021,BOS,BOS,100,90,,", "away_team", "BOS", "is the same franchise as home_team"),
        ("2021-01-15,2021,BRK,BKN,100,90,,", "away_team", "BKN", "is the same franchise as home_team"),
        ("2021-01-15,2021,,LAL,100,90,,", "home_team", "", "is empty"),
        (
            "2021-01-15,2021,XYZ,LAL,100,90,,",
            "home_team",
            "XYZ",
            "is an unknown team: leave out a game of no league team; add a new team to "
            "pipeline/workloads/nba/game_data/franchises.csv",
        ),
        (
            "2021-01-15,2021,BOS,Lakers,100,90,,",
            "away_team",
            "Lakers",
            "is an unknown team: did you mean LAL (Los Angeles Lakers)? Correct it; leave out a game of no league "
            "team; add a new team to pipeline/workloads/nba/game_data/franchises.csv",
        ),
        (
            "2021-01-15,2021,BOS,L\u0410L,100,90,,",  # a Cyrillic A
            "away_team",
            "L\\u0410L",
            "is an unknown team: did you mean LAL (Los Angeles Lakers)? Correct it; leave out a game of no league "
            "team; add a new team to pipeline/workloads/nba/game_data/franchises.csv",
        ),
        (
            "2021-01-15,2021,Boston (10-3),LAL,100,90,,",
            "home_team",
            "Boston (10-3)",
            "is an unknown team: did you mean BOS (Boston Celtics)? Correct it; leave out a game of no league "
            "team; add a new team to pipeline/workloads/nba/game_data/franchises.csv",
        ),
        (
            "2021-01-15,2021,BAL,LAL,100,90,,",
            "home_team",
            "BAL",
            "is no team of that season: it is of 1948 to 1955, 1964 to 1973; correct it or the season, or add this "
            "season to pipeline/workloads/nba/game_data/franchises.csv",
        ),
        ("2021-01-15,2021,BOS,LAL,100,90,maybe,", "neutral_site", "maybe", FLAG),
        ("2021-01-15,2021,BOS,LAL,100,90,,2", "playoff", "2", FLAG),
        (
            "2021-03-02,2021,BOS,LAL,100,90,,",
            "home_points",
            "100",
            "is the score of a game after 2021-03-01, which is still to be played",
        ),
        ("2021-01-15,2021,BOS,LAL,,,,", "home_points", "", UNPLAYED),
        (
            "2021-01-15,2021,BOS,LAL,100,90,",
            "",
            "2021-01-15,2021,BOS,LAL,100,90,",
            "has a wrong number of fields: 7, where the header has 8",
        ),
        (
            '2021-01-15,2021,BOS,LAL,"1,00",90,,,',
            "",
            '2021-01-15,2021,BOS,LAL,"1,00",90,,,',
            "has a wrong number of fields: 9, where the header has 8",
        ),
    ],
)
def test_bad_row_is_quarantined_alone(load: Load, row: str, column: str, value: str, rule: str) -> None:
    loaded = load({"games.csv": HEADER + GOOD + row + "\n"})
    assert loaded.quarantine.to_numpy().tolist() == [["games.csv", 3, column, value, rule]]
    assert loaded.rows["game_id"].tolist() == ["2021-01-01-BOS-LAL"]
    assert (loaded.n_rows_read, loaded.n_bad_rows) == (2, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        *((text, False) for text in ("false", "F", "no", "0", "False", "N O".replace(" ", ""))),
        *((text, True) for text in ("true", "T", "YES", "1", "TRUE", " true ")),
    ],
)
def test_flags_are_read_as_words(load: Load, text: str, expected: bool) -> None:
    loaded = load({"games.csv": HEADER + f"2021-01-01,2021,BOS,LAL,100,90,{text},{text}\n"})
    assert loaded.rows[["neutral_site", "playoff"]].to_numpy().tolist() == [[expected, expected]]


def test_numbers_may_be_written_with_decimals_and_spaces(load: Load) -> None:
    games = load({"games.csv": HEADER + " 2021-01-01 ,2021.0, BOS,LAL ,112.0,0090.,,\n"}).rows
    assert games[["season", "home_team", "away_team", "home_points", "away_points"]].to_numpy().tolist() == [
        [2021, "BOS", "LAL", 112, 90]
    ]


@pytest.mark.parametrize(
    ("date_", "season", "note"),
    [
        ("2021/1/1", "2021", 'date "2021/1/1" is taken as 2021-01-01'),
        ("2021.01.01", "2021", 'date "2021.01.01" is taken as 2021-01-01'),
        ("2021-01-01 00:00:00", "2021", 'date "2021-01-01 00:00:00" is taken as 2021-01-01'),
        ("2021-01-01T00:00:00.000", "2021", 'date "2021-01-01T00:00:00.000" is taken as 2021-01-01'),
        ("2021-01-01T05:00:00.000Z", "2021", 'date "2021-01-01T05:00:00.000Z" is taken as 2021-01-01'),
        ("2021-01-01 05:00:00 UTC", "2021", 'date "2021-01-01 05:00:00 UTC" is taken as 2021-01-01'),
        ("2021-01-01T00:00-05:00", "2021", 'date "2021-01-01T00:00-05:00" is taken as 2021-01-01'),
        ("2021\u201101\u201101", "2021", 'date "2021\u201001\u201001" is taken as 2021-01-01'),
        ("2021-01-01", "2020-21", 'season "2020-21" is taken as 2021'),
        ("2021-01-01", "2020/2021", 'season "2020/2021" is taken as 2021'),
        ("2021-01-01", "2020\u201321", 'season "2020\u201321" is taken as 2021'),
    ],
)
@pytest.mark.parametrize("is_parquet", [False, True])
def test_what_can_mean_one_thing_is_taken_and_noted(
    load: Load, date_: str, season: str, note: str, *, is_parquet: bool
) -> None:
    text = HEADER + f"{date_},{season},BOS,LAL,100,90,,\n"
    loaded = load({"a.parquet": pd.read_csv(io.StringIO(text), dtype=str)} if is_parquet else {"a.csv": text})
    assert loaded.rows[["game_id", "season"]].to_numpy().tolist() == [["2021-01-01-BOS-LAL", 2021]]
    assert note in loaded.notes and loaded.n_bad_rows == 0


def test_a_century_may_end_within_a_season(load: Load) -> None:
    loaded = load({"a.csv": HEADER + "2000-01-01,1999-00,BOS,LAL,100,90,,\n"})
    assert loaded.rows["season"].tolist() == [2000]


def test_invisible_characters_count_for_nothing_in_a_value(load: Load) -> None:
    row = "\u200e2021-01-01,2021\u200b,B\u200bOS,\ufeffLAL,\uff11\uff10\uff10,90\u00ad,false\u200d,\u200b\n"
    assert load({"a.csv": HEADER + row}).rows["game_id"].tolist() == ["2021-01-01-BOS-LAL"]


def test_a_game_of_0_to_0_is_one_to_come(load: Load) -> None:
    rows = "2021-03-01,2021,BOS,LAL,0,0,,\n2021-03-02,2021,BOS,LAL,0.0,0,,\n2021-02-28,2021,BOS,MIA,0,0,,\n"
    loaded = load({"a.csv": HEADER + rows})
    assert loaded.rows["home_points"].isna().tolist() == [True, True]
    assert loaded.quarantine[["line", "value", "rule"]].to_numpy().tolist() == [[4, "0", UNPLAYED]]
    assert loaded.notes == ("3 game(s) of 0 to 0 are taken as not yet played",)


def test_the_numbers_of_the_leagues_own_feed_are_teams(load: Load) -> None:
    rows = "2021-01-01,2021,1610612738,1610612766,100,90,,\n2000-01-01,2000,1610612738.0,1610612766,100,90,,\n"
    games = load({"a.csv": HEADER + rows}).rows
    assert games[["home_franchise", "away_franchise"]].to_numpy().tolist() == [["BOS", "NOP"], ["BOS", "CHA"]]


def test_names_and_small_letters_are_taken_as_codes_and_noted(load: Load) -> None:
    loaded = load({"games.csv": HEADER + "2021-01-01,2021,bos,Los Angeles Lakers,100,90,,\n" + GOOD})
    assert (loaded.n_bad_rows, loaded.n_duplicates_collapsed) == (0, 1)
    assert loaded.rows[["home_team", "away_team"]].to_numpy().tolist() == [["BOS", "LAL"]]
    assert loaded.notes == ("teams taken by their code: Los Angeles Lakers as LAL, bos as BOS",)
    assert load({"games.csv": HEADER + GOOD}).notes == ()


def test_a_row_can_break_several_rules_and_is_one_bad_row(load: Load) -> None:
    loaded = load({"games.csv": HEADER + "2021-13-01,x,QQQ,LAL,0,251,?,\n"})
    assert loaded.quarantine["column"].tolist() == [
        "date", "season", "home_team", "home_points", "away_points", "neutral_site",
    ]  # fmt: skip
    assert (loaded.n_rows_read, loaded.n_bad_rows, len(loaded.rows)) == (1, 1, 0)


def test_a_season_may_end_in_the_year_of_the_date_or_the_next(load: Load) -> None:
    rows = "2020-12-25,2021,BOS,LAL,100,90,,\n2020-10-11,2020,MIA,LAL,93,106,,\n"
    assert load({"games.csv": HEADER + rows}).n_bad_rows == 0


@pytest.mark.parametrize(
    ("as_of", "today", "row", "points", "n_hidden"),
    [
        (date(2021, 1, 15), date(2021, 3, 1), "2021-01-14,2021,BOS,LAL,100,90,,", 100, 0),
        (date(2021, 1, 15), date(2021, 3, 1), "2021-01-15,2021,BOS,LAL,100,90,,", pd.NA, 1),
        (date(2021, 1, 15), date(2021, 3, 1), "2021-03-01,2021,BOS,LAL,100,90,,", pd.NA, 1),
        (date(2021, 1, 15), date(2021, 3, 1), "2021-01-15,2021,BOS,LAL,,,,", pd.NA, 0),
        (date(2021, 3, 1), date(2021, 1, 15), "2021-02-28,2021,BOS,LAL,100,90,,", 100, 0),
    ],
)
def test_as_of_a_morning_only_earlier_games_have_scores(
    load: Load, as_of: date, today: date, *, row: str, points: object, n_hidden: int
) -> None:
    loaded = load({"games.csv": HEADER + row + "\n"}, as_of=as_of, today=today)
    assert loaded.rows["home_points"].tolist() == [points]
    assert loaded.rows["away_points"].isna().tolist() == [points is pd.NA]
    assert (loaded.n_labels_hidden, loaded.n_bad_rows) == (n_hidden, 0)


def test_a_violation_reads_as_one_sentence() -> None:
    assert (
        describe("games_2020.csv", 88, "home_points", "abc", POINTS)
        == 'games_2020.csv, line 88: home_points "abc" ' + POINTS
    )
    assert describe("a.parquet", 5, "date", "", DATE) == f'a.parquet, row 5: date "" {DATE}'
    assert describe("a.csv", 5, "", "1,2", "has a wrong number") == "a.csv, line 5: has a wrong number"


def test_rules_are_counted_without_what_differs_by_row(load: Load) -> None:
    rows = GOOD + GOOD.replace("90", "91") + "2021-01-15,2021,BOS,LAL,100,x,,\n"
    counts = count_rules(load({"games.csv": HEADER + rows}).quarantine)
    assert counts.to_dict() == {"contradicts another row of the same game": 2, POINTS.partition(":")[0]: 1}
