"""The games that a request asks for: from the rows of its body to checked games, or a reason that a person can act on.

A request is a schedule. All of its games count for each other's rest, beside those that were known when the model was
trained: the answer is what Predict would write if they had been in the data that morning. So one game may occur in it
twice only if both say the same; what-if variants of one game belong into requests of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pipeline.ingest.values import DATE_RULE, FLAG_RULE, day_of, flag_of
from pipeline.serving.requests import BadRequestError, RequestFormat, Row, text_of
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.franchise_spans import FIRST_SEASON, LAST_SEASON, CodeSpan, known_spans, season_of
from pipeline.workloads.nba.spec import SPEC

# The league's year turns in summer: a game from August on belongs to the season that is named by the next year.
FIRST_MONTH: Final = 8
FORMAT: Final = RequestFormat(  # 10,000 games are about a tenth of a second of work, and an answer of 1.3 MB
    row=SPEC.row,
    rows=SPEC.rows,
    required=(n.DATE, n.HOME_TEAM, n.AWAY_TEAM),
    optional=(n.NEUTRAL_SITE, n.PLAYOFF, n.SEASON, n.GAME_ID),
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
    time_zone: str = SPEC.time_zone


class Teams:
    """The teams that a model knows: those with games in its data, by the codes that they have in a season."""

    def __init__(self, franchises: Sequence[str], spans: Sequence[CodeSpan] | None = None) -> None:
        """`franchises` by number."""
        self._numbers = {franchise: number for number, franchise in enumerate(franchises)}
        self._by_code: dict[str, list[CodeSpan]] = {}
        for span in sorted(spans or known_spans(), key=lambda span: span.code):
            if span.franchise in self._numbers:
                self._by_code.setdefault(span.code, []).append(span)

    def number(self, code: str, season: int) -> int | None:
        """The team's number; None for a code that means no team in that season."""
        for span in self._by_code.get(code, ()):
            if span.covers(season):
                return self._numbers[span.franchise]
        return None

    def codes(self, season: int) -> dict[str, str]:
        """Code and name of each team of a season."""
        spans = (span for spans in self._by_code.values() for span in spans)
        return {span.code: span.name for span in spans if span.covers(season)}

    def hint(self, code: str, season: int) -> str:
        """The codes that may have been meant, or all."""
        codes = self.codes(season)
        upper = [code.upper()] if code.upper() in codes else []
        moved = {self._numbers[span.franchise] for span in self._by_code.get(code, ())}
        now = [other for other in codes if self.number(other, season) in moved]
        by_name = [other for other, name in codes.items() if len(code) > 2 and code.lower() in name.lower()]
        close = upper or now or by_name or get_close_matches(code.upper(), codes, n=3, cutoff=0.5)
        if close:
            return f"; did you mean {' or '.join(f'{close} ({codes[close]})' for close in close[:3])}?"
        return f"; its teams are {', '.join(codes)}" if codes else ""


def check_game(row: Row, teams: Teams, calendar: Calendar) -> RequestedGame:
    """A row's game; raises BadRequestError naming column, value and rule."""
    text_of(row, n.GAME_ID)  # comes back as it was given
    text = text_of(row, n.DATE)
    day = day_of(text, ZoneInfo(calendar.time_zone))
    if day is None:
        raise BadRequestError(f'{n.DATE} "{text}" {DATE_RULE}')
    if day < calendar.as_of:
        raise BadRequestError(
            f"{n.DATE} {day} lies before the model's state of {calendar.as_of}: ask for games from that day on"
        )
    if day.year >= LAST_SEASON:
        raise BadRequestError(f"{n.DATE} {day} is in no season from {FIRST_SEASON} to {LAST_SEASON}: correct it")
    given = _season(row, day, calendar)
    season = given or max(day.year + (day.month >= FIRST_MONTH), calendar.last_season)
    home, away = (_team(row, side, season, teams) for side in n.TEAMS)
    if home == away:
        raise BadRequestError(f"{n.AWAY_TEAM} {row[n.AWAY_TEAM]} is the same team as {n.HOME_TEAM}: correct one")
    game = RequestedGame(day, home, away, season, _flag(row, n.NEUTRAL_SITE), _flag(row, n.PLAYOFF))
    return game if given else game._replace(season=calendar.known.get(game.who_and_when, season))


def _season(row: Row, day: date, calendar: Calendar) -> int | None:
    text = text_of(row, n.SEASON)
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


def _team(row: Row, side: str, season: int, teams: Teams) -> int:
    code = text_of(row, side)
    if not code:
        raise BadRequestError(f"{side} is empty: name the team by its code")
    number = teams.number(code, season)
    if number is None:
        raise BadRequestError(f'{side} "{code}" is no team of this model in season {season}{teams.hint(code, season)}')
    return number


def _flag(row: Row, name: str) -> bool:
    text = text_of(row, name)
    found = flag_of(text)
    if found is None:
        raise BadRequestError(f'{name} "{text}" {FLAG_RULE}')
    return bool(found)


def distinct_games(games: Sequence[RequestedGame]) -> dict[RequestedGame, int]:
    """Number of each game, from 0; raises BadRequestError where two of the same teams and day differ."""
    first: dict[tuple[date, int, int], int] = {}
    for number, game in enumerate(games):
        before = first.setdefault(game.who_and_when, number)
        if games[before] != game:
            raise BadRequestError(
                f"games {before + 1} and {number + 1} are of the same teams and day, but differ: ask for one of them "
                "in another request"
            )
    return {games[row]: number for number, row in enumerate(first.values())}
