"""The lines of CSV event files: each belongs to the header or to a row, or is blank; else the file is refused.

A quotation mark too many makes a reader of CSV take the lines up to the next mark for one field. Those events would be
gone without a trace, and their game is unknown. So lines are counted, which takes little, and must be
as many as the rows that the engine has read. Only a file where they are not is read again, line by line.

Standard library only, Python 3.9 of a Spark image.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from pipeline.contract.reasons import counted
from pipeline.ingest.files.limits import MAX_LINE

_BLOCK: Final = 1 << 18
_MAX_FIELD: Final = 1 << 24  # characters that two quotation marks may have between them, to be told by their lines
_ENDS: Final = {"\n": "LF", "\r\n": "CR LF", "\r": "CR"}


class LinesError(Exception):
    """Lines that are no rows; the text says which, and what to do."""


@dataclass(frozen=True)
class Lines:
    """lines = header + rows + blank lines + lines that continue the header or a row."""

    lines: int
    rows: int
    blank: int


def count_lines(file: BinaryIO, max_bytes: int) -> int | None:
    """How many lines there are; None for a file that must be read line by line, whatever the engine makes of it.

    That is one with NUL, other text than UTF-8, line ends of several kinds, or an odd number of marks in its last line.
    Raises LinesError beyond `max_bytes`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_bytes = n_lf = n_cr = n_both = 0
    before = last = b""
    while block := file.read(_BLOCK):
        n_bytes += len(block)
        if n_bytes > max_bytes:
            raise LinesError(f"unpacks to more than {max_bytes:,} bytes; give the events in several files")
        try:
            decoder.decode(block)
        except UnicodeDecodeError:
            return None
        if b"\0" in block:
            return None
        n_lf += block.count(b"\n")
        if b"\r" in block:
            n_cr += block.count(b"\r")
        if n_cr:
            n_both += (last[-1:] + block).count(b"\r\n")
        before, last = last, block
    tail = (before + last).replace(b"\r", b"\n")
    if tail.rstrip(b"\n").rpartition(b"\n")[2].count(b'"') % 2 or [n_lf - n_both, n_cr - n_both, n_both].count(0) < 2:
        return None
    return n_lf + n_cr - n_both + (tail[-1:] not in (b"", b"\n"))


def read_header(file: BinaryIO) -> tuple[int, list[str]]:
    """The number of blank lines before the header, and the header. Raises LinesError."""
    records = _Records(file)
    return next(((records.start - 1, fields) for fields in records if fields), (0, []))


def read_lines(file: BinaryIO, used: Collection[str]) -> Lines:
    """Read every line; raises LinesError for the first that is no row, and for a line break in a column of `used`."""
    records = _Records(file)
    header: list[str] = []
    n_records = n_blank = 0
    for fields in records:
        records.compare_ends()
        if not fields:
            n_blank += 1
            continue
        header = header or fields
        n_records += 1
        broken = any(
            name in used and ("\n" in value or "\r" in value)
            for name, value in zip(header, fields)  # noqa: B905
        )
        if len(records.lines) > 1 and (broken or len(fields) != len(header) or records.look_like_rows(len(header))):
            raise LinesError(
                f"lines {records.start:,} to {records.number:,} are one row, because quotation marks open in line "
                f"{records.start:,} and close in line {records.number:,}; remove the mark that is too many, or write "
                "the row on one line"
            )
        if len(fields) != len(header):
            raise LinesError(
                f"line {records.number:,} has {counted(len(fields), 'field')}, where the header has "
                f"{len(header):,}; {records.remedy()}"
            )
    return Lines(records.number, n_records - 1, n_blank)


class _Records:
    """The records of a CSV file, each with its lines; raises LinesError where a line cannot be read.

    `start`: the number (from 1) of the record's first line, `number` of its last, `lines`: their text.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._end = ""
        self.lines: list[str] = []
        self.start, self.number = 1, 0

    def __iter__(self) -> Iterator[list[str]]:
        limit = csv.field_size_limit(_MAX_FIELD)
        try:
            for fields in csv.reader(self._lines(), strict=True):
                yield fields
                self.start, self.lines = self.number + 1, []
        except csv.Error as error:
            raise LinesError(self._quotes(str(error))) from error
        finally:
            csv.field_size_limit(limit)

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(MAX_LINE + 1):
            self.number += 1
            if len(line) > MAX_LINE:
                raise LinesError(f"line {self.number:,} is longer than {MAX_LINE:,} characters; export it again")
            if "\0" in line:
                raise LinesError(f"line {self.number:,} holds NUL, which no text does; export it again")
            try:
                line.encode()
            except UnicodeEncodeError as error:
                raise LinesError(f"line {self.number:,} is not UTF-8; save the file as UTF-8") from error
            self.lines.append(line)
            yield line

    def _quotes(self, found: str) -> str:
        if "unexpected end" in found or "larger than" in found:
            return (
                f"a quotation mark opens in line {self.start:,} and does not close up to line {self.number:,}; "
                "remove the mark, or export the file again"
            )
        if self.start < self.number:
            return (
                f"a quotation mark opens in line {self.start:,} and meets another within line {self.number:,}; "
                "remove the mark that is too many"
            )
        return f"line {self.number:,} has a quotation mark within quoted text; write it twice, or remove it"

    def compare_ends(self) -> None:
        """Raise LinesError where the record's line end is of another kind than the first line's."""
        line = self.lines[-1]
        end = line[len(line.rstrip("\r\n")) :]
        self._end = self._end or end
        if end not in (self._end, ""):
            raise LinesError(
                f"line {self.number:,} ends with {_ENDS.get(end, end)}, and lines before it with {_ENDS[self._end]}; "
                "save the file with one kind of line ends"
            )

    def look_like_rows(self, n_columns: int) -> bool:
        """Whether the first line and a later one could be rows by their commas: a mark swallowed what is between."""
        n_commas = [line.count(",") for line in self.lines]
        return n_commas[0] >= n_columns - 1 and max(n_commas[1:]) >= n_columns - 1

    def remedy(self) -> str:
        """What to do about a line that is no row."""
        cut = not self.lines[-1].endswith(("\n", "\r"))
        return "the file ends there, as if cut: export it again" if cut else "correct it, or export the file again"
