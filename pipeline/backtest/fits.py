"""A model for each distinct training set, and its predictions for all later games.

The training set of a night is the first games of the history, so two numbers say it: its first and its last row.
The checkpoints of the walk-forward predictions (`pipeline.training.walk_forward.checkpoints`) are such sets too: their
fits are shared with the candidates and among all records.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.fit_cache import FitCache, digest
from pipeline.training.logistic import sigmoid
from pipeline.training.model import Hyperparameters, fit, predict_log_odds
from pipeline.training.training_sets import FeatureMatrix
from pipeline.workloads.nba.team_state.feature_names import LAYOUT

FloatArray = NDArray[np.float64]

CLEAN: Final = "clean"
_CHUNK: Final = 24  # fits that a worker does between two reports
_DAY_SECONDS: Final = 86_400
Progress = Callable[[int], None]


@dataclass(frozen=True)
class FitKey:
    """Fitted on rows [begin, end) of one source of games; scored on the rows from `end` on of another, or the same."""

    begin: int
    end: int
    taught: str = CLEAN
    scored: str = CLEAN


@dataclass(frozen=True)
class Source:
    """Features and outcomes as training saw them, and the digest of each count of first games."""

    X: FeatureMatrix
    target: FloatArray
    digests: Sequence[str]


class Fits:
    """The matrix of predictions: one row a fit, one column a game; log-odds as XGBoost gives them (float32)."""

    def __init__(self, keys: Sequence[FitKey], matrix: NDArray[np.float32], digest: str) -> None:
        self.keys = tuple(keys)
        self.digest = digest  # of all that the matrix is made of
        self.matrix = matrix
        self._row = {key: row for row, key in enumerate(self.keys)}

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, key: FitKey) -> int:
        """The row of a fit."""
        return self._row[key]

    def probabilities(self, row: int, begin: int, end: int) -> FloatArray:
        """A fit's home-win probabilities for the games [begin, end), exactly as `model.predict` gives them."""
        return sigmoid(self.matrix[row, begin:end].astype(np.float64))


@dataclass(frozen=True)
class _Task:
    """What a worker needs, all of it picklable."""

    rows: tuple[int, ...]
    keys: tuple[FitKey, ...]
    names: tuple[str, ...]  # of the fits in the cache


def fit_all(
    keys: Iterable[FitKey],
    sources: Mapping[str, Source],
    hyperparameters: Hyperparameters,
    cache: FitCache,
    *,
    jobs: int | None = None,
    progress: Progress = lambda _: None,
) -> Fits:
    """Fit what the cache does not hold, in parallel, and return the matrix; `progress` is told of each fit done."""
    wanted = sorted(set(keys), key=lambda key: (key.taught, key.scored, key.begin, key.end))
    names = [fit_name(key, sources[key.taught], hyperparameters, cache) for key in wanted]
    n_rows = len(next(iter(sources.values())).target)
    scored = [sources[name].digests[-1] for name in sorted({key.scored for key in wanted})]
    whole = digest(str(n_rows), *scored, *names)
    target = cache.matrix("log_odds", whole)
    if not target.exists():
        _fill(target, wanted, names, sources, hyperparameters, cache, jobs=jobs, progress=progress)
    else:
        progress(len(wanted))
    return Fits(wanted, np.load(target, mmap_mode="r"), whole)


def fit_name(key: FitKey, source: Source, hyperparameters: Hyperparameters, cache: FitCache) -> str:
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
    progress: Progress,
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _forget_abandoned(target.parent)
    partial = target.with_name(f".partial-{os.getpid()}-{target.name}")
    inputs = {name: _keep_input(cache, name, source) for name, source in sources.items()}
    n_rows = len(next(iter(sources.values())).target)
    np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=(len(keys), n_rows)).flush()
    tasks = [
        _Task(
            tuple(range(start, min(start + _CHUNK, len(keys)))),
            tuple(keys[start : start + _CHUNK]),
            tuple(names[start : start + _CHUNK]),
        )
        for start in range(0, len(keys), _CHUNK)
    ]
    arguments = (inputs, partial, hyperparameters, cache.folder)
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
    """Remove what replays left that were killed more than a day ago: a matrix may be a gigabyte."""
    for path in folder.glob(".partial-*"):
        if time.time() - path.stat().st_mtime > _DAY_SECONDS:
            path.unlink(missing_ok=True)


def _keep_input(cache: FitCache, name: str, source: Source) -> str:
    """Workers read their games from a file: each would else be sent a copy with every task."""
    key = source.digests[-1]
    if cache.load_arrays("games", key) is None:
        cache.save_arrays("games", key, {"X": source.X, "target": source.target})
    return key


_worker: dict[str, Any] = {}


def _start_worker(inputs: Mapping[str, str], matrix: Path, hyperparameters: Hyperparameters, folder: Path) -> None:
    cache = FitCache(folder)
    _worker.update(
        sources={name: cache.load_arrays("games", key) for name, key in inputs.items()},
        matrix=np.load(matrix, mmap_mode="r+"),
        hyperparameters=hyperparameters,
        cache=cache,
    )


def _work(task: _Task) -> int:
    cache: FitCache = _worker["cache"]
    for row, key, name in zip(task.rows, task.keys, task.names, strict=True):
        taught, scored = _worker["sources"][key.taught], _worker["sources"][key.scored]
        booster = cache.load(name)
        if booster is None:
            games = slice(key.begin, key.end)
            booster = fit(taught["X"][games], taught["target"][games], _worker["hyperparameters"], LAYOUT)
            cache.save(name, booster)
        _worker["matrix"][row, key.end :] = predict_log_odds(booster, scored["X"][key.end :])
    _worker["matrix"].flush()
    return len(task.rows)
