"""The rows of one fit, as the linear part and XGBoost read them: from memory, or from disk batch by batch.

Which columns are features, a table of features says itself (`feature_layout`): Prepare has written it there.
"""

from __future__ import annotations

import json
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
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.lean_xgboost import xgb

FloatArray = NDArray[np.float64]
FeatureMatrix = NDArray[np.float32]
Batch = tuple[FeatureMatrix, FloatArray]
Parameters = Mapping[str, str | float]  # XGBoost's own
Margin = Callable[[FeatureMatrix], FloatArray]

CACHE_BYTES_A_ROW: Final = 100  # measured: 68 with a million rows, bins by row and by column


def feature_layout(schema: pa.Schema) -> FeatureLayout:
    """What the table's metadata says; raises StepError where it says nothing."""
    facts = schema.metadata or {}
    if b"features" not in facts:
        raise StepError("the features do not say which of their columns are the model's: run Prepare again")
    return FeatureLayout(tuple(json.loads(facts[b"features"])), int(facts.get(b"n_linear_features", b"0")))


def feature_matrix(features: pa.Table, columns: Sequence[str] = ()) -> FeatureMatrix:
    """The model's input of the shape (rows, columns): of the given columns, or of those that the table names."""
    columns = columns or feature_layout(features.schema).features
    X = np.empty((features.num_rows, len(columns)), dtype=np.float32)
    for position, name in enumerate(columns):
        X[:, position] = features[name].to_numpy()
    return X


class TrainingSet(Protocol):
    """Rows of the shape (rows, columns) and their targets."""

    @property
    def layout(self) -> FeatureLayout:
        """The model's columns."""

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """All rows, the first `columns` of the layout; at least one batch, even if nothing is in it."""

    def grow(self, parameters: Parameters, rounds: int, margin: Margin) -> xgb.Booster:
        """Trees on top of each row's base margin."""


@dataclass(frozen=True)
class MemorySet:
    """Rows in memory."""

    X: FeatureMatrix
    y: FloatArray
    layout: FeatureLayout

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """One batch."""
        yield self.X[:, : len(columns)], self.y

    def grow(self, parameters: Parameters, rounds: int, margin: Margin) -> xgb.Booster:
        """Not from a QuantileDMatrix: it saves memory, but takes longer to build than these few trees to grow."""
        matrix = xgb.DMatrix(
            self.X, self.y, base_margin=margin(self.X), feature_names=[*self.layout.features], nthread=1
        )
        return xgb.train(dict(parameters), matrix, rounds)


@dataclass(frozen=True)
class DiskSet:
    """Rows that `read` brings from disk, batch by batch and anew at each call (see TrainingSet.batches)."""

    n_rows: int
    layout: FeatureLayout
    read: Callable[[Sequence[str]], Iterator[Batch]]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """As they are read."""
        return self.read(columns)

    def grow(self, parameters: Parameters, rounds: int, margin: Margin) -> xgb.Booster:
        """XGBoost's external memory: its bins lie in a temporary folder; raises StepError where that has no room."""
        with _cache_folder(self.n_rows) as folder:
            return self._grow(parameters, rounds, margin, folder)  # which lets go of its files, before they go

    def _grow(self, parameters: Parameters, rounds: int, margin: Margin, folder: Path) -> xgb.Booster:
        source = _Source(lambda: self.read(self.layout.features), self.layout, margin, folder)
        matrix = xgb.ExtMemQuantileDMatrix(source, max_bin=parameters["max_bin"], nthread=1)
        return xgb.train(dict(parameters), matrix, rounds)


@contextmanager
def _cache_folder(n_rows: int) -> Iterator[Path]:
    place = Path(tempfile.gettempdir())
    # XGBoost aborts the process when a disk runs full, so there must be room before it begins
    needed, free = n_rows * CACHE_BYTES_A_ROW, shutil.disk_usage(place).free
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

    def __init__(
        self, read: Callable[[], Iterator[Batch]], layout: FeatureLayout, margin: Margin, folder: Path
    ) -> None:
        self._read, self._layout, self._margin = read, layout, margin
        self._batches = read()
        super().__init__(cache_prefix=str(folder / "cache"))

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next batch; False at the end."""
        for X, y in self._batches:
            input_data(data=X, label=y, base_margin=self._margin(X), feature_names=[*self._layout.features])
            return True
        return False

    def reset(self) -> None:
        """Back to the first batch."""
        self._batches = self._read()
