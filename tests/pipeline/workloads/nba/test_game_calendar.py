"""Calendars that cannot be are bad rows that name the cause, and real calendars are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.quarantine import BadData
from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba.game_data.game_calendar import REPLAYED, _in_order
from pipeline.workloads.nba.game_data.games import load_games

HEADER = "date,season,home_team,away_team,home_points,away_points\n"
Load = Callable[..., ValidatedRows]
TODAY = date(2021, 3, 1)


def rules(loaded: ValidatedRows) -> list[list[object]]:
    rows: list[list[object]] = loaded.quarantine[["line", "column", "rule"]].to_numpy().tolist()
    return rows


def test_the_same_game_on_the_next_day_is_bad_twice(load: Load) -> None:
    rows = "2014-10-28,2015,LAL,HOU,90,108\n2014-10-29,2015,LAL,HOU,90,108\n2014-10-30,2015,LAL,HOU,91,108\n"
    text = "is a day from the same game: a.csv, line {} has the same teams and score on {}, perhaps the day in UTC; "
    assert rules(load({"a.csv": HEADER + rows})) == [
        [2, "date", text.format(3, "2014-10-29") + "keep the row of the local day"],
        [3, "date", text.format(2, "2014-10-28") + "keep the row of the local day"],
    ]


@pytest.mark.parametrize(
    ("other", "n_bad"),
    [
        ("2014-10-29,2015,HOU,LAL,108,90\n", 2),  # home and away the other way round as well
        ("2014-10-29,2015,HOU,LAL,90,108\n", 0),
        ("2014-10-29,2015,LAL,HOU,90,109\n", 0),
        ("2014-10-30,2015,LAL,HOU,90,108\n", 0),
        ("2014-10-29,2015,LAL,CHI,90,108\n", 0),
    ],
)
def test_a_score_that_repeats_otherwise_is_chance(load: Load, other: str, n_bad: int) -> None:
    assert load({"a.csv": HEADER + "2014-10-28,2015,LAL,HOU,90,108\n" + other}).n_bad_rows == n_bad


def test_before_1984_one_repeated_score_in_a_season_is_chance_and_two_are_not(load: Load) -> None:
    one = "1969-01-17,1969,BOS,NYK,112,107\n1969-01-18,1969,NYK,BOS,107,112\n"
    assert load({"a.csv": HEADER + one}).n_bad_rows == 0
    assert load({"a.csv": HEADER + one + one.replace("BOS", "LAL").replace("NYK", "PHI")}).n_bad_rows == 4


def test_two_feeds_of_a_schedule_one_with_days_in_utc(load: Load) -> None:
    """Two games in two days are real, four days in a row of a team are not."""
    days = [date(2021, 3, 2) + timedelta(days=2 * number) for number in range(3)]
    local = "".join(f"{day},2021,BOS,LAL,,\n" for day in days)
    utc = "".join(f"{day + timedelta(days=1)},2021,BOS,LAL,,\n" for day in days)
    loaded = load({"local.csv": HEADER + local, "utc.csv": HEADER + utc})
    assert (len(loaded.rows), loaded.n_bad_rows) == (0, 6)
    assert loaded.quarantine["rule"].str.startswith("is a day from the same game: ").all()
    back_to_back = "2021-03-02,2021,BOS,LAL,,\n2021-03-03,2021,BOS,LAL,,\n2021-03-05,2021,BOS,MIA,,\n"
    assert load({"local.csv": HEADER + back_to_back, "utc.csv": HEADER + back_to_back}).n_bad_rows == 0


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("2014-10-28,2015,LAL,CHI,90,88\n", [[2, "home_team"], [3, "home_team"]]),
        ("2014-10-28,2015,CHI,LAL,90,88\n", [[2, "home_team"], [3, "away_team"]]),
        ("2014-10-28,2015,MIA,CHI,90,88\n", []),
    ],
)
def test_a_team_twice_on_a_day(load: Load, other: str, expected: list[list[object]]) -> None:
    loaded = load({"a.csv": HEADER + "2014-10-28,2015,LAL,HOU,90,108\n" + other})
    assert [row[:2] for row in rules(loaded)] == expected
    if expected:
        assert loaded.quarantine["rule"][0].startswith(
            "plays twice on that day: also in a.csv, line 3; one of the days"
        )


def test_a_team_twice_on_a_day_of_the_schedule_or_of_old(load: Load) -> None:
    schedule = "2021-03-05,2021,LAL,HOU,,\n2021-03-05,2021,LAL,CHI,,\n"
    assert load({"a.csv": HEADER + schedule}).n_bad_rows == 2
    old = "1954-03-08,1954,BOS,NYK,64,54\n1954-03-08,1954,BOS,PHW,65,54\n"
    assert load({"a.csv": HEADER + old}).n_bad_rows == 0


def test_a_called_off_game_does_not_spoil_the_result_of_that_day(load: Load) -> None:
    rows = "2021-01-05,2021,LAL,HOU,,\n2021-01-05,2021,LAL,CHI,90,88\n"
    loaded = load({"a.csv": HEADER + rows})
    assert loaded.rows["away_team"].tolist() == ["CHI"]


def test_games_called_off_long_ago_are_listed_and_counted_by_no_limit(load: Load) -> None:
    played = "".join(f"2021-01-{day:02d},2021,LAL,HOU,{100 + day},90\n" for day in range(10, 14))
    off, late = "2021-01-05,2021,LAL,CHI,,\n", "2021-02-25,2021,LAL,CHI,,\n"
    loaded = load({"a.csv": HEADER + played + off}, max_bad_row_share=0.0)
    assert (len(loaded.rows), loaded.n_bad_rows) == (4, 1)
    assert loaded.notes == ("1 past game(s) without a score are taken as called off, and no limit counts them",)
    lost = "".join(off.replace("-05", f"-{day:02d}") for day in range(1, 6))  # most of a season's scores
    for rows in (late, lost):
        with pytest.raises(BadData, match=r"is missing, yet the game was played before"):
            load({"a.csv": HEADER + played + rows}, max_bad_row_share=0.0)


def test_a_plan_a_day_from_its_result_is_named_as_that(load: Load) -> None:
    rows = "2021-01-05,2021,LAL,CHI,,\n2021-01-06,2021,LAL,CHI,99,90\n"
    text = (
        "is missing, and a.csv, line 3 on 2021-01-06 has a score of the same teams: if it is that game's, correct the"
    )
    assert rules(load({"a.csv": HEADER + rows}))[0][2] == text + " day; else " + (
        "add the score, or remove a game that was called off"
    )


def test_the_replayed_game_of_2008_is_no_fault(load: Load) -> None:
    rows = "".join(f"2008-03-07,2008,{game}\n" for game in ("ATL,MIA,114,111", "MIA,GSW,99,134", "CHO,ATL,108,93"))
    assert load({"a.csv": HEADER + rows}).n_bad_rows == 0
    assert ("2008-03-07", "ATL") in REPLAYED


def test_a_season_that_goes_backwards_is_named_by_the_rows_that_are_wrong(load: Load) -> None:
    right = [
        ("2020-12-22", 2021),
        ("2021-05-16", 2021),
        ("2021-10-19", 2022),
        ("2021-10-20", 2022),
        ("2021-12-22", 2022),
    ]
    rows = "".join(f"{day},{season},BOS,LAL,100,90\n" for day, season in [*right, ("2021-10-21", 2021)])
    loaded = load({"a.csv": HEADER + rows}, as_of=date(2022, 1, 1), today=date(2022, 1, 1))
    text = "is not the season of the games around it, 2022: a season is named by the year in which it ends"
    assert [row for row in rules(loaded) if row[1] == "season"] == [[7, "season", text]]


def test_a_season_longer_than_a_year(load: Load) -> None:
    rows = "2018-10-16,2019,BOS,LAL,100,90\n2019-10-22,2019,MIA,CHI,100,90\n"
    text = "makes its season longer than a year: name a season by the year in which it ends"
    assert rules(load({"a.csv": HEADER + rows})) == [[3, "season", text]]
    assert load({"a.csv": HEADER + rows.replace("2019-10-22", "2019-10-16")}).n_bad_rows == 0


@given(sizes=st.lists(st.integers(5, 8), min_size=1, max_size=5), data=st.data())
@settings(max_examples=50, deadline=None)
def test_one_wrong_label_among_seasons_in_order_is_found(sizes: list[int], data: st.DataObject) -> None:
    right = pd.Series([2000 + number for number, size in enumerate(sizes) for _ in range(size)]).to_numpy()
    assert _in_order(right).tolist() == right.tolist()
    inner = [at for at in range(2, len(right) - 2) if right[at - 2] == right[at + 2]]
    if inner:
        wrong = right.copy()
        wrong[data.draw(st.sampled_from(inner))] += data.draw(st.sampled_from([-1, 1]))
        assert _in_order(wrong).tolist() == right.tolist()


def test_real_calendars_are_possible(real_games: Path) -> None:
    """What is bad in 73,357 real games: contradictions, unknown scores, and one forfeited game; no calendar."""
    loaded = load_games(real_games, as_of=date(2023, 7, 1), today=date(2023, 7, 1), max_bad_row_share=0.01, min_rows=1)
    counts = loaded.quarantine["rule"].str.split("[:,;]").str[0].value_counts()
    assert counts.to_dict() == {
        "is missing": 101,
        "contradicts another row of the same game": 18,
        "is not a whole number from 1 to 250": 1,
        "is a score that no team has had": 1,
    }
