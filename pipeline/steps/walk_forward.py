"""The walk-forward record: each of the last games predicted by a model that saw only games before it.

At the start of each calendar month with games the recipe is fitted anew on all games before that month.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import contract as c
from pipeline.steps.baselines import base_rate
from pipeline.steps.feature_names import FEATURES
from pipeline.steps.model import FeatureMatrix, Hyperparameters, fit, predict

FloatArray = NDArray[np.float64]

# Below so many earlier games a fit is mostly noise: the record starts in the first month that has them.
MIN_TRAINING_GAMES: Final = 500
_THREADS: Final = 2  # XGBoost releases Python's lock; each fit has one thread, so this does not change the result
_SEASON_GAMES: Final = 1_312


def feature_matrix(features: pa.Table) -> FeatureMatrix:
    """The model's input of the shape (games, FEATURES) from a table that has those columns."""
    X = np.empty((features.num_rows, len(FEATURES)), dtype=np.float32)
    for position, name in enumerate(FEATURES):
        X[:, position] = features[name].to_numpy()
    return X


@dataclass(frozen=True)
class _Games:
    """Played games in order of date; arrays of the shape (games, ...)."""

    X: FeatureMatrix
    home_won: FloatArray
    month: NDArray[np.datetime64]  # first day of each game's month


@dataclass(frozen=True)
class Checkpoint:
    """Rows [begin, end) are predicted from the rows before `fit_end`, all of earlier months."""

    begin: int
    end: int
    fit_end: int
    first_day: np.datetime64


def walk_forward(features: pa.Table, hyperparameters: Hyperparameters, n_games: int = _SEASON_GAMES) -> pa.Table:
    """Predict the last `n_games` played games, one row each in order of date.

    `features` has the columns of `build_features`, played games only, in order of date. Returns game_id, date, season,
    home_won, p_model, p_base_rate and trained_before (first day that the row's models had not seen). Fewer rows where
    fewer games have at least 500 games in the months before. Raises ValueError when the games are out of order or one
    has no outcome.
    """
    games = _played(features)
    points = checkpoints(games.month, n_games)
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = list(pool.map(lambda point: _predict(games, point, hyperparameters), points))
    first = points[0].begin if points else features.num_rows
    kept = features.select([c.GAME_ID, c.DATE, c.SEASON, c.HOME_WON]).slice(first)
    columns: dict[str, Any] = {name: kept[name] for name in kept.column_names}
    for name in (c.P_MODEL, c.P_BASE_RATE):
        columns[name] = np.concatenate([part[name] for part in parts]) if parts else np.empty(0)
    days = [np.full(point.end - point.begin, point.first_day, dtype="datetime64[D]") for point in points]
    columns[c.TRAINED_BEFORE] = pa.array(np.concatenate(days) if days else np.empty(0, "datetime64[D]"))
    return pa.table(columns)


def _played(features: pa.Table) -> _Games:
    day = features[c.DATE].to_numpy().astype("datetime64[D]")
    if (day[1:] < day[:-1]).any():
        raise ValueError("the games are not in order of date: a walk forward would train on later games")
    if features[c.HOME_WON].null_count:
        raise ValueError("a game has no outcome: walk forward through played games only")
    return _Games(
        X=feature_matrix(features),
        home_won=features[c.HOME_WON].to_numpy().astype(np.float64),
        month=day.astype("datetime64[M]").astype("datetime64[D]"),
    )


def checkpoints(month: NDArray[np.datetime64], n_games: int) -> list[Checkpoint]:
    """Where the recipe is fitted anew for the last `n_games` games; `month` is the first day of each game's month."""
    first = max(0, len(month) - n_games)
    starts, counts = np.unique(month[first:], return_counts=True)
    ends = first + np.cumsum(counts)
    fit_ends = np.searchsorted(month, starts, side="left")
    return [
        Checkpoint(begin=int(end - count), end=int(end), fit_end=int(fit_end), first_day=start)
        for start, count, end, fit_end in zip(starts, counts, ends, fit_ends, strict=True)
        if fit_end >= MIN_TRAINING_GAMES
    ]


def _predict(games: _Games, point: Checkpoint, hyperparameters: Hyperparameters) -> dict[str, FloatArray]:
    past, now = slice(0, point.fit_end), slice(point.begin, point.end)
    booster = fit(games.X[past], games.home_won[past], hyperparameters)
    return {
        c.P_MODEL: predict(booster, games.X[now]),
        c.P_BASE_RATE: np.full(point.end - point.begin, base_rate(games.home_won[past])),
    }
