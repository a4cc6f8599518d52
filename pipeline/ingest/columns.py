"""A file's header to the columns of a game: which column is which, and which are not used.

Names are compared as words: `HOME_TEAM`, `Home Team` and `homeTeam` are home_team. An optional column may have a near
name too (`is_playoff`, `playoffs`, `neutral`). Whatever is taken under another name is noted. What comes close to an
optional column and is not one of these is refused, because a column that is not read in silence is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.contract.names import GAME_COLUMNS, GAME_ID, NEUTRAL_SITE, OPTIONAL_COLUMNS, PLAYOFF, REQUIRED_COLUMNS
from pipeline.ingest.column_words import as_words, closest, listed, revealed
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.values import day_of

# Words that mean an optional column, beside its own name; plurals and the prefixes below are taken off first.
NEAR_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    GAME_ID: ("gameid", "game_identifier"),
    NEUTRAL_SITE: ("neutral", "neutralsite", "neutral_venue", "neutral_court", "neutral_game", "neutral_location"),
    PLAYOFF: ("play_off", "playoff_game", "post_season", "postseason", "post_season_game", "postseason_game"),
}
# Names of a column that says the same in values of its own, which nobody reads.
_TELLING: Final[Mapping[str, tuple[str, ...]]] = {PLAYOFF: ("season_type", "game_type", "game_stage", "season_stage")}
_PREFIXES: Final = ("is_", "was_", "has_", "in_", "at_", "flag_")
_SUFFIXES: Final = ("_flag", "_yn", "_bool", "_indicator")
_CLOSE: Final = 0.85  # of difflib: one letter of eight wrong, or left out


@dataclass(frozen=True)
class Columns:
    """Which column of a file is which of GAME_COLUMNS (by position), and the names of the others.

    `renamed`: the file's name and ours of each column that is taken under another name.
    """

    positions: Mapping[str, int]
    unused: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]


def match_columns(header: Sequence[str], name: str) -> Columns:
    """Find the columns of a game in the header of file `name`.

    Raises BadData where a required column is missing, two columns could be one, or an optional one is nearly there.
    """
    positions = _exactly(header, name)
    for find in (_as_words, _nearly):
        for column, found in find(header, positions).items():
            if len(found) > 1:
                names = " and ".join(f'"{header[position]}"' for position in found)
                raise BadData(f'{name}: columns {names} could both be {column}; name one of them "{column}"')
            positions[column] = found[0]
    unused = [position for position in range(len(header)) if position not in positions.values()]
    _refuse_missing(header, positions, name)
    _refuse_nearly_optional(header, unused, positions, name)
    renamed = [(header[positions[column]], column) for column in GAME_COLUMNS if column in positions]
    return Columns(
        positions,
        unused=tuple(header[position] for position in unused),
        renamed=tuple((given, column) for given, column in renamed if given != column),
    )


def is_header(cells: Sequence[str]) -> bool:
    """Whether the cells of a line name all required columns."""
    return {letters_of(column) for column in REQUIRED_COLUMNS} <= set(map(letters_of, cells))


def _exactly(header: Sequence[str], name: str) -> dict[str, int]:
    for column in header:
        if column in GAME_COLUMNS and header.count(column) > 1:
            raise BadData(f'{name}: column "{column}" stands twice in the header ({listed(header)}); remove one')
    return {column: header.index(column) for column in GAME_COLUMNS if column in header}


def _as_words(header: Sequence[str], positions: Mapping[str, int]) -> dict[str, list[int]]:
    return _found({column: {letters_of(column)} for column in GAME_COLUMNS}, map(letters_of, header), positions)


def _nearly(header: Sequence[str], positions: Mapping[str, int]) -> dict[str, list[int]]:
    near = {column: {letters_of(word) for word in (column, *NEAR_NAMES[column])} for column in OPTIONAL_COLUMNS}
    return _found(near, (letters_of(_bare(column)) for column in header), positions)


def _found(words: Mapping[str, set[str]], header: Iterable[str], positions: Mapping[str, int]) -> dict[str, list[int]]:
    """Where each column that is not found yet stands, if anywhere; a column of the file is taken once."""
    free = [(position, word) for position, word in enumerate(header) if position not in positions.values()]
    found = {
        column: [position for position, word in free if word in meaning]
        for column, meaning in words.items()
        if column not in positions
    }
    return {column: where for column, where in found.items() if where}


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


def _refuse_missing(header: Sequence[str], positions: Mapping[str, int], name: str) -> None:
    missing = [column for column in REQUIRED_COLUMNS if column not in positions]
    if not missing:
        return
    message = f'{name}: column "{missing[0]}" is missing; found: {listed(header)}'
    if len(missing) > 1:
        message = f"{name}: columns {', '.join(missing)} are missing; found: {listed(header)}"
    only = header[0] if len(header) == 1 else ""
    delimiter = next((mark for mark in (";", "\t", "|") if mark in only), " " if is_header(only.split()) else "")
    if delimiter:
        raise BadData(f"{message}; fields seem to be separated by {delimiter!r}: separate them by commas")
    if any(map(day_of, header)):
        raise BadData(f"{message}; the first line seems to be a game: write the names of the columns above it")
    close = closest(
        missing[0], [column for position, column in enumerate(header) if position not in positions.values()]
    )
    hint = f'did you mean "{revealed(close)}"? rename it' if close else "rename or add them"
    none = len(missing) == len(REQUIRED_COLUMNS) and not close
    raise BadData(f"{message}; {hint}{', or move a file of anything else than games elsewhere' if none else ''}")


def _refuse_nearly_optional(
    header: Sequence[str], unused: Iterable[int], positions: Mapping[str, int], name: str
) -> None:
    for column in OPTIONAL_COLUMNS:
        close = "" if column in positions else closest(column, [header[position] for position in unused], _CLOSE)
        telling = [header[position] for position in unused if as_words(header[position]) in _TELLING.get(column, ())]
        if telling and column not in positions:
            raise BadData(
                f'{name}: column "{telling[0]}" may say what {column} says, which is not in the header; add {column} '
                f"(true or false), or rename {telling[0]}"
            )
        if close:
            raise BadData(
                f'{name}: column "{revealed(close)}" is nearly {column}, which is not in the header; rename it to '
                f"{column}, or to something else"
            )
