"""Regression, quantiles and categories: in memory, from disk and on several hosts."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training_hosts import finish, lay_out, start

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.jobs.train import train
from pipeline.training import training_rows, training_sets
from pipeline.training.artifact import Artifact, ModelCard, read_artifact, write_artifact
from pipeline.training.distributed.cluster import Cluster
from pipeline.training.linear import LinearPart
from pipeline.training.logistic import sigmoid
from pipeline.training.model import (
    Hyperparameters,
    fit,
    fit_quantiles,
    importance,
    predict,
    predict_quantiles,
)
from pipeline.training.training_sets import MemoryRows, feature_matrix
from pipeline.training.walk_forward import walk_forward

QUANTILES = (0.1, 0.5, 0.9)
COLOURS = ("red", "green", "blue", "grey", "white", "black")
EFFECT = dict(zip(COLOURS, (4.0, -3.0, 0.0, 2.0, -1.0, -2.0), strict=True))
LAYOUT = FeatureLayout(("slope", "gap", "width", "colour"), 1, "regression", QUANTILES, categories={"colour": COLOURS})
CONFIG = Hyperparameters(boosting_rounds=60, learning_rate=0.2, min_child_weight=20.0, column_sample=0.8)
N = 3_000


def rows() -> pa.Table:
    """Ten rows a day: target 50 + 2 slope + the colour's effect + noise as wide as `width`; half the gaps missing."""
    rng = np.random.default_rng(4)
    slope, width = rng.normal(0, 3, N), rng.uniform(0.2, 2.0, N)
    colour = rng.choice(COLOURS, N)
    target = 50 + 2 * slope + np.array([EFFECT[name] for name in colour]) + rng.normal(0, 1, N) * width
    day = np.datetime64("2024-01-01") + np.arange(N) // 10
    table = pa.table(
        {
            c.ROW_ID: [f"r{number}" for number in range(N)],
            c.TIME: pa.array(day),
            c.TARGET: target,
            "slope": slope,
            "gap": pa.array(rng.normal(size=N), mask=rng.random(N) < 0.5),
            "width": width,
            "colour": pa.array(colour.tolist(), mask=rng.random(N) < 0.01),
        }
    )
    facts = {"as_of_date": "2025-01-01", "fingerprint": "f", "feature_signature": "s", "time_zone": "UTC"}
    return table.replace_schema_metadata(facts | LAYOUT.as_metadata())


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training job's features channel, in parts of 256 rows."""
    folder = tmp_path_factory.mktemp("rows")
    pq.write_table(rows(), folder / c.FEATURES_FILE, row_group_size=256)
    return folder


SETTINGS = {name: f"{value:g}" for name, value in asdict(CONFIG).items()} | {"walk_forward_rows": "1500"}


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory, channel: Path) -> Artifact:
    """Trained on one host, in memory."""
    with pytest.MonkeyPatch.context() as patch:
        lay_out(tmp_path_factory.mktemp("memory"), channel, patch, **SETTINGS)
        return train(Cluster())


def numbers(artifact: Artifact, name: str) -> np.ndarray:
    return artifact.walk_forward[name].to_numpy()


def root_mean_square(artifact: Artifact) -> float:
    return float(np.sqrt(np.mean((numbers(artifact, c.PREDICTION) - numbers(artifact, c.TARGET)) ** 2)))


def test_a_regression_learns_lines_categories_and_quantiles(memory: Artifact) -> None:
    assert memory.walk_forward.num_rows == 1_500
    assert memory.walk_forward.column_names == [
        *(c.ROW_ID, c.TIME, c.TARGET, c.PREDICTION),
        *("quantile_10", "quantile_50", "quantile_90", c.P_CONSTANT, c.TRAINED_BEFORE),
    ]
    assert root_mean_square(memory) == pytest.approx(1.22, abs=0.12), "the noise's own is 1.21"
    assert LinearPart.of(memory.booster).coefficients == pytest.approx([2.0], abs=0.05)
    assert numbers(memory, c.P_CONSTANT) == pytest.approx(50, abs=0.5)
    bounds = np.stack([numbers(memory, name) for name in LAYOUT.quantile_columns], axis=1)
    assert (np.diff(bounds, axis=1) >= 0).all()
    below = numbers(memory, c.TARGET)[:, None] < bounds
    assert below.mean(axis=0) == pytest.approx(QUANTILES, abs=0.04)
    features = feature_matrix(rows())
    wide = features[:, 2] > 1.5
    assert memory.quantile_booster is not None
    shipped = predict_quantiles(memory.quantile_booster, features)
    assert np.ptp(shipped[wide], axis=1).mean() > 1.5 * np.ptp(shipped[~wide], axis=1).mean()
    shares = importance(memory.booster, features)
    assert shares[[0, 3]].sum() > 0.9, "slope and colour, not gap and width"


def test_the_artifact_keeps_task_quantiles_and_categories(memory: Artifact, tmp_path: Path) -> None:
    write_artifact(tmp_path, memory)
    again = read_artifact(tmp_path)
    assert again.card == memory.card
    assert again.card.layout == LAYOUT
    features = feature_matrix(rows())
    assert (predict(again.booster, features) == predict(memory.booster, features)).all()
    assert again.quantile_booster is not None
    assert memory.quantile_booster is not None
    quantiles = predict_quantiles(again.quantile_booster, features)
    assert (quantiles == predict_quantiles(memory.quantile_booster, features)).all()
    assert predict_quantiles(again.quantile_booster, features[:0]).shape == (0, 3)


def test_from_disk_as_in_memory(
    memory: Artifact, channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, channel, monkeypatch, **SETTINGS)
    monkeypatch.setattr(training_rows, "MEMORY_BYTES_A_VALUE", 10**12)
    monkeypatch.setattr(training_sets, "_BATCH_ROWS", 700)
    disk = train(Cluster())
    assert numbers(disk, c.PREDICTION) == pytest.approx(numbers(memory, c.PREDICTION), abs=1e-3)
    assert root_mean_square(disk) == pytest.approx(root_mean_square(memory), rel=0.001)
    assert pinball(disk) == pytest.approx(pinball(memory), rel=0.01)


def test_two_hosts_as_one(memory: Artifact, channel: Path, tmp_path: Path) -> None:
    hosts = start(tmp_path, channel, ("algo-1", "algo-2"), training_config=SETTINGS)
    assert finish(hosts) == [0, 0], [host.log for host in hosts]
    together = read_artifact(hosts[0].base / c.MODEL_CHANNEL)
    assert LinearPart.of(together.booster).coefficients == pytest.approx(
        LinearPart.of(memory.booster).coefficients, abs=1e-6
    )
    assert root_mean_square(together) == pytest.approx(root_mean_square(memory), rel=0.02)
    assert pinball(together) == pytest.approx(pinball(memory), rel=0.02)
    assert numbers(together, c.P_CONSTANT).tolist() == numbers(memory, c.P_CONSTANT).tolist()


def pinball(artifact: Artifact) -> list[float]:
    """Mean pinball loss of each quantile."""
    target = numbers(artifact, c.TARGET)
    losses = []
    for quantile, name in zip(QUANTILES, LAYOUT.quantile_columns, strict=True):
        above = target - numbers(artifact, name)
        losses.append(float(np.maximum(quantile * above, (quantile - 1) * above).mean()))
    return losses


def test_without_trees_a_regression_is_least_squares() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(1e6, 5, (400, 2)).astype(np.float32)
    y = 7 + x.astype(np.float64) @ np.array([3.0, -1.0])
    booster = fit(x, y, Hyperparameters(boosting_rounds=0), FeatureLayout(("a", "b"), 2, "regression"))
    assert LinearPart.of(booster).coefficients == pytest.approx([3.0, -1.0], rel=0.01)
    assert predict(booster, x) == pytest.approx(y, abs=0.5)
    mean = fit(x, y, Hyperparameters(boosting_rounds=0), FeatureLayout(("a", "b"), 0, "regression"))
    assert predict(mean, x[:1]) == pytest.approx([y.mean()], rel=1e-6)


@pytest.mark.parametrize("n_linear", [0, 1])
def test_a_classification_with_an_intercept_starts_from_the_share_of_ones(n_linear: int) -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(4_000, 2)).astype(np.float32)
    y = (rng.random(4_000) < sigmoid(-2.0 + x[:, 0].astype(np.float64))).astype(np.float64)
    booster = fit(x, y, Hyperparameters(boosting_rounds=0), FeatureLayout(("a", "b"), n_linear))
    assert predict(booster, x).mean() == pytest.approx(y.mean(), abs=0.002)


def test_a_gap_in_a_linear_feature_is_refused_and_one_in_the_trees_is_not() -> None:
    layout = replace(LAYOUT, features=("gap", "slope", "width", "colour"))
    table = rows().replace_schema_metadata(layout.as_metadata())
    with pytest.raises(StepError, match="feature gap has missing values, which a linear feature may not have"):
        walk_forward(table, CONFIG, 100)
    x = np.array([[1.0], [2.0]], dtype=np.float32)
    booster = fit(x, np.array([1.0, 2.0]), Hyperparameters(), FeatureLayout(("a",), 1, "regression"))
    with pytest.raises(StepError, match="feature a has missing values"):
        predict(booster, np.full((1, 1), np.nan, dtype=np.float32))


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_an_infinite_feature_is_refused_by_name(value: float) -> None:
    width = rows()["width"].to_numpy().copy()
    width[7] = value
    with pytest.raises(StepError, match=r"feature width has infinite values: features\.py divides by zero"):
        feature_matrix(rows().set_column(rows().column_names.index("width"), "width", pa.array(width)))


def test_a_value_outside_its_categories_is_refused() -> None:
    table = rows().slice(0, 5)
    odd = table.set_column(6, "colour", pa.array(["red", None, "pink", "black", "red"]))
    with pytest.raises(StepError, match='"pink" is not among the allowed values red, green'):
        feature_matrix(odd)
    codes = feature_matrix(odd.set_column(6, "colour", pa.array(["red", None, "green", "black", "red"])))[:, 3]
    assert np.array_equal(codes, [0, np.nan, 1, 5, 0], equal_nan=True)


@pytest.mark.parametrize("n", [0, 3])
def test_features_that_are_missing_everywhere_are_gaps(n: int) -> None:
    """Of a column of Nones, or of no row, Arrow knows no type."""
    table = rows().slice(0, n)
    for name in ("gap", "colour"):
        table = table.set_column(table.column_names.index(name), name, pa.nulls(n))
    missing = np.isnan(feature_matrix(table))
    assert missing.shape == (n, len(LAYOUT.features))
    assert missing.all(axis=0).tolist() == [not n or name in ("gap", "colour") for name in LAYOUT.features]


def test_a_training_job_keeps_to_the_label_delay_of_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the 45 days before a month are not trained on."""
    (tmp_path / "rows").mkdir()
    table = rows()
    late = table.replace_schema_metadata({**(table.schema.metadata or {}), b"label_delay_days": b"45"})
    pq.write_table(late, tmp_path / "rows" / c.FEATURES_FILE)
    lay_out(tmp_path / "late", tmp_path / "rows", monkeypatch, walk_forward_rows="1500")
    artifact = train(Cluster())
    month = numbers(artifact, c.TIME).astype("datetime64[M]").astype("datetime64[D]")
    assert (numbers(artifact, c.TRAINED_BEFORE).astype("datetime64[D]") == month - 45).all()
    day, target = table[c.TIME].to_numpy(), table[c.TARGET].to_numpy()
    means = [target[day < first - 45].mean() for first in month]
    assert numbers(artifact, c.P_CONSTANT) == pytest.approx(means)


def test_nothing_is_predicted_beyond_the_ends_of_the_target() -> None:
    table = rows()
    matrix, y = feature_matrix(table), table[c.TARGET].to_numpy()
    layout = replace(LAYOUT, low=45.0, high=55.0)
    quantiles = fit_quantiles(MemoryRows(matrix, y, layout), booster := fit(matrix, y, CONFIG, layout), CONFIG)
    assert quantiles is not None
    for predicted in (predict(booster, matrix), predict_quantiles(quantiles, matrix)):
        assert (predicted.min(), predicted.max()) == (45.0, 55.0)
    assert predict(fit(matrix, y, CONFIG, LAYOUT), matrix).min() < 45.0


def test_a_card_of_a_later_release_is_read_and_one_that_lacks_a_field_is_not() -> None:
    card = ModelCard("2025-01-01", "2025-01-01", 1, "2024-01-01", "f", "c", "s", LAYOUT, {}, 1, 0.5, "3")
    written = json.loads(json.dumps(asdict(card)))
    assert ModelCard.from_json(json.dumps({**written, "later": 1})) == card
    del written["n_rows"]
    with pytest.raises(TypeError, match="n_rows"):
        ModelCard.from_json(json.dumps(written))
