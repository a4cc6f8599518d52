"""The rules that one row of game data must meet by itself: a schema over parsed values, and violations in words.

What could not be parsed is a value that no rule allows (parse_games.py). Each rule is one operation on whole columns,
and so is reporting the rows that break it: a million bad rows take seconds.

The league's own bounds leave room beyond the 73,000 games since 1946: seasons ran from 9 October to 11 October of the
next year, from 16 October since 1984; since the shot clock (1955) teams scored 49 to 186 points, both together 119 and
more, and won by 73 at most, before it 18 and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from pipeline.ingest.quarantine import RowRule, breaches_of, violations_of
from pipeline.ingest.values import (
    DATE_RULE,
    FLAG_RULE,
    MISSING_RULE,
    ROUNDED_ID,
    ROUNDED_ID_RULE,
    day_remedy,
    number_remedy,
)
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.franchise_spans import FIRST_SEASON, FRANCHISES_PATH, LAST_SEASON
from pipeline.workloads.nba.game_data.franchises import is_known_code, nearest_team, seasons_of
from pipeline.workloads.nba.game_data.parse_games import BAD_NUMBER

FIRST_MONTH: Final = 9  # of a season, in the year before the one that names it
LAST_MONTH: Final = 10
FIRST_DAY: Final = 1016  # month and day: the earliest of a season's first game since MODERN
MODERN: Final = 1984
SHOT_CLOCK: Final = 1955
LOWEST_SCORE: Final = 40
LOWEST_SCORE_BEFORE: Final = 15  # the shot clock
HIGHEST_SCORE: Final = 200
HIGHEST_MARGIN: Final = 85
LOWEST_TOTAL: Final = 110
MAX_POINTS: Final = 250  # what is read as a score at all
_OTHER_ID: Final = r"^(?:00)?[13](\d\d)\d{5}$"  # of the league's feed: 00, 1 (preseason) or 3 (all-star game), year

SEASON_RULE: Final = f"is not a year from {FIRST_SEASON} to {LAST_SEASON}: write the year in which the season ends"
POINTS_RULE: Final = f"is not a whole number from 1 to {MAX_POINTS}"
BEGINS: Final = "is the year in which that season begins: a season is named by the year in which it ends"
OTHER_SEASON: Final = "is not the season of the date: one runs from September to October of the year that names it"
PRESEASON_DAY: Final = (
    "is before 16 October, and no season has begun earlier since 1984: leave out preseason games, or correct the season"
)
PRESEASON_ID: Final = (
    "is the id of a preseason or all-star game: leave those out (ids of the season begin with 002, 004 and 005)"
)
NO_SCORE: Final = (
    f"is a score that no team has had: {LOWEST_SCORE} to {HIGHEST_SCORE} points are possible "
    f"(from {LOWEST_SCORE_BEFORE} on before {SHOT_CLOCK})"
)
NO_TOTAL: Final = (
    f"is, with the other score, below {LOWEST_TOTAL}, and no game since {SHOT_CLOCK} has ended so: put the final score "
    "there (not that of a half, or of a game that is still on)"
)
NO_MARGIN: Final = f"is more than {HIGHEST_MARGIN} points from the other score, and no game has ended so: correct it"


def find_violations(parsed: pd.DataFrame, raw: pd.DataFrame, *, last_score_day: date) -> pd.DataFrame:
    """Check each row by itself; a score after `last_score_day` cannot be one.

    Returns QUARANTINE_COLUMNS, one row a violation, indexed like `parsed` (a row can have several).
    """
    return violations_of(breaches_of(_rules(last_score_day), parsed), raw)


def _rules(last_score_day: date) -> Iterator[RowRule]:
    """What a value must be by itself, what no game of the league has ever been, and what a row must be as a whole."""
    yield RowRule(n.DATE, DATE_RULE, lambda rows: rows[n.DATE].notna(), day_remedy)
    yield RowRule(n.SEASON, SEASON_RULE, _season_in_range)
    for points, other in (n.POINTS, n.POINTS[::-1]):
        yield from _points_rules(points, other)
    yield from map(_flag_rule, n.FLAGS)

    yield RowRule(n.SEASON, BEGINS, lambda rows: _fits(rows, 0) | ~_fits(rows, 1))
    yield RowRule(n.SEASON, OTHER_SEASON, lambda rows: _fits(rows, 0) | _fits(rows, 1) | ~_has_date_and_season(rows))
    yield RowRule(n.DATE, PRESEASON_DAY, lambda rows: ~_is_too_early(rows))
    yield RowRule(n.GAME_ID, ROUNDED_ID_RULE, lambda rows: ~_ids_like(rows, ROUNDED_ID))
    yield RowRule(n.GAME_ID, PRESEASON_ID, lambda rows: ~_has_other_id(rows))
    yield RowRule(n.HOME_POINTS, NO_MARGIN, _has_possible_margin)
    yield RowRule(n.HOME_POINTS, NO_TOTAL, _has_possible_total)

    for team, franchise in zip(n.TEAMS, n.FRANCHISES, strict=True):
        yield from _team_rules(team, franchise)
    yield RowRule(n.AWAY_TEAM, "is the same franchise as home_team", _opponents_differ)
    yield RowRule(n.AWAY_POINTS, "equals home_points; a game has a winner", _has_winner)
    yield RowRule(
        n.HOME_POINTS,
        f"is the score of a game after {last_score_day}, which is still to be played",
        lambda rows: rows[n.HOME_POINTS].isna() | ~(rows[n.DATE] > pd.Timestamp(last_score_day)),
    )


# --- one value --------------------------------------------------------------------------------------------------------
def _season_in_range(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows[n.SEASON].between(FIRST_SEASON, LAST_SEASON)


def _points_rules(points: str, other: str) -> Iterator[RowRule]:
    def possible(rows: pd.DataFrame) -> pd.Series[bool]:
        lowest = np.where(rows[n.SEASON] >= SHOT_CLOCK, LOWEST_SCORE, LOWEST_SCORE_BEFORE)
        # A text that is no number breaks another rule.
        return rows[points].between(lowest, HIGHEST_SCORE).fillna(value=True) | ~_is_number(rows[points])

    yield RowRule(
        points,
        POINTS_RULE,
        lambda rows: rows[points].isna() | _is_number(rows[points]),
        lambda text: number_remedy(text) or MISSING_RULE,
    )
    yield RowRule(points, NO_SCORE, possible)
    yield RowRule(points, f"is missing while {other} is given", lambda rows: rows[points].notna() | rows[other].isna())


def _flag_rule(flag: str) -> RowRule:
    return RowRule(flag, FLAG_RULE, lambda rows: rows[flag] != BAD_NUMBER)


def _is_number(points: pd.Series[int]) -> pd.Series[bool]:
    return points.between(1, MAX_POINTS).fillna(value=False)


# --- what no game of the league has ever been -------------------------------------------------------------------------
def _has_date_and_season(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows[n.DATE].notna() & _season_in_range(rows)


def _fits(rows: pd.DataFrame, years_later: int) -> pd.Series[bool]:
    """Whether the date is in the months of the season, or of one of later years."""
    month = rows[n.DATE].dt.year * 12 + rows[n.DATE].dt.month
    start = (rows[n.SEASON].astype("int64").clip(upper=LAST_SEASON) + years_later) * 12
    fits: pd.Series[bool] = month.between(start - 12 + FIRST_MONTH, start + LAST_MONTH)
    return fits


def _is_too_early(rows: pd.DataFrame) -> pd.Series[bool]:
    day, season = rows[n.DATE].dt, rows[n.SEASON]
    before: pd.Series[bool] = (day.year < season) & (day.month * 100 + day.day < FIRST_DAY)
    return before & (season >= MODERN) & _fits(rows, 0)


def _ids_like(rows: pd.DataFrame, pattern: str) -> pd.Series[bool]:
    ids = rows[n.GAME_ID].astype("category")
    return ids.isin(ids.cat.categories[ids.cat.categories.astype("str").str.fullmatch(pattern)])


def _has_other_id(rows: pd.DataFrame) -> pd.Series[bool]:
    """A spreadsheet takes an id's leading zeros off; eight digits mean the same where their year is the season's."""
    texts = rows[n.GAME_ID].unique()
    years = pd.Series(texts, index=texts, dtype="str").str.extract(_OTHER_ID, expand=False).dropna().astype(int)
    if years.empty:
        return pd.Series(data=False, index=rows.index)
    return rows[n.GAME_ID].map(years) == (rows[n.SEASON] - 1) % 100


def _has_possible_margin(rows: pd.DataFrame) -> pd.Series[bool]:
    home, away = (rows[points] for points in n.POINTS)
    return ((home - away).abs() <= HIGHEST_MARGIN).fillna(value=True) | ~_is_number(home) | ~_is_number(away)


def _has_possible_total(rows: pd.DataFrame) -> pd.Series[bool]:
    home, away = (rows[points].where(rows[points] >= LOWEST_SCORE) for points in n.POINTS)  # else a rule of its own
    return (home + away >= LOWEST_TOTAL).fillna(value=True) | (rows[n.SEASON] < SHOT_CLOCK)


# --- teams and results ------------------------------------------------------------------------------------------------
def _team_rules(team: str, franchise: str) -> Iterator[RowRule]:
    def known(rows: pd.DataFrame) -> pd.Series[bool]:
        return rows[franchise].notna()

    yield RowRule(team, "is empty", lambda rows: rows[team] != "")
    yield RowRule(
        team,
        "is an unknown team",
        lambda rows: known(rows) | (rows[team] == "") | is_known_code(rows[team]),
        _team_remedy,
    )
    yield RowRule(
        team,
        "is no team of that season",
        lambda rows: known(rows) | ~is_known_code(rows[team]) | ~_season_in_range(rows),
        _team_remedy,
    )


def _team_remedy(text: str) -> str:
    seasons = seasons_of(text)
    if seasons:
        return f"it is of {seasons}; correct it or the season, or add this season to {FRANCHISES_PATH}"
    near = nearest_team(text)
    question = f"did you mean {near}? Correct it; " if near else ""
    return f"{question}leave out a game of no league team; add a new team to {FRANCHISES_PATH}"


def _opponents_differ(rows: pd.DataFrame) -> pd.Series[bool]:
    home, away = (rows[franchise].cat.codes for franchise in n.FRANCHISES)
    return (home != away) | (home < 0)


def _has_winner(rows: pd.DataFrame) -> pd.Series[bool]:
    home, away = (rows[points].fillna(BAD_NUMBER) for points in n.POINTS)
    return home.ne(away) | home.lt(1)
