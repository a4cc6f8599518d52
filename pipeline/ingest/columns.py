"""A file's header to the declared columns: which column is which, and which are not used.

Names are compared as words: `UNIT_PRICE`, `Unit Price` and `unitPrice` are unit_price. An optional column may have a
near name too. Whatever is taken under another name is noted. What comes close to an optional column and is not one of
these is refused, because a column that is not read in silence is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from pipeline.contract.spec import Column
from pipeline.ingest.column_words import as_words, closest, listed, revealed
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.values import day_of

_PREFIXES: Final = ("is_", "was_", "has_", "in_", "at_", "flag_")
_SUFFIXES: Final = ("_flag", "_yn", "_bool", "_indicator")
_CLOSE: Final = 0.85  # of difflib: one letter of eight wrong, or left out
_SEARCHED: Final = 200  # characters of a header for what may separate its fields: each mark is tried


@dataclass(frozen=True)
class Columns:
    """Which column of a file is which declared one (by position), and the names of the others.

    `renamed`: the file's name and ours of each column that is taken under another name.
    """

    positions: Mapping[str, int]
    unused: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]


def match_columns(header: Sequence[str], name: str, declared: Sequence[Column]) -> Columns:
    """Find the declared columns in the header of file `name`.

    Raises BadData where a required column is missing, two columns could be one, an optional one is nearly there, or one
    is in the name of a folder alone (`year=2019/`, as Spark and Hive write tables).
    """
    folders = [part for part in name.split("/")[:-1] if "=" in part]
    of_folders = [key for part in folders if letters_of(key := part.partition("=")[0]) not in map(letters_of, header)]
    try:
        columns = _match((*header, *of_folders), tuple(declared))
        for column, place in columns.positions.items():
            if place >= len(header):
                raise BadData(
                    f"{column} is in the name of a folder alone ({', '.join(folders)}), where it is not read: write it "
                    "into the files, as a column"
                )
    except BadData as error:
        raise BadData(f"{name}: {error}") from None
    return columns


@lru_cache(maxsize=64)  # thousands of files may have one header
def _match(header: tuple[str, ...], declared: tuple[Column, ...]) -> Columns:
    positions: dict[str, int] = {}
    for names, meanings in _spellings(header, declared):
        free = [(position, name) for position, name in enumerate(names) if position not in positions.values()]
        for column in [column for column in meanings if column not in positions]:
            found = [position for position, name in free if name in meanings[column]]
            given = [header[position] for position in found]
            if len(set(given)) < len(given):
                raise BadData(f'column "{given[0]}" appears twice in the header ({listed(header)}); remove one')
            if len(given) > 1:
                both = " and ".join(f'"{name}"' for name in given)
                raise BadData(f'columns {both} could both be {column}; name one of them "{column}"')
            if found:
                positions[column] = found[0]
    unused = [position for position in range(len(header)) if position not in positions.values()]
    _refuse_missing(header, positions, declared)
    _refuse_nearly_optional(header, unused, positions, declared)
    renamed = [(header[positions[column.name]], column.name) for column in declared if column.name in positions]
    return Columns(
        MappingProxyType(positions),
        unused=tuple(header[position] for position in unused),
        renamed=tuple((given, column) for given, column in renamed if given != column),
    )


def is_header(cells: Sequence[str], declared: Sequence[Column]) -> bool:
    """Whether the cells of a line name all required columns."""
    return {letters_of(column.name) for column in declared if column.required} <= set(map(letters_of, cells))


def _spellings(
    header: Sequence[str], declared: Sequence[Column]
) -> Iterator[tuple[Sequence[str], Mapping[str, set[str]]]]:
    """Ways to compare, in turn: the names of the file, and which of them may be each declared column."""
    yield header, {column.name: {column.name} for column in declared}
    yield [*map(letters_of, header)], {column.name: {letters_of(column.name)} for column in declared}
    optional = [column for column in declared if not column.required]
    near = {column.name: {letters_of(name) for name in (column.name, *column.near_names)} for column in optional}
    yield [letters_of(_bare(column)) for column in header], near


def letters_of(column: str) -> str:
    """A column's name as it is compared."""
    return as_words(column).replace("_", "")


def _bare(column: str) -> str:
    words = as_words(column)
    for prefix in _PREFIXES:
        words = words.removeprefix(prefix)
    for suffix in _SUFFIXES:
        words = words.removesuffix(suffix)
    return words.removesuffix("s")


def _refuse_missing(header: Sequence[str], positions: Mapping[str, int], declared: Sequence[Column]) -> None:
    missing = [column.name for column in declared if column.required and column.name not in positions]
    if not missing:
        return
    message = f'column "{missing[0]}" is missing; found: {listed(header)}'
    if len(missing) > 1:
        message = f"columns {', '.join(missing)} are missing; found: {listed(header)}"
    only = header[0] if len(header) == 1 else ""
    marks = dict.fromkeys(re.findall(r"\W", only[:_SEARCHED]))
    delimiter = next((mark for mark in marks if mark in ";\t|" or is_header(only.split(mark), declared)), "")
    if delimiter == ",":
        raise BadData(f"{message}; whole lines seem to be in quotation marks: remove those around each line")
    if delimiter:
        raise BadData(f"{message}; fields seem to be separated by {delimiter!r}: separate them by commas")
    if any(map(day_of, header)):
        raise BadData(f"{message}; the first line seems to be a row: write the names of the columns above it")
    close = closest(
        missing[0], [column for position, column in enumerate(header) if position not in positions.values()]
    )
    hint = f'did you mean "{revealed(close)}"? rename it' if close else "rename or add them"
    if "utc" in as_words(close).split("_"):
        hint = f'"{revealed(close)}" seems to be in UTC, where a day is often the next local day: add the local one'
    none = len(missing) == sum(column.required for column in declared) and not close
    raise BadData(f"{message}; {hint}{', or move a file of anything else elsewhere' if none else ''}")


def _refuse_nearly_optional(
    header: Sequence[str], unused: Iterable[int], positions: Mapping[str, int], declared: Sequence[Column]
) -> None:
    for column, telling_names in ((one.name, one.telling_names) for one in declared if not one.required):
        close = "" if column in positions else closest(column, [header[position] for position in unused], _CLOSE)
        telling = [header[position] for position in unused if as_words(header[position]) in telling_names]
        if telling and column not in positions:
            raise BadData(
                f'column "{telling[0]}" may say what {column} says, which is not in the header; add {column} '
                f"(true or false), or rename {telling[0]}"
            )
        if close:
            raise BadData(
                f'column "{revealed(close)}" is nearly {column}, which is not in the header; rename it to '
                f"{column}, or to something else"
            )
