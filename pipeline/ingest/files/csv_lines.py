"""What each line of a CSV file is: blank, the header, a row, the continuation of a row, or bad. None is forgotten.

A line of nothing but commas and blanks is blank too: spreadsheets write rows of empty cells.

A quotation mark too many makes a reader of CSV take the lines up to the next mark for one field, and those rows are
gone without a trace. So lines are told apart here, before Arrow reads the good ones, and Arrow must then find as many
rows. A row may go over several lines only where all line breaks are in columns that are not read, and where its lines
do not look like rows themselves.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.ingest.files.limits import LISTED_OF_TOO_MANY, MAX_LINE, MAX_VIOLATIONS

BLANK: Final = 0
HEADER: Final = 1
ROW: Final = 2
CONTINUED: Final = 3
BAD: Final = 4

_BLANKS: Final = re.compile(rb"^(?=,*[ \t\f\v])[ \t\f\v,]+$", re.MULTILINE)  # lines of commas alone are counted
_NEWLINE: Final = ord("\n")
_COMMA: Final = ord(",")
_BLOCK: Final = 4 << 20  # bytes
_SHOWN: Final = 100  # characters of a bad line

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BadLines:
    """Lines that are no rows, ascending: their numbers (from 1), what is wrong with each in words, and their text.

    All of them, or the first LISTED_OF_TOO_MANY where there are more than MAX_VIOLATIONS; `n_lines`: how many.
    """

    n_lines: int
    numbers: Numbers
    rules: Sequence[str]
    texts: Sequence[str]


@dataclass(frozen=True)
class CsvLines:
    """The lines of a file: `kinds` has one of BLANK, HEADER, ROW, CONTINUED, BAD for each.

    `rows` is the text of the good rows alone, `starts` the number (from 1) of the line in which each starts.
    """

    kinds: npt.NDArray[np.uint8]
    starts: Numbers
    rows: memoryview
    bad: BadLines


class QuotesError(Exception):
    """Quotation marks that make the rest of the file unreadable; `line` is where the first opens."""

    def __init__(self, line: int) -> None:
        super().__init__(f"a quotation mark opens a field of more than {MAX_LINE:,} characters")
        self.line = line


def first_line(data: bytes) -> tuple[int, bytes]:
    """Number (from 0) and text of the first line that is not blank; the text ends after MAX_LINE + 1 bytes."""
    start = len(data) - len(data.lstrip(b"\n"))
    end = data.find(b"\n", start, start + MAX_LINE + 1)
    return start, data[start : start + MAX_LINE + 1 if end < 0 else end]


def sort_lines(data: bytes, header_line: int, n_columns: int, used: Collection[int]) -> CsvLines:
    r"""Tell the lines of `data` apart; it is UTF-8 with `\n` line ends.

    `header_line` (from 0) has been read, and names `n_columns`; those at the places `used` may hold no line break.
    Raises QuotesError.
    """
    lines = _Lines(data)
    kinds = np.where(lines.lengths > 0, ROW, BLANK).astype(np.uint8)
    kinds[header_line] = HEADER
    too_long = np.flatnonzero((lines.lengths > MAX_LINE) & (kinds == ROW))
    kinds[too_long] = BAD
    wrong: dict[int, str] = dict.fromkeys(too_long.tolist(), f"is longer than {MAX_LINE:,} characters")
    if b'"' in data:
        wrong |= _quoted(lines, kinds, n_columns, used)
    else:
        n_commas = lines.n_commas()
        kinds[(n_commas == lines.lengths) & (kinds == ROW)] = BLANK
        blanks = np.fromiter((found.start() for found in _BLANKS.finditer(data)), dtype=np.int64)
        kinds[np.searchsorted(lines.starts, blanks)] = BLANK
        kinds[header_line] = HEADER
        found = np.flatnonzero(kinds == ROW)
        n_fields = n_commas[found] + 1
        ragged = n_fields != n_columns
        if ragged.any():
            kinds[found[ragged]] = BAD
            words = {int(n): _wrong_number(int(n), n_columns) for n in np.unique(n_fields[ragged])}
            listed = found[ragged][:MAX_VIOLATIONS].tolist()
            wrong |= zip(listed, map(words.__getitem__, n_fields[ragged][:MAX_VIOLATIONS].tolist()), strict=True)
    return CsvLines(kinds, np.flatnonzero(kinds == ROW) + 1, lines.text_of(kinds), _bad_lines(lines, kinds, wrong))


class _Lines:
    """Where each line of a text starts, and its length without the line end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.characters = np.frombuffer(data, dtype=np.uint8)
        breaks = np.flatnonzero(self.characters == _NEWLINE)
        ends = breaks if data.endswith(b"\n") else np.append(breaks, len(data))
        self.starts = np.append(0, ends[:-1] + 1)
        self.lengths = ends - self.starts

    def n_commas(self) -> Numbers:
        """How many commas each line has; in blocks, because the sums need eight bytes for each character."""
        counts = np.zeros(len(self.starts), dtype=np.int64)
        edges = np.searchsorted(self.starts, np.arange(0, len(self.data) + _BLOCK, _BLOCK))
        for first, end in itertools.pairwise(np.unique(np.append(edges, len(self.starts))).tolist()):
            start = self.starts[first]
            block = self.characters[start : self.starts[end] if end < len(self.starts) else None]
            if len(block) <= 2 * _BLOCK:
                counts[first:end] = np.add.reduceat(block == _COMMA, self.starts[first:end] - start, dtype=np.int64)
            else:  # a very long line
                counts[first:end] = [self.text(line).count(b",") for line in range(first, end)]
        return counts

    def text(self, line: int) -> bytes:
        """One line without its end."""
        return self.data[self.starts[line] : self.starts[line] + self.lengths[line]]

    def text_of(self, kinds: npt.NDArray[np.uint8]) -> memoryview:
        """The text of rows and their continuations; a copy only where other lines are between them."""
        if not ((kinds == BAD) | ((kinds == BLANK) & (self.lengths > 0))).any():
            after = np.flatnonzero(kinds == HEADER)[0] + 1
            return memoryview(self.data)[self.starts[after] if after < len(kinds) else len(self.data) :]
        whole = np.diff(self.starts, append=len(self.data))
        return memoryview(self.characters[np.repeat((kinds == ROW) | (kinds == CONTINUED), whole)].tobytes())


def _wrong_number(n_fields: int, n_expected: int) -> str:
    return f"has a wrong number of fields: {n_fields}, where the header has {n_expected}"


def _bad_lines(lines: _Lines, kinds: npt.NDArray[np.uint8], wrong: dict[int, str]) -> BadLines:
    found = np.flatnonzero(kinds == BAD)
    listed = found[: MAX_VIOLATIONS if len(found) <= MAX_VIOLATIONS else LISTED_OF_TOO_MANY]
    starts, lengths = lines.starts[listed].tolist(), np.minimum(lines.lengths[listed], 4 * _SHOWN).tolist()
    texts = [
        lines.data[start : start + length].decode(errors="ignore")[:_SHOWN]
        for start, length in zip(starts, lengths, strict=True)
    ]
    return BadLines(len(found), listed + 1, [wrong[line] for line in listed.tolist()], texts)


# --- quotation marks --------------------------------------------------------------------------------------------------
def _quoted(lines: _Lines, kinds: npt.NDArray[np.uint8], n_columns: int, used: Collection[int]) -> dict[int, str]:
    """Set the kinds of lines where fields may be quoted; what is wrong with each that is bad."""
    wrong: dict[int, str] = {}

    def mark(start: int, last: int, rule: str) -> None:
        kinds[start:last] = BAD
        if len(wrong) < MAX_VIOLATIONS:
            wrong.update(dict.fromkeys(range(start, last), rule))

    first = start = last = int(np.flatnonzero(kinds == HEADER)[0]) + 1
    reader = csv.reader(_texts(lines, kinds, first))
    try:
        for fields in reader:
            start, last = last, first + reader.line_num
            if last - start == 1:
                if kinds[start] == ROW and not any(field.strip() for field in fields):
                    kinds[start] = BLANK
                elif fields and len(fields) != n_columns:
                    mark(start, last, _wrong_number(len(fields), n_columns))
            elif (
                len(fields) != n_columns
                or any("\n" in fields[place] for place in used)
                or _looks_like_rows(lines, start, last, n_columns)
            ):
                mark(start, last, _over_lines(lines, start, last))
            else:
                kinds[start + 1 : last] = CONTINUED
    except csv.Error as error:
        raise QuotesError(last + 1) from error
    if start < last and kinds[last - 1] in (ROW, CONTINUED) and _is_open(lines, start, last):
        mark(start, last, _over_lines(lines, start, last))
    return wrong


def _texts(lines: _Lines, kinds: npt.NDArray[np.uint8], first: int) -> Iterator[str]:
    """Every line from `first` on with its end; one that is bad by itself is blank for the reader."""
    file = io.TextIOWrapper(io.BytesIO(lines.data), encoding="utf-8", newline="\n")
    known = zip(kinds.tobytes(), file, strict=True)
    return ("\n" if kind == BAD else line for kind, line in itertools.islice(known, first, None))


def _over_lines(lines: _Lines, start: int, last: int) -> str:
    end = "do not close" if last == len(lines.lengths) and _is_open(lines, start, last) else f"close in line {last}"
    return (
        f"is inside quotation marks that go over several lines: they open in line {start + 1} and {end}; "
        "remove the mark that is too many, or write the row on one line"
    )


def _looks_like_rows(lines: _Lines, start: int, last: int, n_columns: int) -> bool:
    """Whether the first line and a later one could be rows by their commas: then a mark swallowed the lines between."""
    n_commas = [lines.text(line).count(b",") for line in range(start, last)]
    return n_commas[0] >= n_columns - 1 and max(n_commas[1:]) >= n_columns - 1


def _is_open(lines: _Lines, start: int, last: int) -> bool:
    """Whether the record ends with the file, within quotation marks."""
    texts = [lines.text(line).decode() + "\n" for line in range(start, last)]
    try:
        list(csv.reader(texts, strict=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False
