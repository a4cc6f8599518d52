"""Event files of a folder, looked at before an engine reads them: readable, with the columns, in known types.

An engine's own complaint about a file names neither the file nor what to do; these do. What is in a Parquet file is
asked of the engine that is going to read it. (pyarrow knows it as well, but no cluster has it, and importing it takes a
tenth of the time that DuckDB takes for a season.)
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, cast

from pipeline.contract.container import StepError
from pipeline.contract.reasons import counted
from pipeline.ingest.column_words import closest, listed
from pipeline.ingest.files.data_folder import KINDS, FolderError, LeftOut, data_files
from pipeline.ingest.files.file_content import HEAD_BYTES, unlike_its_name
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.play_by_play.event_lines import Lines, LinesError, count_lines, read_header, read_lines

MAX_UNPACKED: Final = 4 << 30  # bytes of a gzip file: 20 seasons of events
CSV: Final = "csv"
PARQUET: Final = "parquet"
# Kinds of columns of a Parquet file.
TEXT: Final = "text"  # or nothing but missing values
WHOLE: Final = "whole numbers"
FLOATS: Final = "floating-point numbers"
DAYS: Final = "days or times"
INSTANTS: Final = "times in UTC"
OTHER: Final = "something else"
# A column that pandas holds as floating point, because of a missing value, is still one of whole numbers.
_FLOATS_ALLOWED: Final = ("period", "actionNumber")


class CorruptFile(Exception):  # noqa: N818 (it is about the file)
    """A file that its library cannot read; the text is the library's."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


@dataclass(frozen=True)
class ParquetColumn:
    """A column of a Parquet file: its name, its kind (above), and its type as the library writes it."""

    name: str
    kind: str
    type: str


Columns = Callable[[Sequence[Path]], Mapping[Path, Sequence[ParquetColumn]]]


@dataclass(frozen=True)
class EventFile:
    """A file that an engine can read; `name` is its path below the folder. Files of one layout are one table.

    `layout`: "csv", the number of blank lines before the header, and the header; or "parquet" and each of EVENT_COLUMNS
    with its type. `n_lines`: those of a CSV file; None where it must be read line by line.
    """

    name: str
    path: Path
    layout: tuple[str, ...]
    n_lines: int | None = None

    @property
    def is_csv(self) -> bool:
        """Whether it has lines."""
        return self.layout[0] == CSV

    def lines_of(self, n_rows: int) -> Lines:
        """What its lines are, given the number of rows that the engine has read. Raises StepError."""
        n_blank = int(self.layout[1])
        if self.n_lines == n_blank + 1 + n_rows:
            return Lines(self.n_lines, n_rows, n_blank)
        lines = self.read_lines()
        if lines.rows != n_rows:
            raise StepError(
                f"{self.name} has {counted(lines.rows, 'row')}, of which {n_rows:,} were read; export it again"
            )
        return lines

    def read_lines(self) -> Lines:
        """Read it line by line; raises StepError for the first that is no row."""
        with _opened(self.path, self.name) as file:
            return read_lines(file, n.EVENT_COLUMNS)


@dataclass(frozen=True)
class EventFiles:
    """All event files of a folder, and what else is there with the reason why it is not read."""

    files: tuple[EventFile, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    by_path: Mapping[Path, EventFile] = field(init=False)

    def __post_init__(self) -> None:
        """Files by their absolute paths."""
        object.__setattr__(self, "by_path", {file.path.absolute(): file for file in self.files})

    def by_layout(self) -> dict[tuple[str, ...], list[Path]]:
        """The paths, those of one layout together."""
        found: dict[tuple[str, ...], list[Path]] = {}
        for file in self.files:
            found.setdefault(file.layout, []).append(file.path)
        return found

    def name_of(self, address: str) -> str:
        """The name of a file by an engine's address of it."""
        return self.by_path[Path(address.removeprefix("file://")).absolute()].name

    def refuse_bad_lines(self, complaint: str) -> None:
        """Raise StepError for a line that is no row, if there is one: an engine's complaint may name its file."""
        for file in sorted(self.files, key=lambda file: file.path.name not in complaint):
            if file.is_csv:
                file.read_lines()


def text_columns(header: Sequence[str]) -> list[str]:
    """Names for the columns of a CSV file; one that is not read is named by its position, because names may repeat."""
    return [name if name in n.EVENT_COLUMNS else f"_{place}" for place, name in enumerate(header)]


def find(folder: Path, columns: Columns) -> EventFiles:
    """Find and check the files below `folder`; raises StepError that names file, column and what to do.

    `columns` reads those of Parquet files.
    """
    prefix = "EventsPrefix (locally: --events); put the event files there, or give none"
    try:
        found = data_files(folder, prefix, lambda _: f"is no {KINDS}")
    except FolderError as error:
        raise StepError(str(error)) from error
    used = {file.name: file.path for file in found.files}
    for name, path in used.items():
        _refuse_other_content(path, name)
    parquet = _parquet_layouts({path: name for name, path in used.items() if _is_parquet(name)}, columns)
    files = [
        EventFile(name, path, parquet[name]) if name in parquet else _csv_file(name, path)
        for name, path in used.items()
    ]
    return EventFiles(tuple(files), tuple(found.left_out))


def _refuse_other_content(path: Path, name: str) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise StepError(f"{name} cannot be read ({error.strerror}); check its permissions") from error
    if problem := unlike_its_name(name, head):
        raise StepError(problem)


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def _parquet_layouts(names: Mapping[Path, str], columns: Columns) -> dict[str, tuple[str, ...]]:
    try:
        found = columns(list(names))
    except CorruptFile as error:
        name, reason = names[error.path], str(error).splitlines()[0].rstrip(".")
        raise StepError(f"{name} is a truncated or corrupt Parquet file ({reason}); export it again") from error
    return {name: _parquet_layout(found[path], name) for path, name in names.items()}


def _parquet_layout(found: Sequence[ParquetColumn], name: str) -> tuple[str, ...]:
    check_columns([column.name for column in found], name)
    wanted = {column.name: column for column in found if column.name in n.EVENT_COLUMNS}
    for column in wanted.values():
        if column.name == "date" and column.kind == INSTANTS:
            raise StepError(
                f"{name}: date is a time in UTC ({column.type}), and a day in UTC is often the next local day; "
                "write the local day, as a date or as text (YYYY-MM-DD)"
            )
        days, floats = column.name == "date", column.name in _FLOATS_ALLOWED
        if column.kind not in (TEXT, WHOLE, *([DAYS] * days), *([FLOATS] * floats)):
            raise StepError(f"{name}: {column.name} is of type {column.type}; write it as text")
    return (PARQUET, *(f"{column}:{wanted[column].type}" for column in n.EVENT_COLUMNS))


def _csv_file(name: str, path: Path) -> EventFile:
    with _opened(path, name) as file:
        n_blank, header = read_header(file)
    check_columns(header, name)
    max_bytes = MAX_UNPACKED if name.lower().endswith(".gz") else sys.maxsize
    with _opened(path, name) as file:  # a gzip file to its end, where its checksum is: DuckDB does not compare it
        return EventFile(name, path, (CSV, str(n_blank), *header), count_lines(file, max_bytes))


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """The file's content, unpacked; what goes wrong with it there becomes a StepError that names it."""
    try:
        with gzip.open(path) if name.lower().endswith(".gz") else path.open("rb") as file:
            yield cast("BinaryIO", file)
    except LinesError as error:
        raise StepError(f"{name}: {error}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise StepError(f"{name} is a truncated or corrupt gzip file ({reason}); export it again") from error
    except OSError as error:
        raise StepError(f"{name} cannot be read ({error.strerror}); check its permissions") from error


def check_columns(found: Sequence[str], name: str) -> None:
    """Raise StepError where a column of EVENT_COLUMNS is missing or appears twice; `name` is that of the file."""
    for column in n.EVENT_COLUMNS:
        if list(found).count(column) > 1:
            raise StepError(f'{name}: column "{column}" appears twice ({listed(found)}); remove one')
    missing = [column for column in n.EVENT_COLUMNS if column not in found]
    if not missing:
        return
    close = closest(missing[0], [column for column in found if column not in n.EVENT_COLUMNS])
    hint = f'did you mean "{close}"? rename it to {missing[0]}' if close else "add it"
    raise StepError(f'{name}: column "{missing[0]}" is missing; found: {listed(found)}; {hint}')
