"""Overlapping files to one row a game: which rows are one game, repeat each other, or contradict each other.

- A row's game is its `game_id` (game_ids.py). Without one it is the day and the two franchises, whichever is at home: a
  changed team code is the same game, and rows that swap home and away contradict each other. (No two teams have met
  twice in a day since 1984; games before need ids for that.) A row takes the id that other rows of its day and
  franchises carry, if that is one id; a scheduled game takes the id of its result.
- A flag that is not given contradicts nothing: it is what another row of the game says, or false.
- A row without a score is a plan: it gives way to a row of the same game, season, home and away side with a score.
- Rows with the same content collapse. Other rows of one game contradict each other, and all of them are quarantined.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.ingest.quarantine import FILE, LINE, Breach, no_violations, place, violations_of
from pipeline.ingest.values import NOT_GIVEN
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.game_ids import KEY, ONE_GAME_A_DAY_SINCE, OWN_ID, SLOT, identify

# What two rows of one game must agree on; a franchise may go by two codes.
CONTENT: Final = (n.DATE, n.SEASON, *n.FRANCHISES, *n.POINTS, *n.FLAGS)
_RAW_COLUMN: Final = dict(zip(n.FRANCHISES, n.TEAMS, strict=True))


@dataclass(frozen=True)
class MergedGames:
    """One row a game (the columns of the parsed rows, `game_id` filled), and what became of the other rows."""

    games: pd.DataFrame
    violations: pd.DataFrame
    n_duplicates_collapsed: int
    n_unplayed_superseded: int
    n_plans_renamed: int = 0  # scheduled games under another id than their result


def merge_overlaps(parsed: pd.DataFrame, raw: pd.DataFrame) -> MergedGames:
    """Merge valid rows into games; `parsed` keeps the index of `raw`, which holds the text as it was read.

    Every row of `parsed` becomes a game, collapses, is superseded, or is in `violations`.
    """
    found = identify(parsed)
    rows = found.rows
    shared = rows[KEY].duplicated(keep=False).to_numpy()
    settled = _settle(rows[shared], raw)
    games = pd.concat([rows[~shared], settled.games])
    twins = _under_two_ids(games)
    no_id = "is empty while several games of that day and teams have one; give this row its game_id"
    ambiguous = violations_of([Breach(found.ambiguous.index, n.GAME_ID, no_id)], raw)
    violations = [ambiguous, settled.violations, _twin_games(games[twins], raw)]
    games = games[~twins].drop(columns=[KEY, SLOT, OWN_ID])
    return replace(
        settled,
        games=games.assign(**{flag: games[flag].mask(games[flag] == NOT_GIVEN, 0) for flag in n.FLAGS}),
        violations=pd.concat(violations),
        n_plans_renamed=found.n_plans_renamed,
    )


def _settle(rows: pd.DataFrame, raw: pd.DataFrame) -> MergedGames:
    """One row a game of rows that share their game with others."""
    if rows.empty:
        return MergedGames(rows, no_violations(), 0, 0)
    rows = _fill_flags(rows)
    plans = _superseded(rows)
    rows = rows[~plans]
    contradicting = _in_contradiction(rows)
    agreeing = rows[~contradicting]
    # The code that sorts first represents the franchise: the result must not depend on the order of files.
    by_code = agreeing.assign(home=agreeing[n.HOME_TEAM].astype(str), away=agreeing[n.AWAY_TEAM].astype(str))
    kept = agreeing.loc[by_code.sort_values([KEY, "home", "away"], kind="stable").drop_duplicates(KEY).index]
    return MergedGames(
        games=kept,
        violations=_contradictions(rows[contradicting], raw),
        n_duplicates_collapsed=len(agreeing) - len(kept),
        n_unplayed_superseded=int(plans.sum()),
    )


# --- what rows of one game mean to each other -------------------------------------------------------------------------
def _superseded(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Rows without a score whose game has one elsewhere; the date may differ (a postponed game keeps its id)."""
    played = rows[n.HOME_POINTS].notna()
    same = [rows[KEY], rows[n.SEASON], *(rows[side].cat.codes for side in n.FRANCHISES)]
    return (~played & played.groupby(same).transform("any")).to_numpy(dtype=bool)


def _fill_flags(rows: pd.DataFrame) -> pd.DataFrame:
    """A flag that is not given becomes what the game's other rows say, results before plans, if they agree."""
    filled = {}
    for flag in n.FLAGS:
        said = rows[flag].where(rows[flag] != NOT_GIVEN).astype("float64")
        value = rows[flag]
        for source in (said.where(rows[n.HOME_POINTS].notna()), said):
            groups = source.groupby(rows[KEY])
            lowest, highest = groups.transform("min"), groups.transform("max")
            value = value.mask((value == NOT_GIVEN) & (lowest == highest), lowest)
        filled[flag] = value.astype("int8")
    return rows.assign(**filled)


def _content_numbers(rows: pd.DataFrame) -> pd.Series[int]:
    return rows.groupby(list(CONTENT), dropna=False, observed=True, sort=False).ngroup()


def _in_contradiction(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    content = _content_numbers(rows).groupby(rows[KEY])
    return (content.transform("min") != content.transform("max")).to_numpy(dtype=bool)


def _contradictions(rows: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """One violation for each row and column that differs from the first row of the game with another content.

    Where the rows are those of several games it is the id that is wrong, and nothing else.
    """
    if rows.empty:
        return no_violations()
    content = _content_numbers(rows)
    first = pd.Series(rows.index, rows.index).groupby(rows[KEY]).transform("first")
    is_first = content == content.loc[first].to_numpy()
    second = pd.Series(rows.index, rows.index).where(~is_first).groupby(rows[KEY]).transform("first").astype(int)
    others = rows.loc[np.where(is_first, second, first)]
    reused = pd.Series(_are_other_games(rows, others), rows.index).groupby(rows[KEY]).transform("any").to_numpy()
    breaches = [_reused_ids(rows[reused], others[reused], raw)]
    for column in CONTENT:
        mine, theirs = rows[column], others[column]
        same = (mine.isna().to_numpy() & theirs.isna().to_numpy()) | (mine.to_numpy() == theirs.to_numpy())
        differs = ~same.astype(bool) & ~reused
        if differs.any():
            breaches.append(_differing(rows[differs], others[differs], column, raw))
    return violations_of(breaches, raw)


def _differing(rows: pd.DataFrame, others: pd.DataFrame, column: str, raw: pd.DataFrame) -> Breach:
    name = _RAW_COLUMN.get(column, column)
    values = raw.loc[others.index, [FILE, LINE, name]].astype(str).to_numpy()
    hints = np.where(
        rows[OWN_ID], "correct one of them", "correct one of them, or give two real games of one day a game_id each"
    )
    causes = _causes(rows, others, column)
    texts = [
        f'contradicts another row of the same game: {place(file, line)} has "{value}"{cause}; {hint}'
        for (file, line, value), cause, hint in zip(values, causes, hints, strict=True)
    ]
    return Breach(rows.index, name, texts)


def _causes(rows: pd.DataFrame, others: pd.DataFrame, column: str) -> npt.NDArray[np.str_]:
    """What is behind a difference, in words, where it shows."""
    if column == n.DATE:
        return np.where(_days_apart(rows, others) == 1, ", perhaps the day in UTC", "")
    swapped = (_sides(rows) == _sides(others)[:, ::-1]).all(axis=1)
    of_side = column in (*n.FRANCHISES, *n.POINTS)
    return np.where(swapped & of_side, ", home and away being exchanged", "")


def _are_other_games(rows: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether two rows under one id are different games, and not one game told in two ways."""
    scores = [table[list(n.POINTS)].fillna(-1).to_numpy(dtype=np.int64) for table in (rows, others)]
    same_score = (scores[0] == scores[1]).all(axis=1)
    same_season = rows[n.SEASON].to_numpy() == others[n.SEASON].to_numpy()
    same_pair = (np.sort(_sides(rows)) == np.sort(_sides(others))).all(axis=1)
    days = _days_apart(rows, others)
    return np.asarray(~same_pair & (~same_score | (days > 0)) | (days > 1) & (~same_score | ~same_season))


def _sides(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Numbers of the home and the away franchise; shape (rows, 2)."""
    return np.column_stack([rows[side].cat.codes.to_numpy(dtype=np.int64) for side in n.FRANCHISES])


def _days_apart(rows: pd.DataFrame, others: pd.DataFrame) -> npt.NDArray[np.int64]:
    days = [table[n.DATE].to_numpy().astype("datetime64[D]").astype(np.int64) for table in (rows, others)]
    return np.asarray(np.abs(days[0] - days[1]))


def _reused_ids(rows: pd.DataFrame, others: pd.DataFrame, raw: pd.DataFrame) -> Breach:
    places = raw.loc[others.index, [FILE, LINE, n.DATE, n.HOME_TEAM, n.AWAY_TEAM]].astype(str).to_numpy()
    texts = [
        f"is the id of several games: {place(file, line)} has {home} against {away} on {day}; give each game an id "
        "that no other has, in any season, or leave game_id out"
        for file, line, day, home, away in places
    ]
    return Breach(rows.index, n.GAME_ID, texts)


def _under_two_ids(games: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Games of the same day and teams: two ids of one game. (Double-headers of old differ in score.)"""
    twins = games[SLOT].duplicated(keep=False).to_numpy(copy=True)
    if twins.any():
        same = games[twins]
        twins[twins] = (same[n.SEASON] >= ONE_GAME_A_DAY_SINCE) | same.duplicated([SLOT, *n.POINTS], keep=False)
    return twins


def _twin_games(games: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    if games.empty:
        return no_violations()
    twins = games.sort_values(n.GAME_ID).groupby(SLOT)[n.GAME_ID]
    columns = twins.transform("first"), twins.transform("last"), twins.transform("size") - 2
    texts = [
        f"is one of several ids of the same game: {first}, {last}{f' and {more:,} more' if more else ''}; keep one"
        for first, last, more in zip(*(column.loc[games.index] for column in columns), strict=True)
    ]
    return violations_of([Breach(games.index, n.GAME_ID, texts)], raw)
