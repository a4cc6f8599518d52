"""A model for each distinct training set, and its predictions for all later rows.

The training set of a night is the first rows of the history, so two numbers say it: its first and its last row.
The checkpoints of the walk-forward predictions (`pipeline.training.walk_forward.checkpoints`) are such sets too: their
fits are shared with the candidates and among all candidates' predictions.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.fit_cache import FitCache, digest
from pipeline.contract.feature_layout import FeatureLayout, Task
from pipeline.training.lean_xgboost import xgb
from pipeline.training.logistic import sigmoid
from pipeline.training.model import Hyperparameters, fit, fit_quantiles, predict_log_odds, predict_quantiles
from pipeline.training.training_sets import FeatureMatrix, MemorySet

FloatArray = NDArray[np.float64]

CLEAN: Final = "clean"
_CHUNK: Final = 24  # fits that a worker does between two reports
_DAY_SECONDS: Final = 86_400
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


class Fits:
    """The matrix (1 + quantiles, fits, rows): what `predict_log_odds` gives, then each quantile of the target."""

    def __init__(
        self,
        keys: Sequence[FitKey],
        names: Sequence[str],
        matrix: NDArray[Any],
        layout: FeatureLayout,
        cache: FitCache,
        digest: str,
    ) -> None:
        self.keys, self.names = tuple(keys), tuple(names)
        self.matrix, self.layout, self.cache = matrix, layout, cache
        self.digest = digest  # of all that the matrix is made of
        self._row = {key: row for row, key in enumerate(self.keys)}

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, key: FitKey) -> int:
        """The row of a fit."""
        return self._row[key]

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
    """Fit what the cache does not hold, in parallel, and return the matrix; `progress` is told of each fit done."""
    wanted = sorted(set(keys), key=lambda key: (key.taught, key.scored, key.begin, key.end))
    names = [_fit_name(key, sources[key.taught], hyperparameters, cache) for key in wanted]
    clean = sources[CLEAN]
    scored = [sources[name].digests[-1] for name in sorted({key.scored for key in wanted})]
    whole = digest(str(len(clean.target)), *scored, *names)
    target = cache.matrix("kept", whole)
    if not target.exists():
        _fill(target, wanted, names, sources, hyperparameters, cache, jobs=jobs, progress=progress)
    else:
        progress(len(wanted))
    return Fits(wanted, names, np.load(target, mmap_mode="r"), clean.layout, cache, whole)


def _fit_name(key: FitKey, source: Source, hyperparameters: Hyperparameters, cache: FitCache) -> str:
    """The name of a fit in the cache."""
    whole = f"{source.digests[key.begin]}-{source.digests[key.end]}"  # the rows between are what differs
    return cache.key(f"{key.begin}:{key.end}:{whole}", hyperparameters)


def _fill(
    target: Path,
    keys: Sequence[FitKey],
    names: Sequence[str],
    sources: Mapping[str, Source],
    hyperparameters: Hyperparameters,
    cache: FitCache,
    *,
    jobs: int | None,
    progress: Advance,
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _forget_abandoned(target.parent)
    partial = target.with_name(f".partial-{os.getpid()}-{target.name}")
    clean = sources[CLEAN]
    inputs = {name: _keep_input(cache, source) for name, source in sources.items()}
    shape = (1 + len(clean.layout.quantiles), len(keys), len(clean.target))
    dtype = np.float64 if clean.layout.quantiles else np.float32  # XGBoost has no more, and a quantile is a sum
    np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape).flush()
    tasks = [range(start, min(start + _CHUNK, len(keys))) for start in range(0, len(keys), _CHUNK)]
    arguments = (keys, names, inputs, clean.layout, partial, hyperparameters, cache.folder)
    n_workers = min(jobs or os.cpu_count() or 1, len(tasks))
    try:
        if n_workers == 1:
            _start_worker(*arguments)
            for task in tasks:
                progress(_work(task))
        else:
            # Spawned, not forked: a forked copy of XGBoost's threads may hang.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(n_workers, context, _start_worker, arguments) as pool:
                try:
                    for done in as_completed([pool.submit(_work, task) for task in tasks]):
                        progress(done.result())
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _forget_abandoned(folder: Path) -> None:
    """Remove what backtests left that were killed more than a day ago: a matrix may be a gigabyte."""
    for path in folder.glob(".partial-*"):
        if time.time() - path.stat().st_mtime > _DAY_SECONDS:
            path.unlink(missing_ok=True)


def _keep_input(cache: FitCache, source: Source) -> str:
    """Workers read their rows from a file: each would else be sent a copy with every task."""
    key = source.digests[-1]
    if cache.load_arrays("rows", key) is None:
        cache.save_arrays("rows", key, {"X": source.X, "target": source.target})
    return key


_worker: dict[str, Any] = {}


def _start_worker(
    keys: Sequence[FitKey],
    names: Sequence[str],
    inputs: Mapping[str, str],
    layout: FeatureLayout,
    matrix: Path,
    hyperparameters: Hyperparameters,
    folder: Path,
) -> None:
    cache = FitCache(folder)
    _worker.update(
        keys=keys,
        names=names,
        sources={name: Source(**(cache.load_arrays("rows", key) or {}), layout=layout) for name, key in inputs.items()},
        matrix=np.load(matrix, mmap_mode="r+"),
        hyperparameters=hyperparameters,
        cache=cache,
    )


def _work(numbers: range) -> int:
    """Make the fits of these numbers and their rows of the matrix; returns how many."""
    matrix = _worker["matrix"]
    for number in numbers:
        key: FitKey = _worker["keys"][number]
        taught, scored = (_worker["sources"][source] for source in (key.taught, key.scored))
        rows = MemorySet(taught.X[key.begin : key.end], taught.target[key.begin : key.end], taught.layout)
        booster, quantile_booster = _fitted(_worker["names"][number], rows)
        later = scored.X[key.end :]
        matrix[0, number, key.end :] = predict_log_odds(booster, later)
        if quantile_booster:
            matrix[1:, number, key.end :] = predict_quantiles(quantile_booster, later).T
    matrix.flush()
    return len(numbers)


def _fitted(name: str, rows: MemorySet) -> tuple[xgb.Booster, xgb.Booster | None]:
    """The fit of that name and that of its quantiles, from the cache or made now."""
    cache, config = _worker["cache"], _worker["hyperparameters"]
    booster, quantile_booster = cache.load(name), cache.load(f"{name}-quantiles")
    if booster is None:
        booster = fit(rows.X, rows.y, config, rows.layout)
        cache.save(name, booster)
    if rows.layout.quantiles and quantile_booster is None:
        quantile_booster = fit_quantiles(rows, booster, config)
        cache.save(f"{name}-quantiles", quantile_booster)
    return booster, quantile_booster
