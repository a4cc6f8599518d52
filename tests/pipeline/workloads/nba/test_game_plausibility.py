"""Files and seasons that no league has played are refused, and unlikely ones noted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pandas as pd
import pytest

from pipeline.ingest.quarantine import FILE, LINE, BadData, no_violations
from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.game_plausibility import check_plausible

Load = Callable[..., ValidatedRows]
COLUMNS = "date,season,home_team,away_team,home_points,away_points"
TEAMS = [f"SIM{number:02d}" for number in range(1, 9)]
PAIRS = [("SIM01", "SIM02"), ("SIM03", "SIM04"), ("SIM05", "SIM06"), ("SIM07", "SIM08")]


def season_rows(n_games: int, n_home_wins: int, *, season: int = 2020, points: int = 100, home: int = 8) -> str:
    """A game a day, with as many home wins; the home team is one of the first `home`."""
    rows = []
    for number in range(n_games):
        day = date(season - 1, 10, 22) + timedelta(days=number)
        first = number % home
        teams = TEAMS[first], TEAMS[(first + 1 + number // home % 7) % 8]
        margin = 5 if number * n_home_wins // n_games < (number + 1) * n_home_wins // n_games else -5
        rows.append(f"{day},{season},{teams[0]},{teams[1]},{points + margin + number % 3},{points + number % 3}\n")
    return "".join(rows)


def load_rows(load: Load, rows: str, columns: str = COLUMNS) -> ValidatedRows:
    return load({"a.csv": f"{columns}\n{rows}"})


SWAPPED = "date,season,away_team,home_team,away_points,home_points"


def test_home_and_away_exchanged(load: Load) -> None:
    rows = season_rows(240, 150, home=4)
    assert load_rows(load, rows).notes == ()
    with pytest.raises(BadData) as caught:
        load_rows(load, rows, SWAPPED)
    assert str(caught.value).startswith("a.csv, season 2020: home teams won ")
    assert "home and away seem to be exchanged; name the columns the other way round" in str(caught.value)


def test_winners_listed_first(load: Load) -> None:
    with pytest.raises(BadData, match=r"home teams won .* winners seem to be listed as home teams"):
        load_rows(load, season_rows(200, 200))


def test_a_weak_month_is_noted(load: Load) -> None:
    notes = load_rows(load, season_rows(56, 20)).notes
    assert len(notes) == 3 and all("see whether home and away are exchanged" in note for note in notes)


def test_one_season_of_one_file_is_enough(load: Load) -> None:
    good = COLUMNS + "\n" + season_rows(240, 150, season=2019)
    files = {"a.csv": good, "b.csv": SWAPPED + "\n" + season_rows(240, 150, home=4)}
    with pytest.raises(BadData, match=r"^b\.csv, season 2020: home teams won"):
        load(files)


def test_neutral_sites_few_games_and_one_team_say_nothing(load: Load) -> None:
    losing = season_rows(120, 20)
    neutral = "".join(f"{row},true\n" for row in losing.splitlines())
    assert load_rows(load, neutral, COLUMNS + ",neutral_site").notes == ()
    assert load_rows(load, season_rows(19, 0)).notes == ()
    assert load_rows(load, season_rows(60, 10, home=2)).notes == ()


@pytest.mark.parametrize(("flag", "most"), [("playoff", 120), ("neutral_site", 200)])
def test_flags_that_say_the_opposite(load: Load, flag: str, most: int) -> None:
    rows = season_rows(most, most * 6 // 10).splitlines()
    flagged = "".join(f"{row},true\n" for row in rows)
    load_rows(load, flagged, f"{COLUMNS},{flag}")
    more = season_rows(most + 1, most * 6 // 10).splitlines()[-1]
    with pytest.raises(
        BadData, match=rf"^season 2020: {flag} is true for {most + 1} of {most + 1} games, and more than"
    ):
        load_rows(load, f"{flagged}{more},true\n", f"{COLUMNS},{flag}")


def test_games_among_the_playoffs_that_are_not_marked_are_noted(load: Load) -> None:
    """A flag that a cut file lost, or a summer league with the codes of the season's teams."""
    rows = season_rows(30, 18, season=2020).splitlines()
    flagged = [f"{row},{str(number in (25, 28)).lower()}\n" for number, row in enumerate(rows)]
    note = "3 game(s) after the first playoff game of their season are not marked as playoff games"
    assert [text.split(",")[0] for text in load_rows(load, "".join(flagged), f"{COLUMNS},playoff").notes] == [note]
    assert load_rows(load, "".join(flagged[:26]), f"{COLUMNS},playoff").notes == ()


@pytest.mark.parametrize("points", [60, 160])
def test_scores_of_a_half_are_no_final_scores(load: Load, points: int) -> None:
    with pytest.raises(BadData, match=r"^a\.csv, season 2020: teams score \d+ points a game, .* put the final scores"):
        load_rows(load, season_rows(40, 24, points=points))


def test_games_before_a_break_at_the_start_of_a_season_are_noted(load: Load) -> None:
    """The preseason of 2015 ended four days before the season; its games from 16 October on have no other mark."""
    days = [*(f"10-{day}" for day in [*range(27, 31), *range(16, 24)]), "11-01", "11-03", "11-04"]
    games = [(day, *pair) for day in days for pair in PAIRS]
    rows = [
        f"2015-{day},2016,{home},{away},{80 + number + (3 if number % 5 < 3 else -3)},{80 + number}\n"
        for number, (day, home, away) in enumerate(games)
    ]
    season = rows[:16] + rows[48:]
    assert load_rows(load, "".join(season)).notes == ()
    assert load_rows(load, "".join(season[:19] + rows[16:48])).notes == ()  # few games after the break say nothing
    assert load_rows(load, "".join(rows)).notes == (
        "season 2016: no game from 2015-10-24 to 2015-10-26, and no season since 1990 had two such days so early: the "
        "32 games before are preseason games, which do not belong here, or games are missing",
    )


@pytest.mark.parametrize(("n_games", "noted"), [(1_230, 0), (1_311, 1)])
def test_a_season_without_its_playoff_games_is_noted(n_games: int, noted: int) -> None:
    season = {
        n.SEASON: 2023,
        n.PLAYOFF: 0,
        n.NEUTRAL_SITE: 0,
        n.DATE: pd.Timestamp("2023-01-01"),
        FILE: "a.csv",
        LINE: 1,
    }
    teams = {n.HOME_FRANCHISE: "BOS", n.HOME_POINTS: pd.NA, n.AWAY_POINTS: pd.NA}
    notes = check_plausible(pd.DataFrame([{**season, **teams}] * n_games), no_violations())
    assert len(notes) == noted and all("season 2023: 1,311 games are not marked as playoff games" in x for x in notes)
