"""What no game of the league has ever been: seasons by their months, scores, and games that are not of the season.

The bounds leave room beyond the 73,000 games since 1946: seasons ran from 9 October to 11 October of the next year,
from 16 October since 1984; since the shot clock (1955) teams scored 49 to 186 points and won by 73 at most, before it
18 and more.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from pipeline.ingest.quarantine import RowRule
from pipeline.workloads.nba.columns import AWAY_POINTS, DATE, GAME_ID, HOME_POINTS, SEASON
from pipeline.workloads.nba.game_data.franchise_spans import FIRST_SEASON, LAST_SEASON

FIRST_MONTH: Final = 9  # of the year before the one that names the season
LAST_MONTH: Final = 10
FIRST_DAY_OF_OCTOBER: Final = 16  # since MODERN: the earliest day of a season's first game
MODERN: Final = 1984
SHOT_CLOCK: Final = 1955
LOWEST_SCORE: Final = 40
LOWEST_SCORE_BEFORE: Final = 15  # the shot clock
HIGHEST_SCORE: Final = 200
HIGHEST_MARGIN: Final = 85

MAX_POINTS: Final = 250  # what is read as a score at all
_OTHER_ID: Final = r"^(?:00)?[13](\d\d)\d{5}$"

BEGINS: Final = "is the year in which that season begins: a season is named by the year in which it ends"
OTHER_SEASON: Final = "is not the season of the date: one runs from September to October of the year that names it"
PRESEASON_DAY: Final = "is before 16 October, and no season has begun earlier since 1984: leave out preseason games"
PRESEASON_ID: Final = (
    "is the id of a preseason or all-star game: leave those out (ids of the season begin with 002, 004 and 005)"
)
NO_SCORE: Final = (
    f"is a score that no team has had: {LOWEST_SCORE} to {HIGHEST_SCORE} points are possible "
    f"(from {LOWEST_SCORE_BEFORE} on before {SHOT_CLOCK})"
)
NO_MARGIN: Final = f"is more than {HIGHEST_MARGIN} points from the other score, and no game has ended so: correct it"


_YEARS: Final = np.arange(LAST_SEASON + 2)
# By season: its first and last possible month, counted from January 1970, and the earliest day of its first game.
_FIRST_MONTHS: Final = (_YEARS - 1 - 1970) * 12 + FIRST_MONTH - 1
_LAST_MONTHS: Final = (_YEARS - 1970) * 12 + LAST_MONTH - 1
_FIRST_DAYS: Final = (_FIRST_MONTHS.astype("datetime64[M]") + 1).astype("datetime64[D]") + FIRST_DAY_OF_OCTOBER - 1


def league_rules() -> tuple[RowRule, ...]:
    """The rules, for rows as `game_rules.parse` returns them."""
    return (
        RowRule(SEASON, BEGINS, lambda rows: _fits(rows, 0) | ~_fits(rows, 1)),
        RowRule(SEASON, OTHER_SEASON, lambda rows: _fits(rows, 0) | _fits(rows, 1) | ~_has_both(rows)),
        RowRule(DATE, PRESEASON_DAY, lambda rows: ~_is_too_early(rows)),
        RowRule(GAME_ID, PRESEASON_ID, lambda rows: ~_has_other_id(rows)),
        *(RowRule(points, NO_SCORE, partial(_is_possible, points=points)) for points in (HOME_POINTS, AWAY_POINTS)),
        RowRule(HOME_POINTS, NO_MARGIN, _has_possible_margin),
    )


def _has_both(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows[DATE].notna() & rows[SEASON].between(FIRST_SEASON, LAST_SEASON)


def _fits(rows: pd.DataFrame, years_later: int) -> pd.Series[bool]:
    """Whether the date is in the months of the season, or of one of later years."""
    months = rows[DATE].to_numpy().astype("datetime64[M]").astype(np.int64)
    season = np.minimum(rows[SEASON].to_numpy(), LAST_SEASON) + years_later
    return pd.Series((months >= _FIRST_MONTHS[season]) & (months <= _LAST_MONTHS[season]), rows.index)


def _is_too_early(rows: pd.DataFrame) -> pd.Series[bool]:
    season = np.minimum(rows[SEASON].to_numpy(), LAST_SEASON)
    early = rows[DATE].to_numpy().astype("datetime64[D]") < _FIRST_DAYS[season]
    return pd.Series(early & (season >= MODERN), rows.index) & _fits(rows, 0)


def _has_other_id(rows: pd.DataFrame) -> pd.Series[bool]:
    """Ids of the league's feed: 00, then 1 for the preseason or 3 for the all-star game, then the year's two digits.

    A spreadsheet takes the leading zeros off; eight digits mean the same where the year in them is the season's.
    """
    texts = rows[GAME_ID].unique()
    years = pd.Series(texts, index=texts, dtype="str").str.extract(_OTHER_ID, expand=False).dropna().astype(int)
    if years.empty:
        return pd.Series(data=False, index=rows.index)
    return rows[GAME_ID].map(years) == (rows[SEASON] - 1) % 100


def _is_possible(rows: pd.DataFrame, *, points: str) -> pd.Series[bool]:
    score = rows[points].to_numpy(dtype=np.int16, na_value=LOWEST_SCORE)
    lowest = np.where(rows[SEASON].to_numpy() >= SHOT_CLOCK, LOWEST_SCORE, LOWEST_SCORE_BEFORE)
    # Numbers that are none at all have a rule of their own.
    return pd.Series(((score >= lowest) & (score <= HIGHEST_SCORE)) | (score < 1) | (score > MAX_POINTS), rows.index)


def _has_possible_margin(rows: pd.DataFrame) -> pd.Series[bool]:
    home, away = (rows[points].to_numpy(dtype=np.int16, na_value=0) for points in (HOME_POINTS, AWAY_POINTS))
    none = (np.minimum(home, away) < 1) | (np.maximum(home, away) > MAX_POINTS)
    return pd.Series(none | (np.abs(home - away) <= HIGHEST_MARGIN), rows.index)
