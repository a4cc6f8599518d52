"""The games of one fit, as the linear part and XGBoost read them: from memory, or from disk batch by batch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract.container import StepError
from pipeline.training.lean_xgboost import xgb
from pipeline.workloads.nba.feature_names import FEATURES

FloatArray = NDArray[np.float64]
FeatureMatrix = NDArray[np.float32]
Batch = tuple[FeatureMatrix, FloatArray]
Parameters = Mapping[str, str | float]  # XGBoost's own
Margin = Callable[[FeatureMatrix], FloatArray]

CACHE_BYTES_A_GAME: Final = 100  # measured: 68 with a million games, bins by row and by column


def feature_matrix(features: pa.Table, columns: Sequence[str] = FEATURES) -> FeatureMatrix:
    """The model's input of the shape (games, columns) from a table that has those columns."""
    X = np.empty((features.num_rows, len(columns)), dtype=np.float32)
    for position, name in enumerate(columns):
        X[:, position] = features[name].to_numpy()
    return X


class TrainingSet(Protocol):
    """Played games of the shape (games, columns) and their outcomes, 1 where the home team won."""

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """All games, the first `columns` of FEATURES; at least one batch, even if nothing is in it."""

    def grow(self, parameters: Parameters, rounds: int, margin: Margin) -> xgb.Booster:
        """Trees on top of each game's base margin."""


@dataclass(frozen=True)
class MemorySet:
    """Games in memory."""

    X: FeatureMatrix
    y: FloatArray

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """One batch."""
        yield self.X[:, : len(columns)], self.y

    def grow(self, parameters: Parameters, rounds: int, margin: Margin) -> xgb.Booster:
        """Not from a QuantileDMatrix: it saves memory, but takes longer to build than these few trees to grow."""
        matrix = xgb.DMatrix(self.X, self.y, base_margin=margin(self.X), feature_names=list(FEATURES), nthread=1)
        return xgb.train(dict(parameters), matrix, rounds)


@dataclass(frozen=True)
class DiskSet:
    """Games that `read` brings from disk, batch by batch and anew at each call (see TrainingSet.batches)."""

    n_games: int
    read: Callable[[Sequence[str]], Iterator[Batch]]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """As they are read."""
        return self.read(columns)

    def grow(self, parameters: Parameters, rounds: int, margin: Margin) -> xgb.Booster:
        """XGBoost's external memory: its bins lie in a temporary folder; raises StepError where that has no room."""
        with _cache_folder(self.n_games) as folder:
            return self._grow(parameters, rounds, margin, folder)  # which lets go of its files, before they go

    def _grow(self, parameters: Parameters, rounds: int, margin: Margin, folder: Path) -> xgb.Booster:
        source = _Source(lambda: self.read(FEATURES), margin, folder)
        matrix = xgb.ExtMemQuantileDMatrix(source, max_bin=parameters["max_bin"], nthread=1)
        return xgb.train(dict(parameters), matrix, rounds)


@contextmanager
def _cache_folder(n_games: int) -> Iterator[Path]:
    place = Path(tempfile.gettempdir())
    # XGBoost aborts the process when a disk runs full, so there must be room before it begins
    needed, free = n_games * CACHE_BYTES_A_GAME, shutil.disk_usage(place).free
    if needed > free:
        raise StepError(
            f"training from disk needs {needed / 1e9:.1f} GB in {place}, and {free / 1e9:.1f} GB are free: give the "
            "training job a larger volume (VOLUME_GB in pipeline/definition/job_requests.py) or a machine with more "
            "memory"
        )
    with tempfile.TemporaryDirectory(prefix="xgboost-cache-") as folder:
        yield Path(folder)


class _Source(xgb.DataIter):  # type: ignore[misc]
    """XGBoost's way to ask for batches; it goes through them more than once."""

    def __init__(self, read: Callable[[], Iterator[Batch]], margin: Margin, folder: Path) -> None:
        self._read, self._margin = read, margin
        self._batches = read()
        super().__init__(cache_prefix=str(folder / "cache"))

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next batch; False at the end."""
        for X, y in self._batches:
            input_data(data=X, label=y, base_margin=self._margin(X), feature_names=list(FEATURES))
            return True
        return False

    def reset(self) -> None:
        """Back to the first batch."""
        self._batches = self._read()
