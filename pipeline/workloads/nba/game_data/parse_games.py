"""The text of games to values, and what was taken as something that it is not written as.

What cannot be parsed becomes a value that no rule allows (season 0, points or flag BAD_NUMBER, date NaT): one check
says both "not a number" and "out of range". Only the distinct texts of a column are parsed, then spread over its rows.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contract.reasons import some
from pipeline.ingest.quarantine import FILE, LINE
from pipeline.ingest.values import NOT_GIVEN, day_of, flag_of, given, iso_date, whole_number
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.franchise_spans import season_of
from pipeline.workloads.nba.game_data.franchises import codes_of, franchise_of, spellings

BAD_NUMBER: Final = -1
_NO_NUMBER: Final = -2
_SHOWN: Final = 5  # teams in a note
_NUMERIC_ID: Final = re.compile(r"([0-9]+)(?:\.0+)?")

Texts = Sequence[str]
Values = npt.NDArray[Any]


def parse(rows: pd.DataFrame, time_zone: str) -> tuple[pd.DataFrame, list[str]]:
    """Parse categoricals of text (one row a game) to values on the same index, and notes on what reads otherwise.

    Midnights are those of `time_zone` (IANA name). Adds the franchises; FILE and LINE stay. A score of 0 to 0 is that
    of a game to come: none has ended so.
    """
    notes: list[str] = []
    parsed = pd.DataFrame({FILE: rows[FILE], LINE: rows[LINE]}, index=rows.index)
    parsed[n.GAME_ID] = _spread_noted(rows[n.GAME_ID], _ids, operator.eq, notes)
    parsed[n.DATE] = _spread_noted(
        rows[n.DATE],
        partial(_days, ZoneInfo(time_zone)),
        lambda text, day: iso_date(text) is not None or bool(np.isnat(day)),
        notes,
    )
    parsed[n.SEASON] = np.maximum(
        _spread_noted(
            rows[n.SEASON],
            partial(_whole_numbers, read=season_of),
            lambda text, season: season < 0 or whole_number(text) is not None,
            notes,
        ),
        0,
    )
    taken = set[str]()
    for team, franchise in zip(n.TEAMS, n.FRANCHISES, strict=True):
        parsed[team] = codes_of(pd.Series(pd.Categorical(_spread(rows[team], _teams)), rows.index), parsed[n.SEASON])
        parsed[franchise] = franchise_of(parsed[team], parsed[n.SEASON])
        taken.update(spellings(rows[team], parsed[team]))
    notes += [f"teams taken by their code: {some(sorted(taken), _SHOWN)}"] if taken else []
    scores = np.stack([_spread(rows[points], _whole_numbers) for points in n.POINTS])
    no_score = (scores == 0).all(axis=0)
    scores[:, no_score] = _NO_NUMBER
    notes += [f"{no_score.sum():,} game(s) of 0 to 0 are taken as not yet played"] if no_score.any() else []
    for points, numbers in zip(n.POINTS, scores, strict=True):
        parsed[points] = pd.arrays.IntegerArray(numbers, numbers == _NO_NUMBER)
    for flag in n.FLAGS:
        parsed[flag] = _spread(rows[flag], _flags)
    return parsed, notes


def _spread(column: pd.Series[str], parse_texts: Callable[[Texts], Values]) -> Values:
    return parse_texts(_texts(column))[column.cat.codes.to_numpy()]


def _spread_noted(
    column: pd.Series[str],
    parse_texts: Callable[[Texts], Values],
    is_usual: Callable[[str, Any], bool],
    notes: list[str],
) -> Values:
    """The same for columns that people and programs write in several ways; `is_usual`: or a text means no value."""
    texts = _texts(column)
    values = parse_texts(texts)
    pairs = zip(texts, values, strict=True)
    others = [f'"{text}" is taken as {str(value)[:10]}' for text, value in pairs if not is_usual(text, value)]
    notes += [f"{column.name} {some(others, 1)}"] if others else []
    return values[column.cat.codes.to_numpy()]


def _texts(column: pd.Series[str]) -> Texts:
    # As objects: a column of Arrow's text makes a new one of each word.
    return [given(text) for text in column.cat.categories.astype(object).tolist()]


def _teams(texts: Texts) -> Values:
    """Codes and names as they are; numbers of teams without decimals."""
    return np.array([text.partition(".")[0] if _NUMERIC_ID.fullmatch(text) else text for text in texts], dtype=object)


def _ids(texts: Texts) -> Values:
    """Ids that differ in leading zeros or decimals only are one: a spreadsheet or a column of numbers changes both."""
    matches = map(_NUMERIC_ID.fullmatch, texts)
    numbers = [match[1].lstrip("0") or "0" if match else text for match, text in zip(matches, texts, strict=True)]
    written: dict[str, str] = {}
    for number, text in zip(numbers, texts, strict=True):
        whole = text.partition(".")[0] if number != text else text
        written[number] = max(written.get(number, ""), whole, key=len)
    return np.array([written[number] for number in numbers], dtype=object)


def _days(zone: ZoneInfo, texts: Texts) -> Values:
    return np.array([day_of(text, zone) for text in texts], dtype="datetime64[s]")


def _whole_numbers(texts: Texts, read: Callable[[str], int | None] = whole_number) -> Values:
    found = [read(text) if text else _NO_NUMBER for text in texts]
    return np.array([BAD_NUMBER if number is None else number for number in found], dtype=np.int16)


def _flags(texts: Texts) -> Values:
    found = [flag_of(text) if text else NOT_GIVEN for text in texts]
    return np.array([BAD_NUMBER if value is None else value for value in found], dtype=np.int8)
