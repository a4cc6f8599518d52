"""What is wrong with the data, in words: one row a violation, and the exception that stops a run on bad data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contract.reasons import printable
from pipeline.ingest.column_words import revealed
from pipeline.ingest.files.limits import LISTED_OF_TOO_MANY, MAX_VIOLATIONS

# Where a row of a table of rows is from: no column of a file begins with a blank, and one may be called file or line.
FILE: Final = " file"
LINE: Final = " line"
BAD_FILE: Final = "file"
BAD_LINE: Final = "line"
COLUMN: Final = "column"
VALUE: Final = "value"
RULE: Final = "rule"
QUARANTINE_COLUMNS: Final = (BAD_FILE, BAD_LINE, COLUMN, VALUE, RULE)
# Characters that a terminal obeys, or shows as nothing.
_LOOKS_LATIN: Final = "[\u0370-\u03ff\u0400-\u04ff]"  # and may not be
_UNPRINTED: Final = r"[\x00-\x1f\x7f-\x9f]|" + "[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
LONGEST_VALUE: Final = 80  # characters of a bad value that are worth showing
_DTYPES: Final = {BAD_FILE: "str", BAD_LINE: "int64", COLUMN: "str", VALUE: "str", RULE: "str"}


class BadData(Exception):  # noqa: N818 (a verdict on the data, not a fault of the program)
    """Data that must not be trained on; the message names file, line, column, value and rule, and what to do next.

    `quarantine` holds the violations found until then (columns of QUARANTINE_COLUMNS).
    """

    def __init__(self, message: str, quarantine: pd.DataFrame | None = None) -> None:
        # One line, whatever a broken file puts into it.
        super().__init__(printable(" ".join(message.splitlines())))
        self.quarantine = pd.DataFrame(columns=list(QUARANTINE_COLUMNS)) if quarantine is None else quarantine


class TooManyViolations(Exception):  # noqa: N818 (a verdict on the data)
    """More than MAX_VIOLATIONS: `listed` holds the first LISTED_OF_TOO_MANY, `n_rows` is how many rows are bad."""

    def __init__(self, listed: pd.DataFrame, n_rows: int) -> None:
        super().__init__(f"{n_rows:,} bad rows")
        self.listed, self.n_rows = listed, n_rows


Rules = str | Sequence[str]


@dataclass(frozen=True)
class Breach:
    """Rows (by their index) that break a rule in a column.

    `rule` is one text, or one for each row, or what makes either from the rows' values.
    """

    rows: pd.Index[int]
    column: str
    rule: Rules | Callable[[pd.Series[str]], Rules]

    def before(self, end: int) -> Breach:
        """Those of the rows whose index is below `end`."""
        kept = np.flatnonzero(self.rows < end)
        rule = self.rule
        if not isinstance(rule, str) and not callable(rule):
            rule = [rule[place] for place in kept.tolist()]
        return Breach(self.rows[kept], self.column, rule)


def violations_of(breaches: Iterable[Breach], raw: pd.DataFrame) -> pd.DataFrame:
    """Violations of rows of `raw` (their index is that of the result), with the text as it was read.

    Raises TooManyViolations.
    """
    found = [breach for breach in breaches if len(breach.rows)]
    if sum(len(breach.rows) for breach in found) > MAX_VIOLATIONS:
        rows = np.sort(np.concatenate([breach.rows.to_numpy() for breach in found]))
        end = int(rows[LISTED_OF_TOO_MANY])
        raise TooManyViolations(
            violations_of([breach.before(end) for breach in found], raw), 1 + int(np.count_nonzero(np.diff(rows)))
        )
    return pd.concat([_table(breach, raw) for breach in found]) if found else no_violations()


def _table(breach: Breach, raw: pd.DataFrame) -> pd.DataFrame:
    values = raw[breach.column].loc[breach.rows]
    rules = breach.rule(values) if callable(breach.rule) else breach.rule
    files, lines = raw[FILE].loc[breach.rows], raw[LINE].loc[breach.rows]
    return violation_rows(files, lines, breach.column, values, rules, index=breach.rows)


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
    odd = table[VALUE].str.contains(f"{_UNPRINTED}|{_LOOKS_LATIN}")
    if odd.any():
        table.loc[odd, VALUE] = [printable(revealed(value)) for value in table.loc[odd, VALUE]]
    too_long = table[VALUE].str.len() > LONGEST_VALUE
    if too_long.any():
        table[VALUE] = table[VALUE].mask(too_long, table[VALUE].str.slice(0, LONGEST_VALUE) + "…")
    return table


@lru_cache(maxsize=1)
def no_violations() -> pd.DataFrame:
    """The empty table of violations (one object: not to be changed)."""
    return violation_rows([], [], "", [], [], index=pd.RangeIndex(0))


def describe(file: str, line: int, column: str, value: str, rule: str) -> str:
    """A violation in words: `2020.csv, line 88: price "abc" is not a number from 1 to 250`."""
    return f'{place(file, line)}: {column} "{value}" {rule}' if column else f"{place(file, line)}: {rule}"


def place(file: str, line: int | str) -> str:
    """The place of a row, in words: a Parquet file has no lines, so there it is the number of the row."""
    return f"{file}, {'row' if file.lower().endswith('.parquet') else 'line'} {line}"


def kinds(quarantine: pd.DataFrame) -> pd.Series[str]:
    """The rule of each violation without what differs by row, which follows a colon and a blank."""
    return quarantine[RULE].str.replace(r"(?s): .*", "", regex=True)


def count_rules(quarantine: pd.DataFrame) -> pd.Series[int]:
    """How many violations each kind of rule has, most first (then by text)."""
    return kinds(quarantine).value_counts().sort_index().sort_values(ascending=False, kind="stable")


@dataclass(frozen=True)
class RowRule:
    """A rule: the column that is blamed, what is wrong with it in words, and which rows are right."""

    column: str
    text: str
    holds: Callable[[pd.DataFrame], pd.Series[bool]]
    remedy: Callable[[str], str] | None = None  # what to do about a value, in words

    def of(self, values: pd.Series[str]) -> str | list[str]:
        """The text for each bad value."""
        return self.text if self.remedy is None else with_remedies(self.text, self.remedy, values)


def breaches_of(rules: Iterable[RowRule], rows: pd.DataFrame) -> list[Breach]:
    """The rows that break each of the rules."""
    return [Breach(rows.index[~rule.holds(rows).to_numpy(dtype=bool)], rule.column, rule.of) for rule in rules]


def with_remedies(rule: str, remedy: Callable[[str], str], values: pd.Series[str]) -> list[str]:
    """The rule for each bad value with what to do; remedies of the first hundred only, as some are slow to find."""
    remedies = {value: remedy(value) for value in values.drop_duplicates().head(100)}
    texts = {value: f"{rule}: {remedy}" for value, remedy in remedies.items() if remedy}
    return [texts.get(value, rule) for value in values]
