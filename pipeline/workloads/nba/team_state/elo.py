"""FiveThirtyEight's Elo ratings of the two teams before each game.

Formulas and constants as FiveThirtyEight published them ("How We Calculate NBA Elo Ratings", 2015, and its nba-elo
data): K of 20, a margin-of-victory multiplier of (margin + 3)^0.8 / (7.5 + 0.006 x the winner's rating difference),
100 points for the home team (none on a neutral site), three quarters of a rating carried into the next season and the
rest taken from 1505, 1300 for a new team.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.workloads.nba.team_state.history import DAY_CONTINUES, NEW_SEASON, SAME_DAY, History

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# In rating points.
K: Final = 20.0
HOME_ADVANTAGE: Final = 100.0
CARRY_OVER: Final = 0.75  # share of a rating kept from one season to the next
MEAN: Final = 1505.0  # what the rest is taken from
START: Final = 1300.0  # a team's first rating

_CHUNK = 65_536  # games in Python lists at a time: the loop over seven million needs no more memory
_SIDE_BITS: Final = 3  # the away team's marks are above the home team's


@dataclass(frozen=True)
class Schedule:
    """Games in order of day as plain arrays, each of the shape (games,)."""

    home: IntArray  # team numbers from 0
    away: IntArray
    day: IntArray  # days since any epoch, ascending
    season: IntArray
    margin: IntArray  # home minus away points; 0 for a game not yet played (a played game has a winner)
    neutral: BoolArray

    def __len__(self) -> int:
        return len(self.home)

    @property
    def teams(self) -> int:
        """One more than the largest team number."""
        return int(max(self.home.max(initial=-1), self.away.max(initial=-1))) + 1

    @property
    def played(self) -> BoolArray:
        """Whether each game has a result."""
        return np.asarray(self.margin != 0)

    def rows(self, chosen: slice | NDArray[Any]) -> Self:
        """Some of the games, in the order in which they are chosen."""
        return type(self)(**{name: values[chosen] for name, values in vars(self).items()})

    def followed_by(self, later: Self) -> Self:
        """These games, then the later ones."""
        return type(self)(**{name: np.concatenate([values, vars(later)[name]]) for name, values in vars(self).items()})

    def team_history(self) -> History:
        """Both teams' rows of each game: rows 2i and 2i + 1 are the home and the away team of game i."""
        owner = np.stack([self.home, self.away], axis=1).ravel()
        return History.of(owner, self.day.repeat(2), self.season.repeat(2), self.played.repeat(2))


def game_marks(history: History) -> IntArray:
    """The marks of both teams of each game in one number, 0 for most."""
    marks = history.marks()
    return marks[0::2] + (marks[1::2] << _SIDE_BITS)


def rows_in_chunks(*columns: NDArray[Any]) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Yield the columns' rows as tuples of Python numbers, chunk by chunk."""
    for start in range(0, len(columns[0]), _CHUNK):
        yield zip(*(column[start : start + _CHUNK].tolist() for column in columns), strict=True)


class RunningRatings:
    """One number a team that moves from game to game; within a day, everybody sees the numbers before it."""

    def __init__(
        self, teams: int, *, start: float, carry_over: float, mean: float, known: Sequence[float] = ()
    ) -> None:
        """`known` are ratings to go on from, by team number; teams beyond them are new."""
        self.now = [*known, *[start] * (teams - len(known))]
        self.before_day = list(self.now)
        self.carry_over = carry_over
        self.mean = mean

    def marked(self, home: int, away: int, marks: int) -> tuple[float, float]:
        """Both ratings before a game's day where at least one of its teams has a mark."""
        return self._one(home, marks & ((1 << _SIDE_BITS) - 1)), self._one(away, marks >> _SIDE_BITS)

    def _one(self, team: int, marks: int) -> float:
        if marks & NEW_SEASON:
            self.now[team] = self.carry_over * self.now[team] + (1.0 - self.carry_over) * self.mean
        if marks & DAY_CONTINUES:
            self.before_day[team] = self.now[team]
        return self.before_day[team] if marks & SAME_DAY else self.now[team]


def win_probability(difference: FloatArray) -> FloatArray:
    """The home team's chance to win, from the rating difference with home advantage."""
    return np.asarray(1.0 / (1.0 + 10.0 ** (difference / -400.0)), dtype=np.float64)


def elo_ratings(teams: int, known: Sequence[float] = ()) -> RunningRatings:
    """Ratings to start with: 1300 for each team, or those `known` from earlier games."""
    return RunningRatings(teams, start=START, carry_over=CARRY_OVER, mean=MEAN, known=known)


def pre_game_elo(
    games: Schedule, history: History, *, ratings: RunningRatings | None = None, first: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Home and away ratings before each game's day, each of the shape (games,); `history` is the games' own.

    `ratings` are moved to what they are after the last game. Games before row `first` are in them already, and get 0.
    """
    ratings = elo_ratings(games.teams) if ratings is None else ratings
    margin = np.abs(games.margin)
    pull = np.where(games.played, K * (margin + 3.0) ** 0.8, 0.0)
    advantage = np.where(games.neutral, 0.0, HOME_ADVANTAGE)
    columns = (games.home, games.away, games.margin > 0, pull, advantage, game_marks(history))
    chunks = [_play(ratings, rows) for rows in rows_in_chunks(*(column[first:] for column in columns))]
    both = np.concatenate([np.zeros(2 * first), *chunks])
    return both[0::2], both[1::2]


def _play(ratings: RunningRatings, rows: Iterator[tuple[Any, ...]]) -> FloatArray:
    """Ratings before each game, home and away in turn. The hot loop: plain, on local names."""
    now, marked = ratings.now, ratings.marked
    before: list[float] = []
    append = before.append
    for home, away, home_won, pull, advantage, marks in rows:
        if marks:
            elo_home, elo_away = marked(home, away, marks)
        else:
            elo_home, elo_away = now[home], now[away]
        append(elo_home)
        append(elo_away)
        difference = elo_home - elo_away + advantage
        home_chance = 1.0 / (1.0 + 10.0 ** (difference / -400.0))
        if home_won:
            change = pull / (7.5 + 0.006 * difference) * (1.0 - home_chance)
        else:
            change = pull / (0.006 * difference - 7.5) * home_chance
        now[home] += change
        now[away] -= change
    return np.array(before, dtype=np.float64)
