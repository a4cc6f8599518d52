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
from pipeline.steps.column_words import closest, listed
from pipeline.steps.container import StepError

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
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
    """All event files of a folder, and the names of what is none (`.x`, `_SUCCESS`, other suffixes)."""

    folder: Path
    files: tuple[EventFile, ...]
    ignored: tuple[str, ...]

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
    if not folder.is_dir():
        raise StepError(f"{folder} is not a folder; give the folder that holds the event files")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    used = [name for name in names if _is_event_file(name)]
    if not used:
        raise StepError(f"{folder} holds no *.csv, *.csv.gz or *.parquet file; put the event files there, or none")
    for name in used:
        if not (folder / name).stat().st_size:
            raise StepError(f"{name} is empty (0 bytes); export it again or remove it")
    layouts = _parquet_layouts(folder, [name for name in used if _is_parquet(name)], columns)
    layouts |= {name: _csv_layout(folder / name, name) for name in used if not _is_parquet(name)}
    files = tuple(EventFile(folder / name, layouts[name]) for name in used)
    return EventFiles(folder, files, tuple(name for name in names if not _is_event_file(name)))


def _is_event_file(name: str) -> bool:
    hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    return not hidden and name.lower().endswith(SUFFIXES)


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def _parquet_layouts(folder: Path, names: Sequence[str], columns: Columns) -> dict[str, tuple[str, ...]]:
    try:
        found = columns([folder / name for name in names])
    except CorruptFile as error:
        name, reason = error.path.relative_to(folder).as_posix(), str(error).splitlines()[0].rstrip(".")
        raise StepError(f"{name} is a truncated or corrupt Parquet file ({reason}); export it again") from error
    return {name: _parquet_layout(found[folder / name], name) for name in names}


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
