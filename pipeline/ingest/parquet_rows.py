"""A Parquet file to text: typed columns are written as a CSV would hold them, so that one set of rules reads
both."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.contract.spec import Column, ColumnType
from pipeline.ingest.columns import Columns, match_columns
from pipeline.ingest.files.arrow_memory import arrow_reader
from pipeline.ingest.files.csv_lines import BadLines
from pipeline.ingest.files.limits import LISTED_OF_TOO_MANY, MAX_COLUMNS, MAX_ROWS, MAX_VIOLATIONS
from pipeline.ingest.files.parquet_pages import has_checksums
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.raw_rows import NO_BAD_LINES, TEXT, LineCounts, RawFile, TextRows, declared_columns

# What a damaged file makes Arrow raise: its own errors, and what its Python side makes of bytes that are no text.
_DAMAGE: Final = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, KeyError, TypeError)


@dataclass(frozen=True)
class ParquetTable:
    """A file whose declared columns are read, by our names, and not yet text."""

    name: str
    columns: Columns
    table: pa.Table
    checksums: bool

    @property
    def layout(self) -> tuple[object, ...]:
        """Equal for files whose rows can be made text at once."""
        return *self.columns.positions, *self.table.schema.types


def read_columns(data: bytes, name: str, declared: Sequence[Column], max_bytes: int) -> ParquetTable:
    """The declared columns of a file; raises BadData where it cannot be read as a whole.

    Checksums of pages are compared where the file has them.
    """
    try:
        file = pq.ParquetFile(arrow_reader(data))
        header = [str(column) for column in file.schema_arrow.names]
    except _DAMAGE as error:
        raise _corrupt(name, error) from error
    _refuse_too_large(file.metadata, name, max_bytes)
    columns = match_columns(header, name, declared)
    table = _read(data, file, columns, name)
    if not table.num_rows:
        raise BadData(f"{name} has columns and no rows; export it again or remove it")
    return ParquetTable(name, columns, table, has_checksums(data))


def read_parquet(files: Sequence[ParquetTable], declared: Sequence[Column], max_bytes: int) -> list[TextRows]:
    """The rows of files of one layout by their text; the line of a row is its number in its file, from 1.

    They become text at once: of small files that takes longer than reading. What is wrong is found file by file.
    Raises BadData where a file cannot be read as a whole.
    """
    name, table = files[0].name, pa.concat_tables([file.table for file in files])
    if len(files) > 1:
        table = table.unify_dictionaries().combine_chunks()
    types = {column.name: column.type for column in declared}
    try:
        text = pa.table({c: _column_as_text(table[c], c, name, types[c]) for c in table.column_names})
        _refuse_too_long(text, name, max_bytes)
        is_bad, bad = _with_line_breaks(text)
        as_one = len(files) == 1 or not bad.n_lines
    except BadData:
        if len(files) == 1:
            raise
        as_one = False
    if not as_one:
        return [rows for file in files for rows in read_parquet([file], declared, max_bytes)]
    n_rows = [file.table.num_rows for file in files]
    raw = tuple(
        RawFile(
            file.name,
            file.columns,
            LineCounts(n, header=0, rows=n - bad.n_lines, continued=0, bad=bad.n_lines, blank=0),
            bad,
            file.checksums,
        )
        for file, n in zip(files, n_rows, strict=True)
    )
    lines = np.concatenate([np.arange(1, n + 1) for n in n_rows])
    rows = declared_columns(text.filter(pa.array(~is_bad)) if bad.n_lines else text, declared)
    return [TextRows(raw, rows, lines[~is_bad])]


def _refuse_too_large(metadata: pq.FileMetaData, name: str, max_bytes: int) -> None:
    if metadata.num_columns > MAX_COLUMNS:
        raise BadData(
            f"{name} has {metadata.num_columns:,} columns, and {MAX_COLUMNS:,} are read at most; "
            "remove those that are not needed"
        )
    if metadata.num_rows > MAX_ROWS:
        raise BadData(
            f"{name} has {metadata.num_rows:,} rows; more than {MAX_ROWS:,} are not read: remove what is no data"
        )
    _refuse_bytes(
        sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)), name, max_bytes
    )


def _refuse_too_long(text: pa.Table, name: str, max_bytes: int) -> None:
    """A long text is once in a dictionary, and a million rows may refer to it."""
    lengths = (
        pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
        for column in text.columns
        for chunk in column.chunks
    )
    _refuse_bytes(sum(lengths), name, max_bytes)


def _refuse_bytes(n_bytes: int, name: str, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise BadData(
            f"{name} unpacks to {n_bytes:,} bytes, and {max_bytes:,} are read at most; "
            "remove columns that are not needed"
        )


def _read(data: bytes, file: pq.ParquetFile, columns: Columns, name: str) -> pa.Table:
    """The declared columns under our names. Text keeps its dictionary: a long one that repeats is in memory once."""
    schema = file.schema_arrow
    given = {column: schema.names[place] for column, place in columns.positions.items()}
    texts = [column for column in given.values() if _is_text(schema.field(column).type)]
    try:
        file = pq.ParquetFile(
            arrow_reader(data), metadata=file.metadata, page_checksum_verification=True, read_dictionary=texts
        )
        # Threads take ten times as long as a small file does.
        try:
            table = file.read(columns=list(given.values()), use_threads=False)
        except OSError:  # Arrow makes no dictionary of some encodings (DELTA_BYTE_ARRAY)
            whole = pq.ParquetFile(arrow_reader(data), metadata=file.metadata, page_checksum_verification=True)
            table = whole.read(columns=list(given.values()), use_threads=False)
            texts = []
    except _DAMAGE as error:
        raise _corrupt(name, error) from error
    try:
        table.validate(full=True)
    except _DAMAGE as error:
        for column in texts:
            _refuse_no_utf8(table[column], column, name)
        raise _corrupt(name, error) from error
    return pa.table({column: table[theirs] for column, theirs in given.items()})


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _corrupt(name: str, error: Exception) -> BadData:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return BadData(f"{name} is a truncated or corrupt Parquet file ({reason}); export it again")


def _refuse_no_utf8(values: pa.ChunkedArray, column: str, name: str) -> None:
    before = 0
    for chunk in values.chunks:
        for place, word in enumerate(chunk.dictionary.cast(pa.binary()).to_pylist()):
            try:
                (word or b"").decode()
            except UnicodeDecodeError as error:
                row = before + pc.index(chunk.indices, place).as_py() + 1
                raise BadData(
                    f"{name}, row {row}: {column} holds byte 0x{word[error.start]:02X}, which is not UTF-8 (Latin-1 or "
                    "Windows-1252, perhaps); write text as UTF-8"
                ) from error
        before += len(chunk)


def _with_line_breaks(text: pa.Table) -> tuple[npt.NDArray[np.bool_], BadLines]:
    """Rows with a line break in a value (two records in one, perhaps): which these are, and those to be listed."""
    where = np.full(text.num_rows, -1)
    for place, column in enumerate(text.columns):
        where[(where < 0) & _has_line_break(column)] = place
    found = np.flatnonzero(where >= 0)
    if not len(found):
        return where >= 0, NO_BAD_LINES
    listed = found[: MAX_VIOLATIONS if len(found) <= MAX_VIOLATIONS else LISTED_OF_TOO_MANY]
    texts = np.empty(len(listed), dtype=object)
    for place in np.unique(where[listed]).tolist():
        own = where[listed] == place
        texts[own] = text.column(place).take(pa.array(listed[own])).to_pylist()
    rule = "has a line break within {}; write each row, and each value, on one line"
    rules = [rule.format(text.column_names[place]) for place in where[listed].tolist()]
    return where >= 0, BadLines(len(found), listed + 1, rules, texts.tolist())


def _has_line_break(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    parts = [
        np.asarray(pc.match_substring_regex(chunk.dictionary, r"[\r\n]"), dtype=np.bool_)[chunk.indices.to_numpy()]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)


def _column_as_text(values: pa.ChunkedArray, column: str, name: str, type: ColumnType) -> pa.ChunkedArray:
    try:
        if pa.types.is_duration(values.type):  # which Arrow writes as a number without its unit
            raise pa.ArrowTypeError
        return _as_text(values, type)
    except pa.ArrowException as error:
        raise BadData(f"{name}: {column} is of type {values.type}; write it as text") from error


def _as_text(column: pa.ChunkedArray, type: ColumnType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        if _is_text(column.type.value_type):
            return pa.chunked_array([_words(chunk) for chunk in column.chunks], TEXT)
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        if type == "text":  # ids: Arrow writes 1.23e+10
            with suppress(pa.ArrowException):
                column = column.cast(pa.int64())
    text = column.cast(pa.string())
    if pa.types.is_timestamp(column.type) and not column.type.tz and type != "moment":
        # A day that was stored as its midnight; any other time of day stays, and breaks the rule for dates.
        text = pc.replace_substring_regex(text, r" 00:00:00(\.0+)?$", "")
    return pc.fill_null(text, "").dictionary_encode().cast(TEXT)


def _words(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same texts, nothing for a missing one; never one a row: a long one that repeats may be in a million rows."""
    texts = pa.concat_arrays([pc.fill_null(chunk.dictionary.cast(pa.string()), ""), pa.array([""])])
    distinct = texts.dictionary_encode()
    places = pc.fill_null(chunk.indices.cast(pa.int32()), len(texts) - 1)
    return pa.DictionaryArray.from_arrays(distinct.indices.take(places), distinct.dictionary)
