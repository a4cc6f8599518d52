"""Overlapping files: what collapses, what gives way, and what contradicts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import permutations

import pandas as pd
import pytest

from pipeline.ingest.validated import ValidatedRows, rows_digest

HEADER = "date,season,home_team,away_team,home_points,away_points,neutral_site,playoff\n"
ID_HEADER = "game_id," + HEADER
PLAYED = "2021-01-01,2021,BOS,LAL,100,90,false,false\n"
PLANNED = "2021-01-01,2021,BOS,LAL,,,false,false\n"
Load = Callable[..., ValidatedRows]


def account(loaded: ValidatedRows) -> tuple[int, int, int, int]:
    """(games, collapsed, superseded, bad), which must add up to the rows read."""
    parts = (
        len(loaded.rows), loaded.n_duplicates_collapsed, loaded.n_superseded, loaded.n_bad_rows
    )  # fmt: skip
    assert sum(parts) == loaded.n_rows_read
    return parts


def test_identical_rows_collapse_across_files(load: Load) -> None:
    loaded = load({"a.csv": HEADER + PLAYED + PLAYED, "b.csv.gz": HEADER + PLAYED.replace("100", "100.0")})
    assert account(loaded) == (1, 2, 0, 0)


def test_rows_that_differ_only_in_the_code_of_a_franchise_collapse(load: Load) -> None:
    files = {
        "a.csv": HEADER + "2021-01-01,2021,BRK,PHO,100,90,,\n",
        "b.csv": HEADER + "2021-01-01,2021,BKN,PHX,100,90,,\n",
    }
    loaded = load(files)
    assert account(loaded) == (1, 1, 0, 0)
    # The code that sorts first, whatever file it stands in.
    columns = ["game_id", "home_team", "away_team", "home_franchise", "away_franchise"]
    assert loaded.rows[columns].to_numpy().tolist() == [["2021-01-01-BKN-PHX", "BKN", "PHX", "BKN", "PHX"]]


@pytest.mark.parametrize("as_of", [date(2021, 3, 1), date(2021, 1, 1)])
def test_a_score_supersedes_the_plan_of_an_older_export(load: Load, as_of: date) -> None:
    loaded = load({"a.csv": HEADER + PLANNED, "b.csv": HEADER + PLAYED}, as_of=as_of)
    assert account(loaded) == (1, 0, 1, 0)
    assert loaded.rows["home_points"].isna().tolist() == [as_of == date(2021, 1, 1)]


def test_a_postponed_game_keeps_its_id_and_its_plan_gives_way(load: Load) -> None:
    loaded = load({
        "a.csv": ID_HEADER + "7," + PLANNED,
        "b.csv": ID_HEADER + "7," + PLAYED.replace("01-01", "02-11"),
    })  # fmt: skip
    assert account(loaded) == (1, 0, 1, 0)
    assert loaded.rows["date"].tolist() == [pd.Timestamp("2021-02-11")]


def test_a_plan_of_other_teams_under_the_same_id_contradicts(load: Load) -> None:
    loaded = load({"a.csv": ID_HEADER + "7," + PLANNED.replace("BOS", "MIA") + "7," + PLAYED})
    assert account(loaded) == (0, 0, 0, 2)


def test_rows_that_contradict_are_all_quarantined_and_name_each_other(load: Load) -> None:
    loaded = load({"a.csv": HEADER + PLAYED + PLAYED, "b.csv": HEADER + "\n" + PLAYED.replace("90,false", "91,true")})
    assert account(loaded) == (0, 0, 0, 3)
    hint = "correct one of them, or give two real games of one day a game_id each"
    rule = "contradicts another row of the same game: {}; " + hint
    assert loaded.quarantine.to_numpy().tolist() == [
        ["a.csv", 2, "away_points", "90", rule.format('b.csv, line 3 has "91"')],
        ["a.csv", 2, "neutral_site", "false", rule.format('b.csv, line 3 has "true"')],
        ["a.csv", 3, "away_points", "90", rule.format('b.csv, line 3 has "91"')],
        ["a.csv", 3, "neutral_site", "false", rule.format('b.csv, line 3 has "true"')],
        ["b.csv", 3, "away_points", "91", rule.format('a.csv, line 2 has "90"')],
        ["b.csv", 3, "neutral_site", "true", rule.format('a.csv, line 2 has "false"')],
    ]


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("date", ("2021-01-01", "2021-01-02")),
        ("home_team", ("BOS", "MIA")),
        ("away_team", ("LAL", "MIA")),
        ("home_points", ("100", "101")),
        ("away_points", ("90", "91")),
        ("neutral_site", ("false,false", "true,false")),
        ("playoff", ("false,false", "false,true")),
    ],
)
def test_any_differing_value_under_one_id_contradicts(load: Load, column: str, change: tuple[str, str]) -> None:
    loaded = load({"a.csv": ID_HEADER + "7," + PLAYED + "7," + PLAYED.replace(*change)})
    assert account(loaded) == (0, 0, 0, 2)
    assert loaded.quarantine["column"].tolist() == [column, column]
    assert loaded.quarantine["rule"].str.endswith("; correct one of them").all()
    assert loaded.quarantine["rule"].str.contains("the day in UTC").all() == (column == "date")


def test_home_and_away_swapped_between_files_contradict(load: Load) -> None:
    swapped = "2021-01-01,2021,LAL,BOS,90,100,false,false\n"
    loaded = load({"a.csv": HEADER + PLAYED, "b.csv": HEADER + swapped})
    assert account(loaded) == (0, 0, 0, 2)
    assert set(loaded.quarantine["column"]) == {"home_team", "away_team", "home_points", "away_points"}
    assert loaded.quarantine["rule"].str.contains(", home and away being exchanged; ").all()


def test_two_real_games_of_one_day_need_an_id_each(load: Load) -> None:
    early, late = "1954-03-08,1954,MLH,BLB,64,54,,\n", "1954-03-08,1954,MLH,BLB,65,54,,\n"
    assert account(load({"a.csv": HEADER + early + late})) == (0, 0, 0, 2)
    loaded = load({"a.csv": ID_HEADER + "early," + early + "late," + late})
    assert account(loaded) == (2, 0, 0, 0)
    assert loaded.rows["game_id"].tolist() == ["early", "late"]


def test_one_game_under_two_ids_is_bad(load: Load) -> None:
    loaded = load({"a.csv": ID_HEADER + "7," + PLAYED, "b.csv": ID_HEADER + "x7," + PLAYED})
    assert account(loaded) == (0, 0, 0, 2)
    assert set(loaded.quarantine["rule"]) == {"is one of several ids of the same game: 7, x7; keep one"}


def test_ids_that_a_spreadsheet_or_a_column_of_numbers_changed_are_one(load: Load) -> None:
    plan = PLAYED.replace("2021-01-01", "2020-12-30").replace("100,90", ",")
    files = {"a.csv": ID_HEADER + "22000007.0," + plan, "b.csv": ID_HEADER + "0022000007," + PLAYED}
    loaded = load({**files, "c.csv": ID_HEADER + "22000007," + PLAYED})
    assert account(loaded) == (1, 1, 1, 0)
    assert loaded.rows["game_id"].tolist() == ["0022000007"]
    assert loaded.notes == ('game_id "22000007.0" is taken as 0022000007 and 1 more',)


@pytest.mark.parametrize("other", [PLAYED.replace("false,false", "true,"), PLAYED.replace("90", "91")])
def test_two_ids_on_one_day_are_one_game_whatever_the_rows_say(load: Load, other: str) -> None:
    loaded = load({"a.csv": ID_HEADER + "7," + PLAYED + "8," + other})
    assert account(loaded) == (0, 0, 0, 2)
    assert set(loaded.quarantine["rule"]) == {"is one of several ids of the same game: 7, 8; keep one"}


@pytest.mark.parametrize(
    "other",
    [
        "2022-01-07,2022,BOS,LAL,99,98,false,false\n",  # another season
        "2021-01-01,2021,MIA,CHI,99,98,false,false\n",  # other teams on that day
        "2021-01-02,2021,MIA,CHI,100,90,false,false\n",  # ... with the same score on another day
        "2021-02-01,2021,LAL,BOS,99,98,false,false\n",  # the same teams again
        "2022-01-07,2022,BOS,LAL,,,false,false\n",  # a scheduled game of another season
    ],
)
def test_one_id_of_several_games_is_named_as_such(load: Load, other: str) -> None:
    loaded = load({"a.csv": ID_HEADER + "7," + PLAYED + "7," + other + "8," + PLAYED.replace("01-01", "01-09")},
                  as_of=date(2022, 1, 7), today=date(2022, 2, 1))  # fmt: skip
    assert account(loaded) == (1, 0, 0, 2)
    assert set(loaded.quarantine["column"]) == {"game_id"}
    day, _, home, away, *_ = other.split(",")
    assert loaded.quarantine["rule"][0] == (
        f"is the id of several games: a.csv, line 3 has {home} against {away} on {day}; give each game an id that no "
        "other has, in any season, or leave game_id out"
    )


def test_a_scheduled_game_takes_the_id_of_its_result(load: Load) -> None:
    plans = "P1," + PLANNED + "P2," + PLANNED.replace("01-01", "03-05") + "Q1," + PLANNED
    files = {"plan.csv": ID_HEADER + plans, "result.csv": ID_HEADER + "R1," + PLAYED}
    loaded = load(files)
    assert account(loaded) == (2, 0, 2, 0)
    assert loaded.rows["game_id"].tolist() == ["R1", "P2"]
    assert loaded.notes == ("2 scheduled game(s) carry another game_id than their result: the result's is used",)


def test_a_plan_whose_id_has_a_result_elsewhere_stays_that_game(load: Load) -> None:
    """A postponed game: its first day was taken over by a game under another id."""
    moved = "7," + PLANNED + "7," + PLAYED.replace("01-01", "02-11")
    loaded = load({"a.csv": ID_HEADER + moved + "8," + PLAYED.replace("90", "91")})
    assert account(loaded) == (2, 0, 1, 0)
    assert sorted(loaded.rows["game_id"]) == ["7", "8"]


NO_FLAGS = "date,season,home_team,away_team,home_points,away_points\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("true,true", [True, True]), ("false,true", [False, True]), (",", [False, False]), ("true,", [True, False])],
)
@pytest.mark.parametrize("scores", ["100,90", ","])
def test_a_flag_that_one_file_lacks_is_what_the_other_says(
    load: Load, flags: str, expected: list[bool], scores: str
) -> None:
    """Whether the other file is a result or a plan, and whether the column is absent or its cell empty."""
    lacking = PLAYED.replace(",false,false", "")
    loaded = load({
        "a.csv": NO_FLAGS + lacking,
        "b.csv": HEADER + PLAYED.replace("false,false", flags).replace("100,90", scores),
        "c.csv": HEADER + PLAYED.replace("false,false", ","),
    })  # fmt: skip
    assert (len(loaded.rows), loaded.n_bad_rows) == (1, 0)
    assert loaded.rows[["neutral_site", "playoff"]].to_numpy().tolist() == [expected]


def test_a_result_knows_its_flags_better_than_a_plan(load: Load) -> None:
    files = {"a.csv": NO_FLAGS + PLAYED.replace(",false,false", ""), "b.csv": HEADER + PLANNED,
             "c.csv": HEADER + PLAYED.replace("false,false", "false,true")}  # fmt: skip
    loaded = load(files)
    assert account(loaded) == (1, 1, 1, 0)
    assert loaded.rows["playoff"].tolist() == [True]


def test_flags_that_are_given_still_contradict(load: Load) -> None:
    rows = [PLAYED.replace("false,false", flags) for flags in ("false,", "true,", ",")]
    loaded = load({"a.csv": HEADER + "".join(rows)})
    assert account(loaded) == (0, 0, 0, 3)
    assert set(loaded.quarantine["column"]) == {"neutral_site"}


def test_a_row_without_id_takes_the_id_of_its_game(load: Load) -> None:
    loaded = load({"a.csv": ID_HEADER + "7," + PLAYED, "b.csv": HEADER + PLAYED})
    assert account(loaded) == (1, 1, 0, 0)
    assert loaded.rows["game_id"].tolist() == ["7"]


def test_a_row_without_id_contradicts_the_game_that_has_one(load: Load) -> None:
    loaded = load({"a.csv": ID_HEADER + "7," + PLAYED, "b.csv": HEADER + PLAYED.replace("90", "91")})
    assert account(loaded) == (0, 0, 0, 2)


def test_a_row_without_id_on_a_day_with_several_is_bad(load: Load) -> None:
    old = "1954-03-08,1954,MLH,BLB,64,54,,\n"  # no two teams have met twice in a day since 1984
    ids = "7," + old + "8," + old.replace("54,,", "53,,")
    loaded = load({"a.csv": ID_HEADER + ids, "b.csv": HEADER + old})
    assert account(loaded) == (2, 0, 0, 1)
    assert loaded.quarantine["rule"].tolist() == [
        "is empty while several games of that day and teams have one; give this row its game_id"
    ]


def test_a_derived_id_never_meets_the_same_id_of_another_day_in_silence(load: Load) -> None:
    moved = "2021-01-01-BOS-LAL," + PLAYED.replace("01-01", "02-11")
    loaded = load({"a.csv": ID_HEADER + moved, "b.csv": HEADER + PLAYED})
    assert account(loaded) == (0, 0, 0, 2)
    assert set(loaded.quarantine["column"]) == {"date"}


def test_a_bad_row_does_not_spoil_the_good_row_of_its_game(load: Load) -> None:
    loaded = load({"a.csv": HEADER + PLAYED + PLAYED.replace("90", "abc")})
    assert account(loaded) == (1, 0, 0, 1)


def test_the_names_and_order_of_files_do_not_matter(load: Load, tmp_path: object) -> None:
    texts = [
        HEADER + PLAYED + "2021-01-02,2021,BRK,PHX,100,90,,\n2021-01-03,2021,MIA,LAL,,,,\n",
        ID_HEADER + "7," + PLANNED + "9,2021-01-02,2021,NJN,LAL,1,2,,\n",
        HEADER + "2021-01-02,2021,BKN,PHO,100,90,,\n2021-01-03,2021,MIA,LAL,99,98,,\n",
    ]
    fingerprints = {
        rows_digest(load({f"{name}.csv": text for name, text in zip("abc", order, strict=True)}).rows)
        for order in permutations(texts)
    }
    assert len(fingerprints) == 1


def test_every_export_of_every_night_gives_the_same_games(load: Load) -> None:
    nights = {
        f"night_{night}.csv": HEADER
        + "".join(
            f"2021-01-0{day},2021,BOS,LAL,{f'{100 + day},90' if day < night else ','},,\n"
            for day in range(max(1, night - 2), 8)
        )
        for night in range(1, 9)
    }
    loaded = load(nights)
    # 41 rows: a game stays in two exports after it was played (the seventh in one), and in each before as a plan.
    assert account(loaded) == (7, 6, 28, 0)
    assert loaded.rows["home_points"].tolist() == list(range(101, 108))


def test_days_of_past_games_without_a_score_that_can_be_believed(load: Load) -> None:
    """Late or called off (the 1st), swapped against the plan (the 2nd: one game, not two rows); not those to come."""
    plan = "2021-01-02,2021,MIA,CHI,,,,\n" + "2021-03-01,2021,MIA,CHI,,,,\n2021-03-01,2021,CHI,DEN,90,80,,\n"
    files = {"a.csv": HEADER + PLANNED + plan, "b.csv": HEADER + "2021-01-02,2021,CHI,MIA,99,90,,\n"}
    assert load(files).days_without_label == (date(2021, 1, 1), date(2021, 1, 2))
    assert load({"a.csv": HEADER + PLAYED}).days_without_label == ()
