"""Files and seasons that no league has played are refused, and unlikely ones noted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from pipeline.steps.games import BadData, ValidatedGames

Load = Callable[..., ValidatedGames]
COLUMNS = "date,season,home_team,away_team,home_points,away_points"
TEAMS = [f"SIM{number:02d}" for number in range(1, 9)]


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


def load_rows(load: Load, rows: str, columns: str = COLUMNS) -> ValidatedGames:
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


@pytest.mark.parametrize("points", [53, 160])
def test_scores_of_a_half_are_no_final_scores(load: Load, points: int) -> None:
    with pytest.raises(BadData, match=r"^a\.csv, season 2020: teams score \d+ points a game, .* put the final scores"):
        load_rows(load, season_rows(40, 24, points=points))
