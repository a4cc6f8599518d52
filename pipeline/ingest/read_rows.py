"""Raw files to one table of text: every value as it stands in its file, with the file and line it stands in.

Nothing is interpreted here: the workload decides what a value means. A file that cannot be read as a whole is refused
(BadData); a line that is no row is a violation; an entry of the folder that is not read is named with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.contract.spec import Column
from pipeline.ingest.columns import is_header
from pipeline.ingest.csv_rows import read_csv, unzip
from pipeline.ingest.files.data_folder import KINDS, DataFile, FolderError, LeftOut, look_into, read_not_uploaded
from pipeline.ingest.files.file_content import HEAD_BYTES, kind_of, unlike_its_name
from pipeline.ingest.files.limits import MAX_BYTES, MAX_ROWS, MAX_TEXT_BYTES
from pipeline.ingest.parquet_rows import read_parquet
from pipeline.ingest.quarantine import FILE, LINE, BadData
from pipeline.ingest.raw_rows import RawFile, RawRows


def read_folder(folder: Path, declared: Sequence[Column], max_bytes: int = MAX_BYTES) -> RawRows:
    """Read every data file below `folder`; whatever else is there is named.

    Raises BadData where there is no data file, one that cannot be read as a whole, or more than `max_bytes` unpacked.
    """
    try:
        found = look_into(folder)
    except FolderError as error:
        raise BadData(str(error)) from error
    not_uploaded, linked = read_not_uploaded(folder)
    others = [LeftOut(file.name, _skip_reason(file, declared)) for file in found.files if not file.is_data]
    left_out = sorted([*found.left_out, *not_uploaded, *others], key=lambda item: item.name)
    used = [file for file in found.files if file.is_data]
    if not used:
        named = "; ".join(f"{item.name} {item.reason}" for item in left_out[:3])
        raise BadData(
            f"there is no {KINDS} file under DataPrefix (locally: --data); put the data files there"
            + (f" ({named})" if named else "")
        )
    files: list[RawFile] = []
    for file in used:
        raw, n_bytes = _read_file(file, declared, max_bytes)
        max_bytes -= n_bytes
        files.append(raw)
    if (n_rows := sum(file.counts.rows for file in files)) > MAX_ROWS:
        raise BadData(f"the data files have {n_rows:,} rows, and {MAX_ROWS:,} are read at most: remove what is no data")
    return RawRows(_join(files), tuple(files), tuple(left_out), {**found.linked, **linked})


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


def _join(files: Sequence[RawFile]) -> pd.DataFrame:
    table = pa.concat_tables([file.table for file in files]).unify_dictionaries().combine_chunks()
    n_bytes = {name: sum(part.dictionary.nbytes for part in table[name].chunks) for name in table.column_names}
    if sum(n_bytes.values()) > MAX_TEXT_BYTES:
        name = max(n_bytes, key=n_bytes.__getitem__)
        raise BadData(
            f"the different values of {name} in all data files take {n_bytes[name]:,} bytes, and all columns may take "
            f"{MAX_TEXT_BYTES:,}: correct what is no {name}"
        )
    rows: pd.DataFrame = table.to_pandas()
    numbers = np.repeat(np.arange(len(files)), [len(file.starts) for file in files])
    rows[FILE] = pd.Categorical.from_codes(numbers, categories=pd.Index([file.name for file in files]))
    rows[LINE] = np.concatenate([file.starts for file in files])
    return rows


def _read_file(file: DataFile, declared: Sequence[Column], max_bytes: int) -> tuple[RawFile, int]:
    """The file as text, and how many bytes it has unpacked."""
    name = file.name
    try:
        with file.path.open("rb") as content:
            data = content.read(max_bytes + 1)
    except OSError as error:
        raise BadData(f"{name} cannot be read ({error.strerror}); check its permissions") from error
    if not data:
        raise BadData(f"{name} is empty (0 bytes); export it again or remove it")
    if problem := unlike_its_name(name, data[:HEAD_BYTES]):
        raise BadData(problem)
    if name.lower().endswith(".gz") and len(data) <= max_bytes:
        data = unzip(data, name, max_bytes)
    if len(data) > max_bytes:
        raise BadData(
            f"{name} unpacks to more than is read: {MAX_BYTES:,} bytes of all data files together; "
            "remove what is no data, or columns that are not read"
        )
    if name.lower().endswith(".parquet"):
        return read_parquet(data, name, declared, max_bytes), len(data)
    return read_csv(data, name, declared), len(data)
