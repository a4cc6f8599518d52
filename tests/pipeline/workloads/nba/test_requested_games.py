"""What a request may ask, and in which words it is refused."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pipeline.serving.requests import BadRequestError, checked_rows
from pipeline.workloads.nba.game_data.franchise_spans import CodeSpan
from pipeline.workloads.nba.serving import GameRequests
from pipeline.workloads.nba.serving.requested_games import Calendar, RequestedGame, Teams, distinct_games

SPANS = (
    CodeSpan("BOS", "BOS", "NBA", 1947, 2200, "Boston Celtics"),
    CodeSpan("NYK", "NYK", "NBA", 1947, 2200, "New York Knicks"),
    CodeSpan("NJN", "BKN", "NBA", 1978, 2012, "Brooklyn Nets"),
    CodeSpan("BKN", "BKN", "NBA", 2013, 2200, "Brooklyn Nets"),
    CodeSpan("SEA", "OKC", "NBA", 1968, 2008, "Oklahoma City Thunder"),
)
TEAMS = Teams(("BKN", "BOS", "NYK"), SPANS)
SCHEDULED = (date(2025, 9, 20), 1, 2)  # a season that is late, as in 2020
CALENDAR = Calendar(date(2025, 3, 1), 2025, {SCHEDULED: 2025})
GAME = {"date": "2025-03-05", "home_team": "BOS", "away_team": "NYK"}


def checked(*changes: dict[str, Any], calendar: Calendar = CALENDAR) -> list[RequestedGame]:
    requests: Any = GameRequests(None, TEAMS, calendar)  # type: ignore[arg-type] # only features need the state
    games = checked_rows(requests, [{**GAME, **change} for change in changes])[1]
    assert len(distinct_games(games)) == len(set(games))
    return games


def refusal(*changes: dict[str, Any], calendar: Calendar = CALENDAR) -> str:
    with pytest.raises(BadRequestError) as refused:
        checked(*changes, calendar=calendar)
    return str(refused.value)


def test_defaults() -> None:
    assert checked({}) == [RequestedGame(date(2025, 3, 5), 1, 2, 2025, False, False)]


@pytest.mark.parametrize("yes", [True, "true", "True", "1", 1, "yes"])
def test_flags_as_in_the_game_files(yes: Any) -> None:
    (game,) = checked({"neutral_site": yes, "playoff": yes})
    assert (game.neutral, game.playoff) == (True, True)


@pytest.mark.parametrize(
    ("day", "season"),
    [("2025-03-01", 2025), ("2025-07-31", 2025), ("2025-08-01", 2026), ("2026-02-01", 2026), ("2025-09-20", 2025)],
)
def test_the_season_is_the_known_games_or_follows_from_the_date(day: str, season: int) -> None:
    assert checked({"date": day})[0].season == season
    assert checked({"date": day, "home_team": "NYK", "away_team": "BOS"})[0].season == season


def test_a_season_that_is_given_counts() -> None:
    assert checked({"date": "2025-09-01", "season": 2025})[0].season == 2025
    assert checked({"date": "2025-09-01", "season": " 2026 "})[0].season == 2026


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"home_team": "XYZ"}, 'game 1: home_team "XYZ" is no team of this model in season 2025; its teams are BKN, '),
        ({"home_team": "BOSS"}, "did you mean BOS (Boston Celtics)?"),
        ({"home_team": "bos"}, "did you mean BOS (Boston Celtics)?"),
        ({"away_team": "Knicks"}, "did you mean NYK (New York Knicks)?"),
        ({"away_team": "NJN"}, 'away_team "NJN" is no team of this model in season 2025; did you mean BKN'),
        ({"away_team": "SEA"}, 'away_team "SEA" is no team of this model'),
        ({"away_team": ""}, "away_team is empty"),
        ({"away_team": None}, "away_team is empty"),
        ({"away_team": "BOS"}, "away_team BOS is the same team as home_team"),
        ({"date": "2025-02-28"}, "date 2025-02-28 lies before the model's state of 2025-03-01"),
        ({"date": "5 March"}, 'date "5 March" is not a real date written YYYY-MM-DD'),
        ({"date": "2025-02-30"}, "is not a real date"),
        ({"date": 20250305}, "is not a real date"),
        ({"neutral_site": "maybe"}, 'neutral_site "maybe" is not true or false'),
        ({"playoff": 2}, 'playoff "2" is not true or false'),
        ({"playoff": [True]}, "playoff is neither text nor a number"),
        ({"season": "x"}, 'season "x" is not a year from 1900 to 2200'),
        ({"season": 2027}, "season 2027 is neither the year of 2025-03-05 nor the next one"),
        ({"date": "2025-10-30", "season": 2024}, "season 2024 is neither"),
        ({"game_id": {}}, "game_id is neither text nor a number"),
        ({"home_team": "B" * 101}, "has more than 100 characters"),
        ({"home": "BOS"}, 'unknown column "home"; did you mean "home_team"?'),
    ],
)
def test_refused_with_column_value_and_rule(change: dict[str, Any], words: str) -> None:
    assert words in refusal(change)


def test_a_season_that_is_over_is_refused() -> None:
    found = refusal({"season": 2025}, calendar=Calendar(date(2025, 3, 1), 2026, {}))
    assert "season 2025 is over: the model's state is of season 2026" in found


def test_some_problems_are_shown_and_the_others_not_looked_for() -> None:
    text = refusal(*[{"away_team": "BOS"}] * 2, {}, *[{"date": "x"}] * 4)
    assert [f"game {number}: " in text for number in range(1, 8)] == [True, True, False, True, False, False, False]
    assert text.endswith("; what follows game 4 was not looked at")


def test_no_game_is_refused() -> None:
    assert refusal() == "there is no game in the request: ask for one at least"


def test_the_same_game_twice_must_say_the_same() -> None:
    assert len(checked({}, {})) == 2
    assert "games 1 and 3 are of the same teams and day, but differ" in refusal({}, {"date": "2025-03-06"}, SWAPPED)
    assert "games 1 and 2" in refusal({}, {"playoff": True})


SWAPPED = {"home_team": "NYK", "away_team": "BOS"}


def test_codes_are_those_of_the_season() -> None:
    assert TEAMS.number("NJN", 2012) == TEAMS.number("BKN", 2013) == 0
    assert list(TEAMS.codes(2000)) == ["BOS", "NJN", "NYK"]
    assert TEAMS.number("BKN", 2012) is None
