"""Raw game files to one table of text: every value as it stands in its file, with the file and line it stands in.

Reads `*.csv`, `*.csv.gz` and `*.parquet` below a folder. Nothing is interpreted here: `game_rules.py` decides what a
date is. A file that cannot be read as a whole is refused (BadData); a line with the wrong number of fields is a
violation.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.contract import DATE, GAME_COLUMNS
from pipeline.steps.arrow_memory import arrow_reader
from pipeline.steps.game_columns import Columns, match_columns
from pipeline.steps.game_quarantine import FILE, LINE, BadData

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")

_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_UTC: Final = ("UTC", "ETC/UTC", "Z", "GMT", "+00:00", "-00:00")
_NEWLINE: Final = ord("\n")
_QUOTE: Final = ord('"')


@dataclass(frozen=True)
class RaggedLine:
    """A CSV line whose number of fields differs from the header's."""

    line: int
    n_fields: int
    n_expected: int
    text: str


@dataclass(frozen=True)
class RawFile:
    """The text of one file: a dictionary-encoded string column for each of GAME_COLUMNS, and the line of each row."""

    name: str
    table: pa.Table
    lines: npt.NDArray[np.int64]
    unused_columns: tuple[str, ...]
    ragged: tuple[RaggedLine, ...] = field(default=())
    renamed_columns: tuple[tuple[str, str], ...] = ()  # the file's name and ours


@dataclass(frozen=True)
class RawGames:
    """All files: `rows` has FILE, LINE and GAME_COLUMNS as categoricals of text, in the order of file and line."""

    rows: pd.DataFrame
    files: tuple[RawFile, ...]
    ignored_files: tuple[str, ...]


def read_folder(folder: Path) -> RawGames:
    """Read every game file below `folder`; other files, and hidden ones (`.x`, `_SUCCESS`), are only named.

    Raises BadData where there is no game file, or one that cannot be read as a whole.
    """
    if not folder.is_dir():
        raise BadData(f"{folder} is not a folder; give the folder that holds the game files")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    used = [name for name in names if _is_game_file(name)]
    if not used:
        raise BadData(f"{folder} holds no *.csv, *.csv.gz or *.parquet file; put the game files there")
    files = tuple(_read_file(folder / name, name) for name in used)
    return RawGames(_join(files), files, tuple(name for name in names if not _is_game_file(name)))


def _is_game_file(name: str) -> bool:
    hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    return not hidden and name.lower().endswith(SUFFIXES)


def _join(files: Sequence[RawFile]) -> pd.DataFrame:
    table = pa.concat_tables([file.table for file in files]).unify_dictionaries().combine_chunks()
    rows: pd.DataFrame = table.to_pandas()
    numbers = np.repeat(np.arange(len(files)), [len(file.lines) for file in files])
    rows[FILE] = pd.Categorical.from_codes(numbers, categories=pd.Index([file.name for file in files]))
    rows[LINE] = np.concatenate([file.lines for file in files])
    return rows


def _read_file(path: Path, name: str) -> RawFile:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadData(f"{name} cannot be read ({error.strerror}); check its permissions") from error
    if not data:
        raise BadData(f"{name} is empty (0 bytes); export it again or remove it")
    if name.lower().endswith(".parquet"):
        return _read_parquet(data, name)
    return _read_csv(_unzip(data, name) if name.lower().endswith(".gz") else data, name)


def _unzip(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise BadData(f"{name} is a truncated or corrupt gzip file ({reason}); export it again") from error


# --- CSV --------------------------------------------------------------------------------------------------------------
def _read_csv(data: bytes, name: str) -> RawFile:
    data = _utf8(data, name)
    lines, first_record = _record_lines(data, name)
    try:
        header = [cell.strip() for cell in next(csv.reader([first_record]))]
        columns = match_columns(header, name)
        table, ragged = _parse_csv(data, header, lines)
    except (csv.Error, pa.ArrowException) as error:
        reason = str(error).rstrip(".")
        raise BadData(f"{name} cannot be read as CSV ({reason}); export it again") from error
    good_lines = lines[1:][~np.isin(lines[1:], [row.line for row in ragged])]
    if len(good_lines) != table.num_rows or len(lines) - 1 != table.num_rows + len(ragged):
        raise _unpaired_quotes(data, name)  # two readers of the same marks, and not the same records
    if not len(lines[1:]):
        raise BadData(f"{name} has a header and no rows; export it again or remove it")
    return RawFile(name, _game_columns(table, columns), good_lines, columns.unused, tuple(ragged), columns.renamed)


def _parse_csv(data: bytes, header: list[str], lines: npt.NDArray[np.int64]) -> tuple[pa.Table, list[RaggedLine]]:
    """The rows below the header as text, and apart from them the ragged ones."""
    ragged: list[RaggedLine] = []

    def keep_ragged(row: pa_csv.InvalidRow) -> str:
        # `number` counts records from 1 and includes the header; it is known because one thread reads.
        ragged.append(
            RaggedLine(int(lines[min(row.number, len(lines)) - 1]), row.actual_columns, row.expected_columns, row.text)
        )
        return "skip"

    table = pa_csv.read_csv(
        arrow_reader(data),
        # One block: a quoted line break can't be cut in two, and each column has one dictionary.
        read_options=pa_csv.ReadOptions(column_names=header, use_threads=False, block_size=len(data) + 1),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep_ragged),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(header, _TEXT), strings_can_be_null=False),
    )
    return table.slice(1), ragged


def _utf8(data: bytes, name: str) -> bytes:
    """The bytes without byte-order mark and with `\\n` line ends; refuses what is not UTF-8, naming the line."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadData(f"{name} is UTF-16, not UTF-8; save it as UTF-8")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"0x{data[error.start]:02X}"
        raise BadData(
            f"{name}, line {line}: byte {byte} is not UTF-8 (Latin-1 or Windows-1252, perhaps); save the file as UTF-8"
        ) from error
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.strip():
        raise BadData(f"{name} is empty (only blank lines); export it again or remove it")
    return data


def _record_lines(data: bytes, name: str) -> tuple[npt.NDArray[np.int64], str]:
    """The 1-based line in which each record starts (blank lines are none), and the text of the first record.

    A line break within quotation marks belongs to its record: an odd number of marks stands before it.
    """
    characters = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(characters == _NEWLINE)
    ends = breaks
    if b'"' in data:
        n_quotes = np.cumsum(characters == _QUOTE)
        if n_quotes[-1] % 2:
            raise _unpaired_quotes(data, name)
        ends = breaks[n_quotes[breaks] % 2 == 0]
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.append(0, ends[:-1] + 1)
    filled = ends > starts
    first = data[starts[filled][0] : ends[filled][0]].decode("utf-8")
    return np.searchsorted(breaks, starts[filled]).astype(np.int64) + 1, first


def _unpaired_quotes(data: bytes, name: str) -> BadData:
    odd = (number for number, line in enumerate(data.split(b"\n"), start=1) if line.count(b'"') % 2)
    return BadData(f"{name}, line {next(odd, 1)} or later: quotation marks do not pair up; export the file again")


# --- Parquet ----------------------------------------------------------------------------------------------------------
def _read_parquet(data: bytes, name: str) -> RawFile:
    """Read typed columns back to the text that a CSV would hold; the line of a row is its number, from 1."""
    try:
        table = pq.ParquetFile(arrow_reader(data)).read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BadData(f"{name} is a truncated or corrupt Parquet file ({reason}); export it again") from error
    columns = match_columns(table.column_names, name)
    if not table.num_rows:
        raise BadData(f"{name} has columns and no rows; export it again or remove it")
    text = [_day_or_text(table.column(position), column, name) for column, position in columns.positions.items()]
    read = pa.table(text, list(columns.positions))
    lines = np.arange(1, table.num_rows + 1, dtype=np.int64)
    in_order = replace(columns, positions={column: place for place, column in enumerate(columns.positions)})
    return RawFile(name, _game_columns(read, in_order), lines, columns.unused, renamed_columns=columns.renamed)


def _day_or_text(values: pa.ChunkedArray, column: str, name: str) -> pa.ChunkedArray:
    if column == DATE and pa.types.is_timestamp(values.type) and values.type.tz:
        if values.type.tz.upper() in _UTC:
            raise BadData(
                f"{name}: date is a time in UTC ({values.type}), and a day in UTC is often the day after the game's; "
                "write the local day of the game, as a date or as text (YYYY-MM-DD)"
            )
        values = pc.local_timestamp(values)
    try:
        return _as_text(values)
    except pa.ArrowException as error:
        raise BadData(f"{name}: {column} is of type {values.type}; write it as text") from error


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    text = column.cast(pa.string())
    if pa.types.is_timestamp(column.type):
        # A day that was stored as its midnight; any other time of day stays, and breaks the rule for dates.
        text = pc.replace_substring_regex(text, r" 00:00:00(\.0+)?Z?$", "")
    return pc.fill_null(text, "").dictionary_encode().cast(_TEXT)


# --- both -------------------------------------------------------------------------------------------------------------
def _game_columns(table: pa.Table, columns: Columns) -> pa.Table:
    """The table's game columns in the contract's order; an absent optional column is empty."""
    empty = pa.repeat("", table.num_rows).dictionary_encode().cast(_TEXT)
    found = {column: table.column(position) for column, position in columns.positions.items()}
    return pa.table({column: found.get(column, empty) for column in GAME_COLUMNS})
