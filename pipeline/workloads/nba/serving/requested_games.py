"""The games that a request asks for: from the rows of its body to checked games, or a reason that a person can act on.

A request is a schedule. All of its games count for each other's rest, beside those that were known when the model was
trained: the answer is what Predict would write if they had been in the data that morning. So one game may stand in it
twice only if both say the same; what-if variants of one game belong into requests of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from pipeline.ingest.values import DATE_RULE, FLAG_RULE, day_of, flag_of, given
from pipeline.serving.requests import LONGEST_VALUE, BadRequestError, RequestFormat, check_each
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.franchise_spans import FIRST_SEASON, LAST_SEASON
from pipeline.workloads.nba.game_data.parse_games import season_of
from pipeline.workloads.nba.serving.teams import Teams, UnknownTeamError
from pipeline.workloads.nba.spec import SPEC

REQUIRED: Final = (n.DATE, n.HOME_TEAM, n.AWAY_TEAM)
OPTIONAL: Final = (n.NEUTRAL_SITE, n.PLAYOFF, n.SEASON, n.GAME_ID)
# The league's year turns in summer: a game from August on belongs to the season that is named by the next year.
FIRST_MONTH: Final = 8
FORMAT: Final = RequestFormat(  # 10,000 games are about a tenth of a second of work, and an answer of 1.3 MB
    row=SPEC.row,
    rows=SPEC.rows,
    required=REQUIRED,
    optional=OPTIONAL,
    echoed=(n.GAME_ID, n.DATE, n.HOME_TEAM, n.AWAY_TEAM),
    prediction=SPEC.prediction,
    example={n.DATE: "2025-03-01", n.HOME_TEAM: "BOS", n.AWAY_TEAM: "NYK"},
)


class RequestedGame(NamedTuple):
    """One game to come; teams are numbers of the model's league state."""

    day: date
    home: int
    away: int
    season: int
    neutral: bool
    playoff: bool

    @property
    def who_and_when(self) -> tuple[date, int, int]:
        """What makes it the same game, whoever is at home."""
        return self.day, min(self.home, self.away), max(self.home, self.away)


@dataclass(frozen=True)
class Calendar:
    """What the model's state says of time: no game before its morning, and which season a known game belongs to."""

    as_of: date
    last_season: int
    known: Mapping[tuple[date, int, int], int]  # season of each scheduled game

    def season_of(self, who_and_when: tuple[date, int, int]) -> int:
        """The known game's season, or the one that the date falls into."""
        day = who_and_when[0]
        by_date = day.year + (day.month >= FIRST_MONTH)
        return self.known.get(who_and_when, max(by_date, self.last_season))


def check_games(rows: Sequence[Mapping[str, Any]], teams: Teams, calendar: Calendar) -> list[RequestedGame]:
    """The games of a request in its order; raises BadRequestError naming game, column, value and rule."""
    games: list[RequestedGame] = check_each(FORMAT, rows, lambda row: _game(row, teams, calendar))
    _refuse_contradictions(games)
    return games


def _game(row: Mapping[str, Any], teams: Teams, calendar: Calendar) -> RequestedGame:
    _text(row, n.GAME_ID)  # comes back as it was given
    day = day_of(_text(row, n.DATE))
    if day is None:
        raise BadRequestError(f'{n.DATE} "{_text(row, n.DATE)}" {DATE_RULE}')
    if day < calendar.as_of:
        raise BadRequestError(
            f"{n.DATE} {day} lies before the model's state of {calendar.as_of}: ask for games from that day on"
        )
    if day.year >= LAST_SEASON:
        raise BadRequestError(f"{n.DATE} {day} is in no season from {FIRST_SEASON} to {LAST_SEASON}: correct it")
    given = _season(row, day, calendar)
    by_date = max(day.year + (day.month >= FIRST_MONTH), calendar.last_season)
    home, away = (_team(row, side, given or by_date, teams) for side in (n.HOME_TEAM, n.AWAY_TEAM))
    if home == away:
        raise BadRequestError(f"{n.AWAY_TEAM} {_text(row, n.AWAY_TEAM)} is the same team as {n.HOME_TEAM}: correct one")
    season = given or calendar.season_of((day, min(home, away), max(home, away)))
    return RequestedGame(day, home, away, season, _flag(row, n.NEUTRAL_SITE), _flag(row, n.PLAYOFF))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | bool | int | float):
        raise BadRequestError(f"{name} is neither text nor a number nor true or false: write it as text")
    text = given(str(value))
    if len(text) > LONGEST_VALUE:
        raise BadRequestError(f'{name} "{text[:20]}..." has more than {LONGEST_VALUE} characters: shorten it')
    return text


def _season(row: Mapping[str, Any], day: date, calendar: Calendar) -> int | None:
    text = _text(row, n.SEASON)
    if not text:
        return None
    season = season_of(text)
    if season is None or not FIRST_SEASON <= season <= LAST_SEASON:
        raise BadRequestError(f'{n.SEASON} "{text}" is not a year from {FIRST_SEASON} to {LAST_SEASON}')
    if season - day.year not in (0, 1):
        raise BadRequestError(f"{n.SEASON} {season} is neither the year of {day} nor the next one: correct it")
    if season < calendar.last_season:
        raise BadRequestError(
            f"{n.SEASON} {season} is over: the model's state is of season {calendar.last_season}; correct it"
        )
    return season


def _team(row: Mapping[str, Any], side: str, season: int, teams: Teams) -> int:
    try:
        return teams.number(_text(row, side), season)
    except UnknownTeamError as error:
        raise BadRequestError(f"{side} {error}") from None


def _flag(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    if isinstance(value, bool):
        return value
    found = flag_of(_text(row, name))
    if found is None:
        raise BadRequestError(f'{name} "{_text(row, name)}" {FLAG_RULE}')
    return bool(found)


def _refuse_contradictions(games: Sequence[RequestedGame]) -> None:
    first: dict[tuple[date, int, int], int] = {}
    for number, game in enumerate(games):
        before = first.setdefault(game.who_and_when, number)
        if games[before] != game:
            raise BadRequestError(
                f"games {before + 1} and {number + 1} are of the same teams and day, but differ: ask for one of them "
                "in a request of its own"
            )
