"""A model with its league's state, answering for games to come with the features that Prepare computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.training.artifact import Artifact, read_artifact
from pipeline.training.model import predict
from pipeline.workloads.nba.elo import Schedule
from pipeline.workloads.nba.feature_names import FEATURES
from pipeline.workloads.nba.features import feature_signature, features_of_asked
from pipeline.workloads.nba.league_state import EPOCH, KnownGames, LeagueState, days_since_epoch
from pipeline.workloads.nba.serving.asked_games import AskedGame, Calendar, check_games
from pipeline.workloads.nba.serving.teams import Teams
from pipeline.workloads.nba.state_file import read_state


@dataclass(frozen=True)
class Answer:
    """Home-win probabilities in the order of the request, and what they rest on."""

    rows: Sequence[Mapping[str, Any]]  # as they were asked
    probabilities: NDArray[np.float64]
    model_version: str
    state_date: date
    state_age_days: int
    stale: bool


@dataclass(frozen=True)
class Forecaster:
    """Answers requests; has no state that an answer would change, so any number of threads may ask at once."""

    artifact: Artifact
    version: str
    stale_after_days: int
    now: Callable[[ZoneInfo], datetime] = datetime.now
    time_zone: ZoneInfo = field(init=False)
    state: LeagueState = field(init=False)
    teams: Teams = field(init=False)
    calendar: Calendar = field(init=False)

    def __post_init__(self) -> None:
        """Raises StepError for a model that this code cannot serve."""
        state = _state(self.artifact, self.version)
        self.artifact.booster.set_param({"nthread": 1})  # a few rows at a time: threads would only wait for each other
        object.__setattr__(self, "time_zone", ZoneInfo(self.artifact.card.time_zone))
        object.__setattr__(self, "state", state)
        object.__setattr__(self, "teams", Teams(state.franchises))
        object.__setattr__(self, "calendar", Calendar(state.as_of, state.last_season, _known_seasons(state)))

    def answer(self, rows: Sequence[Mapping[str, Any]]) -> Answer:
        """Check and forecast; raises BadRequestError with the reason."""
        probabilities = self.forecast(check_games(rows, self.teams, self.calendar))
        # In the days of the games: on an American evening UTC is a day ahead.
        age = (self.now(self.time_zone).date() - self.state.as_of).days
        return Answer(rows, probabilities, self.version, self.state.as_of, age, age > self.stale_after_days)

    def forecast(self, games: Sequence[AskedGame]) -> NDArray[np.float64]:
        """Home-win probabilities of the shape (games,); a game that stands there twice counts once."""
        distinct = {game: place for place, game in enumerate(dict.fromkeys(games))}
        features = features_of_asked(self.state, _asked(list(distinct)))
        matrix = np.stack([features[name] for name in FEATURES], axis=1)
        return predict(self.artifact.booster, matrix)[[distinct[game] for game in games]]

    def warm_up(self) -> None:
        """Answer once before the first request does: what is wrong shows at the start, and nobody waits for it."""
        days = self.state.as_of + timedelta(days=1), self.state.as_of + timedelta(days=2)
        self.forecast([AskedGame(day, 0, 1, self.state.last_season, False, False) for day in days])


def load_forecaster(model: Path, version: str, stale_after_days: int) -> Forecaster:
    """From a folder with an unpacked model, or from model.tar.gz; raises StepError for one that cannot be served."""
    if not model.exists():
        raise StepError(f"there is no model at {model}: give --model FOLDER, or the path of a model.tar.gz")
    return Forecaster(read_artifact(model), version, stale_after_days)


def _state(artifact: Artifact, version: str) -> LeagueState:
    card = artifact.card
    if artifact.state is None:
        raise StepError(
            f"model version {version} (trained {card.as_of_date}) carries no {c.STATE_FILE}: it was made before models "
            "could be served. Start a run with ForceTraining=yes and approve its version"
        )
    if tuple(card.features) != FEATURES or card.feature_signature != feature_signature():
        raise StepError(
            f"model version {version} was trained on other features (code {card.code_version[:12]}) than this code "
            "computes: serve it with the image that trained it"
        )
    state = artifact.parsed_state(read_state)
    if len(state.franchises) < 2:
        raise StepError(f"the state of model version {version} knows no two teams")
    return state


def _known_seasons(state: LeagueState) -> dict[tuple[date, int, int], int]:
    games = state.upcoming.schedule
    columns = zip(games.day.tolist(), games.home.tolist(), games.away.tolist(), games.season.tolist(), strict=True)
    return {
        (EPOCH + timedelta(days=day), min(home, away), max(home, away)): season for day, home, away, season in columns
    }


def _asked(games: Sequence[AskedGame]) -> KnownGames:
    day, home, away, season, neutral, playoff = zip(*games, strict=True)
    schedule = Schedule(
        home=np.array(home, dtype=np.int64),
        away=np.array(away, dtype=np.int64),
        day=np.array([days_since_epoch(one) for one in day], dtype=np.int64),
        season=np.array(season, dtype=np.int64),
        margin=np.zeros(len(games), dtype=np.int64),
        neutral=np.array(neutral, dtype=np.bool_),
    )
    return KnownGames.to_come(schedule, np.array(playoff, dtype=np.bool_))
