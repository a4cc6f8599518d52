"""Calendars that cannot be: what no two games of a league are to each other, with the cause and not what follows.

And scores that should be there by now. On the 73,000 games since 1946 the rules of calendars find nothing, but for the
day on which the end of a game was replayed: that day is named below. Each is one sort or one set of numbers, and looks
closer only where something is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.ingest.known import known_on
from pipeline.ingest.quarantine import FILE, LINE, RULE, Breach, place, violations_of
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.game_ids import ONE_GAME_A_DAY_SINCE

# The last minute of Atlanta against Miami was played again on 8 March 2008 (7 March in some sources), before the games
# that both had on that day: the one day since 1984 on which a team is twice in the results.
REPLAYED: Final = (("2008-03-07", "ATL"), ("2008-03-07", "MIA"), ("2008-03-08", "ATL"), ("2008-03-08", "MIA"))
LONGEST_SEASON: Final = 365  # days; the longest was that of 2020, with 355
MOST_DAYS_IN_A_ROW: Final = 3  # on which a team has played since 1980
LATE_SCORE: Final = "is missing, yet"
LATE_DAYS: Final = 30  # after which a game without a score is taken as called off
LOST_SHARE: Final = 0.5  # of a season's games without a score; called off were 21 % of the schedule of 2020
_MANY: Final = 1 << 32  # more than there are days

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Games:
    """Games as numbers, by position."""

    table: pd.DataFrame
    raw: pd.DataFrame

    @cached_property
    def day(self) -> Indices:
        days: Indices = self.table[n.DATE].to_numpy().astype("datetime64[D]").astype(np.int64)
        return days

    @cached_property
    def season(self) -> Indices:
        return self.table[n.SEASON].to_numpy(dtype=np.int64)

    @cached_property
    def sides(self) -> Indices:
        """Numbers of the home and the away franchise; shape (2, games)."""
        return np.stack([self.table[side].cat.codes.to_numpy(np.int64) for side in n.FRANCHISES])

    @cached_property
    def pair(self) -> Indices:
        """A number for the two franchises, whichever is at home."""
        pairs: Indices = np.minimum(*self.sides) * 10_000 + np.maximum(*self.sides)
        return pairs

    @cached_property
    def points(self) -> Indices:
        """Of the home and the away side, -1 for none; shape (2, games)."""
        return np.stack([self.table[name].to_numpy(np.int64, na_value=-1) for name in n.POINTS])

    @cached_property
    def next_days(self) -> tuple[Indices, Indices]:
        """Positions of games and of games of the same pair on the day after."""
        key = self.pair * _MANY + self.day
        order = np.argsort(key, kind="stable")
        at = np.flatnonzero(np.diff(key[order]) == 1)
        return order[at], order[at + 1]

    def places(self, positions: Indices) -> list[str]:
        """The places of the rows of games, in words."""
        rows = self.raw.loc[self.table.index[positions], [FILE, LINE]]
        return [place(file, line) for file, line in zip(rows[FILE].astype(str), rows[LINE], strict=True)]

    def days(self, positions: Indices) -> list[str]:
        """The days of games as they are written."""
        return list(self.day[positions].astype("datetime64[D]").astype(str))


def find_calendar_violations(games: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """Check games (one row each, franchises and values parsed) against each other; indexed like `games`."""
    known = _Games(games, raw)
    if games.empty:
        return violations_of([], raw)
    return violations_of([*_same_game_next_day(known), *_twice_a_day(known), *_seasons(known)], raw)


# --- scores that are missing -----------------------------------------------------------------------------------------
def played_before(days: pd.Series, morning: date) -> npt.NDArray[np.bool_]:
    """Whether games of these days were played, so that their scores are known on that morning."""
    return known_on(days.to_numpy().astype("datetime64[D]"), np.datetime64(morning))


def find_missing_scores(games: pd.DataFrame, raw: pd.DataFrame, *, as_of: date) -> pd.DataFrame:
    """Check that each game before `as_of` has a score, once overlapping files are merged: another may have had it."""
    late = games.index[games[n.HOME_POINTS].isna() & played_before(games[n.DATE], as_of)]
    remedy = "add the score, or remove a game that was called off"
    near = _results_next_to(games, raw)
    other_day = "is missing, and {} has a score of the same teams: if it is that game's, correct the day; else {}"
    texts = [
        other_day.format(near[row], remedy)
        if row in near
        else f"{LATE_SCORE} the game was played before {as_of}; {remedy}"
        for row in late.tolist()
    ]
    return violations_of([Breach(late, n.HOME_POINTS, texts)], raw)


def _results_next_to(games: pd.DataFrame, raw: pd.DataFrame) -> dict[int, str]:
    """By the index of games without score: the place of a result of the same teams on a neighbouring day, in words."""
    known = _Games(games, raw)
    first, second = known.next_days
    unplayed = known.points[0] < 0
    found: dict[int, str] = {}
    for plan, result in ((first, second), (second, first)):
        near = unplayed[plan] & ~unplayed[result] & (known.season[plan] >= ONE_GAME_A_DAY_SINCE)
        where = zip(known.places(result[near]), known.days(result[near]), strict=True)
        found |= {games.index[at]: f"{row} on {day}" for at, (row, day) in zip(plan[near], where, strict=True)}
    return found


def called_off(games: pd.DataFrame, unscored: pd.DataFrame, *, as_of: date) -> pd.Index[int]:
    """Which violations of `find_missing_scores` are of games that were never played, so that no limit counts them.

    A score that is late comes within LATE_DAYS. Where more than half of a season's past games have none, the scores
    are lost; where a neighbouring day has one, the day is wrong.
    """
    past = games[played_before(games[n.DATE], as_of)]
    lost = past[n.HOME_POINTS].isna().groupby(past[n.SEASON]).transform("mean") > LOST_SHARE
    old = past[n.DATE] < pd.Timestamp(as_of) - pd.Timedelta(days=LATE_DAYS)
    plain = unscored.index[unscored[RULE].str.startswith(LATE_SCORE)]
    return plain[(old & ~lost).loc[plain]]


# --- one game on two days ---------------------------------------------------------------------------------------------
def _same_game_next_day(games: _Games) -> Iterator[Breach]:
    first, second = games.next_days
    # By franchise, not by home and away: a feed may have these the other way round as well.
    swapped = games.sides[0][first] != games.sides[0][second]
    theirs = np.where(swapped, games.points[::-1, second], games.points[:, second])
    played = games.points[0][first] >= 0
    same = played & (games.points[:, first] == theirs).all(axis=0)
    modern = games.season[first] >= ONE_GAME_A_DAY_SINCE
    # Twice before (in 1969 and 1976) a score did repeat on the next day: once in a season may be chance.
    seasons, counts = np.unique(games.season[first[same]], return_counts=True)
    same &= modern | np.isin(games.season[first], seasons[counts > 1])
    unplayed = (games.points[0][first] < 0) & (games.points[0][second] < 0) & modern
    if unplayed.any():
        unplayed &= _too_many_days(games, first) | _too_many_days(games, second)
    for twins, what in ((same, "the same teams and score"), (unplayed, "the same teams")):
        for one, other in ((first[twins], second[twins]), (second[twins], first[twins])):
            texts = [
                f"is a day from the same game: {row} has {what} on {day}, perhaps the day in UTC; keep the row of the "
                "local day"
                for row, day in zip(games.places(other), games.days(other), strict=True)
            ]
            yield Breach(games.table.index[one], n.DATE, texts)


def _too_many_days(games: _Games, positions: Indices) -> npt.NDArray[np.bool_]:
    """Whether a team of a game plays on more days in a row than any has."""
    days = np.unique(games.sides.ravel() * _MANY + np.tile(games.day, 2))
    starts = np.append(True, np.diff(days) != 1)
    run = np.cumsum(starts) - 1
    long = (np.bincount(run) > MOST_DAYS_IN_A_ROW)[run]
    keys = games.sides[:, positions] * _MANY + games.day[positions]
    found: npt.NDArray[np.bool_] = long[np.searchsorted(days, keys)].any(axis=0)
    return found


# --- a team twice on a day --------------------------------------------------------------------------------------------
def _twice_a_day(games: _Games) -> Iterator[Breach]:
    modern = np.flatnonzero(games.season >= ONE_GAME_A_DAY_SINCE)
    key = (games.sides[:, modern] * _MANY + games.day[modern]).ravel()
    if len(pd.unique(key)) == len(key):
        return
    rows = pd.DataFrame({"key": key, "position": np.tile(modern, 2), "column": np.repeat([0, 1], len(modern))})
    rows = rows[rows["key"].duplicated(keep=False)].sort_values(["key", "position"], kind="stable")
    numbers = games.table[n.HOME_FRANCHISE].cat.categories.get_indexer(pd.Index([team for _, team in REPLAYED]))
    days = np.array([day for day, _ in REPLAYED], dtype="datetime64[D]").astype(np.int64)
    rows = rows[~rows["key"].isin(numbers * _MANY + days)]
    others = rows.groupby("key")["position"]
    last, first = others.transform("last"), others.transform("first")
    other = np.where(rows["position"] == first, last, first)
    for side, column in ((0, "home_team"), (1, "away_team")):
        here = (rows["column"] == side).to_numpy()
        at = rows["position"].to_numpy()[here]
        index = games.table.index[at]
        yield Breach(index, column, partial(_twice, games, pd.Series(other[here], index=index, dtype="int64")))


def _twice(games: _Games, other_of: pd.Series[int], values: pd.Series[str]) -> list[str]:
    return [
        f"plays twice on that day: also in {row}; one of the days may be that in UTC, or a team wrong: correct it"
        for row in games.places(np.array(other_of[values.index], dtype=np.int64))
    ]


# --- seasons ----------------------------------------------------------------------------------------------------------
def _seasons(games: _Games) -> Iterator[Breach]:
    """Seasons follow each other, and none is longer than a year."""
    order = np.argsort(games.day * 4096 + games.season, kind="stable")
    season = games.season[order]
    wrong = np.zeros(len(season), dtype=bool)
    if (np.diff(season) < 0).any():
        expected = _in_order(season)
        wrong = season != expected
        texts = [
            f"is not the season of the games around it, {around}: a season is named by the year in which it ends"
            for around in expected[wrong]
        ]
        yield Breach(games.table.index[order[wrong]], n.SEASON, texts)
    day, label = games.day[order][~wrong], season[~wrong]
    starts = np.flatnonzero(np.append(True, np.diff(label) != 0))
    too_late = day - np.repeat(day[starts], np.diff(np.append(starts, len(label)))) > LONGEST_SEASON
    if too_late.any():
        text = "makes its season longer than a year: name a season by the year in which it ends"
        yield Breach(games.table.index[order[~wrong][too_late]], n.SEASON, text)


def _in_order(season: Indices) -> Indices:
    """The seasons of games in the order of days, if the fewest labels are changed at each turn of the year."""
    expected = np.full(len(season), season.max())
    for label in np.unique(season)[:-1][::-1]:
        # Games before the turn that belong after it, and the other way round.
        early, late = np.append(0, np.cumsum(season > label)), np.append(0, np.cumsum(season <= label))
        turn = int(np.argmin(early + late[-1] - late))
        expected[:turn] = label
    return expected
