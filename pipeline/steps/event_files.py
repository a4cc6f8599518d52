"""Event files of a folder, looked at before an engine reads them: readable, with the columns, in known types.

An engine's own complaint about a file names neither the file nor what to do; these do.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import contract as c
from pipeline.steps.container import StepError

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
# A column that pandas holds as floating point, because of a missing value, is still one of whole numbers.
_FLOATS_ALLOWED: Final = ("period", "actionNumber")


@dataclass(frozen=True)
class EventFile:
    """A file that an engine can read. Files with equal `layout` (format, columns, types) can be read as one table."""

    path: Path
    layout: tuple[str, ...]


@dataclass(frozen=True)
class EventFiles:
    """All event files of a folder, and the names of what is none (`.x`, `_SUCCESS`, other suffixes)."""

    folder: Path
    files: tuple[EventFile, ...]
    ignored: tuple[str, ...]

    def layouts(self) -> tuple[tuple[Path, ...], ...]:
        """The paths, those of one layout together."""
        found: dict[tuple[str, ...], list[Path]] = {}
        for file in self.files:
            found.setdefault(file.layout, []).append(file.path)
        return tuple(tuple(paths) for paths in found.values())


def find(folder: Path) -> EventFiles:
    """Find and check the files below `folder`; raises StepError that names file, column and what to do."""
    if not folder.is_dir():
        raise StepError(f"{folder} is not a folder; give the folder that holds the event files")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    used = [name for name in names if _is_event_file(name)]
    if not used:
        raise StepError(f"{folder} holds no *.csv, *.csv.gz or *.parquet file; put the event files there, or none")
    files = tuple(EventFile(folder / name, _layout(folder / name, name)) for name in used)
    return EventFiles(folder, files, tuple(name for name in names if not _is_event_file(name)))


def _is_event_file(name: str) -> bool:
    hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    return not hidden and name.lower().endswith(SUFFIXES)


def _layout(path: Path, name: str) -> tuple[str, ...]:
    try:
        if not path.stat().st_size:
            raise StepError(f"{name} is empty (0 bytes); export it again or remove it")
        return _parquet_layout(path, name) if name.lower().endswith(".parquet") else _csv_layout(path, name)
    except PermissionError as error:
        raise StepError(f"{name} cannot be read ({error.strerror}); check its permissions") from error


def _parquet_layout(path: Path, name: str) -> tuple[str, ...]:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise StepError(f"{name} is a truncated or corrupt Parquet file ({reason}); export it again") from error
    check_columns(schema.names, name)
    for column in c.EVENT_COLUMNS:
        kind = schema.field(column).type
        if not _is_readable(kind, column):
            raise StepError(f"{name}: {column} is of type {kind}; write it as text")
    return ("parquet", *(f"{field.name}:{field.type}" for field in schema))


def _is_readable(kind: pa.DataType, column: str) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    readable = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    days = column == "date" and (pa.types.is_date(kind) or pa.types.is_timestamp(kind))
    floats = column in _FLOATS_ALLOWED and pa.types.is_floating(kind)
    return days or floats or any(accepts(kind) for accepts in readable)


def _csv_layout(path: Path, name: str) -> tuple[str, ...]:
    zipped = name.lower().endswith(".gz")
    try:
        with gzip.open(path, "rb") if zipped else path.open("rb") as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            header = next(csv.reader(text), [])
    except UnicodeDecodeError as error:
        raise StepError(f"{name} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).rstrip(".")
        raise StepError(f"{name} is a truncated or corrupt gzip file ({reason}); export it again") from error
    except csv.Error as error:
        raise StepError(f"{name} cannot be read as CSV ({error}); export it again") from error
    check_columns(header, name)
    return ("csv", *header)


def check_columns(found: Sequence[str], name: str) -> None:
    """Raise StepError where a column of EVENT_COLUMNS is missing or stands twice; `name` is that of the file."""
    for column in c.EVENT_COLUMNS:
        if list(found).count(column) > 1:
            raise StepError(f'{name}: column "{column}" stands twice ({", ".join(found)}); remove one')
    missing = [column for column in c.EVENT_COLUMNS if column not in found]
    if not missing:
        return
    others = [column for column in found if column not in c.EVENT_COLUMNS]
    close = difflib.get_close_matches(missing[0], others, n=1)
    hint = f'did you mean "{close[0]}"? rename it' if close else "add it"
    raise StepError(f'{name}: column "{missing[0]}" is missing; found: {", ".join(found)}; {hint}')
