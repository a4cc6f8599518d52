"""Two feature tables that leak the result in the ways it happens most, to prove that the gates notice."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import contract as c
from pipeline.steps.elo import Schedule, pre_game_elo, win_probability
from pipeline.steps.features import build_features
from pipeline.steps.margin_ratings import pre_game_margin_ratings

FloatArray = NDArray[np.float64]
TYPICAL_SPREAD = 12.0  # points


FORM_WINDOWS = (
    ("surprise_1_difference", 1),
    ("surprise_5_difference", 5),
    ("margin_10_difference", 10),
    ("season_margin_difference", 200),
)


def missing_shift(games: pd.DataFrame) -> pd.DataFrame:
    """`build_features(games)` with form that includes the game itself: rolling means that nobody shifted."""
    features = build_features(games)
    margins = margins_of(games)
    rows = team_rows(games).assign(margin=np.stack([margins, -margins], axis=1).ravel())
    by_season = rows.groupby(["team", "season"])["margin"]
    for name, last in FORM_WINDOWS:
        form = by_season.rolling(last, min_periods=1).mean().droplevel([0, 1]).sort_index().to_numpy()
        features[name] = ((form[0::2] - form[1::2]) / TYPICAL_SPREAD).astype(np.float32)
    return features


def post_game_ratings(games: pd.DataFrame) -> pd.DataFrame:
    """`build_features(games)` with the ratings as they stand after the game, and their last move with them.

    A join on the day that finds the row written that night. Without the move the leak is real but faint: a result
    moves an Elo rating by a tenth of what teams differ by, and the walk-forward accuracy is 0.70.
    """
    features = build_features(games)
    schedule = schedule_of(games)
    history = schedule.team_history()
    elo = after_game(games, *pre_game_elo(schedule, history))
    ratings = pre_game_margin_ratings(schedule, history)
    features["elo_difference"] = (elo / 100).astype(np.float32)
    features["margin_rating_difference"] = after_game(games, ratings.home, ratings.away) / TYPICAL_SPREAD
    features["surprise_1_difference"] = 2 * (margins_of(games) - ratings.expected(schedule)) / TYPICAL_SPREAD
    features[c.P_ELO] = win_probability(elo + np.where(games[c.NEUTRAL_SITE], 0.0, 100.0))
    return features


def plain_post_game_ratings(games: pd.DataFrame, *, baseline_too: bool) -> pd.DataFrame:
    """The same leak as it would really happen: only the two ratings stand as they are after the game.

    With `baseline_too`, Elo-logistic is fitted to the leaked rating as well: one wrong row in our code would do both.
    """
    features = build_features(games)
    schedule = schedule_of(games)
    history = schedule.team_history()
    elo = after_game(games, *pre_game_elo(schedule, history))
    ratings = pre_game_margin_ratings(schedule, history)
    features["elo_difference"] = (elo / 100).astype(np.float32)
    features["margin_rating_difference"] = after_game(games, ratings.home, ratings.away) / TYPICAL_SPREAD
    if baseline_too:
        features[c.P_ELO] = win_probability(elo + np.where(games[c.NEUTRAL_SITE], 0.0, 100.0))
    return features


def after_game(games: pd.DataFrame, home: FloatArray, away: FloatArray) -> FloatArray:
    """Home minus away of ratings after the game: those before each team's next game of the season, if it has one."""
    rows = team_rows(games).assign(rating=np.stack([home, away], axis=1).ravel())
    after = rows.groupby(["team", "season"])["rating"].shift(-1).fillna(rows["rating"]).to_numpy()
    return after[0::2] - after[1::2]


def team_rows(games: pd.DataFrame) -> pd.DataFrame:
    """Two rows a game, home and away in turn: team and season."""
    teams = games[[c.HOME_FRANCHISE, c.AWAY_FRANCHISE]].astype(str).to_numpy().ravel()
    return pd.DataFrame({"team": teams, "season": games[c.SEASON].to_numpy().repeat(2)})


def margins_of(games: pd.DataFrame) -> NDArray[np.int64]:
    """Home minus away points, 0 where the game is not yet played."""
    return (games[c.HOME_POINTS] - games[c.AWAY_POINTS]).to_numpy(dtype=np.int64, na_value=0)


def schedule_of(games: pd.DataFrame) -> Schedule:
    """The games as arrays, teams numbered as they come."""
    numbers = pd.factorize(team_rows(games)["team"])[0].astype(np.int64)
    return Schedule(
        home=numbers[0::2],
        away=numbers[1::2],
        day=games[c.DATE].to_numpy().astype("datetime64[D]").astype(np.int64),
        season=games[c.SEASON].to_numpy(dtype=np.int64),
        margin=margins_of(games),
        neutral=games[c.NEUTRAL_SITE].to_numpy(dtype=np.bool_),
    )
