"""Ratings in points: by how much a team is expected to beat an average one on a neutral site.

A linear rating system: after a game both ratings move by a share (the gain) of the surprise, which is the margin minus
what the ratings and the league's home edge foresaw. The gain is larger in a season's first games, when little is known,
as in a Kalman filter. Unlike Elo's, the home edge is learned from game to game, so that its drift (bubble, empty
arenas) needs no new fit. Constants chosen on seasons 2008 to 2018 only; the optimum is flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipeline.workloads.nba.team_state.elo import FloatArray, RunningRatings, Schedule, game_marks, rows_in_chunks
from pipeline.workloads.nba.team_state.history import History

# In points unless said.
GAIN: Final = 0.02  # share of a surprise by which a rating moves, late in a season
FIRST_GAIN: Final = 0.08  # the same in a season's first game
GAIN_DECAY: Final = 15.0  # games in which the difference of the two falls to 1/e
CARRY_OVER: Final = 0.8  # share of a rating kept from one season to the next; the rest is taken from 0
START: Final = -3.0  # a team's first rating: new teams are weak
HOME_EDGE: Final = 3.5  # before the first game
HOME_EDGE_GAIN: Final = 0.001  # share of a surprise by which the league's home edge moves


@dataclass(frozen=True)
class MarginRatings:
    """State before each game's day, in points, each of the shape (games,)."""

    home: FloatArray
    away: FloatArray
    home_edge: FloatArray  # of the league, whether or not the game has a home team

    def expected(self, games: Schedule) -> FloatArray:
        """The margin that the ratings foresee."""
        return self.home - self.away + np.where(games.neutral, 0.0, self.home_edge)


@dataclass
class RunningMargins:
    """What moves from game to game, in points: the teams' ratings and the league's home edge."""

    teams: RunningRatings
    edge: float
    edge_before_day: float  # a chunk of games may end within a day


def running_margins(teams: int, known: Sequence[float] = (), home_edge: float = HOME_EDGE) -> RunningMargins:
    """What to start with: a new team's rating for each, or ratings and home edge known from earlier games."""
    ratings = RunningRatings(teams, start=START, carry_over=CARRY_OVER, mean=0.0, known=known)
    return RunningMargins(ratings, home_edge, home_edge)


def pre_game_margin_ratings(
    games: Schedule, history: History, *, running: RunningMargins | None = None, first: int = 0
) -> MarginRatings:
    """Ratings and home edge before each game's day; `history` is the games' own.

    `running` is moved to what it is after the last game. Games before row `first` are in it already, and get 0.
    """
    running = running_margins(games.teams) if running is None else running
    extra = (FIRST_GAIN - GAIN) * np.exp(-history.count() / GAIN_DECAY)
    gain = (GAIN + extra) * games.played.repeat(2)
    opens_day = np.ones(len(games), dtype=np.bool_)
    opens_day[1:] = games.day[1:] != games.day[:-1]
    court = np.where(games.neutral, 0.0, 1.0)
    edge_gain = HOME_EDGE_GAIN * court * games.played
    gains = (gain[0::2], gain[1::2])
    columns = (games.home, games.away, games.margin, *gains, court, edge_gain, opens_day, game_marks(history))
    chunks = [_play(running, rows) for rows in rows_in_chunks(*(column[first:] for column in columns))]
    state = np.concatenate([np.zeros(3 * first), *chunks])
    return MarginRatings(home=state[0::3], away=state[1::3], home_edge=state[2::3])


def _play(running: RunningMargins, rows: Iterator[tuple[Any, ...]]) -> FloatArray:
    """Home rating, away rating and home edge before each game in turn. A plain loop on local names, for speed."""
    now, marked = running.teams.now, running.teams.marked
    edge_now, edge_before = running.edge, running.edge_before_day
    before: list[float] = []
    extend = before.extend
    for home, away, margin, gain_home, gain_away, court, edge_gain, opens_day, marks in rows:
        if opens_day:
            edge_before = edge_now
        if marks:
            rating_home, rating_away = marked(home, away, marks)
        else:
            rating_home, rating_away = now[home], now[away]
        extend((rating_home, rating_away, edge_before))
        surprise = margin - (rating_home - rating_away + court * edge_before)
        now[home] += gain_home * surprise
        now[away] -= gain_away * surprise
        edge_now += edge_gain * surprise
    running.edge, running.edge_before_day = edge_now, edge_before
    return np.array(before, dtype=np.float64)
