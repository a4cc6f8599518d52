"""What is wrong with the data, in words: one row a violation, and the exception that stops a run on bad data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

FILE: Final = "file"
LINE: Final = "line"
COLUMN: Final = "column"
VALUE: Final = "value"
RULE: Final = "rule"
QUARANTINE_COLUMNS: Final = (FILE, LINE, COLUMN, VALUE, RULE)
LONGEST_VALUE: Final = 80  # characters of a bad value that are worth showing
_DTYPES: Final = {FILE: "str", LINE: "int64", COLUMN: "str", VALUE: "str", RULE: "str"}


class BadData(Exception):  # noqa: N818 (a verdict on the data, not a fault of the program)
    """Data that must not be trained on; the message names file, line, column, value and rule, and what to do next.

    `quarantine` holds the violations found until then (columns of QUARANTINE_COLUMNS).
    """

    def __init__(self, message: str, quarantine: pd.DataFrame | None = None) -> None:
        # One line, whatever a broken file puts into it.
        super().__init__(" ".join(message.splitlines()))
        self.quarantine = pd.DataFrame(columns=list(QUARANTINE_COLUMNS)) if quarantine is None else quarantine


@dataclass(frozen=True)
class Breach:
    """Rows (by their index) that break a rule in a column; `rule` is one text, or one for each row."""

    rows: pd.Index[int]
    column: str
    rule: str | Sequence[str]


def violations_of(breaches: Iterable[Breach], raw: pd.DataFrame) -> pd.DataFrame:
    """Violations of rows of `raw` (their index is that of the result), with the text as it was read."""
    tables = [
        violation_rows(
            raw[FILE].loc[breach.rows],
            raw[LINE].loc[breach.rows],
            breach.column,
            raw[breach.column].loc[breach.rows],
            breach.rule,
            index=breach.rows,
        )
        for breach in breaches
        if len(breach.rows)
    ]
    return pd.concat(tables) if tables else no_violations()


def violation_rows(
    files: str | Sequence[str] | pd.Series[str],
    lines: Sequence[int] | npt.NDArray[np.int64] | pd.Series[int],
    columns: str,
    values: Sequence[str] | pd.Series[str],
    rules: str | Sequence[str],
    *,
    index: pd.Index[int],
) -> pd.DataFrame:
    """Violations as a table with QUARANTINE_COLUMNS; a very long value is cut. One text is meant for every row."""
    given = dict(zip(QUARANTINE_COLUMNS, (files, lines, columns, values, rules), strict=True))
    table = pd.DataFrame({name: pd.Series(value, index=index, dtype=_DTYPES[name]) for name, value in given.items()})
    too_long = table[VALUE].str.len() > LONGEST_VALUE
    if too_long.any():
        table[VALUE] = table[VALUE].mask(too_long, table[VALUE].str.slice(0, LONGEST_VALUE) + "…")
    return table


@lru_cache(maxsize=1)
def no_violations() -> pd.DataFrame:
    """The empty table of violations (one object: not to be changed)."""
    return violation_rows([], [], "", [], [], index=pd.RangeIndex(0))


def describe(file: str, line: int, column: str, value: str, rule: str) -> str:
    """A violation in words: `games_2020.csv, line 88: home_points "abc" is not a whole number from 1 to 250`."""
    return f'{place(file, line)}: {column} "{value}" {rule}' if column else f"{place(file, line)}: {rule}"


def place(file: str, line: int | str) -> str:
    """Where a row stands, in words: a Parquet file has no lines, so there it is the number of the row."""
    return f"{file}, {'row' if file.lower().endswith('.parquet') else 'line'} {line}"


def count_rules(quarantine: pd.DataFrame) -> pd.Series[int]:
    """How many violations each rule has, most first (then by text); what a rule says after a colon differs by row."""
    counts = quarantine[RULE].str.split(":").str[0].value_counts()
    return counts.sort_index().sort_values(ascending=False, kind="stable")
