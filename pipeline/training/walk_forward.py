"""The walk-forward record: each of the last games predicted by a model that saw only games before it.

At the start of each calendar month with games the recipe is fitted anew on all games before that month.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.training.logistic import ONE_HOST, Sums
from pipeline.training.model import Hyperparameters, fit_set, predict
from pipeline.training.played_months import PlayedMonths, outcomes
from pipeline.training.training_games import Games, MemoryGames
from pipeline.training.training_sets import feature_matrix
from pipeline.workloads.nba.baselines import base_rate_of

__all__ = ["RECORD_KEYS", "checkpoints", "feature_matrix", "months_to_predict", "record_of", "walk_forward"]

FloatArray = NDArray[np.float64]

# Below so many earlier games a fit is mostly noise: the record starts in the first month that has them.
MIN_TRAINING_GAMES: Final = 500
THREADS: Final = 2  # XGBoost releases Python's lock; each fit has one thread, so this does not change the result
RECORD_KEYS: Final = (c.GAME_ID, c.DATE, c.SEASON, c.HOME_WON)
_SEASON_GAMES: Final = 1_312


@dataclass(frozen=True)
class Checkpoint:
    """Rows [begin, end) are predicted from the rows before `fit_end`, all of earlier months."""

    begin: int
    end: int
    fit_end: int
    first_day: np.datetime64


def walk_forward(
    features: pa.Table, hyperparameters: Hyperparameters, n_games: int = _SEASON_GAMES, threads: int = THREADS
) -> pa.Table:
    """Predict the last `n_games` played games, one row each in order of date.

    `features` has the columns of `build_features`, played games only, in order of date. Returns game_id, date, season,
    home_won, p_model, p_base_rate and trained_before (first day that the row's models had not seen). Fewer rows where
    fewer games have at least 500 games in the months before. Raises ValueError when the games are out of order or one
    has no outcome.
    """
    months = PlayedMonths.of([features])
    points = months_to_predict(months, n_games)
    games = MemoryGames(feature_matrix(features), outcomes(features), np.arange(features.num_rows))
    keys = features.select(RECORD_KEYS).slice(points[0].begin if points else features.num_rows)
    return record_of(keys, points, months, games, hyperparameters, threads=threads)


def record_of(
    keys: pa.Table,
    points: Sequence[Checkpoint],
    months: PlayedMonths,
    games: Games,
    hyperparameters: Hyperparameters,
    sums: Sums = ONE_HOST,
    threads: int = THREADS,
) -> pa.Table:
    """The record of the games in `keys` (RECORD_KEYS), which are those from the first of `points` on.

    Each host predicts its own of `games`. Several hosts must come to the fits in the same order: `threads` is 1 then.
    """

    def forecast(point: Checkpoint) -> FloatArray:
        booster = fit_set(games.before(point.fit_end), hyperparameters, sums)
        rows, X = games.rows(point.begin, point.end)
        found = np.zeros(point.end - point.begin)  # and zero where the game is another host's
        found[rows - point.begin] = predict(booster, X)
        return found

    with ThreadPoolExecutor(threads) as pool:
        forecasts = list(pool.map(forecast, points) if threads > 1 else map(forecast, points))
    columns: dict[str, Any] = {name: keys[name] for name in keys.column_names}
    columns[c.P_MODEL] = sums.total(np.concatenate(forecasts) if forecasts else np.empty(0))
    lengths = [point.end - point.begin for point in points]
    wins = months.wins_before[np.searchsorted(months.starts, [point.fit_end for point in points])]
    rates = [base_rate_of(won, point.fit_end) for won, point in zip(wins.tolist(), points, strict=True)]
    columns[c.P_BASE_RATE] = np.repeat(np.array(rates, dtype=np.float64), lengths)
    days = np.repeat(np.array([point.first_day for point in points], dtype="datetime64[D]"), lengths)
    columns[c.TRAINED_BEFORE] = pa.array(days)
    return pa.table(columns)


def months_to_predict(months: PlayedMonths, n_games: int) -> list[Checkpoint]:
    """Where the recipe is fitted anew for the last `n_games` of the games."""
    first = max(0, months.n_games - n_games)
    return _checkpoints(first, months.first_days, months.starts, months.ends)


def checkpoints(month: NDArray[np.datetime64], n_games: int) -> list[Checkpoint]:
    """The same where `month` is the first day of each game's month."""
    first = max(0, len(month) - n_games)
    first_days, counts = np.unique(month[first:], return_counts=True)
    return _checkpoints(first, first_days, np.searchsorted(month, first_days), first + np.cumsum(counts))


def _checkpoints(
    first: int, first_days: NDArray[np.datetime64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> list[Checkpoint]:
    return [
        Checkpoint(begin=max(first, int(start)), end=int(end), fit_end=int(start), first_day=day)
        for day, start, end in zip(first_days, starts, ends, strict=True)
        if end > first and start >= MIN_TRAINING_GAMES
    ]
