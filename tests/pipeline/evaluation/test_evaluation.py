"""The gates on what the candidate predicts out of sample: honest features pass, leaks do not. The artifact is safe."""

from __future__ import annotations

import gzip
import random
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.nba import canaries
from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.parameters import default_limits
from pipeline.contract.workload import load_workload
from pipeline.evaluation.evaluation import evaluate
from pipeline.training.artifact import Artifact, ModelCard, read_artifact, write_artifact
from pipeline.training.champion import load_champion
from pipeline.training.model import Hyperparameters, fit, predict
from pipeline.training.training_sets import feature_matrix
from pipeline.training.walk_forward import walk_forward
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.data import results as result_table
from pipeline.workloads.nba.features import build_features, feature_signature, feature_table
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.sample import write as write_sample
from pipeline.workloads.nba.team_state.feature_names import LAYOUT

WORKLOAD = load_workload("nba")
NBA = WORKLOAD.spec
LIMITS = default_limits(NBA)
AS_OF = date(2025, 3, 1)
REAL_AS_OF = date(2023, 7, 1)


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Twelve simulated seasons, played games only."""
    folder = write_sample(tmp_path_factory.mktemp("evaluation") / "games", AS_OF)
    validated = load_games(folder, as_of=AS_OF, today=AS_OF, max_bad_row_share=0.01, min_rows=1000)
    return validated.rows[validated.rows[nba.HOME_POINTS].notna()].reset_index(drop=True)


@pytest.fixture(scope="module")
def features(games: pd.DataFrame) -> pa.Table:
    return feature_table(build_features(games))


@pytest.fixture(scope="module")
def results(games: pd.DataFrame) -> pa.Table:
    return results_of(games)


def results_of(games: pd.DataFrame) -> pa.Table:
    """What Prepare hands to Evaluate beside the features."""
    return result_table(games)


def train(features: pa.Table, before: date = AS_OF, n_rows: int = 1312) -> Artifact:
    """What Train makes of the games before a day."""
    days = features[c.TIME].to_numpy().astype("datetime64[D]")
    known = features.slice(0, int((days < np.datetime64(before)).sum()))
    training_config = Hyperparameters(boosting_rounds=10)
    card = ModelCard(
        as_of_date=str(before),
        trained_before=str(before),
        n_rows=known.num_rows,
        trained_from=str(known[c.TIME][0].as_py().date()),
        fingerprint="f",
        code_version="c",
        feature_signature=feature_signature(),
        layout=LAYOUT,
        hyperparameters=asdict(training_config),
        walk_forward_rows=n_rows,
        target_mean=0.56,
        xgboost_version="",
    )
    target = known[c.TARGET].to_numpy().astype(np.float64)
    return Artifact(
        fit(feature_matrix(known), target, training_config, LAYOUT), card, walk_forward(known, training_config, n_rows)
    )


@pytest.fixture(scope="module")
def candidate(features: pa.Table) -> Artifact:
    return train(features)


def judged(candidate: Artifact, features: pa.Table, results: pa.Table) -> dict[str, Any]:
    return evaluate(WORKLOAD, candidate, None, features, results, feature_signature=feature_signature(), limits=LIMITS)


def broken_limits(evaluation: dict[str, Any]) -> set[str]:
    return {row["parameter"] for row in evaluation["quality"]["limits"] if not row["holds"]}


def test_honest_features_keep_every_limit(candidate: Artifact, features: pa.Table, results: pa.Table) -> None:
    evaluation = judged(candidate, features, results)
    assert evaluation["quality"]["passed"], evaluation["quality"]["reason"]
    assert evaluation["decision"] == "registered"
    assert evaluation["metrics"]["champion"] is None
    assert sum(row["share"] for row in evaluation["importance"]) == pytest.approx(1.0)
    assert sum(row["n_rows"] for row in evaluation["monthly"]) <= 1312


@pytest.mark.parametrize("leak", canaries.ALL)
def test_a_leak_trips_the_too_good_gate(
    leak: Callable[[pd.DataFrame], pd.DataFrame], games: pd.DataFrame, results: pa.Table
) -> None:
    table = feature_table(leak(games))
    evaluation = judged(train(table), table, results)
    assert "MaxSkill" in broken_limits(evaluation), evaluation["quality"]
    assert evaluation["decision"] == "failed"
    assert "suspected leakage" in evaluation["reason"]


def test_leaks_of_form_and_moves_trip_the_accuracy_too(games: pd.DataFrame, results: pa.Table) -> None:
    for leak in (canaries.missing_shift, canaries.post_game_ratings):
        table = feature_table(leak(games))
        assert "MaxAccuracy" in broken_limits(judged(train(table), table, results))


@pytest.fixture(scope="module")
def real_league(real_games: Path) -> pd.DataFrame:
    """Every real game, seasons 1947 to 2023."""
    return load_games(real_games, as_of=REAL_AS_OF, today=REAL_AS_OF, max_bad_row_share=0.01, min_rows=1000).rows


def judged_on_real_games(features: pd.DataFrame, real_league: pd.DataFrame) -> dict[str, Any]:
    modelled = features[features[c.TARGET].notna() & (features[nba.SEASON] >= 2004)]
    table = feature_table(modelled)
    return judged(train(table, REAL_AS_OF), table, results_of(real_league))


def test_honest_features_of_real_games_keep_every_limit(real_league: pd.DataFrame) -> None:
    evaluation = judged_on_real_games(build_features(real_league), real_league)
    assert evaluation["quality"]["passed"], evaluation["quality"]["reason"]
    assert 0.0 < evaluation["quality"]["skill"] < 0.01


@pytest.mark.parametrize("leak", canaries.ALL)
def test_a_leak_on_real_games_trips_the_too_good_gate(
    leak: Callable[[pd.DataFrame], pd.DataFrame], real_league: pd.DataFrame
) -> None:
    evaluation = judged_on_real_games(leak(real_league), real_league)
    assert "MaxSkill" in broken_limits(evaluation), evaluation["quality"]


def test_no_column_of_the_features_moves_the_reference(
    candidate: Artifact, features: pa.Table, results: pa.Table
) -> None:
    """A leak that the candidate and the p_elo of its features share cannot hide behind the baseline."""
    perfect = pa.array(np.where(features[c.TARGET].to_numpy() == 1, 0.99, 0.01))
    leaked = features.set_column(features.column_names.index(nba.P_ELO), nba.P_ELO, perfect)
    assert judged(candidate, leaked, results) == judged(candidate, features, results)


def test_a_record_of_few_games_is_refused_by_the_gate_and_not_by_a_defect(
    features: pa.Table, results: pa.Table
) -> None:
    evaluation = judged(train(features, n_rows=1), features, results)
    assert "MinEvaluatedRows" in evaluation["quality"]["reason"]


def packed(candidate: Artifact, folder: Path) -> Path:
    write_artifact(folder / "model", candidate)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for path in (folder / "model").iterdir():
            tar.add(path, arcname=path.name)
    return folder / "model.tar.gz"


def unpacked(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def test_artifact_survives_its_archive(candidate: Artifact, features: pa.Table, tmp_path: Path) -> None:
    again = read_artifact(packed(candidate, tmp_path))
    some = feature_matrix(features.slice(0, 50))
    assert again.card == candidate.card
    assert again.walk_forward.to_pylist() == candidate.walk_forward.to_pylist()
    assert (predict(again.booster, some) == predict(candidate.booster, some)).all()


def test_a_damaged_archive_is_refused_before_anything_of_it_is_used(candidate: Artifact, tmp_path: Path) -> None:
    """One bit, anywhere behind gzip's header, or an end too early; XGBoost crashes on some damaged models."""
    archive = packed(candidate, tmp_path)
    whole = archive.read_bytes()
    chance = random.Random(3)  # noqa: S311 (repeatable places, no secret)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[chance.randrange(30, len(whole))] ^= 1 << chance.randrange(8)
        for content in (bytes(damaged), whole[: chance.randrange(len(whole))]):
            if unpacked(content) == unpacked(whole):  # a bit between two blocks, which says nothing
                continue
            archive.write_bytes(content)
            with pytest.raises(StepError, match=r"model\.tar\.gz is not a model of this pipeline") as caught:
                read_artifact(archive)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("champion", "words_"),
    [
        (None, "missing or unreadable"),
        ("not json", "missing or unreadable"),
        ('{"version": 1, "artifact": "1/model.tar.gz"}', "model.tar.gz is not a model of this pipeline"),
        ('{"version": 1, "artifact": "../../etc/passwd"}', "not below champion/"),
    ],
)
def test_a_broken_champion_is_named(tmp_path: Path, champion: str | None, words_: str) -> None:
    if champion is not None:
        (tmp_path / "champion.json").write_text(champion)
    with pytest.raises(StepError, match=words_):
        load_champion(tmp_path)


def test_no_champion_is_none(tmp_path: Path) -> None:
    (tmp_path / "champion.json").write_text(NBA.all_seed_objects["champion/champion.json"])
    assert load_champion(tmp_path) is None
