"""Requests for games to come, with the features that Prepare computes, from the league's state in the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

import numpy as np

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.spec import Spec
from pipeline.serving.requests import RequestFormat, Row
from pipeline.training.artifact import Artifact
from pipeline.training.training_sets import FeatureMatrix
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import feature_signature, features_of_asked
from pipeline.workloads.nba.serving.requested_games import (
    FORMAT,
    Calendar,
    RequestedGame,
    Teams,
    check_game,
    distinct_games,
)
from pipeline.workloads.nba.team_state.feature_names import FEATURES
from pipeline.workloads.nba.team_state.league import KnownGames
from pipeline.workloads.nba.team_state.league_state import EPOCH, LeagueState, days_since_epoch, read_state


@dataclass(frozen=True)
class GameRequests:
    """What a model knows of the league, and what it makes of a request."""

    state: LeagueState
    teams: Teams
    calendar: Calendar
    format: ClassVar[RequestFormat] = FORMAT

    @property
    def state_date(self) -> date:
        """The morning that the ratings and the schedule are of."""
        return self.state.as_of

    def check(self, row: Row) -> RequestedGame:
        """The game; raises BadRequestError."""
        return check_game(row, self.teams, self.calendar)

    def matrix(self, games: Sequence[RequestedGame]) -> FeatureMatrix:
        """The features of the games, in their order; a game that appears twice counts once."""
        distinct = distinct_games(games)
        features = features_of_asked(self.state, _asked(list(distinct)))
        matrix = np.stack([features[name] for name in FEATURES], axis=1)
        return np.asarray(matrix[[distinct[game] for game in games]])

    def warm_up(self) -> Sequence[Row]:
        """A game on each of the next two days."""
        home, away = list(self.teams.codes(self.state.last_season))[:2]
        days = (self.state.as_of + timedelta(days=ahead) for ahead in (1, 2))
        return [{n.DATE: str(day), n.HOME_TEAM: home, n.AWAY_TEAM: away} for day in days]


def open_model(spec: Spec, artifact: Artifact, version: str) -> GameRequests:
    """Raises StepError for a model that this code cannot serve."""
    state = _state(artifact, version)
    calendar = Calendar(state.as_of, state.last_season, _known_seasons(state), artifact.card.time_zone)
    return GameRequests(state, Teams(state.franchises), calendar)


def _state(artifact: Artifact, version: str) -> LeagueState:
    card = artifact.card
    if tuple(card.features) != FEATURES or card.feature_signature != feature_signature():
        raise StepError(
            f"model version {version} was trained on other features (code {card.code_version[:12]}) than this code "
            "computes: serve it with the image that trained it, and with its workload (WORKLOAD)"
        )
    if artifact.state is None:
        raise StepError(
            f"model version {version} (trained {card.as_of_date}) carries no {c.STATE_FILE}: it was made before models "
            "could be served. Start a run with ForceTraining=yes and approve its version"
        )
    state = artifact.parsed_state(read_state)
    if len(state.franchises) < 2:
        raise StepError(f"the state of model version {version} knows fewer than two teams")
    return state


def _known_seasons(state: LeagueState) -> dict[tuple[date, int, int], int]:
    games = state.upcoming
    columns = zip(games.day.tolist(), games.home.tolist(), games.away.tolist(), games.season.tolist(), strict=True)
    return {
        (EPOCH + timedelta(days=day), min(home, away), max(home, away)): season for day, home, away, season in columns
    }


def _asked(games: Sequence[RequestedGame]) -> KnownGames:
    day, *columns = zip(*games, strict=True)
    home, away, season, neutral, playoff = (np.array(column) for column in columns)
    days = np.array([days_since_epoch(one) for one in day])
    nothing = np.zeros_like(days)
    return KnownGames(home, away, days, season, nothing, neutral, playoff, nothing, nothing)
