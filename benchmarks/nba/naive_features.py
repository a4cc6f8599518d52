"""The features as one would first write them: for each game, filter the earlier ones with pandas. Slow and obvious.

A second, independent wording of `pipeline/workloads/nba/features.py`: tests hold the fast one against it, the benchmark
measures how much faster that is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import pandas as pd

from pipeline.workloads.nba import columns as n

POINTS: Final = (n.HOME_POINTS, n.AWAY_POINTS)


@dataclass(frozen=True)
class State:
    """What is known about a game on its morning, from one replay of all games day by day."""

    elo_home: float
    elo_away: float
    rating_home: float
    rating_away: float
    home_edge: float
    surprise: float | None  # margin beyond the expected one, to the hundredth of a point; None if unplayed


@dataclass(frozen=True)
class _Game:
    day: int
    season: int
    home: str
    away: str
    margin: int | None  # None if unplayed
    neutral: bool


def replay(games: pd.DataFrame) -> list[State]:
    """State of each game, in the games' order (by date and game_id)."""
    margin = (games[n.HOME_POINTS] - games[n.AWAY_POINTS]).astype(object)
    columns = (
        games[n.DATE].to_numpy().astype("datetime64[D]").astype(int).tolist(),
        games[n.SEASON].tolist(),
        games[n.HOME_FRANCHISE].astype(str).tolist(),
        games[n.AWAY_FRANCHISE].astype(str).tolist(),
        margin.where(margin.notna(), None).tolist(),
        games[n.NEUTRAL_SITE].tolist(),
    )
    league = _Replay()
    rows = (_Game(*row) for row in zip(*columns, strict=True))
    return [state for _, day in groupby(rows, key=lambda row: row.day) for state in league.one_day(list(day))]


class _Replay:
    def __init__(self) -> None:
        self.elo: dict[str, float] = defaultdict(lambda: 1300.0)
        self.rating: dict[str, float] = defaultdict(lambda: -3.0)
        self.season: dict[str, int] = {}
        self.games: dict[str, int] = {}
        self.home_edge = 3.5

    def one_day(self, rows: list[_Game]) -> list[State]:
        """States of a day's games; only then do the day's results move the ratings."""
        for row in rows:
            self._open_season(row.home, row.season)
            self._open_season(row.away, row.season)
        counts = dict(self.games)
        states = [self._state(row) for row in rows]
        for row, state in zip(rows, states, strict=True):
            if row.margin is not None and state.surprise is not None:
                self._move(row, row.margin, state, state.surprise, counts)
        return states

    def _open_season(self, team: str, season: int) -> None:
        if self.season.get(team) == season:
            return
        if team in self.season:
            self.elo[team] = 0.75 * self.elo[team] + 0.25 * 1505
            self.rating[team] *= 0.8
        self.season[team] = season
        self.games[team] = 0

    def _state(self, row: _Game) -> State:
        expected = self.rating[row.home] - self.rating[row.away] + (0 if row.neutral else self.home_edge)
        return State(
            self.elo[row.home],
            self.elo[row.away],
            self.rating[row.home],
            self.rating[row.away],
            self.home_edge,
            None if row.margin is None else row.margin - expected,
        )

    def _move(self, row: _Game, margin: int, state: State, surprise: float, counts: dict[str, int]) -> None:
        difference = state.elo_home - state.elo_away + (0 if row.neutral else 100)
        of_winner = difference if margin > 0 else -difference
        upset = 1 / (1 + 10 ** (of_winner / 400))
        change = 20 * (abs(margin) + 3) ** 0.8 / (7.5 + 0.006 * of_winner) * upset
        for team, sign in ((row.home, 1), (row.away, -1)):
            self.elo[team] += sign * change if margin > 0 else -sign * change
            gain = 0.02 + 0.06 * math.exp(-counts[team] / 15)
            self.rating[team] += sign * gain * surprise
            self.games[team] += 1
        if not row.neutral:
            self.home_edge += 0.001 * surprise


def naive_frame(games: pd.DataFrame, states: list[State]) -> pd.DataFrame:
    """`games` with margin, total points and surprise (NaN if unplayed): what the filters below run over."""
    home, away = (games[side].astype("Float64").to_numpy(float, na_value=math.nan) for side in POINTS)
    surprise = [math.nan if state.surprise is None else round(state.surprise, 2) for state in states]
    return games.assign(margin=home - away, points=home + away, surprise=surprise)


def naive_features(frame: pd.DataFrame, state: State, row: int) -> dict[str, float]:
    """p_elo and FEATURES of the game in position `row` of `naive_frame(games)`."""
    game = frame.iloc[row]
    earlier = frame[frame[n.DATE] < game[n.DATE]]
    played = earlier[earlier["margin"].notna()]
    home = _team(earlier, played, game, str(game[n.HOME_FRANCHISE]))
    away = _team(earlier, played, game, str(game[n.AWAY_FRANCHISE]))
    court = 0.0 if game[n.NEUTRAL_SITE] else 1.0
    playoff = 1.0 if game[n.PLAYOFF] else 0.0
    lately = played["surprise"].tail(600).clip(-40, 40)
    spread = math.sqrt(((lately**2).sum() + 50 * 12**2) / (len(lately) + 50))
    rating = (state.rating_home - state.rating_away) / spread
    elo = state.elo_home - state.elo_away
    return {
        n.P_ELO: 1 / (1 + 10 ** (-(elo + 100 * court) / 400)),
        "margin_rating_difference": rating,
        "elo_difference": elo / 100,
        "home_court": court,
        "league_home_edge": state.home_edge / spread * court,
        "back_to_back_difference": int(home["rest"] == 1) - int(away["rest"] == 1),
        "rest_difference": min(home["rest"], 4) - min(away["rest"], 4),
        "games_in_7_days_difference": home["in_7"] - away["in_7"],
        "elo_level_at_home": ((state.elo_home + state.elo_away) / 2 - 1505) / 100 * court,
        "back_to_backs_at_home": (int(home["rest"] == 1) + int(away["rest"] == 1)) * court,
        "playoff_margin_rating_difference": rating * playoff,
        "playoff_home_court": playoff * court,
        "rest_home": home["rest"],
        "rest_away": away["rest"],
        "games_in_4_days_difference": home["in_4"] - away["in_4"],
        "games_in_14_days_difference": home["in_14"] - away["in_14"],
        "season_games": (home["games"] + away["games"]) / 2,
        "season_win_difference": home["season_win"] - away["season_win"],
        "season_margin_difference": (home["season_margin"] - away["season_margin"]) / spread,
        "win_10_difference": home["win_10"] - away["win_10"],
        "margin_10_difference": (home["margin_10"] - away["margin_10"]) / spread,
        "surprise_5_difference": (home["surprise_5"] - away["surprise_5"]) / spread,
        "surprise_1_difference": (home["surprise_1"] - away["surprise_1"]) / spread,
        "home_games_5_difference": home["home_games_5"] - away["home_games_5"],
        "team_home_edge": (home["own_edge"] + away["own_edge"]) / spread * court,
        "meetings_surprise": _meetings(played, game) / spread,
        "league_home_surprise": _league_home(played) / spread * court,
        "points_level": (_pace(played, home) + _pace(played, away)) / 2 / spread,
        "is_playoff": playoff,
    }


def _team(earlier: pd.DataFrame, played: pd.DataFrame, game: pd.Series[Any], team: str) -> dict[str, float]:
    scheduled = earlier[(earlier[n.HOME_FRANCHISE] == team) | (earlier[n.AWAY_FRANCHISE] == team)]
    ago = (game[n.DATE] - scheduled[n.DATE]).dt.days
    ever = played[(played[n.HOME_FRANCHISE] == team) | (played[n.AWAY_FRANCHISE] == team)]
    season = ever[ever[n.SEASON] == game[n.SEASON]]
    sign = (season[n.HOME_FRANCHISE] == team) * 2 - 1
    margin, surprise = season["margin"] * sign, season["surprise"] * sign
    win = (margin > 0) - 0.5
    last_82, last_20 = ever.tail(82), ever.tail(20)
    return {
        "rest": min(ago.min(), 7) if len(ago) else 7,
        "in_4": (ago <= 4).sum(),
        "in_7": (ago <= 7).sum(),
        "in_14": (ago <= 14).sum(),
        "games": len(season),
        "season_win": win.sum() / (len(win) + 10),
        "season_margin": margin.sum() / (len(margin) + 10),
        "win_10": win.tail(10).sum() / (len(win.tail(10)) + 5),
        "margin_10": margin.tail(10).sum() / (len(margin.tail(10)) + 5),
        "surprise_5": surprise.tail(5).sum() / (len(surprise.tail(5)) + 3),
        "surprise_1": surprise.tail(1).sum() / (len(surprise.tail(1)) + 1),
        "home_games_5": (season[n.HOME_FRANCHISE] == team).tail(5).sum(),
        "own_edge": last_82["surprise"][~last_82[n.NEUTRAL_SITE]].sum() / (len(last_82) + 82),
        "points": last_20["points"].sum(),
        "points_games": len(last_20),
    }


def _meetings(played: pd.DataFrame, game: pd.Series[Any]) -> float:
    home, away = game[n.HOME_FRANCHISE], game[n.AWAY_FRANCHISE]
    same = played[(played[n.SEASON] == game[n.SEASON]) & (played[n.PLAYOFF] == game[n.PLAYOFF])]
    as_now = same[(same[n.HOME_FRANCHISE] == home) & (same[n.AWAY_FRANCHISE] == away)]["surprise"]
    swapped = same[(same[n.HOME_FRANCHISE] == away) & (same[n.AWAY_FRANCHISE] == home)]["surprise"]
    return float((as_now.sum() - swapped.sum()) / (len(as_now) + len(swapped) + 4))


def _league_home(played: pd.DataFrame) -> float:
    lately = played[~played[n.NEUTRAL_SITE]]["surprise"].tail(400)
    return float(lately.sum() / (len(lately) + 100))


def _pace(played: pd.DataFrame, team: dict[str, float]) -> float:
    lately = played["points"].tail(600)
    league_mean = lately.sum() / max(len(lately), 1)
    return float((team["points"] - team["points_games"] * league_mean) / (team["points_games"] + 5))
