"""Faults put into real games from a day on, as they happen to feeds and to code: what Prepare would then hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pipeline.contract import names as c
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import build_features
from pipeline.workloads.nba.team_state.feature_names import FEATURES

SIDES: Final = ((n.HOME_TEAM, n.AWAY_TEAM), (n.HOME_FRANCHISE, n.AWAY_FRANCHISE), (n.HOME_POINTS, n.AWAY_POINTS))
# What a schedule alone says: a team state that is wrong leaves these as they are.
OF_SCHEDULE: Final = ("home_court", "playoff_home_court", "is_playoff", "rest_", "back_to_back", "games_in_")
OF_STATE: Final = tuple(name for name in FEATURES if not name.startswith(OF_SCHEDULE))


@dataclass(frozen=True)
class FaultyData:
    """Validated games and the features that are computed of them, in the same order."""

    games: pd.DataFrame
    features: pd.DataFrame


Fault = Callable[[pd.DataFrame, pd.Timestamp], FaultyData]


def none(games: pd.DataFrame, _: pd.Timestamp) -> FaultyData:
    """Nothing is wrong."""
    return FaultyData(games, build_features(games))


def swapped(games: pd.DataFrame, since: pd.Timestamp) -> FaultyData:
    """The feed names the home team as the away team, with its points."""
    wrong = games.copy()
    late = games[n.DATE] >= since
    for one, other in SIDES:
        wrong.loc[late, one], wrong.loc[late, other] = games.loc[late, other], games.loc[late, one]
    return FaultyData(wrong, build_features(wrong))


def scaled(factor: float) -> Fault:
    """The points of one team are multiplied."""

    def fault(games: pd.DataFrame, since: pd.Timestamp) -> FaultyData:
        wrong = games.copy()
        late = (games[n.DATE] >= since) & games[n.HOME_POINTS].notna()
        teams = np.unique(games.loc[late, n.HOME_FRANCHISE].astype(str))
        team = teams[since.year % len(teams)]
        for side, points in ((n.HOME_FRANCHISE, n.HOME_POINTS), (n.AWAY_FRANCHISE, n.AWAY_POINTS)):
            rows = late & (games[side] == team)
            wrong.loc[rows, points] = np.rint(games.loc[rows, points].to_numpy(dtype=float) * factor).astype(int)
        tied = late & (wrong[n.HOME_POINTS] == wrong[n.AWAY_POINTS])
        wrong.loc[tied, n.HOME_POINTS] += 1
        return FaultyData(wrong, build_features(wrong))

    return fault


def frozen(games: pd.DataFrame, since: pd.Timestamp) -> FaultyData:
    """Scores arrive, but no team's state moves any more: every feature of state is that of `since`."""
    unplayed = games.copy()
    unplayed.loc[games[n.DATE] >= since, [n.HOME_POINTS, n.AWAY_POINTS]] = pd.NA
    return FaultyData(games, _with_state_of(build_features(games), build_features(unplayed), games[n.DATE] >= since))


def sees_its_own_game(games: pd.DataFrame, since: pd.Timestamp) -> FaultyData:
    """State off by one game into the future: ratings and form stand as they are after the game (a leak)."""
    return FaultyData(games, _off_by_one(games, since, games[n.DATE] + pd.Timedelta(days=1)))


def misses_the_last_game(games: pd.DataFrame, since: pd.Timestamp) -> FaultyData:
    """State off by one game into the past: the last game of each team does not count yet."""
    rows = pd.DataFrame(
        {
            "team": games[[n.HOME_FRANCHISE, n.AWAY_FRANCHISE]].astype(str).to_numpy().ravel(),
            "season": games[n.SEASON].to_numpy().repeat(2),
            "day": games[n.DATE].to_numpy().repeat(2),
        }
    )
    previous = rows.groupby(["team", "season"])["day"].shift(1).fillna(rows["day"]).to_numpy()
    return FaultyData(games, _off_by_one(games, since, pd.Series(previous.reshape(-1, 2).min(axis=1), games.index)))


def _off_by_one(games: pd.DataFrame, since: pd.Timestamp, as_seen_on: pd.Series[pd.Timestamp]) -> pd.DataFrame:
    """Features of state as a game to come of another day would have them."""
    late = (games[n.DATE] >= since) & (games[n.DATE] < since + pd.Timedelta(days=250))
    twins = games[late].copy()
    twins[n.GAME_ID] = "twin " + twins[n.GAME_ID].astype(str)
    twins[n.DATE] = as_seen_on[late].astype(games[n.DATE].dtype)
    twins[[n.HOME_POINTS, n.AWAY_POINTS]] = pd.NA
    both = build_features(pd.concat([games, twins], ignore_index=True)).set_index(c.ROW_ID)
    features = build_features(games)
    ids = features[c.ROW_ID].astype(str)
    state = both.reindex(("twin " + ids).where(late.to_numpy(), ids).to_numpy())
    return _with_state_of(features, state, late)


def _with_state_of(features: pd.DataFrame, state: pd.DataFrame, late: pd.Series[bool]) -> pd.DataFrame:
    """The features, those of state from another table in the same order, where `late`."""
    wrong = {name: np.where(late, state[name], features[name]).astype(np.float32) for name in OF_STATE}
    return features.assign(**wrong)


FAULTS: Final[Mapping[str, Fault]] = {
    "home and away swapped in the feed": swapped,
    "scores of one team x 1.1": scaled(1.1),
    "scores of one team x 1.25": scaled(1.25),
    "scores of one team x 1.5": scaled(1.5),
    "scores of one team x 0.8": scaled(0.8),
    "team state frozen": frozen,
    "state off by one: sees its own game": sees_its_own_game,
    "state off by one: misses the last game": misses_the_last_game,
}
