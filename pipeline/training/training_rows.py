"""The rows that one host trains on: its own row groups of features.parquet, in memory or read again for each fit.

Of n hosts, host r has the row groups r, r + n, r + 2n and so on: a share of every year, and of every checkpoint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.training.distributed.cluster import Cluster
from pipeline.training.memory import usable_memory
from pipeline.training.training_sets import (
    DiskRows,
    FloatArray,
    MemoryRows,
    RowGroup,
    Rows,
    feature_layout,
    feature_matrix,
    read_groups,
    row_numbers,
    targets,
)

# Measured with 28 features and two fits at a time: 970 to 1,240 a row. XGBoost's matrix alone has 8 for each value.
MEMORY_BYTES_A_VALUE: Final = 54


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


def row_groups(file: pq.ParquetFile) -> list[RowGroup]:
    """All that have rows."""
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    return [
        RowGroup(number, end - size, end) for number, (size, end) in enumerate(zip(sizes, ends, strict=True)) if size
    ]


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
    groups = tuple(group for group in row_groups(file) if group.number % cluster.world_size == cluster.hosts.rank)
    layout = feature_layout(file.schema_arrow)
    needed = sum(group.end - group.begin for group in groups) * len(layout.features) * MEMORY_BYTES_A_VALUE
    usable = usable_memory(sharing=cluster.world_size if cluster.hosts.local else 1)
    if cluster.any(needed > usable.n_bytes):  # all hosts alike: XGBoost's collective calls differ between the two
        sys.stderr.write(
            f"features need about {needed / 1e9:.1f} GB, {usable.n_bytes / 1e9:.1f} GB may be used ({usable.why}): "
            "training from disk with XGBoost's external memory\n"
        )
        return DiskRows(file, groups, file.metadata.num_rows), False
    table = read_groups(file, groups, [*layout.features, c.TARGET])
    return MemoryRows(feature_matrix(table), targets(table), layout, row_numbers(groups)), True


def keys_from(file: pq.ParquetFile, begin: int, columns: Sequence[str]) -> pa.Table:
    """Columns of all rows from row `begin` on, of all hosts."""
    groups = [group for group in row_groups(file) if group.end > begin]
    table = read_groups(file, groups, columns)
    return table.slice(begin - groups[0].begin).combine_chunks() if groups else table
