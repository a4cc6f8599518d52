"""Elo-logistic from results alone: what a candidate must beat, and must not beat by too much.

The features are judged here, so nothing here comes through them: other input (the results as validated) and other code
(import rules see to it). A rating that has seen the game flatters the candidate and any baseline fitted to the same
rating; against this reference it stands out. Nothing sees its own result: all games of a day are forecast before one
of them moves a rating, and a month's logistic regression is fitted to the games before that month.

Elo as FiveThirtyEight published it ("How We Calculate NBA Elo Ratings", 2015, and its nba-elo data).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.training.logistic import fit_logistic, sigmoid
from pipeline.workloads.nba import columns as n

FloatArray = NDArray[np.float64]

_PLAYED: Final = (n.SEASON, *n.FRANCHISES, *n.POINTS, n.NEUTRAL_SITE)


def forecast(results: pa.Table, ids: Sequence[str], since: date) -> FloatArray:
    """Home-win probabilities of the shape (games,) for `ids`, each from earlier games only.

    `results` has columns.RESULT_COLUMNS, played games in order of date, as far back as there are: all of them warm up
    the ratings, those from `since` on teach the regression. Raises StepError for a game that is not among
    them, or that has none before its month.
    """
    rows = _rows(results, ids)
    chances = elo_chances(results)
    home_won = (results[n.HOME_POINTS].to_numpy() > results[n.AWAY_POINTS].to_numpy()).astype(np.float64)
    day = results[c.TIME].to_numpy().astype("datetime64[D]")
    modelled = day >= np.datetime64(since)
    month = day[rows].astype("datetime64[M]").astype("datetime64[D]")
    predicted = np.empty(rows.size)
    for first_day in np.unique(month):
        past, now = modelled & (day < first_day), month == first_day
        if not past.any():
            raise StepError(f"no game was played before {first_day}: there is nothing to compare the candidate with")
        predicted[now] = EloLogistic.fit(chances[past], home_won[past]).predict(chances[rows[now]])
    return predicted


def fallback(upcoming: pa.Table) -> FloatArray:
    """Elo's published formula, while no version is approved."""
    return np.asarray(upcoming[n.P_ELO].to_numpy(), dtype=np.float64)


def _rows(results: pa.Table, game_ids: Sequence[str]) -> NDArray[np.int64]:
    found = pc.index_in(pa.array(game_ids, type=results[c.ROW_ID].type), value_set=results[c.ROW_ID])
    if found.null_count:
        missing = game_ids[found.is_null().to_pylist().index(True)]
        raise StepError(f"{c.RESULTS_FILE} has no game {missing}, which the candidate's record has: run Prepare again")
    rows: NDArray[np.int64] = found.to_numpy().astype(np.int64)
    return rows


def elo_chances(results: pa.Table) -> FloatArray:
    """Elo's chance of a home win before each game's day, of the shape (games,); raises ValueError when out of order."""
    day = results[c.TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    if (day[1:] < day[:-1]).any():
        raise ValueError("the results are not in order of date: the ratings would see later games")
    games = zip(day.tolist(), *(results[name].to_pylist() for name in _PLAYED), strict=True)
    league = _League()
    differences = [difference for _, of_day in groupby(games, itemgetter(0)) for difference in league.play([*of_day])]
    return 1.0 / (1.0 + 10.0 ** (np.array(differences, dtype=np.float64) / -400.0))


class _League:
    """The teams' ratings between two days."""

    def __init__(self) -> None:
        self.ratings: dict[str, float] = {}
        self.seasons: dict[str, int] = {}

    def play(self, games: Sequence[tuple[Any, ...]]) -> list[float]:
        """Forecast every game of a day as a rating difference, with home advantage; only then let them count."""
        differences = [
            self.rating(home, season) - self.rating(away, season) + (0.0 if neutral else 100.0)
            for _, season, home, away, _, _, neutral in games
        ]
        for (_, _, home, away, home_points, away_points, _), difference in zip(games, differences, strict=True):
            move = _move(home_points - away_points, difference)
            self.ratings[home] += move
            self.ratings[away] -= move
        return differences

    def rating(self, team: str, season: int) -> float:
        """1300 for a new team; at a team's first game of a season, a quarter of the way back to 1505."""
        if self.seasons.setdefault(team, season) != season:
            self.ratings[team] += 0.25 * (1505.0 - self.ratings[team])
            self.seasons[team] = season
        return self.ratings.setdefault(team, 1300.0)


def _move(margin: int, difference: float) -> float:
    """What the home team's rating gains (and the away team's loses), from its margin and its rating difference."""
    won = margin > 0
    surprise = won - 1.0 / (1.0 + math.pow(10.0, difference / -400.0))
    multiplier = math.pow(abs(margin) + 3.0, 0.8) / (7.5 + 0.006 * (difference if won else -difference))
    return 20.0 * multiplier * surprise


@dataclass(frozen=True)
class EloLogistic:
    """Home-win log-odds as a line in Elo's own log-odds, which are proportional to the rating difference.

    The difference includes home advantage; Elo's formula itself is the line with intercept 0 and slope 1.
    """

    intercept: float
    slope: float

    @classmethod
    def fit(cls, p_elo: FloatArray, home_won: FloatArray) -> EloLogistic:
        """Maximum likelihood from games of the shape (games,); raises ValueError when there is none."""
        intercept, slope = fit_logistic(_columns(p_elo), home_won)
        return cls(float(intercept), float(slope))

    def predict(self, p_elo: FloatArray) -> FloatArray:
        """Home-win probabilities of the shape (games,)."""
        return sigmoid(_columns(p_elo) @ np.array([self.intercept, self.slope]))


def _columns(p_elo: FloatArray) -> FloatArray:
    return np.stack([np.ones(len(p_elo)), np.log(p_elo / (1.0 - p_elo))], axis=1)
