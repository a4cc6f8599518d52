"""Small made-up leagues in the shape of `load_games(...).rows`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.workloads.nba import columns as nba

FIRST_DAY = np.datetime64("2001-10-30")


def random_league(
    seed: int, *, teams: int = 6, seasons: int = 2, games: int = 40, unplayed: int = 0, home_edge: float = 3.0
) -> pd.DataFrame:
    """`seasons` of `games` random games each, on crowded days (teams may play twice), the last `unplayed` to come.

    Teams differ by about six points and games by twelve, so that results can be foreseen about as well as real ones.
    """
    rng = np.random.default_rng(seed)
    n = seasons * games
    season, number = np.divmod(np.arange(n), games)
    home = rng.integers(teams, size=n)
    away = (home + rng.integers(1, teams, size=n)) % teams
    days = np.sort(rng.integers(max(2, games * 2 // teams), size=(seasons, games)), axis=1).ravel()
    neutral = rng.random(n) < 0.1
    strength = rng.normal(0.0, 4.0, size=(seasons, teams))
    expected = strength[season, home] - strength[season, away] + np.where(neutral, 0.0, home_edge)
    margin = np.rint(rng.normal(expected, 12.0)).astype(np.int64).clip(-60, 60)
    margin[margin == 0] = 1
    away_points = 100 - margin // 2 + rng.integers(-10, 10, size=n)
    date = FIRST_DAY + (season * 365 + days).astype("timedelta64[D]")
    franchise = np.array([f"T{team:02d}" for team in range(teams)])
    table = pd.DataFrame(
        {
            nba.GAME_ID: [f"{day}-{number_:03d}" for day, number_ in zip(date, rng.permutation(n), strict=True)],
            nba.DATE: date.astype("datetime64[s]"),
            nba.SEASON: (2002 + season).astype("int16"),
            nba.HOME_TEAM: franchise[home],
            nba.AWAY_TEAM: franchise[away],
            nba.HOME_POINTS: pd.array(away_points + margin, dtype="Int16"),
            nba.AWAY_POINTS: pd.array(away_points, dtype="Int16"),
            nba.NEUTRAL_SITE: neutral,
            nba.PLAYOFF: number >= games * 9 // 10,
            nba.HOME_FRANCHISE: franchise[home],
            nba.AWAY_FRANCHISE: franchise[away],
        }
    ).sort_values([nba.DATE, nba.GAME_ID], ignore_index=True)
    if unplayed:
        table.loc[table.index[-unplayed:], [nba.HOME_POINTS, nba.AWAY_POINTS]] = pd.NA
    return table
