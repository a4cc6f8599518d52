"""A league's games with what was known before each: both teams' ratings, the home edge, and how far margins spread.

`replay` starts from nothing. `resume` goes on from the ratings and surprises of games that were replayed before, so
that a game to come gets the same features from a short past as from all of it (see league_state.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.workloads.nba.team_state.elo import (
    BoolArray,
    FloatArray,
    IntArray,
    RunningRatings,
    Schedule,
    elo_ratings,
    pre_game_elo,
)
from pipeline.workloads.nba.team_state.history import History
from pipeline.workloads.nba.team_state.margin_ratings import (
    MarginRatings,
    RunningMargins,
    pre_game_margin_ratings,
    running_margins,
)

HUNDREDTHS: Final = 100.0  # surprises are rounded to hundredths of a point, so that their sums are exact
_MAX_SURPRISE = 4_000  # hundredths of a point; a rout beyond says no more about the spread
# How far the features look back, in played games; league_state.py keeps so many. This season's games always count.
LEAGUE_GAMES: Final = 600  # of the league: half a season
LEAGUE_HOME_GAMES: Final = 400  # of the league, on a home court
TEAM_GAMES: Final = 82  # of a team: a season
_FIRST_SPREAD = 12.0  # points, before any game; weighs as much as _PRIOR_GAMES
_PRIOR_GAMES = 50


@dataclass(frozen=True)
class KnownGames(Schedule):
    """Games with what else is known of them; arrays of the shape (games,)."""

    playoff: BoolArray
    points: IntArray  # of both teams together; 0 if unplayed
    surprise: IntArray  # the home team's margin beyond the expected one, in hundredths of a point; 0 if unplayed


@dataclass(frozen=True)
class League:
    """Everything that the groups of features are made from; game arrays have the shape (games,)."""

    games: KnownGames
    teams: History  # two rows a game
    elo: tuple[FloatArray, FloatArray]
    ratings: MarginRatings
    spread: FloatArray  # standard deviation of the league's latest surprises, in points
    court: FloatArray  # 1, or 0 on a neutral site
    playoff: FloatArray  # 1 or 0
    running: Running  # after the last game
    first: int = 0  # the ratings of games before this row are not known any more: only their results are

    def by_team(self, of_home: NDArray[Any], of_away: NDArray[Any]) -> IntArray:
        """A value of each team in the row order of `teams`."""
        return np.stack([of_home, of_away], axis=1).ravel()

    def difference(self, by_team: NDArray[Any]) -> NDArray[Any]:
        """Home minus away of values in the row order of `teams`."""
        return np.asarray(by_team[0::2] - by_team[1::2])


@dataclass(frozen=True)
class Running:
    """The ratings between two games; playing on moves them."""

    elo: RunningRatings
    margins: RunningMargins


def replay(games: KnownGames) -> League:
    """A league from its first game on; what surprised in its games is computed."""
    return resume(games, Running(elo_ratings(games.teams), running_margins(games.teams)))


def resume(games: KnownGames, running: Running, first: int = 0) -> League:
    """A league whose games before row `first` are in `running` already, and with them their surprises."""
    teams = games.team_history()
    ratings = pre_game_margin_ratings(games, teams, running=running.margins, first=first)
    beyond = np.where(games.played, games.margin - ratings.expected(games), 0.0)
    surprise = np.rint(beyond * HUNDREDTHS).astype(np.int64)
    surprise[:first] = games.surprise[:first]
    return League(
        games=replace(games, surprise=surprise),
        teams=teams,
        elo=pre_game_elo(games, teams, ratings=running.elo, first=first),
        ratings=ratings,
        spread=_spread(games, surprise),
        court=np.where(games.neutral, 0.0, 1.0),
        playoff=games.playoff.astype(np.float64),
        running=running,
        first=first,
    )


def league_history(games: Schedule, counted: BoolArray) -> History:
    """All of the league's games as one owner's; only those `counted` count."""
    one_owner = np.zeros(len(games), dtype=np.int64)
    return History.of(one_owner, games.day, games.season, counted)


def _spread(games: Schedule, surprise: IntArray) -> FloatArray:
    """Standard deviation of the league's latest surprises, in points: margins grow as the game gets faster."""
    league = league_history(games, games.played)
    squares = np.minimum(np.abs(surprise), _MAX_SURPRISE) ** 2
    total = league.total(squares, last=LEAGUE_GAMES, this_season=False) / HUNDREDTHS**2
    count = league.count(last=LEAGUE_GAMES, this_season=False)
    return np.asarray(np.sqrt((total + _PRIOR_GAMES * _FIRST_SPREAD**2) / (count + _PRIOR_GAMES)))
