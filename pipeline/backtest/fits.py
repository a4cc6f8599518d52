"""A model for each distinct training set, and its predictions for all later rows.

The training set of a run is the first rows of the history, so two numbers say it: its first and its last row.
The checkpoints of the walk-forward predictions (`pipeline.training.walk_forward.checkpoints`) are such sets too: their
fits are shared with the candidates and among all candidates' predictions.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.fit_cache import FitCache, digest, whole_or_absent
from pipeline.backtest.world import FloatArray
from pipeline.contract.feature_layout import FeatureLayout, Task
from pipeline.training.lean_xgboost import xgb
from pipeline.training.logistic import sigmoid
from pipeline.training.model import Hyperparameters, fit, fit_quantiles, predict_log_odds, predict_quantiles
from pipeline.training.training_sets import FeatureMatrix, MemoryRows

CLEAN: Final = "clean"
Advance = Callable[[int], None]  # told how many more are done


@dataclass(frozen=True)
class FitKey:
    """Fitted on rows [begin, end) of one source of rows; scored on the rows from `end` on of another, or the same."""

    begin: int
    end: int
    taught: str = CLEAN
    scored: str = CLEAN


@dataclass(frozen=True)
class Source:
    """Features and targets as training saw them."""

    X: FeatureMatrix
    target: FloatArray
    layout: FeatureLayout

    @cached_property
    def digests(self) -> Sequence[str]:
        """Digest of the first 0, 1, ... rows: equal where the fits on them are equal."""
        running = hashlib.sha256(str(self.layout).encode())
        digests = [running.hexdigest()]
        for row, target in zip(np.ascontiguousarray(self.X), self.target, strict=True):
            running.update(row.tobytes() + target.tobytes())
            digests.append(running.hexdigest())
        return digests


def predictions_of(task: Task, kept: NDArray[Any]) -> FloatArray:
    """Predictions exactly as `model.predict` gives them, from what `predict_log_odds` gave."""
    exact = kept.astype(np.float64)
    return sigmoid(exact) if task == "binary" else exact


@dataclass(frozen=True)
class Fits:
    """The matrix (1 + quantiles, fits, rows): what `predict_log_odds` gives, then each quantile of the target."""

    keys: tuple[FitKey, ...]
    names: tuple[str, ...]
    matrix: NDArray[Any]
    layout: FeatureLayout
    cache: FitCache
    digest: str  # of all that the matrix is made of

    @cached_property
    def _rows(self) -> Mapping[FitKey, int]:
        return {key: row for row, key in enumerate(self.keys)}

    def row(self, key: FitKey) -> int:
        return self._rows[key]

    def predictions(self, row: int, begin: int, end: int) -> FloatArray:
        """A fit's predictions for the rows [begin, end)."""
        return predictions_of(self.layout.task, self.matrix[0, row, begin:end])

    def quantiles(self, row: int, begin: int, end: int) -> dict[float, FloatArray]:
        """A fit's quantiles of the target for the rows [begin, end)."""
        return dict(zip(self.layout.quantiles, self.matrix[1:, row, begin:end], strict=True))

    def booster(self, row: int) -> xgb.Booster:
        """The fit itself; raises FileNotFoundError where it was removed from the cache."""
        booster = self.cache.load(self.names[row])
        if booster is None:
            raise FileNotFoundError(f"the fit {self.names[row]} is gone from the cache: run the backtest again")
        return booster


def fit_all(
    keys: Iterable[FitKey],
    sources: Mapping[str, Source],
    hyperparameters: Hyperparameters,
    cache: FitCache,
    *,
    jobs: int | None = None,
    progress: Advance = lambda _: None,
) -> Fits:
    """Fit what the cache does not hold, so many at a time, and return the matrix; `progress` is told of each fit."""
    wanted = tuple(sorted(set(keys), key=lambda key: (key.taught, key.scored, key.begin, key.end)))
    names = tuple(_fit_name(key, sources[key.taught], hyperparameters, cache) for key in wanted)
    layout, n_rows = sources[CLEAN].layout, len(sources[CLEAN].target)
    scored = [sources[name].digests[-1] for name in sorted({key.scored for key in wanted})]
    whole = digest(str(n_rows), *scored, *names)
    target = cache.matrix("kept", whole)

    def fill(matrix: NDArray[Any], number: int) -> None:
        key = wanted[number]
        taught, later = sources[key.taught], sources[key.scored].X[key.end :]
        rows = MemoryRows(taught.X[key.begin : key.end], taught.target[key.begin : key.end], taught.layout)
        booster, quantile_booster = _fitted(names[number], rows, hyperparameters, cache)
        matrix[0, number, key.end :] = predict_log_odds(booster, later)
        if quantile_booster:
            matrix[1:, number, key.end :] = predict_quantiles(quantile_booster, later).T

    if target.exists():
        progress(len(wanted))
    else:
        dtype = np.float64 if layout.quantiles else np.float32  # XGBoost has no more, and a quantile is a sum
        with whole_or_absent(target) as partial:
            shape = (1 + len(layout.quantiles), len(wanted), n_rows)
            matrix = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
            # Threads: XGBoost computes in C, where Python's lock is free.
            with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
                try:
                    for done in as_completed([pool.submit(fill, matrix, number) for number in range(len(wanted))]):
                        done.result()
                        progress(1)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
            matrix.flush()
    return Fits(wanted, names, np.load(target, mmap_mode="r"), layout, cache, whole)


def _fit_name(key: FitKey, source: Source, hyperparameters: Hyperparameters, cache: FitCache) -> str:
    whole = f"{source.digests[key.begin]}-{source.digests[key.end]}"  # the rows between are what differs
    return cache.key(f"{key.begin}:{key.end}:{whole}", hyperparameters)


def _fitted(
    name: str, rows: MemoryRows, config: Hyperparameters, cache: FitCache
) -> tuple[xgb.Booster, xgb.Booster | None]:
    """The fit of that name and that of its quantiles, from the cache or made now."""
    booster, quantile_booster = cache.load(name), cache.load(f"{name}-quantiles")
    if booster is None:
        booster = fit(rows.X, rows.y, config, rows.layout)
        cache.save(name, booster)
    if rows.layout.quantiles and quantile_booster is None:
        quantile_booster = fit_quantiles(rows, booster, config)
        cache.save(f"{name}-quantiles", quantile_booster)
    return booster, quantile_booster
