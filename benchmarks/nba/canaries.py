"""Feature tables that leak the result in the ways it happens most, to prove that the gates notice."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import build_features, known_games
from pipeline.workloads.nba.team_state import league as league_module
from pipeline.workloads.nba.team_state.elo import RunningRatings, Schedule, pre_game_elo, win_probability
from pipeline.workloads.nba.team_state.history import History
from pipeline.workloads.nba.team_state.margin_ratings import MarginRatings, RunningMargins, pre_game_margin_ratings

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
    schedule = known_games(games)[0]
    rows = team_rows(schedule).assign(margin=np.stack([schedule.margin, -schedule.margin], axis=1).ravel())
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
    schedule = known_games(games)[0]
    features = plain_post_game_ratings(games)
    expected = pre_game_margin_ratings(schedule, schedule.team_history()).expected(schedule)
    elo = elo_after_game(schedule) + np.where(games[n.NEUTRAL_SITE], 0.0, 100.0)
    surprise = 2 * (schedule.margin - expected) / TYPICAL_SPREAD
    return features.assign(**{"surprise_1_difference": surprise, n.P_ELO: win_probability(elo)})


def plain_post_game_elo(games: pd.DataFrame) -> pd.DataFrame:
    """The same leak as it would really happen, in one of the ratings: Elo stands as it is after the game."""
    elo = elo_after_game(known_games(games)[0]) / 100
    return build_features(games).assign(elo_difference=elo.astype(np.float32))


def plain_post_game_margin_rating(games: pd.DataFrame) -> pd.DataFrame:
    """The other rating as it stands after the game."""
    schedule = known_games(games)[0]
    ratings = pre_game_margin_ratings(schedule, schedule.team_history())
    rating = after_game(schedule, ratings.home, ratings.away) / TYPICAL_SPREAD
    return build_features(games).assign(margin_rating_difference=rating)


def plain_post_game_ratings(games: pd.DataFrame) -> pd.DataFrame:
    """Both of them: the faintest leak, because the model then subtracts nothing that it could know better."""
    name = "elo_difference"
    return plain_post_game_margin_rating(games).assign(**{name: plain_post_game_elo(games)[name]})


def elo_after_game(schedule: Schedule) -> FloatArray:
    return after_game(schedule, *pre_game_elo(schedule, schedule.team_history()))


def leaking_rating_code(games: pd.DataFrame) -> pd.DataFrame:
    """One wrong line in our own rating code: every feature that is made of a rating leaks, and p_elo with them."""

    def elo_after(
        schedule: Schedule, history: History, *, ratings: RunningRatings, first: int
    ) -> tuple[FloatArray, FloatArray]:
        return after(schedule, *pre_game_elo(schedule, history, ratings=ratings, first=first))

    def margin_ratings_after(
        schedule: Schedule, history: History, *, running: RunningMargins, first: int
    ) -> MarginRatings:
        ratings = pre_game_margin_ratings(schedule, history, running=running, first=first)
        home, away = after(schedule, ratings.home, ratings.away)
        return replace(ratings, home=home, away=away)

    with (
        patch.object(league_module, "pre_game_elo", elo_after),
        patch.object(league_module, "pre_game_margin_ratings", margin_ratings_after),
    ):
        return build_features(games)


def after_game(schedule: Schedule, home: FloatArray, away: FloatArray) -> FloatArray:
    """Home minus away of ratings after the game."""
    home_after, away_after = after(schedule, home, away)
    return home_after - away_after


def after(schedule: Schedule, home: FloatArray, away: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ratings after each game from those before it: a team's before its next game of the season, if it has one."""
    rows = team_rows(schedule).assign(rating=np.stack([home, away], axis=1).ravel())
    next_one = rows.groupby(["team", "season"])["rating"].shift(-1).fillna(rows["rating"]).to_numpy()
    return next_one[0::2], next_one[1::2]


def team_rows(schedule: Schedule) -> pd.DataFrame:
    """Two rows a game, home and away in turn: team and season."""
    teams = np.stack([schedule.home, schedule.away], axis=1).ravel()
    return pd.DataFrame({"team": teams, "season": schedule.season.repeat(2)})


ALL = (
    missing_shift,
    post_game_ratings,
    plain_post_game_ratings,
    plain_post_game_elo,
    plain_post_game_margin_rating,
    leaking_rating_code,
)
