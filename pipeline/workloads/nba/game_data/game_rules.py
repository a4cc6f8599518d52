"""The rules that one row of game data must meet by itself: a schema over parsed values, and violations in words.

What could not be parsed is a value that no rule allows (parse_games.py). Each rule is one operation on whole columns,
and so is reporting the rows that break it: a million bad rows take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.ingest.known import known_on
from pipeline.ingest.quarantine import RULE, Breach, RowRule, violations_of
from pipeline.ingest.values import DATE_RULE, FLAG_RULE, MISSING_RULE
from pipeline.workloads.nba.columns import (
    AWAY_FRANCHISE,
    AWAY_POINTS,
    AWAY_TEAM,
    DATE,
    HOME_FRANCHISE,
    HOME_POINTS,
    HOME_TEAM,
    NEUTRAL_SITE,
    PLAYOFF,
    SEASON,
)
from pipeline.workloads.nba.game_data.franchise_spans import FRANCHISES_PATH
from pipeline.workloads.nba.game_data.franchises import (
    FIRST_SEASON,
    LAST_SEASON,
    is_known_code,
    nearest_team,
    seasons_of,
)
from pipeline.workloads.nba.game_data.game_calendar import results_next_to
from pipeline.workloads.nba.game_data.league_rules import MAX_POINTS, league_rules
from pipeline.workloads.nba.game_data.parse_games import BAD_NUMBER


# --- rules ------------------------------------------------------------------------------------------------------------
def find_violations(parsed: pd.DataFrame, raw: pd.DataFrame, *, last_score_day: date) -> pd.DataFrame:
    """Check each row by itself; a score after `last_score_day` cannot be one.

    Returns QUARANTINE_COLUMNS, one row a violation, indexed like `parsed` (a row can have several).
    """
    breaches = []
    for rule in (*_cell_rules(), *_row_rules(last_score_day)):
        bad = parsed.index[~rule.holds(parsed).to_numpy(dtype=bool)]
        if len(bad):
            breaches.append(Breach(bad, rule.column, rule.of))
    return violations_of(breaches, raw)


def played_before(days: pd.Series, morning: date) -> NDArray[np.bool_]:
    """Whether games of these days were played, so that their scores are known on that morning."""
    return known_on(days.to_numpy().astype("datetime64[D]"), np.datetime64(morning))


def find_missing_scores(games: pd.DataFrame, raw: pd.DataFrame, *, as_of: date) -> pd.DataFrame:
    """Check that each game before `as_of` has a score, once overlapping files are merged: another may have had it."""
    late = games.index[games[HOME_POINTS].isna() & played_before(games[DATE], as_of)]
    text = f"{LATE_SCORE} the game was played before {as_of}; add the score, or remove a game that was called off"
    near = results_next_to(games, raw).reindex(late)
    other_day = "is missing, and {} has a score of the same teams: if it is that game's, correct the day; else " + (
        "add the score, or remove a game that was called off"
    )
    texts = text if near.isna().all() else [text if pd.isna(row) else other_day.format(row) for row in near]
    return violations_of([Breach(late, HOME_POINTS, texts)], raw)


def called_off(games: pd.DataFrame, unscored: pd.DataFrame, *, as_of: date) -> pd.Index[int]:
    """Which violations of `find_missing_scores` are of games that were never played, so that no limit counts them.

    A score that is late comes within LATE_DAYS. Where more than half of a season's past games have none, the scores
    are lost; where a neighbouring day has one, the day is wrong.
    """
    past = games[played_before(games[DATE], as_of)]
    lost = past[HOME_POINTS].isna().groupby(past[SEASON]).transform("mean") > LOST_SHARE
    old = past[DATE] < pd.Timestamp(as_of) - pd.Timedelta(days=LATE_DAYS)
    plain = unscored.index[unscored[RULE].str.startswith(LATE_SCORE)]
    return plain[(old & ~lost).loc[plain]]


LATE_SCORE: Final = "is missing, yet"
LATE_DAYS: Final = 30  # after which a game without a score is taken as called off
LOST_SHARE: Final = 0.5  # of a season's games without a score; called off were 21 % of the schedule of 2020
SEASON_RULE: Final = f"is not a year from {FIRST_SEASON} to {LAST_SEASON}: write the year in which the season ends"
POINTS_RULE: Final = f"is not a whole number from 1 to {MAX_POINTS}: {MISSING_RULE}"
UNKNOWN_TEAM: Final = "is an unknown team"
OTHER_SEASONS: Final = "is no team of that season"


def _cell_rules() -> Iterable[RowRule]:
    """What a value must be by itself, whatever else stands in its row."""
    yield RowRule(DATE, DATE_RULE, lambda rows: rows[DATE].notna(), _date_remedy)
    yield RowRule(SEASON, SEASON_RULE, _season_in_range)
    yield from (RowRule(points, POINTS_RULE, partial(_no_or_real_score, points=points)) for points in POINTS)
    yield from (RowRule(flag, FLAG_RULE, partial(_is_flag, flag=flag)) for flag in (NEUTRAL_SITE, PLAYOFF))


def _row_rules(last_score_day: date) -> tuple[RowRule, ...]:
    last = pd.Timestamp(last_score_day)
    return (
        *league_rules(),
        *(rule for team, franchise in TEAMS for rule in _team_rules(team, franchise)),
        RowRule(AWAY_TEAM, "is the same franchise as home_team", _opponents_differ),
        RowRule(
            HOME_POINTS, "is missing while away_points is given", lambda rows: _given(rows, HOME_POINTS, AWAY_POINTS)
        ),
        RowRule(
            AWAY_POINTS, "is missing while home_points is given", lambda rows: _given(rows, AWAY_POINTS, HOME_POINTS)
        ),
        RowRule(AWAY_POINTS, "equals home_points; a game has a winner", _has_winner),
        RowRule(
            HOME_POINTS,
            f"is the score of a game after {last_score_day}, which is still to be played",
            lambda rows: rows[HOME_POINTS].isna() | ~(rows[DATE] > last),
        ),
    )


POINTS: Final = (HOME_POINTS, AWAY_POINTS)
TEAMS: Final = ((HOME_TEAM, HOME_FRANCHISE), (AWAY_TEAM, AWAY_FRANCHISE))


def _team_rules(team: str, franchise: str) -> Iterable[RowRule]:
    return (
        RowRule(team, "is empty", lambda rows: rows[team] != ""),
        RowRule(
            team,
            UNKNOWN_TEAM,
            lambda rows: rows[franchise].notna() | (rows[team] == "") | is_known_code(rows[team]),
            _team_remedy,
        ),
        RowRule(
            team,
            OTHER_SEASONS,
            lambda rows: rows[franchise].notna() | ~is_known_code(rows[team]) | ~_season_in_range(rows),
            _team_remedy,
        ),
    )


def _date_remedy(text: str) -> str:
    is_time = re.search(r"[0-9]:[0-9]", text)
    return "write the local day of the game alone; a day in UTC is often the day after" if is_time else ""


def _team_remedy(text: str) -> str:
    seasons = seasons_of(text)
    if seasons:
        return f"it is of {seasons}; correct it or the season, or add this season to {FRANCHISES_PATH}"
    near = nearest_team(text)
    question = f"did you mean {near}? Correct it; " if near else ""
    return f"{question}leave out a game of no league team; add a new team to {FRANCHISES_PATH}"


def _no_or_real_score(rows: pd.DataFrame, *, points: str) -> pd.Series[bool]:
    return rows[points].isna() | rows[points].between(1, MAX_POINTS).fillna(value=False)


def _is_flag(rows: pd.DataFrame, *, flag: str) -> pd.Series[bool]:
    return rows[flag] != BAD_NUMBER


def _season_in_range(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows[SEASON].between(FIRST_SEASON, LAST_SEASON)


def _opponents_differ(rows: pd.DataFrame) -> pd.Series[bool]:
    home, away = rows[HOME_FRANCHISE].cat.codes, rows[AWAY_FRANCHISE].cat.codes
    return (home != away) | (home < 0)


def _given(rows: pd.DataFrame, column: str, other: str) -> pd.Series[bool]:
    return rows[column].notna() | rows[other].isna()


def _has_winner(rows: pd.DataFrame) -> pd.Series[bool]:
    home, away = rows[HOME_POINTS].fillna(BAD_NUMBER), rows[AWAY_POINTS].fillna(BAD_NUMBER)
    return home.ne(away) | home.lt(1)
