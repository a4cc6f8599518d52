"""Raw files to one table of text: every value as in its file, with the names of file and line.

Nothing is interpreted here: the workload decides what a value means. A file that cannot be read as a whole is refused
(BadData); a line that is no row is a violation; an entry of the folder that is not read is named with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.contract.spec import Column
from pipeline.ingest.columns import is_header
from pipeline.ingest.csv_rows import CsvFile, read_csv, read_lines, unzip
from pipeline.ingest.files.data_folder import KINDS, DataFile, FolderError, data_files
from pipeline.ingest.files.file_content import HEAD_BYTES, kind_of, unlike_its_name
from pipeline.ingest.files.limits import MAX_BYTES, MAX_ROWS, MAX_TEXT_BYTES
from pipeline.ingest.parquet_rows import ParquetTable, read_columns, read_parquet
from pipeline.ingest.quarantine import FILE, LINE, BadData
from pipeline.ingest.raw_rows import RawFile, RawRows, TextRows

DATA_PLACE: Final = "DataPrefix (locally: --data)"  # where a run's files are
_SMALL: Final = 1 << 16  # bytes of a file that waits for others, to be read at once with them
_TOGETHER: Final = 500  # of them


def read_folder(folder: Path, declared: Sequence[Column], max_bytes: int = MAX_BYTES) -> RawRows:
    """Read every data file below `folder`; whatever else is there is named.

    Raises BadData where there is no data file, one that cannot be read as a whole, or more than `max_bytes` unpacked.
    """
    try:
        place = f"{DATA_PLACE}; put the data files there"
        found = data_files(folder, place, lambda file: _skip_reason(file, declared))
    except FolderError as error:
        raise BadData(str(error)) from error
    parts: list[TextRows] = []
    waiting: dict[object, list[CsvFile | ParquetTable]] = defaultdict(list)  # by their layout
    for file in found.files:
        data = _content(file, max_bytes)
        if file.name.lower().endswith(".parquet"):
            opened: CsvFile | ParquetTable = read_columns(data, file.name, declared, max_bytes)
        else:
            opened = read_lines(data, file.name, declared)
        max_bytes -= len(data)
        together = waiting[opened.layout]
        together.append(opened)
        if len(data) > _SMALL or len(together) == _TOGETHER:
            parts += _text_of(waiting.pop(opened.layout), declared, max_bytes + len(data))
    parts += [rows for together in waiting.values() for rows in _text_of(together, declared, max_bytes)]
    files = sorted((raw for part in parts for raw in part.files), key=lambda raw: raw.name)
    if (n_rows := sum(raw.counts.rows for raw in files)) > MAX_ROWS:
        raise BadData(f"the data files have {n_rows:,} rows, and {MAX_ROWS:,} are read at most: remove what is no data")
    return RawRows(_join(parts, files), tuple(files), tuple(found.left_out), found.linked)


def _skip_reason(file: DataFile, declared: Sequence[Column]) -> str:
    try:
        with file.path.open("rb") as content:
            head = content.read(HEAD_BYTES)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if what := kind_of(head):
        return f"is {what}"
    if b"\t" in head.partition(b"\n")[0]:
        return "is separated by tabs: save it as CSV (comma-separated, UTF-8)"
    if is_header(head.partition(b"\n")[0].decode(errors="replace").split(","), declared):
        return f"is no {KINDS}, and holds such rows: name it .csv"
    return f"is no {KINDS}"


def _text_of(files: Sequence[CsvFile | ParquetTable], declared: Sequence[Column], max_bytes: int) -> list[TextRows]:
    """The rows of files of one layout, which only files of one kind have."""
    csv_files = [file for file in files if isinstance(file, CsvFile)]
    if csv_files:
        return read_csv(csv_files, declared)
    return read_parquet([file for file in files if isinstance(file, ParquetTable)], declared, max_bytes)


def _join(parts: Sequence[TextRows], files: Sequence[RawFile]) -> pd.DataFrame:
    """The rows of all parts, in the order of `files` and lines."""
    table = pa.concat_tables([part.table for part in parts]).unify_dictionaries().combine_chunks()
    n_bytes = {name: sum(part.dictionary.nbytes for part in table[name].chunks) for name in table.column_names}
    if sum(n_bytes.values()) > MAX_TEXT_BYTES:
        name = max(n_bytes, key=n_bytes.__getitem__)
        raise BadData(
            f"the different values of {name} in all data files take {n_bytes[name]:,} bytes, and all columns may take "
            f"{MAX_TEXT_BYTES:,}: correct what is no {name}"
        )
    rows: pd.DataFrame = table.to_pandas()
    number_of = {file.name: number for number, file in enumerate(files)}
    read = [file for part in parts for file in part.files]
    numbers = np.repeat([number_of[file.name] for file in read], [file.counts.rows for file in read])
    rows[FILE] = pd.Categorical.from_codes(numbers, categories=pd.Index([file.name for file in files]))
    rows[LINE] = np.concatenate([part.lines for part in parts])
    if (np.diff(numbers) < 0).any():
        rows = rows.take(np.argsort(numbers, kind="stable")).reset_index(drop=True)
    return rows


def _content(file: DataFile, max_bytes: int) -> bytes:
    """The content of a file, which must fit its name; unpacked where it is gzipped."""
    name = file.name
    try:
        with file.path.open("rb") as content:
            data = content.read(max_bytes + 1)
    except OSError as error:
        raise BadData(f"{name} cannot be read ({error.strerror}); check its permissions") from error
    if problem := unlike_its_name(name, data[:HEAD_BYTES]):
        raise BadData(problem)
    if name.lower().endswith(".gz") and len(data) <= max_bytes:
        data = unzip(data, name, max_bytes)
    if len(data) > max_bytes:
        raise BadData(
            f"{name} unpacks to more than is read: {MAX_BYTES:,} bytes of all data files together; "
            "remove what is no data, or columns that are not read"
        )
    return data
