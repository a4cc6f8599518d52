"""What is wrong with the data, in words: one row a violation, and the exception that stops a run on bad data."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pandas as pd

FILE: Final = "file"
LINE: Final = "line"
COLUMN: Final = "column"
VALUE: Final = "value"
RULE: Final = "rule"
QUARANTINE_COLUMNS: Final = (FILE, LINE, COLUMN, VALUE, RULE)
LONGEST_VALUE: Final = 80  # characters of a bad value that are worth showing


class BadData(Exception):  # noqa: N818 (a verdict on the data, not a fault of the program)
    """Data that must not be trained on; the message names file, line, column, value and rule, and what to do next.

    `quarantine` holds the violations found until then (columns of QUARANTINE_COLUMNS).
    """

    def __init__(self, message: str, quarantine: pd.DataFrame | None = None) -> None:
        # One line, whatever a broken file puts into it.
        super().__init__(" ".join(message.splitlines()))
        self.quarantine = pd.DataFrame(columns=list(QUARANTINE_COLUMNS)) if quarantine is None else quarantine


def violations_at(positions: list[int], columns: list[str], rules: list[str], raw: pd.DataFrame) -> pd.DataFrame:
    """Violations of the rows at `positions` (the index of the result) of `raw`, with the text as it was read."""
    if not positions:
        return no_violations()
    at = raw.loc[positions]
    values = [str(raw.at[position, column]) for position, column in zip(positions, columns, strict=True)]
    return violation_rows(at[FILE].astype(str).tolist(), at[LINE].tolist(), columns, values, rules, index=positions)


def violation_rows(
    files: list[str],
    lines: list[int],
    columns: list[str],
    values: list[str],
    rules: list[str],
    *,
    index: list[int] | None = None,
) -> pd.DataFrame:
    """Violations as a table with QUARANTINE_COLUMNS; a very long value is cut."""
    short = [value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…" for value in values]
    data = dict(zip(QUARANTINE_COLUMNS, (files, lines, columns, short, rules), strict=True))
    return pd.DataFrame(data, index=index).astype(
        {FILE: "str", LINE: "int64", COLUMN: "str", VALUE: "str", RULE: "str"}
    )


@lru_cache(maxsize=1)
def no_violations() -> pd.DataFrame:
    """The empty table of violations (one object: not to be changed)."""
    return violation_rows([], [], [], [], [], index=[])


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
