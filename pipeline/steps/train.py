"""Train: the walk-forward record, then the model that is shipped, fitted on every played game.

in   input/data/features/features.parquet     features of played games (Prepare)
     input/data/features/state.parquet        the league on the as-of morning, passed on for serving
     input/config/hyperparameters.json        strings: the recipe and walk_forward_games
out  model/model.ubj, model.json, record.parquet, state.parquet   packed by SageMaker as model.tar.gz

python -m pipeline.steps.train
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq

from pipeline import contract as c
from pipeline.steps.artifact import Artifact, ModelCard, write_artifact
from pipeline.steps.container import StepError, base_dir, code_version, run_step, training_input
from pipeline.steps.feature_names import FEATURES
from pipeline.steps.lean_xgboost import xgb
from pipeline.steps.model import Hyperparameters, fit
from pipeline.steps.state_file import read_state
from pipeline.steps.walk_forward import feature_matrix, walk_forward

MAX_WALK_FORWARD_GAMES = 20_000


def read_recipe() -> tuple[Hyperparameters, int]:
    """Hyperparameters and the record's length from hyperparameters.json; raises StepError naming key and value."""
    strings: dict[str, str] = json.loads((base_dir() / "input/config/hyperparameters.json").read_text(encoding="utf-8"))
    games = strings.pop("walk_forward_games", "1312")
    if not games.isdigit() or not 1 <= int(games) <= MAX_WALK_FORWARD_GAMES:
        raise StepError(f'WalkForwardGames "{games}" is not a whole number from 1 to {MAX_WALK_FORWARD_GAMES:,}')
    try:
        return Hyperparameters.from_strings(strings), int(games)
    except ValueError as error:
        raise StepError(str(error)) from error


def main(argv: Sequence[str]) -> None:
    """Read, walk forward, fit on everything, write."""
    if argv:
        raise SystemExit("usage: python -m pipeline.steps.train (no arguments: see input/config/hyperparameters.json)")
    hyperparameters, n_games = read_recipe()
    features = pq.read_table(training_input(c.FEATURES_CHANNEL) / c.FEATURES_FILE)
    facts = {key.decode(): value.decode() for key, value in (features.schema.metadata or {}).items()}
    sys.stderr.write(f"{features.num_rows:,} games; walking forward through the last {n_games:,}\n")
    record = walk_forward(features, hyperparameters, n_games)
    home_won = features[c.HOME_WON].to_numpy().astype(np.float64)
    booster = fit(feature_matrix(features), home_won, hyperparameters)
    last_day = features[c.DATE].to_numpy().astype("datetime64[D]").max()
    card = ModelCard(
        as_of_date=facts["as_of_date"],
        trained_before=str(last_day + np.timedelta64(1, "D")),
        n_games=features.num_rows,
        first_season=int(features[c.SEASON].to_numpy().min()),
        fingerprint=facts["fingerprint"],
        code_version=code_version(),
        feature_signature=facts["feature_signature"],
        features=FEATURES,
        hyperparameters=hyperparameters.as_numbers(),
        walk_forward_games=n_games,
        home_win_rate=float(home_won.mean()),
        xgboost_version=xgb.__version__,
    )
    state = read_state(training_input(c.FEATURES_CHANNEL) / c.STATE_FILE)
    write_artifact(base_dir() / c.MODEL_CHANNEL, Artifact(booster, card, record, state))
    sys.stderr.write(f"model fitted on {features.num_rows:,} games before {card.trained_before}\n")


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:], c.TRAINING_FAILURE_FILE))
