"""Train: the walk-forward record, then the model that is shipped, fitted on every played game.

in   input/data/features/features.parquet     features of played games (Prepare)
     input/data/features/state.parquet        the league on the as-of morning, passed on for serving
     input/config/hyperparameters.json        strings: the recipe and walk_forward_games
     input/config/resourceconfig.json         the job's hosts: several train together, each on its own row groups
out  model/model.ubj, model.json, record.parquet, state.parquet, SHA256SUMS   packed by SageMaker as model.tar.gz
     (on the first host)

Games that do not fit into memory are trained on from disk, and that is said.

python -m pipeline.jobs.train
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np

from pipeline.contract import names as c
from pipeline.contract.container import StepError, base_dir, code_version, run_step, training_input
from pipeline.training.artifact import Artifact, ModelCard, write_artifact
from pipeline.training.distributed.cluster import Cluster, joined
from pipeline.training.distributed.hosts import read_hosts
from pipeline.training.lean_xgboost import xgb
from pipeline.training.model import Hyperparameters, fit_set
from pipeline.training.played_months import PlayedMonths
from pipeline.training.training_games import keys_from, open_features, training_games
from pipeline.training.walk_forward import RECORD_KEYS, THREADS, months_to_predict, record_of
from pipeline.workloads.nba.feature_names import FEATURES
from pipeline.workloads.nba.state_file import read_state

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


def train(cluster: Cluster) -> Artifact:
    """The artifact from this host's input and that of the others, who must all call this; the same on each host."""
    hyperparameters, n_games = read_recipe()
    file = open_features(training_input(c.FEATURES_CHANNEL) / c.FEATURES_FILE)
    facts = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
    cluster.agree("games, recipes or code", f"{facts} {file.metadata.num_rows} {hyperparameters} {n_games}")
    months = PlayedMonths.read(file)
    games, in_memory = training_games(file, cluster)
    sys.stderr.write(f"{months.n_games:,} games; walking forward through the last {n_games:,}\n")
    points = months_to_predict(months, n_games)
    keys = keys_from(file, points[0].begin if points else months.n_games, RECORD_KEYS)
    threads = THREADS if in_memory and cluster.count == 1 else 1
    record = record_of(keys, points, months, games, hyperparameters, cluster, threads)
    booster = fit_set(games.before(months.n_games), hyperparameters, cluster)
    card = ModelCard(
        as_of_date=facts["as_of_date"],
        trained_before=str(months.last_day + np.timedelta64(1, "D")),
        n_games=months.n_games,
        first_season=months.first_season,
        fingerprint=facts["fingerprint"],
        code_version=code_version(),
        feature_signature=facts["feature_signature"],
        features=FEATURES,
        hyperparameters=hyperparameters.as_numbers(),
        walk_forward_games=n_games,
        home_win_rate=months.home_win_rate,
        xgboost_version=xgb.__version__,
        time_zone=facts["time_zone"],
    )
    return Artifact(booster, card, record, read_state(training_input(c.FEATURES_CHANNEL) / c.STATE_FILE))


def main(argv: Sequence[str]) -> None:
    """Read, walk forward, fit on everything, write."""
    if argv:
        raise SystemExit("usage: python -m pipeline.jobs.train (no arguments: see input/config/hyperparameters.json)")
    with joined(read_hosts()) as cluster:
        artifact = train(cluster)
        cluster.wait_for_all()
        if cluster.leads:
            write_artifact(base_dir() / c.MODEL_CHANNEL, artifact)
        card = artifact.card
        sys.stderr.write(f"model fitted on {card.n_games:,} games before {card.trained_before}\n")


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:], c.TRAINING_FAILURE_FILE))
