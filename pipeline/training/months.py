"""What Train must know of all rows before it reads their features: months and targets.

Two short columns: every host reads them whole, so that all have the same checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.contract import names as c

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Months:
    """Rows in order of time, by calendar month; arrays of the shape (months,)."""

    first_days: NDArray[np.datetime64]
    starts: IntArray  # row of each month's first row
    sums_before: FloatArray  # of the targets of the rows before that row
    n_rows: int
    target_sum: float
    first_day: np.datetime64
    last_day: np.datetime64

    @property
    def ends(self) -> IntArray:
        """Row after each month's last row."""
        return np.append(self.starts[1:], self.n_rows).astype(np.int64)

    @property
    def target_mean(self) -> float:
        """Mean of the targets: of a classification the share of 1."""
        return self.target_sum / self.n_rows

    @classmethod
    def of(cls, tables: Iterable[pa.Table]) -> Months:
        """From the rows in consecutive tables with the columns time and target.

        Raises ValueError when there is none, when they are out of order or when one has no target.
        """
        months: list[Any] = []
        starts: list[int] = []
        sums_before: list[float] = []
        first_day: np.datetime64 | None = None
        row, total, last = 0, 0.0, np.datetime64("0001-01-01", "D")
        for table in tables:
            if table.num_rows == 0:
                continue
            day, target = days_in_order(table, last), targets(table)
            found, first = np.unique(day.astype("datetime64[M]"), return_index=True)
            for month, at in zip(found, first.tolist(), strict=True):
                if not months or month != months[-1]:
                    months.append(month)
                    starts.append(row + at)
                    sums_before.append(total + float(target[:at].sum()))
            row, total, last = row + table.num_rows, total + float(target.sum()), day[-1]
            first_day = first_day or day[0]
        if first_day is None:
            raise ValueError("there is no row with a known target to train on")
        return cls(
            first_days=np.array(months, dtype="datetime64[M]").astype("datetime64[D]"),
            starts=np.array(starts, dtype=np.int64),
            sums_before=np.array(sums_before),
            n_rows=row,
            target_sum=total,
            first_day=first_day,
            last_day=last,
        )

    @classmethod
    def read(cls, file: pq.ParquetFile) -> Months:
        """From a file of features, a row group at a time; raises as `of`."""
        groups = range(file.metadata.num_row_groups)
        return cls.of(file.read_row_group(group, [c.TIME, c.TARGET]) for group in groups)


def days_in_order(table: pa.Table, after: np.datetime64) -> NDArray[np.datetime64]:
    """The rows' days; raises ValueError unless they ascend from `after` on."""
    day = table[c.TIME].to_numpy().astype("datetime64[D]")
    if (day[1:] < day[:-1]).any() or day[0] < after:
        raise ValueError("the rows are not in order of time: a walk forward would train on later rows")
    return np.asarray(day)


def targets(table: pa.Table) -> FloatArray:
    """The targets (of a classification 1 or 0); raises ValueError for a row without one."""
    if table[c.TARGET].null_count:
        raise ValueError("a row has no target: walk forward through rows whose label is known")
    return np.asarray(table[c.TARGET].to_numpy().astype(np.float64))
