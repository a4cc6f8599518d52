"""Rows as text: what each reader of a kind of file returns, and what all of them together are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.contract.spec import Column
from pipeline.ingest.columns import Columns
from pipeline.ingest.files.csv_lines import BAD, BLANK, CONTINUED, HEADER, ROW, BadLines
from pipeline.ingest.files.data_folder import LeftOut

TEXT: Final = pa.dictionary(pa.int32(), pa.string())
NO_BAD_LINES: Final = BadLines(0, np.empty(0, dtype=np.int64), (), ())


@dataclass(frozen=True)
class LineCounts:
    """What the lines of a file are: every line is one of these. A Parquet file has rows only, which count as lines."""

    lines: int
    header: int
    rows: int
    continued: int  # lines after the first of a row that goes over several
    bad: int
    blank: int

    @classmethod
    def of(cls, kinds: npt.NDArray[np.uint8]) -> LineCounts:
        """Count the kinds of lines (see csv_lines)."""
        n = np.bincount(kinds, minlength=BAD + 1).tolist()
        return cls(len(kinds), header=n[HEADER], rows=n[ROW], continued=n[CONTINUED], bad=n[BAD], blank=n[BLANK])


@dataclass(frozen=True)
class RawFile:
    """What one file holds besides the text of its rows."""

    name: str
    columns: Columns
    counts: LineCounts
    bad: BadLines = NO_BAD_LINES
    checksums: bool = True  # whether damage to a page of a Parquet file would be seen

    def __post_init__(self) -> None:
        counts = self.counts
        if counts.bad != self.bad.n_lines or counts.lines != sum(
            (counts.header, counts.rows, counts.continued, counts.bad, counts.blank)
        ):
            raise AssertionError(f"{self.name}: {self.bad.n_lines:,} lines are bad of {counts}")


@dataclass(frozen=True)
class TextRows:
    """The rows of some files, one file after another: a TEXT column for each declared one, and each row's line."""

    files: tuple[RawFile, ...]
    table: pa.Table
    lines: npt.NDArray[np.int64]  # from 1; the number of the row in a Parquet file

    def __post_init__(self) -> None:
        counted = sum(file.counts.rows for file in self.files)
        if not self.table.num_rows == len(self.lines) == counted:
            raise AssertionError(f"{self.files[0].name}: {self.table.num_rows:,} rows were read of {counted:,}")


@dataclass(frozen=True)
class RawRows:
    """All files: `rows` has FILE, LINE and the declared columns as categoricals of text, in the order of file and line.

    `linked`: where links to folders lead that are not below the data folder.
    """

    rows: pd.DataFrame
    files: tuple[RawFile, ...]
    left_out: tuple[LeftOut, ...]
    linked: dict[str, str]


def declared_columns(table: pa.Table, declared: Sequence[Column]) -> pa.Table:
    """The declared columns in their order, as TEXT; an absent optional column is empty."""
    names, given = [column.name for column in declared], set(table.column_names)
    if names == table.column_names:
        return table
    empty = pa.repeat("", table.num_rows).dictionary_encode().cast(TEXT)
    return pa.table({name: table[name] if name in given else empty for name in names})
