"""Fits are made once, whoever makes them, and survive a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.backtest import fits as module
from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.fits import CLEAN, FitKey, Source, fit_all
from pipeline.backtest.world import digests_of
from pipeline.training.model import Hyperparameters, fit, predict
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT

CONFIG = Hyperparameters(boosting_rounds=3, min_child_weight=5.0)
KEYS = [FitKey(0, end) for end in range(100, 200, 10)] + [FitKey(50, 150)]


@pytest.fixture(scope="module")
def source() -> Source:
    rng = np.random.default_rng(7)
    features = rng.normal(size=(300, len(FEATURES))).astype(np.float32)
    target = (rng.random(300) < 0.6).astype(np.float64)
    return Source(features, target, digests_of(features, target))


def test_the_matrix_holds_what_the_model_predicts(source: Source, tmp_path: Path) -> None:
    fits = fit_all(KEYS, {CLEAN: source}, CONFIG, FitCache(tmp_path), jobs=1)
    for key in KEYS:
        booster = fit(source.X[key.begin : key.end], source.target[key.begin : key.end], CONFIG, LAYOUT)
        expected = predict(booster, source.X[key.end :])
        assert (fits.probabilities(fits.row(key), key.end, 300) == expected).all(), key


def test_processes_change_nothing(source: Source, tmp_path: Path) -> None:
    one = fit_all(KEYS * 3, {CLEAN: source}, CONFIG, FitCache(tmp_path / "one"), jobs=1)
    module_chunk, module._CHUNK = module._CHUNK, 4
    try:
        two = fit_all(KEYS, {CLEAN: source}, CONFIG, FitCache(tmp_path / "two"), jobs=2)
    finally:
        module._CHUNK = module_chunk
    assert one.keys == two.keys
    assert (np.asarray(one.matrix) == np.asarray(two.matrix)).all()


def test_an_interrupted_replay_goes_on_where_it_stopped(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, made = FitCache(tmp_path), []
    monkeypatch.setattr(module, "fit", lambda *args: (_stop_after(made, 4), fit(*args))[1])
    with pytest.raises(KeyboardInterrupt):
        fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1)
    assert not list((tmp_path / "matrices").glob("*log_odds*")), "a matrix is whole or absent"
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


def test_a_damaged_fit_is_made_anew(source: Source, tmp_path: Path) -> None:
    cache = FitCache(tmp_path)
    before = np.asarray(fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1).matrix)
    next(tmp_path.glob("fits/*/*.ubj")).write_bytes(b"half a mod")
    for path in tmp_path.glob("matrices/log_odds*"):
        path.unlink()
    assert (np.asarray(fit_all(KEYS, {CLEAN: source}, CONFIG, cache, jobs=1).matrix) == before).all()


def test_other_games_or_configs_are_other_fits(source: Source, tmp_path: Path) -> None:
    cache = FitCache(tmp_path)
    other = source.target.copy()
    other[120] = 1 - other[120]
    digests = digests_of(source.X, other)
    assert digests[:121] == source.digests[:121]
    assert all(a != b for a, b in zip(digests[121:], source.digests[121:], strict=True))
    assert cache.key("games", CONFIG) != cache.key("games", Hyperparameters(boosting_rounds=4))
    assert cache.key("games", CONFIG) != cache.key("other games", CONFIG)
