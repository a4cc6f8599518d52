"""Fits are made once, in any number of threads, and survive a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.backtest import fit_cache
from pipeline.backtest import fits as module
from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.fits import CLEAN, FitKey, Source, fit_all
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.model import Hyperparameters, fit, fit_quantiles, predict, predict_quantiles
from pipeline.training.training_sets import MemoryRows
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT

CONFIG = Hyperparameters(boosting_rounds=3, min_child_weight=5.0)
KEYS = [FitKey(0, end) for end in range(100, 200, 10)] + [FitKey(50, 150)]


@pytest.fixture(scope="module")
def source() -> Source:
    rng = np.random.default_rng(7)
    features = rng.normal(size=(300, len(FEATURES))).astype(np.float32)
    target = (rng.random(300) < 0.6).astype(np.float64)
    return Source(features, target, LAYOUT)


def test_the_matrix_holds_what_the_model_predicts(source: Source, tmp_path: Path) -> None:
    fits = fit_all(KEYS, {CLEAN: source}, CONFIG, FitCache(tmp_path), jobs=1)
    for key in KEYS:
        booster = fit(source.X[key.begin : key.end], source.target[key.begin : key.end], CONFIG, LAYOUT)
        expected = predict(booster, source.X[key.end :])
        assert (fits.predictions(fits.row(key), key.end, 300) == expected).all(), key


def test_a_regression_has_its_targets_and_their_quantiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    inputs = rng.normal(size=(120, 2)).astype(np.float32)
    layout = FeatureLayout(("rain", "warmth"), n_linear=1, task="regression", quantiles=(0.1, 0.9), low=39.0)
    source = Source(inputs, 40.0 + 5.0 * inputs[:, 0] + rng.normal(size=120), layout)
    fits = fit_all([FitKey(10, 60)], {CLEAN: source}, CONFIG, FitCache(tmp_path), jobs=1)
    rows = MemoryRows(inputs[10:60], source.target[10:60], layout)
    booster = fit(rows.X, rows.y, CONFIG, layout)
    assert (fits.predictions(0, 60, 120) == predict(booster, inputs[60:])).all()
    quantile_booster = fit_quantiles(rows, booster, CONFIG)
    assert quantile_booster
    found = fits.quantiles(0, 60, 120)
    assert list(found) == [0.1, 0.9]
    expected = predict_quantiles(quantile_booster, inputs[60:])
    assert (np.stack(list(found.values()), axis=1) == expected).all()
    again = fit_all([FitKey(10, 60), FitKey(10, 70)], {CLEAN: source}, CONFIG, FitCache(tmp_path), jobs=1)
    assert (again.matrix[:, 0, 60:] == fits.matrix[:, 0, 60:]).all(), "from the cache as it was"


def test_threads_change_nothing(source: Source, tmp_path: Path) -> None:
    one, three = (fit_all(KEYS * 3, {CLEAN: source}, CONFIG, FitCache(tmp_path / f"{n}"), jobs=n) for n in (1, 3))
    assert one.keys == three.keys
    assert (np.asarray(one.matrix) == np.asarray(three.matrix)).all()


def test_an_interrupted_backtest_resumes_where_it_stopped(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, made = FitCache(tmp_path), []
    monkeypatch.setattr(module, "fit", lambda *args: (_stop_after(made, 4), fit(*args))[1])
    with pytest.raises(KeyboardInterrupt):
        fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1)
    assert not list((tmp_path / "matrices").glob("*kept*")), "a matrix is whole or absent"
    made.clear()
    monkeypatch.setattr(module, "fit", lambda *args: (made.append(1), fit(*args))[1])
    fits = fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1)
    assert len(made) == len(KEYS) - 4
    made.clear()
    again = fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1)
    assert made == []
    assert (np.asarray(again.matrix) == np.asarray(fits.matrix)).all()


def _stop_after(made: list[int], n: int) -> None:
    if len(made) == n:
        raise KeyboardInterrupt
    made.append(1)


def test_a_damaged_fit_is_made_again(source: Source, tmp_path: Path) -> None:
    cache = FitCache(tmp_path)
    before = np.asarray(fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1).matrix)
    next(tmp_path.glob("fits/*/*.ubj")).write_bytes(b"half a mod")
    (matrix,) = tmp_path.glob("matrices/kept*")
    matrix.unlink()
    assert (np.asarray(fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1).matrix) == before).all()


def test_other_rows_layouts_or_configs_are_other_fits(source: Source, tmp_path: Path) -> None:
    cache = FitCache(tmp_path)
    other = source.target.copy()
    other[120] = 1 - other[120]
    digests = Source(source.X, other, LAYOUT).digests
    assert digests[:121] == source.digests[:121]
    assert all(a != b for a, b in zip(digests[121:], source.digests[121:], strict=True))
    other_layout = replace(LAYOUT, intercept=True)
    assert Source(source.X, source.target, other_layout).digests[-1] != source.digests[-1]
    assert cache.key("rows", CONFIG) != cache.key("rows", Hyperparameters(boosting_rounds=4))
    assert cache.key("rows", CONFIG) != cache.key("other rows", CONFIG)


def test_what_judges_is_the_backtests_own_code_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fit_cache, "__file__", str(tmp_path / "fit_cache.py"))
    (tmp_path / "judgements.py").write_text("a = 1\n")
    before = fit_cache.judging_code("nba")
    assert before == fit_cache.judging_code("nba") != fit_cache.judging_code("churn")
    (tmp_path / "judgements.py").write_text("a = 2\n")
    assert fit_cache.judging_code("nba") != before
