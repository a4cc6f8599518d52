"""Event files of a folder, looked at before an engine reads them: readable, with the columns, in known types.

An engine's own complaint about a file names neither the file nor what to do; these do. What stands in a Parquet file is
asked of the engine that is going to read it. (pyarrow knows it as well, but no cluster has it, and importing it takes a
tenth of the time that DuckDB takes for a season.)
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline import contract as c
from pipeline.ingest.data_folder import KINDS, FolderError, LeftOut, look_into, read_not_uploaded
from pipeline.ingest.file_content import HEAD_BYTES, unlike_its_name
from pipeline.steps.column_words import closest, listed
from pipeline.steps.container import StepError

MAX_UNPACKED: Final = 4 << 30  # bytes of a gzip file: 20 seasons of events
_BLOCK: Final = 1 << 20
CSV: Final = "csv"
PARQUET: Final = "parquet"
# Kinds of columns of a Parquet file.
TEXT: Final = "text"  # or nothing but missing values
WHOLE: Final = "whole numbers"
FLOATS: Final = "floating-point numbers"
DAYS: Final = "days or times"
OTHER: Final = "something else"
# A column that pandas holds as floating point, because of a missing value, is still one of whole numbers.
_FLOATS_ALLOWED: Final = ("period", "actionNumber")


class CorruptFile(Exception):  # noqa: N818 (it is about the file)
    """A file that its library cannot read; the text is the library's."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


@dataclass(frozen=True)
class Column:
    """A column of a Parquet file: its name, its kind (above), and its type as the library writes it."""

    name: str
    kind: str
    type: str


Columns = Callable[[Sequence[Path]], Mapping[Path, Sequence[Column]]]


@dataclass(frozen=True)
class EventFile:
    """A file that an engine can read. Files of one layout can be read as one table.

    `layout`: "csv" and the header, or "parquet" and each of EVENT_COLUMNS with its type.
    """

    path: Path
    layout: tuple[str, ...]


@dataclass(frozen=True)
class EventFiles:
    """All event files of a folder, and what else is there with the reason why it is not read."""

    folder: Path
    files: tuple[EventFile, ...]
    left_out: tuple[LeftOut, ...]

    def by_layout(self) -> dict[tuple[str, ...], list[Path]]:
        """The paths, those of one layout together."""
        found: dict[tuple[str, ...], list[Path]] = {}
        for file in self.files:
            found.setdefault(file.layout, []).append(file.path)
        return found


def find(folder: Path, columns: Columns) -> EventFiles:
    """Find and check the files below `folder`; raises StepError that names file, column and what to do.

    `columns` reads those of Parquet files.
    """
    try:
        found = look_into(folder)
    except FolderError as error:
        raise StepError(str(error)) from error
    not_uploaded, _ = read_not_uploaded(folder)
    others = [LeftOut(file.name, f"is no {KINDS}") for file in found.files if not file.is_data]
    left_out = sorted([*found.left_out, *not_uploaded, *others], key=lambda item: item.name)
    used = {file.name: file.path for file in found.files if file.is_data}
    if not used:
        named = "; ".join(f"{item.name} {item.reason}" for item in left_out[:3])
        raise StepError(
            f"there is no {KINDS} file under EventsPrefix (locally: --events); put the event files there, or give none"
            + (f" ({named})" if named else "")
        )
    for name, path in used.items():
        _refuse_other_content(path, name)
    layouts = _parquet_layouts({path: name for name, path in used.items() if _is_parquet(name)}, columns)
    layouts.update({name: _csv_layout(path, name) for name, path in used.items() if not _is_parquet(name)})
    return EventFiles(folder, tuple(EventFile(path, layouts[name]) for name, path in used.items()), tuple(left_out))


def _refuse_other_content(path: Path, name: str) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise StepError(f"{name} cannot be read ({error.strerror}); check its permissions") from error
    if not head:
        raise StepError(f"{name} is empty (0 bytes); export it again or remove it")
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


def _parquet_layout(found: Sequence[Column], name: str) -> tuple[str, ...]:
    check_columns([column.name for column in found], name)
    wanted = {column.name: column for column in found if column.name in c.EVENT_COLUMNS}
    for column in wanted.values():
        days, floats = column.name == "date", column.name in _FLOATS_ALLOWED
        if column.kind not in (TEXT, WHOLE, *([DAYS] * days), *([FLOATS] * floats)):
            raise StepError(f"{name}: {column.name} is of type {column.type}; write it as text")
    return (PARQUET, *(f"{column}:{wanted[column].type}" for column in c.EVENT_COLUMNS))


def _csv_layout(path: Path, name: str) -> tuple[str, ...]:
    zipped = name.lower().endswith(".gz")
    try:
        if zipped:
            _compare_checksum(path, name)
        with gzip.open(path, "rb") if zipped else path.open("rb") as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            header = next(csv.reader(text), [])
    except UnicodeDecodeError as error:
        raise StepError(f"{name} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except PermissionError as error:
        raise StepError(f"{name} cannot be read ({error.strerror}); check its permissions") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise StepError(f"{name} is a truncated or corrupt gzip file ({reason}); export it again") from error
    except csv.Error as error:
        raise StepError(f"{name} cannot be read as CSV ({error}); export it again") from error
    check_columns(header, name)
    return (CSV, *header)


def _compare_checksum(path: Path, name: str) -> None:
    """Read a gzip file to its end, where its checksum is: DuckDB does not compare it."""
    n_bytes = 0
    with gzip.open(path, "rb") as content:
        while block := content.read(_BLOCK):
            n_bytes += len(block)
            if n_bytes > MAX_UNPACKED:
                raise StepError(f"{name} unpacks to more than {MAX_UNPACKED:,} bytes; give the events in several files")


def check_columns(found: Sequence[str], name: str) -> None:
    """Raise StepError where a column of EVENT_COLUMNS is missing or stands twice; `name` is that of the file."""
    for column in c.EVENT_COLUMNS:
        if list(found).count(column) > 1:
            raise StepError(f'{name}: column "{column}" stands twice ({listed(found)}); remove one')
    missing = [column for column in c.EVENT_COLUMNS if column not in found]
    if not missing:
        return
    close = closest(missing[0], [column for column in found if column not in c.EVENT_COLUMNS])
    hint = f'did you mean "{close}"? rename it to {missing[0]}' if close else "add it"
    raise StepError(f'{name}: column "{missing[0]}" is missing; found: {listed(found)}; {hint}')
