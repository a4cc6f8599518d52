"""Validated rows: what reading a workload's files comes to, with the fate of every row that was read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingest.files.data_folder import LeftOut
from pipeline.ingest.row_counts import FileSummary


@dataclass(frozen=True)
class LoadRequest:
    """What is read, as of which morning, and what is refused."""

    folder: Path
    as_of: date
    today: date
    max_bad_row_share: float = 1.0  # of all rows, 0 to 1
    max_bad_row_share_of_file: float = 1.0
    min_rows: int = 0  # with a known label
    time_zone: str = field(kw_only=True)  # of the rows' days (IANA name)


@dataclass(frozen=True)
class ValidatedRows:
    """Rows as known on the morning of the as-of date.

    `rows`: core's columns (row_id, time, target: missing where the label is not known) and the workload's, in order of
    time. `quarantine`: one row a violation.
    n_rows_read = len(rows) + n_duplicates_collapsed + n_superseded + n_bad_rows, and rows that had not happened
    or are made, of which a note tells.
    """

    rows: pd.DataFrame
    quarantine: pd.DataFrame
    files: tuple[FileSummary, ...]
    left_out: tuple[LeftOut, ...]  # what of the folder was not read
    linked: dict[str, str]  # where links to folders elsewhere lead, by their names
    n_rows_read: int
    n_duplicates_collapsed: int
    n_superseded: int  # rows without a label that another row with it replaces
    n_bad_rows: int
    n_labels_hidden: int  # known by now, and not yet on the as-of date
    days_without_label: tuple[date, ...]  # of past rows that should have one
    notes: tuple[str, ...]  # what was read otherwise than it is written


def rows_digest(rows: pd.DataFrame) -> str:
    """SHA-256 of what the rows say, in their order: another when any value differs."""
    digest = hashlib.sha256()
    for name in rows.columns:
        digest.update(str(name).encode())
        column = rows[name]
        if column.dtype.kind == "O":  # text and categories
            texts = pa.array(column.astype(str), pa.large_string())
            # The lengths tell ("ab", "c") from ("a", "bc"), and a missing text from an empty one.
            lengths = pc.fill_null(pc.binary_length(texts), -1)
            digest.update(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
            digest.update("".join(pc.fill_null(texts, "").to_pylist()).encode())
        else:
            values = pa.array(column)
            digest.update(pc.is_valid(values).to_numpy(zero_copy_only=False).tobytes())
            filled = (
                column.to_numpy(dtype="float64", na_value=0.0) if column.dtype.kind in "fiub" else column.to_numpy()
            )
            digest.update(filled.tobytes())
    return digest.hexdigest()
