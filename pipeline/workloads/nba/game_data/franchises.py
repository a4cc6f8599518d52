"""Team codes and names to franchises, so that a code that changes never resets a team's history.

`franchises.csv` beside this file holds one row a code and span of seasons. A franchise follows the players: a team that
moves keeps its history, so Charlotte's code of 1989 to 2002 belongs to New Orleans. A code is resolved only within the
seasons given there (`BAL` and `CHA` were used by two franchises each); everything else is unknown, and never guessed.
A code in other letters (`lal`) or a team's full name is taken as the code that it means in that season.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter

import numpy as np
import pandas as pd

from pipeline.ingest.column_words import latin
from pipeline.workloads.nba.game_data.franchise_spans import (
    LAST_SEASON,
    LONGEST_NAME,
    SIMULATED,
    CodeSpan,
    known_spans,
    words,
)

_SEASONS = 1 << 16  # more than there are


@cache
def _by_code() -> dict[str, list[CodeSpan]]:
    found: dict[str, list[CodeSpan]] = {}
    for span in known_spans():
        found.setdefault(span.code, []).append(span)
    return found


@cache
def _codes_by_words() -> dict[str, str]:
    return {words(code): code for code in _by_code()}


@cache
def _by_name() -> dict[str, list[CodeSpan]]:
    """The code that is the franchise's own comes last: it is the one that a name means, where several would do."""
    found: dict[str, list[CodeSpan]] = {}
    for span in sorted(known_spans(), key=lambda span: span.code == span.franchise):
        for name in span.names:
            found.setdefault(words(name), []).append(span)
    return found


def codes_of(texts: pd.Series[str], seasons: pd.Series[int]) -> pd.Series[str]:
    """The code that each text means in its season, as a categorical; a text that means none stays as it is."""
    return _in_season(texts, seasons, _code)


def _code(text: str, season: int) -> str:
    if text in _by_code():
        return text
    key = words(text)
    named = [span.code for span in _by_name().get(key, ()) if span.covers(season)]
    return named[-1] if named else _codes_by_words().get(key, text)


def franchise_of(codes: pd.Series[str], seasons: pd.Series[int]) -> pd.Series[str]:
    """Resolve each code in its season: a categorical of franchises on the index of `codes`, missing where unknown."""
    categories = sorted({span.franchise for span in known_spans()})
    return pd.Series(pd.Categorical(_in_season(codes, seasons, _franchise), categories), index=codes.index)


def _franchise(code: str, season: int) -> str | None:
    return next((span.franchise for span in _by_code().get(code, ()) if span.covers(season)), None)


def _in_season(
    texts: pd.Series[str], seasons: pd.Series[int], meaning: Callable[[str, int], str | None]
) -> pd.Series[str]:
    """What each text means in its season, as a categorical; each pair is looked up once: few of many games differ."""
    category = texts.astype("category").cat
    of_pair, pairs = pd.factorize(category.codes.to_numpy(np.int64) * _SEASONS + seasons.to_numpy())
    given = category.categories.astype(object).tolist()
    meant = [meaning(given[pair // _SEASONS], pair % _SEASONS) for pair in pairs.tolist()]
    numbers, distinct = pd.factorize(np.array(meant, dtype=object))
    return pd.Series(pd.Categorical.from_codes(numbers[of_pair], pd.Index(distinct)), index=texts.index)


def spellings(texts: pd.Series[str], codes: pd.Series[str]) -> list[str]:
    """Which texts were taken as which codes, in words; `texts` is the categorical that `codes` was made from."""
    pairs = pd.DataFrame({"text": texts.cat.codes, "code": codes.cat.codes}).drop_duplicates()
    spelled, meant = texts.cat.categories[pairs["text"]].str.strip(), codes.cat.categories[pairs["code"]]
    others = {(text, code) for text, code in zip(spelled, meant, strict=True) if text != code}
    return [f"{text} as {code}" for text, code in sorted(others)]


def is_known_code(codes: pd.Series[str]) -> pd.Series[bool]:
    """Whether `franchises.csv` has the code in any season."""
    return codes.isin(list(_by_code()))


# --- words for messages -----------------------------------------------------------------------------------------------
def nearest_team(text: str) -> str:
    """The code and name that come closest to a text, `LAL (Los Angeles Lakers)`; empty where none comes close."""
    spans = sorted((span for span in known_spans() if span.league != SIMULATED), key=attrgetter("last_season"))
    spelled = {words(word): span for span in spans for word in (span.code, *span.names, *_parts(span))}
    letters = re.sub(
        r"\W*\(.*|[\W\d_]*$", "", latin(text[:LONGEST_NAME])
    )  # without a rank or a record: `Boston (2)`, `BOS (10-3)`
    close = difflib.get_close_matches(words(letters), spelled, n=1, cutoff=0.75)
    return f"{spelled[close[0]].code} ({spelled[close[0]].name})" if close else ""


def _parts(span: CodeSpan) -> Sequence[str]:
    """City and nickname of each name."""
    return [part for name in span.names for part in (name.rpartition(" ")[0], name.split()[-1]) if part]


def seasons_of(text: str) -> str:
    """The seasons in which a code or name means a team, in words: `1948 to 1955, 1964 to 1973`."""
    spans = [span for span in known_spans() if words(text) in map(words, (span.code, *span.names))]
    return ", ".join(
        f"{span.first_season} {'on' if span.last_season == LAST_SEASON else f'to {span.last_season}'}"
        for span in sorted(spans, key=lambda span: span.first_season)
    )
