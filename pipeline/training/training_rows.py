"""The rows that one host trains on: its own row groups of features.parquet, in memory or read again for each fit.

Of n hosts, host r has the row groups r, r + n, r + 2n and so on: a share of every year, and of every checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.training.distributed.cluster import Cluster
from pipeline.training.memory import usable_memory
from pipeline.training.training_sets import (
    Batch,
    DiskSet,
    FeatureMatrix,
    FloatArray,
    MemorySet,
    feature_layout,
    feature_matrix,
)

IntArray = NDArray[np.int64]

# Measured with 28 features and two fits at a time: 970 to 1,240 a row. XGBoost's matrix alone has 8 for each value.
MEMORY_BYTES_A_VALUE: Final = 54
_BATCH_ROWS: Final = 131_072  # of one page of XGBoost's cache: 15 MB of features


@dataclass(frozen=True)
class Labels:
    """Days and targets of all rows, of the shape (rows,), in order of time: every host has the same checkpoints."""

    days: NDArray[np.datetime64]
    targets: FloatArray

    @classmethod
    def of(cls, table: pa.Table) -> Labels:
        """Raises ValueError when there is no row, when they are out of order or when one has no target."""
        if table.num_rows == 0:
            raise ValueError("there is no row with a known target to train on")
        days = table[c.TIME].to_numpy().astype("datetime64[D]")
        if (days[1:] < days[:-1]).any():
            raise ValueError("the rows are not in order of time: a walk forward would train on later rows")
        return cls(days, targets(table))


def targets(table: pa.Table) -> FloatArray:
    """The targets (of a classification 1 or 0); raises ValueError for a row without one."""
    if table[c.TARGET].null_count:
        raise ValueError("a row has no target: walk forward through rows whose label is known")
    return np.asarray(table[c.TARGET].to_numpy().astype(np.float64))


@dataclass(frozen=True)
class MemoryRows:
    """This host's rows in memory; `row` is each one's number over the rows of all hosts, ascending."""

    X: FeatureMatrix
    y: FloatArray
    row: IntArray
    layout: FeatureLayout

    def before(self, end: int) -> MemorySet:
        """Those before row `end`: a view, no copy."""
        own = int(np.searchsorted(self.row, end))
        return MemorySet(self.X[:own], self.y[:own], self.layout)

    def rows(self, begin: int, end: int) -> tuple[IntArray, FeatureMatrix]:
        """Row numbers and features of those in rows [begin, end): views."""
        own = slice(*np.searchsorted(self.row, [begin, end]).tolist())
        return self.row[own], self.X[own]


@dataclass(frozen=True)
class RowGroup:
    """A row group of a Parquet file: its number, and its rows [begin, end) in the file."""

    number: int
    begin: int
    end: int


def row_groups(file: pq.ParquetFile) -> list[RowGroup]:
    """All that have rows."""
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    return [
        RowGroup(number, end - size, end) for number, (size, end) in enumerate(zip(sizes, ends, strict=True)) if size
    ]


@dataclass(frozen=True)
class DiskRows:
    """The same of rows that stay in their file: at most a batch of them is in memory."""

    file: pq.ParquetFile
    groups: tuple[RowGroup, ...]

    @property
    def layout(self) -> FeatureLayout:
        """The model's columns."""
        return feature_layout(self.file.schema_arrow)

    def before(self, end: int) -> DiskSet:
        """Those before row `end`, read at each fit, a batch at a time."""
        groups = tuple(group for group in self.groups if group.begin < end)
        n_rows = sum(min(group.end, end) - group.begin for group in groups)
        return DiskSet(n_rows, self.layout, lambda columns: self._batches(groups, end, columns))

    def rows(self, begin: int, end: int) -> tuple[IntArray, FeatureMatrix]:
        """Row numbers and features of those in rows [begin, end), read now: a checkpoint predicts a month of rows."""
        groups = [group for group in self.groups if group.begin < end and begin < group.end]
        row = _rows(groups)
        wanted = (row >= begin) & (row < end)
        return row[wanted], feature_matrix(_read(self.file, groups, self.layout.features))[wanted]

    def _batches(self, groups: Sequence[RowGroup], end: int, columns: Sequence[str]) -> Iterator[Batch]:
        for some in _batched(groups):
            table = _read(self.file, some, [*columns, c.TARGET])
            table = table.slice(0, int(np.searchsorted(_rows(some), end)))
            yield feature_matrix(table, columns), targets(table)
        if not groups:
            yield np.empty((0, len(columns)), dtype=np.float32), np.empty(0)


Rows = MemoryRows | DiskRows


def _batched(groups: Sequence[RowGroup]) -> Iterator[list[RowGroup]]:
    batch: list[RowGroup] = []
    for group in groups:
        batch.append(group)
        if sum(one.end - one.begin for one in batch) >= _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _rows(groups: Sequence[RowGroup]) -> IntArray:
    if not groups:
        return np.empty(0, dtype=np.int64)
    return np.concatenate([np.arange(group.begin, group.end) for group in groups])


def _read(file: pq.ParquetFile, groups: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
    return file.read_row_groups([group.number for group in groups], list(columns))


def open_features(path: Path) -> pq.ParquetFile:
    """The file of features; raises StepError where it is missing or none."""
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise StepError(
            f"{path.name} of channel {c.FEATURES_CHANNEL} cannot be read ({error}): Prepare writes it; run that again"
        ) from error


def training_rows(file: pq.ParquetFile, cluster: Cluster) -> tuple[Rows, bool]:
    """This host's rows, and whether they are in memory: not where what a fit needs is more than may be used."""
    groups = tuple(group for group in row_groups(file) if group.number % cluster.world_size == cluster.rank)
    layout = feature_layout(file.schema_arrow)
    needed = sum(group.end - group.begin for group in groups) * len(layout.features) * MEMORY_BYTES_A_VALUE
    usable = usable_memory(sharing=cluster.world_size if cluster.hosts.local else 1)
    if cluster.any(needed > usable.n_bytes):  # all hosts alike: XGBoost's collective calls differ between the two
        sys.stderr.write(
            f"features need about {needed / 1e9:.1f} GB, {usable.n_bytes / 1e9:.1f} GB may be used ({usable.why}): "
            "training from disk with XGBoost's external memory\n"
        )
        return DiskRows(file, groups), False
    table = _read(file, groups, [*layout.features, c.TARGET])
    return MemoryRows(feature_matrix(table), targets(table), _rows(groups), layout), True


def keys_from(file: pq.ParquetFile, begin: int, columns: Sequence[str]) -> pa.Table:
    """Columns of all rows from row `begin` on, of all hosts."""
    groups = [group for group in row_groups(file) if group.end > begin]
    table = _read(file, groups, columns)
    return table.slice(begin - groups[0].begin).combine_chunks() if groups else table
