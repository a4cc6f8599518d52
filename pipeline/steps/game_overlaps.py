"""Overlapping files to one row a game: which rows are one game, repeat each other, or contradict each other.

- A row's game is its `game_id`. Without one it is the day and the two franchises, whichever is at home: a changed team
  code is the same game, and rows that swap home and away contradict each other. (No two teams have met twice in a day
  since 1984; games before need ids for that.) A row takes the id that other rows of its day and franchises carry, if
  that is one id.
- A row without a score is a plan: it gives way to a row of the same game, season, home and away side with a score.
- Rows with the same content collapse. Other rows of one game contradict each other, and all of them are quarantined.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contract import (
    AWAY_FRANCHISE,
    AWAY_POINTS,
    AWAY_TEAM,
    DATE,
    GAME_ID,
    HOME_FRANCHISE,
    HOME_POINTS,
    HOME_TEAM,
    NEUTRAL_SITE,
    PLAYOFF,
    SEASON,
)
from pipeline.steps.game_quarantine import FILE, LINE, Breach, no_violations, place, violations_of

# What two rows of one game must agree on; a franchise may go by two codes.
CONTENT: Final = (DATE, SEASON, HOME_FRANCHISE, AWAY_FRANCHISE, HOME_POINTS, AWAY_POINTS, NEUTRAL_SITE, PLAYOFF)
_RAW_COLUMN: Final = {HOME_FRANCHISE: HOME_TEAM, AWAY_FRANCHISE: AWAY_TEAM}

_KEY: Final = "key"  # number of the game that a row belongs to
_SLOT: Final = "slot"  # number of its day and pair of franchises
_OWN_ID: Final = "own_id"  # whether the row itself carries the id


@dataclass(frozen=True)
class MergedGames:
    """One row a game (the columns of the parsed rows, `game_id` filled), and what became of the other rows."""

    games: pd.DataFrame
    violations: pd.DataFrame
    n_duplicates_collapsed: int
    n_unplayed_superseded: int


def merge_overlaps(parsed: pd.DataFrame, raw: pd.DataFrame) -> MergedGames:
    """Merge valid rows into games; `parsed` keeps the index of `raw`, which holds the text as it was read.

    Every row of `parsed` becomes a game, collapses, is superseded, or is in `violations`.
    """
    rows, ambiguous = _identify(parsed)
    shared = rows[_KEY].duplicated(keep=False).to_numpy()
    settled = _settle(rows[shared], raw)
    games = pd.concat([rows[~shared], settled.games])
    twins = _under_two_ids(games)
    violations = [_ambiguous_rows(ambiguous, raw), settled.violations, _twin_games(games[twins], raw)]
    return replace(
        settled,
        games=games[~twins].drop(columns=[_KEY, _SLOT, _OWN_ID]),
        violations=pd.concat(violations),
    )


def _settle(rows: pd.DataFrame, raw: pd.DataFrame) -> MergedGames:
    """One row a game of rows that share their game with others."""
    if rows.empty:
        return MergedGames(rows, no_violations(), 0, 0)
    plans = _superseded(rows)
    rows = rows[~plans]
    contradicting = _in_contradiction(rows)
    agreeing = rows[~contradicting]
    # The code that sorts first stands for the franchise: the result must not depend on the order of files.
    by_code = agreeing.assign(home=agreeing[HOME_TEAM].astype(str), away=agreeing[AWAY_TEAM].astype(str))
    kept = agreeing.loc[by_code.sort_values([_KEY, "home", "away"], kind="stable").drop_duplicates(_KEY).index]
    return MergedGames(
        games=kept,
        violations=_contradictions(rows[contradicting], raw),
        n_duplicates_collapsed=len(agreeing) - len(kept),
        n_unplayed_superseded=int(plans.sum()),
    )


# --- which game a row belongs to --------------------------------------------------------------------------------------
def _identify(parsed: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with a `game_id` each and its number; apart, rows without one on a day whose games carry several ids."""
    own_id = (parsed[GAME_ID] != "").to_numpy()
    rows = parsed.assign(**{_SLOT: _slots(parsed), _OWN_ID: own_id})
    ids = rows.loc[own_id, [_SLOT, GAME_ID]].drop_duplicates()
    n_ids = rows[_SLOT].map(ids[_SLOT].value_counts()).fillna(0).to_numpy() if len(ids) else np.zeros(len(rows))
    ambiguous, adopts, derives = ~own_id & (n_ids > 1), ~own_id & (n_ids == 1), ~own_id & (n_ids == 0)
    if adopts.any():
        id_of_slot = ids.drop_duplicates(_SLOT).set_index(_SLOT)[GAME_ID]
        rows.loc[adopts, GAME_ID] = rows.loc[adopts, _SLOT].map(id_of_slot)
    if derives.any():
        rows[GAME_ID] = rows[GAME_ID].where(~derives, _derived_ids(rows[derives]))
    return rows.assign(**{_KEY: pd.factorize(rows[GAME_ID])[0]})[~ambiguous], rows[ambiguous]


def _derived_ids(rows: pd.DataFrame) -> pd.Series[str]:
    """Day, home and away franchise; rows that swap home and away get one and the same id, or they would never meet."""
    home, away = rows[HOME_FRANCHISE].astype("str"), rows[AWAY_FRANCHISE].astype("str")
    ids: pd.Series[str] = rows[DATE].dt.strftime("%Y-%m-%d").astype("str") + "-" + home + "-" + away
    shared = rows[_SLOT].duplicated(keep=False)
    if shared.any():
        ids = ids.mask(shared, ids[shared].groupby(rows.loc[shared, _SLOT]).transform("min"))
    return ids


def _slots(parsed: pd.DataFrame) -> npt.NDArray[np.int64]:
    home = parsed[HOME_FRANCHISE].cat.codes.to_numpy().astype(np.int64)
    away = parsed[AWAY_FRANCHISE].cat.codes.to_numpy().astype(np.int64)
    n_franchises = len(parsed[HOME_FRANCHISE].cat.categories)
    days = parsed[DATE].to_numpy().astype("datetime64[D]").astype(np.int64)
    return (days * n_franchises + np.minimum(home, away)) * n_franchises + np.maximum(home, away)


# --- what rows of one game mean to each other -------------------------------------------------------------------------
def _superseded(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Rows without a score whose game has one elsewhere; the date may differ (a postponed game keeps its id)."""
    played = rows[HOME_POINTS].notna()
    same = [rows[_KEY], rows[SEASON], rows[HOME_FRANCHISE].cat.codes, rows[AWAY_FRANCHISE].cat.codes]
    return (~played & played.groupby(same).transform("any")).to_numpy(dtype=bool)


def _content_numbers(rows: pd.DataFrame) -> pd.Series[int]:
    return rows.groupby(list(CONTENT), dropna=False, observed=True, sort=False).ngroup()


def _in_contradiction(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    content = _content_numbers(rows).groupby(rows[_KEY])
    return (content.transform("min") != content.transform("max")).to_numpy(dtype=bool)


def _contradictions(rows: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """One violation for each row and column that differs from the first row of the game with another content."""
    if rows.empty:
        return no_violations()
    content = _content_numbers(rows)
    first = pd.Series(rows.index, rows.index).groupby(rows[_KEY]).transform("first")
    is_first = content == content.loc[first].to_numpy()
    second = pd.Series(rows.index, rows.index).where(~is_first).groupby(rows[_KEY]).transform("first").astype(int)
    other = np.where(is_first, second, first)
    breaches: list[Breach] = []
    hints = np.where(
        rows[_OWN_ID], "correct one of them", "correct one of them, or give two real games of one day a game_id each"
    )
    for column in CONTENT:
        mine, theirs = rows[column], rows[column].loc[other]
        same = (mine.isna().to_numpy() & theirs.isna().to_numpy()) | (mine.to_numpy() == theirs.to_numpy())
        differs = ~same.astype(bool)
        name = _RAW_COLUMN.get(column, column)
        values = raw.loc[other[differs], [FILE, LINE, name]].astype(str).to_numpy()
        texts = [
            f'contradicts another row of the same game: {place(file, line)} has "{value}"; {hint}'
            for (file, line, value), hint in zip(values, hints[differs], strict=True)
        ]
        breaches.append(Breach(rows.index[differs], name, texts))
    return violations_of(breaches, raw)


def _ambiguous_rows(rows: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    text = "is empty while several games of that day and teams have one; give this row its game_id"
    return violations_of([Breach(rows.index, GAME_ID, text)], raw)


def _under_two_ids(games: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Games with the same day, teams and score: two ids of one game. (Two real games of one day differ in score.)"""
    twins = games[_SLOT].duplicated(keep=False).to_numpy(copy=True)
    if twins.any():
        twins[twins] = _content_numbers(games[twins]).duplicated(keep=False).to_numpy()
    return twins


def _twin_games(games: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    if games.empty:
        return no_violations()
    ids = games[GAME_ID].astype(str).groupby(_content_numbers(games)).transform(lambda group: ", ".join(sorted(group)))
    texts = [f"is one of several ids of the same game: {all_ids}; keep one" for all_ids in ids]
    return violations_of([Breach(games.index, GAME_ID, texts)], raw)
