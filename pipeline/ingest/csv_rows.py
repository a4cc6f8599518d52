"""A CSV file to text: every line is accounted for, and Arrow reads those that are rows."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipeline.contract.reasons import counted
from pipeline.contract.spec import Column
from pipeline.ingest.column_words import as_words
from pipeline.ingest.columns import Columns, is_header, letters_of, match_columns
from pipeline.ingest.files.arrow_memory import arrow_reader
from pipeline.ingest.files.csv_lines import CONTINUED, HEADER, CsvLines, QuotesError, first_line, sort_lines
from pipeline.ingest.files.file_content import HEAD_BYTES, text_unlike_csv
from pipeline.ingest.files.limits import MAX_COLUMNS, MAX_GZIP_PARTS, MAX_LINE, MAX_ROWS
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.raw_rows import TEXT, LineCounts, RawFile, TextRows, declared_columns

_BLOCK: Final = 16 << 20  # bytes that Arrow parses at a time, all columns of them; more than any line has
_FEW_NAMES: Final = 4  # in a row that may be a header
_TITLE_LINES: Final = 20
_GZIP_PART: Final = b"\x1f\x8b\x08"  # in packed data once in 16 MB by chance
_CHUNK: Final = 1 << 20  # bytes that are decoded at a time: text may take four times as much memory as UTF-8


def unzip(data: bytes, name: str, max_bytes: int) -> bytes:
    """The content of a gzip file, with its checksum compared; one byte more than `max_bytes` at most."""
    if data.count(_GZIP_PART) > MAX_GZIP_PARTS:
        raise BadData(f"{name} has more than {MAX_GZIP_PARTS:,} gzip parts; pack it as one")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            text = packed.read(max_bytes + 1)
    except (EOFError, OSError, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise BadData(f"{name} is a truncated or corrupt gzip file ({reason}); export it again") from error
    if found := text_unlike_csv(name, text[:HEAD_BYTES]):
        raise BadData(found)
    return text


@dataclass(frozen=True)
class CsvFile:
    """A file whose lines are told apart, and whose rows are not yet split into fields."""

    name: str
    data: bytes
    header: tuple[str, ...]
    columns: Columns
    lines: CsvLines

    @property
    def layout(self) -> tuple[object, ...]:
        """Equal for files whose rows can be read as if they were of one: the columns' order and names."""
        return len(self.header), *((place, as_words(self.header[place])) for place in self.columns.positions.values())


def read_lines(data: bytes, name: str, declared: Sequence[Column]) -> CsvFile:
    """Tell the lines of a file apart; raises BadData where it cannot be read as a whole."""
    data = _text(data, name)
    header_line, header = _header(data, name, declared)
    columns = match_columns(header, name, declared)
    try:
        lines = sort_lines(data, header_line, len(header), columns.positions.values())
    except QuotesError as error:
        raise BadData(f"{name}, line {error.line}: {error}; remove the mark, or close the field") from error
    return CsvFile(name, data, tuple(header), columns, lines)


def read_csv(files: Sequence[CsvFile], declared: Sequence[Column]) -> list[TextRows]:
    """The rows of files of one layout by their text, read at once; raises BadData where one cannot be read as a whole.

    Arrow's reader takes a millisecond to start, which is too much for each of 10,000 small files.
    """
    n_rows = [len(file.lines.starts) for file in files]
    table = _parse(files)
    between = np.cumsum([n + 1 for n in n_rows[:-1]], dtype=np.int64) - 1
    as_counted = table.num_rows == sum(n_rows) + len(between)
    if not as_counted or any(map(any, table.take(pa.array(between)).to_pydict().values())):
        if len(files) > 1:
            return [rows for file in files for rows in read_csv([file], declared)]
        raise BadData(
            f"{files[0].name}: quotation marks are ambiguous ({counted(n_rows[0], 'row')} or "
            f"{table.num_rows:,}); put a field with quotation marks into quotation marks, and double those within it"
        )
    if len(between):
        table = table.filter(pa.array(~np.isin(np.arange(table.num_rows), between)))
    kept = np.ones(table.num_rows, dtype=np.bool_)
    starts = np.concatenate([file.lines.starts for file in files])
    kept[_headers_among(table, files, starts, declared)] = False
    raw = tuple(map(_counted, files, np.split(kept, np.cumsum(n_rows)[:-1])))
    table = table if kept.all() else table.filter(pa.array(kept))
    return [TextRows(raw, declared_columns(table, declared), starts[kept])]


def _counted(file: CsvFile, kept: npt.NDArray[np.bool_]) -> RawFile:
    """The file without its rows; `kept` is False for those that repeat the header."""
    lines = file.lines
    lines.kinds[lines.starts[~kept] - 1] = HEADER
    counts = LineCounts.of(lines.kinds)
    if not counts.rows + counts.bad:
        raise BadData(f"{file.name} has a header and no rows; export it again or remove it")
    return RawFile(file.name, file.columns, counts, lines.bad)


def _headers_among(
    table: pa.Table, files: Sequence[CsvFile], starts: npt.NDArray[np.int64], declared: Sequence[Column]
) -> npt.NDArray[np.int64]:
    """Rows (by position) that repeat the header, as in files that were joined; refuses one with columns elsewhere."""
    header, columns = files[0].header, files[0].columns
    letters = list(map(letters_of, header))
    same, n_names = np.ones(table.num_rows, dtype=np.bool_), np.zeros(table.num_rows, dtype=np.int64)
    names = _pattern_of(header[place] for place in columns.positions.values())
    for column, place in columns.positions.items():
        values = table[column].combine_chunks()
        words = {code: word for code, word in _words_of(values.dictionary, names).items() if word in letters}
        if words:
            codes = values.indices.to_numpy()
            n_names += np.isin(codes, list(words))
            same &= np.isin(codes, [code for code, word in words.items() if word == letters[place]])
        else:
            same[:] = False
    ends = np.cumsum([len(file.lines.starts) for file in files])
    for row in np.flatnonzero((n_names >= _FEW_NAMES) & ~same)[:_FEW_NAMES].tolist():
        file, line = files[np.searchsorted(ends, row, side="right")], int(starts[row])
        if is_header(next(csv.reader([file.data.split(b"\n", line)[line - 1].decode()]), []), declared):
            raise BadData(
                f"{file.name}, line {line}: a second header, with its columns in another order than the first; put the "
                "rows from there on into a file of their own"
            )
    return np.flatnonzero(same)


def _pattern_of(names: Iterable[str]) -> str:
    """A regular expression, for Arrow, of texts that are one of the names as words."""
    between = r"[\W_]*"
    words = (between.join(map(re.escape, as_words(name).split("_"))) for name in names)
    return f"^{between}({'|'.join(words)}){between}$"


def _words_of(texts: pa.Array, names: str) -> dict[int, str]:
    """By their place: texts that can be `names` of columns, as letters."""
    found = np.asarray(pc.match_substring_regex(texts, names, ignore_case=True), dtype=np.bool_)
    places = np.flatnonzero(found)
    return dict(zip(places.tolist(), map(letters_of, texts.take(pa.array(places)).to_pylist()), strict=True))


def _parse(files: Sequence[CsvFile]) -> pa.Table:
    """The declared columns of the good rows, as text and under our names.

    Between two files goes a row of empty cells, which is among the rows of none: what is in quotation marks in one
    file cannot end in the next one unseen.
    """
    columns, n_columns = files[0].columns, len(files[0].header)
    names = [f"_{place}" for place in range(n_columns)]
    for column, place in columns.positions.items():
        names[place] = column
    between = b'""' + b"," * (n_columns - 1) + b"\n"
    parts = [part for file in files for part in (file.lines.rows, b"" if _is_ended(file) else b"\n", between)][:-1]
    n_bytes = sum(map(len, parts))
    if not n_bytes:
        return pa.table({column: pa.array([], TEXT) for column in columns.positions})
    over_lines = any((file.lines.kinds == CONTINUED).any() for file in files)
    return pa_csv.read_csv(
        arrow_reader(*parts),
        # Where a row goes over several lines, one block: a quoted line break can't be cut in two.
        read_options=pa_csv.ReadOptions(
            column_names=names, use_threads=False, block_size=1 + (n_bytes if over_lines else min(n_bytes, _BLOCK))
        ),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip"),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns.positions, TEXT),
            include_columns=list(columns.positions),
            strings_can_be_null=False,
        ),
    )


def _is_ended(file: CsvFile) -> bool:
    return not len(file.lines.rows) or file.lines.rows[-1] == ord("\n")


def _text(data: bytes, name: str) -> bytes:
    r"""The bytes without byte-order mark and with `\n` line ends; refuses what is no UTF-8, naming the line."""
    place = _first_no_utf8(data)
    if place is not None:
        line = data.count(b"\n", 0, place) + 1
        raise BadData(
            f"{name}, line {line}: byte 0x{data[place]:02X} is not UTF-8 (Latin-1 or Windows-1252, perhaps); "
            "save the file as UTF-8"
        )
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.strip():
        raise BadData(f"{name} is empty (only blank lines); export it again or remove it")
    if (n_lines := data.count(b"\n")) > MAX_ROWS:
        raise BadData(f"{name} has {n_lines:,} lines; more than {MAX_ROWS:,} rows are not read: remove what is no data")
    return data


def _first_no_utf8(data: bytes) -> int | None:
    start = len(data) if data.isascii() else 0
    while start < len(data):
        end = data.find(b"\n", start + _CHUNK) + 1 or len(data)  # a line's end never cuts a character
        try:
            data[start:end].decode()
        except UnicodeDecodeError as error:
            return start + error.start
        start = end
    return None


def _header(data: bytes, name: str, declared: Sequence[Column]) -> tuple[int, list[str]]:
    """Number (from 0) of the first line that is not blank, and its cells."""
    line, text = first_line(data)
    if len(text) > MAX_LINE:
        raise BadData(f"{name}, line {line + 1}: the header is longer than {MAX_LINE:,} characters; export it again")
    try:
        header = [cell.strip() for cell in next(csv.reader([text.decode()], strict=True))]
    except csv.Error as error:
        raise BadData(f"{name}, line {line + 1}: the header cannot be read ({error}); export it again") from error
    if len(header) > MAX_COLUMNS:
        raise BadData(
            f"{name}, line {line + 1}: the header has {len(header):,} columns, and {MAX_COLUMNS:,} are read at most; "
            "remove those that are not needed"
        )
    if not is_header(header, declared) and (above := _lines_above(data, declared)):
        raise BadData(f"{name}, line {line + 1 + above}: this seems to be the header: remove the lines above it")
    return line, header


def _lines_above(data: bytes, declared: Sequence[Column]) -> int:
    """How many lines precede one that is a header, of the first few; 0 for none."""
    head = data.lstrip(b"\n")[: _TITLE_LINES * MAX_LINE].split(b"\n", _TITLE_LINES)[:_TITLE_LINES]
    rows = ([cell.strip() for cell in text.decode(errors="replace").split(",")] for text in head)
    return next((number for number, cells in enumerate(rows) if is_header(cells, declared)), 0)
