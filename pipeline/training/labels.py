"""What Train must know of all rows before it reads their features: days and targets.

Two short columns: every host reads them whole, so that all have the same checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """Days and targets of the shape (rows,), in order of time."""

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
