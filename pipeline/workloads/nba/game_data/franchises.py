"""Team codes and names to franchises, so that a code that changes never resets a team's history.

`franchises.csv` beside this file holds one row a code and span of seasons. A franchise follows the players: a team that
moves keeps its history, so Charlotte's code of 1989 to 2002 belongs to New Orleans. A code is resolved only within the
seasons given there (`BAL` and `CHA` were used by two franchises each); everything else is unknown, and never guessed.
A code in other letters (`lal`) or a team's full name is taken as the code that it means in that season.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.ingest.column_words import latin
from pipeline.workloads.nba.game_data.franchise_spans import (
    FIRST_SEASON,
    LAST_SEASON,
    SIMULATED,
    CodeSpan,
    read_spans,
    words,
)

__all__ = [
    "FIRST_SEASON",
    "LAST_SEASON",
    "CodeSpan",
    "build_table",
    "codes_of",
    "franchise_of",
    "is_known_code",
    "nearest_team",
    "read_spans",
    "seasons_of",
    "spellings",
]


@dataclass(frozen=True)
class FranchiseTable:
    """Lookups by season: `franchise_numbers` (codes, seasons) into `franchises`, `code_numbers` (names, seasons) into
    `codes`; -1 for unknown. `codes_by_words` holds each code as `words` writes it.
    """

    codes: pd.Index
    codes_by_words: dict[str, str]
    franchises: pd.Index
    franchise_numbers: npt.NDArray[np.int16]
    names: pd.Index
    code_numbers: npt.NDArray[np.int16]


def build_table(spans: tuple[CodeSpan, ...]) -> FranchiseTable:
    """Lay the spans out as a table."""
    codes = sorted({span.code for span in spans})
    franchises = sorted({span.franchise for span in spans})
    names = sorted({words(name) for span in spans for name in span.names})
    franchise_numbers = np.full((len(codes), LAST_SEASON - FIRST_SEASON + 1), -1, dtype=np.int16)
    code_numbers = np.full((len(names), LAST_SEASON - FIRST_SEASON + 1), -1, dtype=np.int16)
    # The code that is the franchise's own name is the one that a team's name means, where several would do.
    for span in sorted(spans, key=lambda span: span.code == span.franchise):
        seasons = slice(span.first_season - FIRST_SEASON, span.last_season - FIRST_SEASON + 1)
        franchise_numbers[codes.index(span.code), seasons] = franchises.index(span.franchise)
        for name in span.names:
            code_numbers[names.index(words(name)), seasons] = codes.index(span.code)
    by_words = {words(code): code for code in codes}
    return FranchiseTable(
        pd.Index(codes), by_words, pd.Index(franchises), franchise_numbers, pd.Index(names), code_numbers
    )


@lru_cache(maxsize=1)
def franchise_table() -> FranchiseTable:
    """The table of `franchises.csv`, built once a process."""
    return build_table(read_spans_once())


def codes_of(texts: pd.Series[str], seasons: pd.Series[int]) -> pd.Series[str]:
    """The code that each text means in its season, as a categorical; a text that means none stays as it is."""
    table = franchise_table()
    # Categories first: a few hundred texts are looked up instead of one a game.
    category = texts.astype("category")
    given: list[str] = category.cat.categories.astype(object).tolist()
    known = set(table.codes_by_words.values())
    key = [text if text in known else words(text) for text in given]
    meant = [table.codes_by_words.get(word, text) for word, text in zip(key, given, strict=True)]
    numbers = category.cat.codes.to_numpy()
    by_name = table.names.get_indexer(pd.Index(key))
    if (by_name >= 0).any():
        return _named(table, np.array(meant, dtype=object)[numbers], by_name[numbers], seasons)
    codes, distinct = pd.factorize(np.array(meant, dtype=object))
    return pd.Series(pd.Categorical.from_codes(codes[numbers], categories=pd.Index(distinct)), index=texts.index)


def _named(
    table: FranchiseTable, codes: npt.NDArray[np.object_], names: npt.NDArray[np.intp], seasons: pd.Series[int]
) -> pd.Series[str]:
    years = seasons.to_numpy(dtype=np.int64)
    named = (names >= 0) & (years >= FIRST_SEASON) & (years <= LAST_SEASON)
    found = np.full(len(codes), -1, dtype=np.int64)
    found[named] = table.code_numbers[names[named], years[named] - FIRST_SEASON]
    codes[found >= 0] = table.codes.to_numpy()[found[found >= 0]]
    return pd.Series(pd.Categorical(codes), index=seasons.index)


def spellings(texts: pd.Series[str], codes: pd.Series[str]) -> list[str]:
    """Which texts were taken as which codes, in words; `texts` is the categorical that `codes` was made from."""
    known = set(codes.cat.categories)
    if all(text.strip() in known for text in texts.cat.categories):
        return []
    # As numbers first: of many games few texts differ.
    pairs = pd.DataFrame({"text": texts.cat.codes, "code": codes.cat.codes}).drop_duplicates()
    spelled, meant = texts.cat.categories[pairs["text"]].str.strip(), codes.cat.categories[pairs["code"]]
    others = {(text, code) for text, code in zip(spelled, meant, strict=True) if text != code}
    return [f"{text} as {code}" for text, code in sorted(others)]


def franchise_of(codes: pd.Series[str], seasons: pd.Series[int]) -> pd.Series[str]:
    """Resolve each code in its season: a categorical of franchises on the index of `codes`, missing where unknown."""
    table = franchise_table()
    category = codes.astype("category")
    known = table.codes.get_indexer(category.cat.categories)
    code_numbers = np.append(known, -1)[category.cat.codes.to_numpy()]
    years = seasons.to_numpy(dtype=np.int64)
    valid = (code_numbers >= 0) & (years >= FIRST_SEASON) & (years <= LAST_SEASON)
    numbers = np.full(len(codes), -1, dtype=np.int16)
    numbers[valid] = table.franchise_numbers[code_numbers[valid], years[valid] - FIRST_SEASON]
    return pd.Series(pd.Categorical.from_codes(numbers, categories=table.franchises), index=codes.index)


def is_known_code(codes: pd.Series[str]) -> pd.Series[bool]:
    """Whether `franchises.csv` has the code in any season."""
    return codes.isin(franchise_table().codes)


# --- words for messages -----------------------------------------------------------------------------------------------
def nearest_team(text: str) -> str:
    """The code and name that come closest to a text, `LAL (Los Angeles Lakers)`; empty where none comes close."""
    spans = [span for span in read_spans_once() if span.league != SIMULATED]
    spelled = {words(word): span for span in spans for word in (span.code, *span.names, *_parts(span))}
    letters = re.sub(r"\W*\(.*|[\W\d_]*$", "", latin(text))  # without a rank or a record: `Boston (2)`, `BOS (10-3)`
    close = difflib.get_close_matches(words(letters), spelled, n=1, cutoff=0.75)
    return f"{spelled[close[0]].code} ({spelled[close[0]].name})" if close else ""


def _parts(span: CodeSpan) -> Sequence[str]:
    """City and nickname of each name."""
    return [part for name in span.names for part in (name.rpartition(" ")[0], name.split()[-1]) if part]


@lru_cache(maxsize=1)
def read_spans_once() -> tuple[CodeSpan, ...]:
    """The spans of `franchises.csv`, read once a process."""
    return read_spans()


def seasons_of(text: str) -> str:
    """The seasons in which a code or name means a team, in words: `1948 to 1955, 1964 to 1973`."""
    spans = [span for span in read_spans_once() if words(text) in map(words, (span.code, *span.names))]
    return ", ".join(
        f"{span.first_season} {_until(span)}" for span in sorted(spans, key=lambda span: span.first_season)
    )


def _until(span: CodeSpan) -> str:
    return "on" if span.last_season == LAST_SEASON else f"to {span.last_season}"
