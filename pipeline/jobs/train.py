"""Train: walk-forward predictions, then the model that is shipped, fitted on every played row.

in   input/data/features/features.parquet     features of played rows (Prepare)
     input/data/features/state.parquet        what a server needs of the past, passed on for serving
     input/config/hyperparameters.json        strings: the training config and walk_forward_rows
     input/config/resourceconfig.json         the job's hosts: several train together, each on its own row groups
out  model/model.ubj, model.json, walk_forward.parquet, state.parquet, quantiles.ubj, SHA256SUMS
     packed by SageMaker as model.tar.gz (on the first host)

Rows that do not fit into memory are trained on from disk, and that is said.

python -m pipeline.jobs.train
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from pipeline.contract import names as c
from pipeline.contract.container import StepError, base_dir, code_version, run_step, training_input
from pipeline.training.artifact import Artifact, ModelCard, write_artifact
from pipeline.training.distributed.cluster import Cluster, joined
from pipeline.training.distributed.hosts import read_hosts
from pipeline.training.lean_xgboost import xgb
from pipeline.training.model import Hyperparameters, fit_quantiles, fit_set
from pipeline.training.training_rows import Labels, keys_from, open_features, training_rows
from pipeline.training.walk_forward import KEY_COLUMNS, THREADS, checkpoints, predict_walk_forward

MAX_WALK_FORWARD_ROWS = 20_000


def read_training_config() -> tuple[Hyperparameters, int]:
    """Hyperparameters and WalkForwardRows of hyperparameters.json; raises StepError that names key and value."""
    strings: dict[str, str] = json.loads((base_dir() / "input/config/hyperparameters.json").read_text(encoding="utf-8"))
    rows = strings.pop("walk_forward_rows", "")
    if not rows.isdecimal() or not 1 <= int(rows) <= MAX_WALK_FORWARD_ROWS:
        raise StepError(f'WalkForwardRows "{rows}" is not a whole number from 1 to {MAX_WALK_FORWARD_ROWS:,}')
    try:
        return Hyperparameters.from_strings(strings), int(rows)
    except ValueError as error:
        raise StepError(str(error)) from error


def train(cluster: Cluster) -> Artifact:
    """The artifact from this host's input and that of the others, who must all call this; the same on each host."""
    hyperparameters, n_rows = read_training_config()
    file = open_features(training_input(c.FEATURES_CHANNEL) / c.FEATURES_FILE)
    facts = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
    cluster.assert_consistent(
        "rows, training configs or code", f"{facts} {file.metadata.num_rows} {hyperparameters} {n_rows}"
    )
    labels = Labels.of(file.read([c.TIME, c.TARGET]))
    rows, in_memory = training_rows(file, cluster)
    try:
        hyperparameters.check_size(rows.layout)
    except ValueError as error:
        raise StepError(str(error)) from error
    total = len(labels.days)
    sys.stderr.write(f"{total:,} rows; walking forward through the last {n_rows:,}\n")
    points = checkpoints(labels.days, n_rows, int(facts.get("label_delay_days", "0")))
    keys = keys_from(file, points[0].begin if points else total, KEY_COLUMNS)
    threads = THREADS if in_memory and cluster.world_size == 1 else 1
    predicted = predict_walk_forward(keys, points, labels, rows, hyperparameters, cluster, threads)
    everything = rows.before(total)
    booster = fit_set(everything, hyperparameters, cluster)
    card = ModelCard(
        as_of_date=facts["as_of_date"],
        trained_before=str(labels.days[-1] + np.timedelta64(1, "D")),
        n_rows=total,
        trained_from=str(labels.days[0]),
        fingerprint=facts["fingerprint"],
        code_version=code_version(),
        feature_signature=facts["feature_signature"],
        layout=rows.layout,
        hyperparameters=asdict(hyperparameters),
        walk_forward_rows=n_rows,
        target_mean=float(labels.targets.mean()),
        xgboost_version=xgb.__version__,
        time_zone=facts["time_zone"],
    )
    state = training_input(c.FEATURES_CHANNEL) / c.STATE_FILE
    return Artifact(
        booster,
        card,
        predicted,
        state.read_bytes() if state.exists() else None,
        fit_quantiles(everything, booster, hyperparameters),
    )


def main(argv: Sequence[str]) -> None:
    if argv:
        raise SystemExit("usage: python -m pipeline.jobs.train (no arguments: see input/config/hyperparameters.json)")
    with joined(read_hosts()) as cluster:
        artifact = train(cluster)
        cluster.wait_for_all()
        if cluster.is_leader:
            write_artifact(base_dir() / c.MODEL_CHANNEL, artifact)
        card = artifact.card
        sys.stderr.write(f"model fitted on {card.n_rows:,} rows before {card.trained_before}\n")


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:], c.TRAINING_FAILURE_FILE))
