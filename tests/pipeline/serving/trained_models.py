"""A model of simulated games, as Train makes it."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline import contract as c
from pipeline.steps.artifact import Artifact, ModelCard
from pipeline.steps.feature_names import FEATURES
from pipeline.steps.features import feature_signature, features_and_state
from pipeline.steps.model import Hyperparameters, fit
from pipeline.steps.walk_forward import feature_matrix

SAMPLE_AS_OF = date(2025, 3, 1)


def matrix(features: pd.DataFrame) -> Any:
    return feature_matrix(pa.Table.from_pandas(features, preserve_index=False))


def trained(games: pd.DataFrame, as_of: date) -> Artifact:
    """A model of the games as they were known on a morning."""
    features, state = features_and_state(games, as_of)
    played = features[features[c.HOME_WON].notna()]
    recipe = Hyperparameters()
    card = ModelCard(
        as_of_date=str(as_of),
        trained_before=str(as_of),
        n_games=len(played),
        first_season=2014,
        fingerprint="f",
        code_version="c" * 64,
        feature_signature=feature_signature(),
        features=FEATURES,
        hyperparameters=recipe.as_numbers(),
        walk_forward_games=1,
        home_win_rate=0.56,
        xgboost_version="",
    )
    booster = fit(matrix(played), played[c.HOME_WON].to_numpy(dtype=np.float64), recipe)
    return Artifact(booster, card, pa.table({}), state)
