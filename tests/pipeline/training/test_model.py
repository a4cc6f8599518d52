"""The training config's checks, and a model that is the same each time, however it is stored."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.linear import LinearPart
from pipeline.training.logistic import sigmoid
from pipeline.training.model import Hyperparameters, fit, importance, predict
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT, LINEAR_FEATURES

CONFIG = Hyperparameters(boosting_rounds=20, min_child_weight=5.0, learning_rate=0.2)


@pytest.fixture(scope="module")
def games() -> tuple[np.ndarray, np.ndarray]:
    """2,000 games whose outcome depends on the first (linear) and the last (tree) feature."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2_000, len(FEATURES))).astype(np.float32)
    chance = sigmoid((x[:, 0] + 2.0 * (x[:, -1] > 1.0)).astype(np.float64))
    return x, (rng.random(2_000) < chance).astype(np.float64)


def test_learns_lines_and_steps(games: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = games
    booster = fit(x, y, CONFIG, LAYOUT)
    assert LinearPart.of(booster).coefficients[0] == pytest.approx(1.0, abs=0.2)
    p = predict(booster, x)
    assert p.dtype == np.float64
    assert ((p > 0) & (p < 1)).all()
    late = x[:, -1] > 1.2
    assert p[late].mean() > p[~late].mean() + 0.1, "only the trees know the last feature"


def test_without_trees_it_is_the_logistic_regression(games: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = games
    booster = fit(x, y, Hyperparameters(boosting_rounds=0), LAYOUT)
    linear = x[:, : len(LINEAR_FEATURES)].astype(np.float64) @ LinearPart.of(booster).coefficients
    assert predict(booster, x) == pytest.approx(sigmoid(linear), abs=1e-6)


def test_equals_on_a_neutral_site_have_even_chances(games: tuple[np.ndarray, np.ndarray]) -> None:
    booster = fit(*games, Hyperparameters(boosting_rounds=0), LAYOUT)
    assert predict(booster, np.zeros((1, len(FEATURES)), dtype=np.float32)) == pytest.approx([0.5])


def test_the_same_input_gives_the_same_bytes(games: tuple[np.ndarray, np.ndarray]) -> None:
    assert fit(*games, CONFIG, LAYOUT).save_raw("ubj") == fit(*games, CONFIG, LAYOUT).save_raw("ubj")
    assert fit(*games, CONFIG, LAYOUT, seed=1).save_raw("ubj") != fit(*games, CONFIG, LAYOUT, seed=2).save_raw("ubj")


def test_a_stored_model_predicts_the_same(games: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x, y = games
    booster = fit(x, y, CONFIG, LAYOUT)
    booster.save_model(tmp_path / "model.ubj")
    again = xgb.Booster()
    again.load_model(bytearray((tmp_path / "model.ubj").read_bytes()))
    assert (predict(again, x) == predict(booster, x)).all()


def test_no_games_no_probabilities(games: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = games
    assert predict(fit(x, y, CONFIG, LAYOUT), x[:0]).shape == (0,)
    with pytest.raises(ValueError, match="there are none"):
        fit(x[:0], y[:0], CONFIG, LAYOUT)


def test_a_foreign_booster_is_refused(games: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = games
    foreign = xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(x, y), 1)
    with pytest.raises(ValueError, match="no linear part"):
        predict(foreign, x)


def test_importance_finds_what_matters(games: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = games
    shares = importance(fit(x, y, CONFIG, LAYOUT), x)
    assert shares.shape == (len(FEATURES),)
    assert shares.sum() == pytest.approx(1.0)
    assert set(np.argsort(shares)[-2:]) == {0, len(FEATURES) - 1}


def test_hyperparameters_from_sagemakers_strings() -> None:
    training_config = Hyperparameters.from_strings(
        {"boosting_rounds": "80", "max_depth": "4.0", "learning_rate": "0.1"}
    )
    assert training_config == Hyperparameters(boosting_rounds=80, max_depth=4, learning_rate=0.1)
    assert isinstance(training_config.max_depth, int)
    assert Hyperparameters.from_strings({}) == Hyperparameters()
    assert Hyperparameters.from_strings({k: str(v) for k, v in asdict(training_config).items()}) == training_config


def test_a_model_that_could_not_be_read_again_is_refused_before_training() -> None:
    largest = Hyperparameters(boosting_rounds=5_000, max_depth=10)
    largest.check_size(LAYOUT)
    with pytest.raises(ValueError, match=r"5000 rounds of depth 10 for 3 outputs may give a model of 1,171 MiB"):
        largest.check_size(FeatureLayout(("a",), 1, "regression", (0.1, 0.9)))


@pytest.mark.parametrize(
    ("strings", "words"),
    [
        ({"max_depth": "99"}, 'hyperparameter max_depth "99" is not a whole number from 1 to 10'),
        ({"max_depth": "2.5"}, 'max_depth "2.5" is not a whole number'),
        ({"max_depth": "deep"}, 'max_depth "deep" is not a whole number'),
        ({"learning_rate": "0"}, 'learning_rate "0" is not a number from 0.001 to 1'),
        ({"learning_rate": "nan"}, 'learning_rate "nan" is not a number'),
        ({"subsample": "2"}, 'subsample "2" is not a number from 0.1 to 1'),
        ({"boosting_rounds": "inf"}, 'boosting_rounds "inf" is not a whole number'),
        ({"depth": "3"}, 'hyperparameter "depth" does not exist; there are boosting_rounds, learning_rate'),
    ],
)
def test_bad_hyperparameters_name_key_value_and_range(strings: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Hyperparameters.from_strings(strings)
