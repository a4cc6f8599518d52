"""Team codes to franchises, so that a code that changes never resets a team's history.

`franchises.csv` beside this file holds one row a code and span of seasons. A franchise follows the players: a team that
moves keeps its history, so Charlotte's code of 1989 to 2002 belongs to New Orleans. A code is resolved only within the
seasons given there (`BAL` and `CHA` were used by two franchises each); everything else is unknown, and never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.steps.franchise_spans import FIRST_SEASON, LAST_SEASON, CodeSpan, read_spans

__all__ = ["FIRST_SEASON", "LAST_SEASON", "CodeSpan", "build_table", "franchise_of", "is_known_code", "read_spans"]


@dataclass(frozen=True)
class FranchiseTable:
    """A lookup by code and season; `numbers` has shape (codes, seasons) and points into `names`, -1 for unknown."""

    codes: pd.Index
    names: pd.Index
    numbers: npt.NDArray[np.int16]


def build_table(spans: tuple[CodeSpan, ...]) -> FranchiseTable:
    """Lay the spans out as a table.

    Raises ValueError where two franchises claim the same code in the same season.
    """
    codes = sorted({span.code for span in spans})
    franchises = sorted({span.franchise for span in spans})
    numbers = np.full((len(codes), LAST_SEASON - FIRST_SEASON + 1), -1, dtype=np.int16)
    for span in spans:
        seasons = numbers[
            codes.index(span.code), span.first_season - FIRST_SEASON : span.last_season - FIRST_SEASON + 1
        ]
        if (seasons >= 0).any():
            raise ValueError(
                f"franchises.csv: code {span.code} has two meanings between {span.first_season} and {span.last_season}"
            )
        seasons[:] = franchises.index(span.franchise)
    return FranchiseTable(pd.Index(codes), pd.Index(franchises), numbers)


@lru_cache(maxsize=1)
def franchise_table() -> FranchiseTable:
    """The table of `franchises.csv`, built once a process."""
    return build_table(read_spans())


def franchise_of(codes: pd.Series[str], seasons: pd.Series[int]) -> pd.Series[str]:
    """Resolve each code in its season: a categorical of franchises on the index of `codes`, missing where unknown."""
    table = franchise_table()
    # Categories first: a few hundred codes are looked up instead of one a game.
    category = codes.astype("category")
    known = table.codes.get_indexer(category.cat.categories)
    code_numbers = np.append(known, -1)[category.cat.codes.to_numpy()]
    years = seasons.to_numpy(dtype=np.int64)
    valid = (code_numbers >= 0) & (years >= FIRST_SEASON) & (years <= LAST_SEASON)
    numbers = np.full(len(codes), -1, dtype=np.int16)
    numbers[valid] = table.numbers[code_numbers[valid], years[valid] - FIRST_SEASON]
    return pd.Series(pd.Categorical.from_codes(numbers, categories=table.names), index=codes.index)


def is_known_code(codes: pd.Series[str]) -> pd.Series[bool]:
    """Whether `franchises.csv` has the code in any season."""
    return codes.isin(franchise_table().codes)
