"""A model of simulated games, as Train makes it."""

from __future__ import annotations

import io
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.contract import names as c
from pipeline.local.run.staging import pack
from pipeline.serving.predictor import load_predictor
from pipeline.training.artifact import Artifact, ModelCard, write_artifact
from pipeline.training.model import Hyperparameters, fit
from pipeline.training.training_sets import feature_matrix
from pipeline.workloads.nba.features import feature_signature, feature_table, features_and_state
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.sample import write as write_sample
from pipeline.workloads.nba.team_state.feature_names import LAYOUT
from pipeline.workloads.nba.team_state.league_state import write_state

SAMPLE_AS_OF = date(2025, 3, 1)
GAMES = [{"date": "2025-03-20", "home_team": f"SIM{n:02d}", "away_team": f"SIM{n + 1:02d}"} for n in range(1, 20, 2)]


def matrix(features: pd.DataFrame) -> Any:
    return feature_matrix(feature_table(features))


def trained(games: pd.DataFrame, as_of: date) -> Artifact:
    """A model of the games as they were known on a morning."""
    features, state = features_and_state(games, as_of)
    played = features[features[c.TARGET].notna()]
    training_config = Hyperparameters()
    card = ModelCard(
        as_of_date=str(as_of),
        trained_before=str(as_of),
        n_rows=len(played),
        trained_from="2013-10-29",
        fingerprint="f",
        code_version="c" * 64,
        feature_signature=feature_signature(),
        layout=LAYOUT,
        hyperparameters=asdict(training_config),
        walk_forward_rows=1,
        target_mean=0.56,
        xgboost_version="",
    )
    booster = fit(matrix(played), played[c.TARGET].to_numpy(dtype=np.float64), training_config, LAYOUT)
    kept = io.BytesIO()
    write_state(kept, state)
    return Artifact(booster, card, pa.table({}), kept.getvalue())


def write_good_model(folder: Path) -> Path:
    """A model of three seasons below `folder`: `good/` (unpacked) and `good.tar.gz`."""
    for path in sorted(write_sample(folder / "games", SAMPLE_AS_OF).glob("simulated_*.csv"))[:-3]:
        path.unlink()
    games = load_games(
        folder / "games", as_of=SAMPLE_AS_OF, today=SAMPLE_AS_OF, max_bad_row_share=0.01, min_rows=1_000
    ).rows
    write_artifact(folder / "good", trained(games, SAMPLE_AS_OF))
    pack(folder / "good", folder / "good.tar.gz")
    return folder


def answers(model: Path) -> np.ndarray:
    """Home-win probabilities of GAMES by a model, packed or not."""
    return load_predictor(model, "1", 7).answer(GAMES).predictions
