"""The rows of franchises.csv: which code means which franchise in which seasons. Standard library only.

People edit that file, so it is checked like any other data: a mistake is named by file, line, column and value.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pipeline.contract.container import StepError
from pipeline.contract.reasons import counted
from pipeline.ingest.column_words import composed
from pipeline.ingest.moments import HYPHEN
from pipeline.ingest.values import whole_number

FRANCHISES_FILE: Final = Path(__file__).with_name("franchises.csv")
FRANCHISES_PATH: Final = "pipeline/workloads/nba/game_data/franchises.csv"  # where people find it: in the project
FIRST_SEASON: Final = 1900
LAST_SEASON: Final = 2200
SIMULATED: Final = "simulated"  # league of the teams that the sample invents

_COLUMNS: Final = ("code", "franchise", "league", "first_season", "last_season", "name", "also")
_CODE: Final = ("[A-Z0-9]{2,8}", "is not 2 to 8 capital letters and digits")
_CELLS: Final = (("code", *_CODE), ("franchise", *_CODE), ("league", ".+", "is empty"), ("name", ".+", "is empty"))
_SEASON: Final = re.compile(r"([0-9]{4})[-/]([0-9]{2}|[0-9]{4})")
_NO_LETTERS: Final = re.compile(r"[\W_]+")
LONGEST_NAME: Final = 200  # characters; beyond, a text is no name


class FranchisesError(StepError, ValueError):
    """A mistake in franchises.csv; the text names file, line, column and value."""


@dataclass(frozen=True)
class CodeSpan:
    """One code of a franchise, and the first and last season (both included) in which it means that franchise.

    `name` is the franchise's name today, `also` the other names that the team went by in those seasons.
    """

    code: str
    franchise: str
    league: str
    first_season: int
    last_season: int
    name: str
    also: tuple[str, ...] = ()
    line: int = 0

    def covers(self, season: int) -> bool:
        """Whether the code means the franchise in that season."""
        return self.first_season <= season <= self.last_season

    @property
    def names(self) -> tuple[str, ...]:
        """All names, without remarks in parentheses."""
        return (re.sub(r"\s*\(.*\)$", "", self.name), *self.also)


def words(text: str) -> str:
    """A code or name as it is compared: without case, marks, and more than one space; nothing for a longer text."""
    return "" if len(text) > LONGEST_NAME else _NO_LETTERS.sub(" ", composed(text).casefold()).strip()


def season_of(text: str) -> int | None:
    """The year in which a season ends: `2023`, `2023.0`, `2022-23` or `2022-2023`; None where the text is no season."""
    match = _SEASON.fullmatch(text.translate(HYPHEN))
    if not match:
        return whole_number(text)
    last = int(match[1]) + 1
    return last if str(last).endswith(match[2]) else None


@cache
def known_spans() -> tuple[CodeSpan, ...]:
    """The spans of `franchises.csv`, read once a process."""
    return read_spans()


def read_spans(path: Path = FRANCHISES_FILE) -> tuple[CodeSpan, ...]:
    """Read the spans of `franchises.csv`; an empty last season means that the code is still in use.

    Raises FranchisesError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            if tuple(header) != _COLUMNS:
                raise FranchisesError(
                    f"{FRANCHISES_PATH}, line 1: the columns are {', '.join(header) or 'missing'}, "
                    f"where {', '.join(_COLUMNS)} belong; restore them"
                )
            spans = tuple(_span(row, rows.line_num) for row in rows if row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FranchisesError(f"{FRANCHISES_PATH} cannot be read ({error}); restore it, or save it as UTF-8") from error
    _check_together(spans)
    return spans


def _span(row: list[str], line: int) -> CodeSpan:
    if len(row) != len(_COLUMNS):
        raise FranchisesError(
            f"{FRANCHISES_PATH}, line {line}: has {counted(len(row), 'field')}, where the header has "
            f"{len(_COLUMNS)}; correct it"
        )
    text = dict(zip(_COLUMNS, (cell.strip() for cell in row), strict=True))
    for column, allowed, rule in _CELLS:
        if not re.fullmatch(allowed, text[column]):
            raise _mistake(line, column, text, rule)
    text["last_season"] = text["last_season"] or str(LAST_SEASON)
    first, last = (_season(text, column, line) for column in ("first_season", "last_season"))
    if last < first:
        raise _mistake(line, "last_season", text, f"is before the first season, {first}")
    also = tuple(name.strip() for name in text["also"].split(";") if name.strip())
    return CodeSpan(text["code"], text["franchise"], text["league"], first, last, text["name"], also, line)


def _season(text: Mapping[str, str], column: str, line: int) -> int:
    if not re.fullmatch(r"[0-9]{4}", text[column]) or not FIRST_SEASON <= int(text[column]) <= LAST_SEASON:
        raise _mistake(line, column, text, f"is not a year from {FIRST_SEASON} to {LAST_SEASON}")
    return int(text[column])


def _check_together(spans: Iterable[CodeSpan]) -> None:
    by_text: dict[str, list[CodeSpan]] = {}
    for span in spans:
        for text in (span.code, *span.names):
            for other in by_text.setdefault(words(text), []):
                first, last = max(span.first_season, other.first_season), min(span.last_season, other.last_season)
                if first <= last and (text == span.code or span.franchise != other.franchise):
                    raise FranchisesError(
                        f"{FRANCHISES_PATH}, line {span.line}: {text} has two meanings between {first} and {last}, "
                        f"here and in line {other.line}; correct one of them"
                    )
            by_text[words(text)].append(span)
    for span in spans:
        if all(own.franchise != span.franchise for own in by_text.get(words(span.franchise), ())):
            raise FranchisesError(
                f'{FRANCHISES_PATH}, line {span.line}: franchise "{span.franchise}" is not one of its codes; '
                "correct it, or add a line with that code"
            )


def _mistake(line: int, column: str, text: Mapping[str, str], rule: str) -> FranchisesError:
    return FranchisesError(f'{FRANCHISES_PATH}, line {line}: {column} "{text[column][:80]}" {rule}; correct it')
