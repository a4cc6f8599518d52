"""The rows that one host trains on, as the linear part and XGBoost read them: from memory, or from disk in batches.

Which columns are features, a table of features says itself (`feature_layout`): Prepare has written it there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.lean_xgboost import xgb

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
FeatureMatrix = NDArray[np.float32]
Batch = tuple[FeatureMatrix, FloatArray]
Parameters = Mapping[str, Any]  # XGBoost's own
Stage = tuple[Parameters, int]  # and how many rounds with them
Labels = Callable[[FeatureMatrix, FloatArray], Mapping[str, FloatArray]]  # a batch's label and base margin

_BATCH_ROWS: Final = 131_072  # of one page of XGBoost's cache: 15 MB of features
CACHE_BYTES_A_VALUE: Final = 4  # measured: 68 a row with 28 features, bins by row and by column


def feature_layout(schema: pa.Schema) -> FeatureLayout:
    """What the table's metadata says; raises StepError where it says nothing."""
    try:
        return FeatureLayout.from_metadata(schema.metadata or {})
    except (KeyError, TypeError, ValueError) as error:
        raise StepError(
            f"the features do not say which of their columns are the model's ({error}): run Prepare again"
        ) from error


def feature_matrix(features: pa.Table, columns: Sequence[str] | None = None) -> FeatureMatrix:
    """The model's input of the shape (rows, columns): of the given columns, or of those that the table names.

    A category is its index. Raises StepError that names a value which is not among the allowed ones, and a feature that
    is infinite somewhere.
    """
    layout = feature_layout(features.schema)
    columns = layout.features if columns is None else columns
    X = np.empty((features.num_rows, len(columns)), dtype=np.float32)
    for position, name in enumerate(columns):
        column = features[name]
        if pa.types.is_null(column.type):  # as Arrow has what is missing everywhere, or has no row
            column = column.cast(pa.string() if name in layout.categories else pa.float64())
        X[:, position] = (_codes(column, layout.categories[name]) if name in layout.categories else column).to_numpy()
        if np.isinf(X[:, position]).any():
            raise StepError(
                f"feature {name} has infinite values: features.py divides by zero, or makes too large numbers"
            )
    return X


def _codes(column: pa.ChunkedArray, allowed: Sequence[str]) -> pa.ChunkedArray:
    codes = pc.index_in(column, value_set=pa.array(allowed, column.type))
    unknown = pc.unique(column.filter(pc.and_(pc.is_null(codes), pc.is_valid(column))))
    if len(unknown):
        raise StepError(f'"{unknown[0]}" is not among the allowed values {", ".join(allowed)} of a category')
    return codes


def targets(table: pa.Table) -> FloatArray:
    """The targets (of a classification 1 or 0); raises ValueError for a row without one."""
    if table[c.TARGET].null_count:
        raise ValueError("a row has no target: walk forward through rows whose label is known")
    return np.asarray(table[c.TARGET].to_numpy().astype(np.float64))


def feature_types(layout: FeatureLayout) -> list[str] | None:
    """XGBoost's type of each feature, c (category) or q (quantity); None where all are numbers."""
    return ["c" if name in layout.categories else "q" for name in layout.features] if layout.categories else None


def train(stages: Sequence[Stage], matrix: xgb.DMatrix, layout: FeatureLayout) -> xgb.Booster:
    """One stage after the other, each on top of the trees of those before."""
    booster: Any = None
    for parameters, rounds in stages:
        booster = xgb.train(dict(parameters), matrix, rounds, xgb_model=booster)
    booster.feature_names = [*layout.features]  # a host without a row has not learned them
    booster.feature_types = feature_types(layout)
    return booster


@dataclass(frozen=True)
class MemoryRows:
    """One host's rows of the shape (rows, columns) in memory, and their targets.

    `row` is each one's number over the rows of all hosts, ascending; None where one host has all of them.
    """

    X: FeatureMatrix
    y: FloatArray
    layout: FeatureLayout
    row: IntArray | None = None

    @cached_property
    def _row(self) -> IntArray:
        return np.arange(len(self.y)) if self.row is None else self.row

    def before(self, end: int) -> MemoryRows:
        """Those before row `end`: a view, no copy."""
        own = int(np.searchsorted(self._row, end))
        return MemoryRows(self.X[:own], self.y[:own], self.layout, self._row[:own])

    def rows(self, begin: int, end: int) -> tuple[IntArray, FeatureMatrix]:
        """Row numbers and features of those in rows [begin, end): views."""
        own = slice(*np.searchsorted(self._row, [begin, end]).tolist())
        return self._row[own], self.X[own]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """All rows, the first `columns` of the layout; at least one batch, even if nothing is in it."""
        yield self.X[:, : len(columns)], self.y

    def grow(self, stages: Sequence[Stage], labels: Labels) -> xgb.Booster:
        """Trees for the rows' labels and base margins.

        Not from a QuantileDMatrix: it saves memory, but takes longer to build than these few trees to grow."""
        matrix = xgb.DMatrix(
            self.X,
            **labels(self.X, self.y),
            feature_names=[*self.layout.features],
            feature_types=feature_types(self.layout),
            enable_categorical=True,
            nthread=1,
        )
        return train(stages, matrix, self.layout)


@dataclass(frozen=True)
class RowGroup:
    """A row group of a Parquet file: its number, and its rows [begin, end) in the file."""

    number: int
    begin: int
    end: int


def _batched(groups: Sequence[RowGroup]) -> Iterator[list[RowGroup]]:
    batch: list[RowGroup] = []
    for group in groups:
        batch.append(group)
        if sum(one.end - one.begin for one in batch) >= _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def row_numbers(groups: Sequence[RowGroup]) -> IntArray:
    if not groups:
        return np.empty(0, dtype=np.int64)
    return np.concatenate([np.arange(group.begin, group.end) for group in groups])


def read_groups(file: pq.ParquetFile, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
    return file.read_row_groups([group.number for group in groups], list(columns))


@dataclass(frozen=True)
class DiskRows:
    """The same of rows that stay in their file, up to row `end`: at most a batch of them is in memory."""

    file: pq.ParquetFile
    groups: tuple[RowGroup, ...]
    end: int

    @property
    def layout(self) -> FeatureLayout:
        return feature_layout(self.file.schema_arrow)

    def before(self, end: int) -> DiskRows:
        """Those before row `end`, read at each fit, a batch at a time."""
        return DiskRows(self.file, tuple(group for group in self.groups if group.begin < end), end)

    def rows(self, begin: int, end: int) -> tuple[IntArray, FeatureMatrix]:
        """Row numbers and features of those in rows [begin, end), read now: a checkpoint predicts a month of rows."""
        groups = [group for group in self.groups if group.begin < end and begin < group.end]
        row = row_numbers(groups)
        wanted = (row >= begin) & (row < end)
        return row[wanted], feature_matrix(read_groups(self.file, groups, self.layout.features))[wanted]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """The same, as they are read, again at each call."""
        for some in _batched(self.groups):
            table = read_groups(self.file, some, [*columns, c.TARGET])
            table = table.slice(0, int(np.searchsorted(row_numbers(some), self.end)))
            yield feature_matrix(table, columns), targets(table)
        if not self.groups:
            yield np.empty((0, len(columns)), dtype=np.float32), np.empty(0)

    def grow(self, stages: Sequence[Stage], labels: Labels) -> xgb.Booster:
        """XGBoost's external memory: bins in a temporary folder; raises StepError where that has too little room."""
        n_rows = sum(min(group.end, self.end) - group.begin for group in self.groups)
        with _cache_folder(n_rows * len(self.layout.features)) as folder:
            return self._grow(stages, labels, folder)  # which closes its files before they are removed

    def _grow(self, stages: Sequence[Stage], labels: Labels, folder: Path) -> xgb.Booster:
        source = _Source(lambda: self.batches(self.layout.features), self.layout, labels, folder)
        max_bin = stages[0][0]["max_bin"]
        matrix = xgb.ExtMemQuantileDMatrix(source, max_bin=max_bin, enable_categorical=True, nthread=1)
        return train(stages, matrix, self.layout)


Rows = MemoryRows | DiskRows


@contextmanager
def _cache_folder(n_values: int) -> Iterator[Path]:
    place = Path(tempfile.gettempdir())
    # XGBoost aborts the process when a disk runs full, so there must be room before it begins
    needed, free = n_values * CACHE_BYTES_A_VALUE, shutil.disk_usage(place).free
    if needed > free:
        raise StepError(
            f"training from disk needs {needed / 1e9:.1f} GB in {place}, and {free / 1e9:.1f} GB are free: give the "
            "training job a larger volume (VOLUME_GB in pipeline/definition/job_requests.py) or an instance with "
            "more memory"
        )
    with tempfile.TemporaryDirectory(prefix="xgboost-cache-") as folder:
        yield Path(folder)


class _Source(xgb.DataIter):  # type: ignore[misc]
    """XGBoost's way to ask for batches; it goes through them more than once."""

    def __init__(
        self, read: Callable[[], Iterator[Batch]], layout: FeatureLayout, labels: Labels, folder: Path
    ) -> None:
        self._read, self._labels = read, labels
        self._names, self._types = [*layout.features], feature_types(layout)
        self._batches = read()
        super().__init__(cache_prefix=str(folder / "cache"))

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next batch; False at the end."""
        for X, y in self._batches:
            input_data(data=X, **self._labels(X, y), feature_names=self._names, feature_types=self._types)
            return True
        return False

    def reset(self) -> None:
        """Back to the first batch."""
        self._batches = self._read()
