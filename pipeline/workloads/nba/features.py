"""Features of a game from the games of earlier dates only.

No feature sees its own day, so a team's two games of one day, or a doctored score of today, tell it nothing. Every sum
over past games is one of whole numbers (see history.py), every running rating is a loop in order of date: whatever is
added or edited later leaves the bytes of earlier features as they were. Games not yet played count for rest and
density, because their dates are known, never for ratings or form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureTables
from pipeline.contract.spec import Spec
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.team_state.elo import (
    HOME_ADVANTAGE,
    MEAN,
    FloatArray,
    IntArray,
    win_probability,
)
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT
from pipeline.workloads.nba.team_state.history import History
from pipeline.workloads.nba.team_state.league import (
    HUNDREDTHS,
    LEAGUE_GAMES,
    LEAGUE_HOME_GAMES,
    TEAM_GAMES,
    KnownGames,
    League,
    league_history,
    replay,
)
from pipeline.workloads.nba.team_state.league_state import (
    LeagueState,
    asked_league,
    days_since_epoch,
    state_of,
    write_state,
)

if TYPE_CHECKING:  # the steps that only name the features start half a second sooner without pandas
    import pandas as pd

KEY_COLUMNS = (n.GAME_ID, n.DATE, n.SEASON, n.HOME_TEAM, n.AWAY_TEAM, n.NEUTRAL_SITE, n.PLAYOFF)


def build_features(games: pd.DataFrame) -> pd.DataFrame:
    """One row a game, in order of date and game_id: KEY_COLUMNS, target (NA if unplayed), p_elo, FEATURES (float32).

    `games` has columns.GAME_COLUMNS and both franchise columns, as `load_games` returns them; other orders of rows
    are sorted first. Raises ValueError where a franchise is missing.
    """
    games = _sorted(games)
    return _frame(games, league_features(replay(known_games(games)[0])))


def features(spec: Spec, rows: pd.DataFrame, as_of: date, parameters: Mapping[str, str]) -> FeatureTables:
    """Features of the played games from FirstSeason on and of those to come, and the league's state for serving."""
    first = int(parameters["FirstSeason"])
    table, state = features_and_state(rows, as_of)
    played = table[c.TARGET].notna()
    labelled = table[played & (table[n.SEASON] >= first)]
    if labelled.empty:
        raise StepError(f"no played game from season {first} on: lower FirstSeason or put newer games under DataPrefix")
    written = BytesIO()
    write_state(written, state)
    return FeatureTables(feature_table(labelled), feature_table(table[~played]), written.getvalue())


def feature_table(features: pd.DataFrame) -> pa.Table:
    """Features as `build_features` returns them, with the names of the model's columns in the metadata."""
    return pa.Table.from_pandas(features, preserve_index=False).replace_schema_metadata(LAYOUT.as_metadata())


def signature(spec: Spec) -> str:
    """Changes with the code of the features."""
    return feature_signature()


def features_and_state(games: pd.DataFrame, as_of: date) -> tuple[pd.DataFrame, LeagueState]:
    """The same, and the league's state on the morning of `as_of`, from which the games to come are looked at.

    Those played must lie before `as_of`, all others on it or later, as in `load_games`: raises ValueError otherwise.
    """
    games = _sorted(games)
    known, franchises = known_games(games)
    n_played = int(known.played.sum())
    past, upcoming = known.rows(slice(n_played)), known.rows(slice(n_played, None))
    if upcoming.played.any() or (upcoming.day < days_since_epoch(as_of)).any():
        raise ValueError(f"a game before {as_of} has no result: its teams' state on that morning is not known")
    league = replay(past)
    state = state_of(league, franchises, upcoming, as_of)
    played, to_come = league_features(league), features_of_asked(state, upcoming)
    return _frame(games, {name: np.concatenate([played[name], to_come[name]]) for name in played}), state


def features_of_asked(state: LeagueState, asked: KnownGames) -> dict[str, NDArray[Any]]:
    """p_elo and FEATURES of games to come, in the order of `asked`; see `asked_league` for what counts as scheduled."""
    league, rows = asked_league(state, asked)
    return {name: values[rows] for name, values in league_features(league).items()}


def _frame(games: pd.DataFrame, computed: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    home_won = (games[n.HOME_POINTS] > games[n.AWAY_POINTS]).astype("Int8")
    columns: dict[str, Any] = {c.TARGET: home_won, **computed}
    keys = games[list(KEY_COLUMNS)].rename(columns=n.ROLES)
    return keys.assign(**columns).reset_index(drop=True)


def _sorted(games: pd.DataFrame) -> pd.DataFrame:
    dates = games[n.DATE].to_numpy()
    ids = games[n.GAME_ID].array
    ordered = (dates[1:] > dates[:-1]) | ((dates[1:] == dates[:-1]) & np.asarray(ids[1:] >= ids[:-1]))
    return games if ordered.all() else games.sort_values([n.DATE, n.GAME_ID], ignore_index=True)


def known_games(games: pd.DataFrame) -> tuple[KnownGames, tuple[str, ...]]:
    """The games as plain arrays, with no surprise yet, and the franchises by number."""
    home_points = games[n.HOME_POINTS].to_numpy(dtype=np.int64, na_value=0)
    away_points = games[n.AWAY_POINTS].to_numpy(dtype=np.int64, na_value=0)
    home, away, franchises = _team_numbers(games)
    known = KnownGames(
        home=home,
        away=away,
        day=games[n.DATE].to_numpy().astype("datetime64[D]").astype(np.int64),
        season=games[n.SEASON].to_numpy(dtype=np.int64),
        margin=home_points - away_points,
        neutral=games[n.NEUTRAL_SITE].to_numpy(dtype=np.bool_),
        playoff=games[n.PLAYOFF].to_numpy(dtype=np.bool_),
        points=home_points + away_points,
        surprise=np.zeros(len(games), dtype=np.int64),
    )
    return known, franchises


def _team_numbers(games: pd.DataFrame) -> tuple[IntArray, IntArray, tuple[str, ...]]:
    """Number of each franchise in alphabetical order; no feature depends on the numbers, only on their equality."""
    sides = [games[column].astype("category").cat for column in n.FRANCHISES]
    if any((side.codes < 0).any() for side in sides):
        raise ValueError("a game has no franchise: features need both teams' franchises")
    names = [side.categories.to_numpy(dtype=object).astype(str) for side in sides]
    known = np.unique(np.concatenate(names))
    home, away = (
        np.searchsorted(known, own)[side.codes.to_numpy()].astype(np.int64)
        for own, side in zip(names, sides, strict=True)
    )
    return home, away, tuple(known.tolist())


def league_features(league: League) -> dict[str, NDArray[Any]]:
    """p_elo (float64) and each of FEATURES (float32) of a league's games from row `league.first` on."""
    advantage = HOME_ADVANTAGE * league.court
    columns: dict[str, NDArray[Any]] = {n.P_ELO: win_probability(league.elo[0] - league.elo[1] + advantage)}
    for group in (_strength(league), _calendar(league), _form(league), _places(league), _pace(league)):
        columns.update({name: values.astype(np.float32) for name, values in group.items()})
    return {name: columns[name][league.first :] for name in (n.P_ELO, *FEATURES)}


def _strength(league: League) -> dict[str, FloatArray]:
    rating = (league.ratings.home - league.ratings.away) / league.spread
    elo_home, elo_away = league.elo
    return {
        "margin_rating_difference": rating,
        "elo_difference": (elo_home - elo_away) / 100.0,
        "home_court": league.court,
        "league_home_edge": league.ratings.home_edge / league.spread * league.court,
        "elo_level_at_home": ((elo_home + elo_away) / 2.0 - MEAN) / 100.0 * league.court,
        "playoff_margin_rating_difference": rating * league.playoff,
        "playoff_home_court": league.playoff * league.court,
        "is_playoff": league.playoff,
    }


def _calendar(league: League) -> dict[str, FloatArray]:
    rest = league.teams.days_since_previous(at_most=7)
    yesterday = (rest == 1).astype(np.float64)
    games = league.teams.count()
    return {
        "rest_home": rest[0::2],
        "rest_away": rest[1::2],
        "rest_difference": league.difference(np.minimum(rest, 4)),
        "back_to_back_difference": league.difference(yesterday),
        "back_to_backs_at_home": (yesterday[0::2] + yesterday[1::2]) * league.court,
        "games_in_4_days_difference": league.difference(league.teams.games_within(4)),
        "games_in_7_days_difference": league.difference(league.teams.games_within(7)),
        "games_in_14_days_difference": league.difference(league.teams.games_within(14)),
        "season_games": (games[0::2] + games[1::2]) / 2.0,
    }


def _form(league: League) -> dict[str, FloatArray]:
    """Means over this season's games, shrunk towards zero by a pseudo-count of games."""
    margin = league.by_team(league.games.margin, -league.games.margin)
    win = np.sign(margin)  # a win counts one half, a loss minus one half: the mean is the share beyond one half
    surprise = league.by_team(league.games.surprise, -league.games.surprise)

    def mean(values: IntArray, last: int | None, pseudo_count: int) -> FloatArray:
        total = league.teams.total(values, last=last)
        return league.difference(total / (league.teams.count(last=last) + pseudo_count))

    return {
        "season_win_difference": mean(win, None, 10) / 2.0,
        "season_margin_difference": mean(margin, None, 10) / league.spread,
        "win_10_difference": mean(win, 10, 5) / 2.0,
        "margin_10_difference": mean(margin, 10, 5) / league.spread,
        "surprise_5_difference": mean(surprise, 5, 3) / HUNDREDTHS / league.spread,
        "surprise_1_difference": mean(surprise, 1, 1) / HUNDREDTHS / league.spread,
    }


def _places(league: League) -> dict[str, FloatArray]:
    """Where the teams played, where each does well, and how they did against each other."""
    games = league.games
    at_home = league.by_team(np.ones(len(games), dtype=np.int64), np.zeros(len(games), dtype=np.int64))
    court = league.court.astype(np.int64)
    # The home team's surprise counts for both: a home team's good day is its own edge and the away team's weak travel.
    own_edge = league.teams.total((league.games.surprise * court).repeat(2), last=TEAM_GAMES, this_season=False)
    own_edge_mean = own_edge / (league.teams.count(last=TEAM_GAMES, this_season=False) + 82)
    first = np.minimum(games.home, games.away)
    as_first = np.where(games.home == first, 1, -1)
    meetings = History.of(
        first * games.teams + np.maximum(games.home, games.away),
        games.day,
        games.season * 2 + league.playoff.astype(np.int64),  # a series starts afresh
        games.played,
    )
    met = meetings.total(league.games.surprise * as_first) * as_first / (meetings.count() + 4)
    home_league = league_history(games, games.played & ~games.neutral)
    lately = home_league.total(league.games.surprise, last=LEAGUE_HOME_GAMES, this_season=False)
    lately_mean = lately / (home_league.count(last=LEAGUE_HOME_GAMES, this_season=False) + 100)
    unit = HUNDREDTHS * league.spread
    return {
        "home_games_5_difference": league.difference(league.teams.total(at_home, last=5)),
        "team_home_edge": (own_edge_mean[0::2] + own_edge_mean[1::2]) * league.court / unit,
        "meetings_surprise": met / unit,
        "league_home_surprise": lately_mean * league.court / unit,
    }


def _pace(league: League) -> dict[str, FloatArray]:
    points = league.games.points
    of_teams = league.teams.total(points.repeat(2), last=20, this_season=False)
    teams_games = league.teams.count(last=20, this_season=False)
    everybody = league_history(league.games, league.games.played)
    of_league = everybody.total(points, last=LEAGUE_GAMES, this_season=False)
    league_mean = of_league / np.maximum(everybody.count(last=LEAGUE_GAMES, this_season=False), 1)
    # a team without games is taken for an average one
    beyond = (of_teams - teams_games * league_mean.repeat(2)) / (teams_games + 5)
    return {"points_level": (beyond[0::2] + beyond[1::2]) / 2.0 / league.spread}


def feature_signature() -> str:
    """Twelve hex digits that change when the features' names, or what is computed for them, change.

    A champion with another signature cannot be scored by today's code. Six significant digits of each value count, so
    that another machine's last bit does not.
    """
    columns = league_features(replay(_probe_league()))
    digest = hashlib.sha256("\n".join(FEATURES).encode())
    for name in (n.P_ELO, *FEATURES):
        values = columns[name].astype(np.float64)
        values[np.abs(values) < 1e-7] = 0.0  # what is left of a difference of equals
        digest.update(" ".join(f"{value:.5e}" for value in values.tolist()).encode())
    return digest.hexdigest()[:12]


def _probe_league() -> KnownGames:
    """A small league of fixed games; by arithmetic, because a random generator's stream may change between versions."""
    game = np.arange(180)
    season, round_ = np.divmod(game, 60)
    home = game * 7 % 6
    away = (home + 1 + game * 11 % 5) % 6
    margin = (game * game * 31 + 17 * home) % 53 - 22
    margin[margin == 0] = 5
    margin[-6:] = 0  # not yet played
    return KnownGames(
        home=home,
        away=away,
        day=season * 365 + round_ * 4 // 5 + round_ // 9,
        season=2001 + season,
        margin=margin,
        neutral=game % 17 == 3,
        playoff=round_ >= 50,
        points=np.where(margin == 0, 0, 180 + game * 13 % 61),
        surprise=np.zeros_like(game),
    )
