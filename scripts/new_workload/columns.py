"""One column of text as what it may be: a time, a target or a feature, with its type, range or categories."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.spec import Column, Task
from pipeline.ingest.values import flag_of, given, reader_of
from pipeline.serving.requests import LONGEST_VALUE

CATEGORIES: Final = 50  # different texts; more are no category
FEW: Final = 0.002  # share of a column's values that may be bad: they go to the quarantine
GROWS: Final = 0.95  # rank correlation with time from which a number has no upper end
# Numbers and times written as the data contract does not read them: what they are, and what to write. But for the last,
# which may be names (1st, 24h), they are no categories, however few: new rows have others.
_NUMBER: Final = r"[-+]?\d[\d.,']*"
_WRITTEN_OTHERWISE: Final = (
    (r"[-+]?\d{1,3}([,']\d{3})+(\.\d+)?", "numbers with thousands separators", "leave the separators out"),
    (r"[-+]?[\d.']*\d,\d+", "numbers with a decimal comma", "write a point"),
    (rf"{_NUMBER} ?%", "percentages", "write the number alone"),
    (rf"{_NUMBER} ?[€$£¥]|[€$£¥] ?{_NUMBER}", "amounts with a unit", "write the number alone"),
    (
        r"\d{4}[-/]\d\d?([-/]\d\d?.*)?|\d\d?[/.-]\d\d?[/.-](\d\d){1,2}.*",
        "times",
        "write what matters of them as a number, such as days since then",
    ),
    (rf"{_NUMBER} ?[^\d\W]{{1,5}}|[A-Z]{{3}} {_NUMBER}", "amounts with a unit", "write the number alone"),
)
RESERVED: Final = (c.ROW_ID, c.TIME, c.TARGET, c.PREDICTION)


class Refusal(Exception):  # noqa: N818 (a verdict on the data or the wish)
    """Why no workload can be written: one sentence."""


@dataclass(frozen=True)
class Values:
    """A column's different texts, how many rows have each, and which one each row has."""

    name: str
    texts: NDArray[np.object_]
    counts: NDArray[np.int64]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, name: str, column: pd.Series[str]) -> Values:
        written = np.array([given(text) for text in column.cat.categories.astype(object)], dtype=object)
        texts, merged = np.unique(written, return_inverse=True)
        codes = merged[column.cat.codes.to_numpy()]
        return cls(name, texts, np.bincount(codes, minlength=len(texts)), codes)

    @property
    def given_rows(self) -> NDArray[np.bool_]:
        return np.asarray((self.texts != "")[self.codes])

    @property
    def words(self) -> list[str]:
        return [text for text in self.texts if text]

    def read(self, column: Column) -> tuple[list[Any], str]:
        """The value of each text (None: missing or bad), and the most frequent bad text where too many are."""
        read, _, _ = reader_of(column, "UTC")
        found = [read(text) if text else None for text in self.texts]
        if column.type == "moment":  # a Parquet file's midnight, read as text, is a day
            found = [value or read(f"{text} 00:00") for text, value in zip(self.texts, found, strict=True)]
        bad = np.array([bool(text) and value is None for text, value in zip(self.texts, found, strict=True)])
        too_many = self.counts[bad].sum() > FEW * self.counts[self.texts != ""].sum()
        return found, str(self.texts[bad][self.counts[bad].argmax()]) if too_many else ""


def time_column(values: Values) -> tuple[Column, NDArray[np.datetime64]]:
    """The time column, and the day of each row (NaT where it has none)."""
    for column in (Column(values.name, role="time", type="day"), Column(values.name, role="time", type="moment")):
        found, bad = values.read(column)
        if not bad and values.words:
            return column, np.array(found, dtype="datetime64[s]").astype("datetime64[D]")[values.codes]
    shown = f'"{bad}" is' if bad else "nothing in it is"
    raise Refusal(
        f"--time {values.name}: {shown} no time: write YYYY-MM-DD, or YYYY-MM-DD HH:MM with or without a zone"
    )


def target_column(values: Values, days: NDArray[np.datetime64], task: Task | None) -> tuple[Column, Task]:
    words, shown = values.words, ", ".join(f'"{word}"' for word in values.words[:5])
    if len(words) < 2:
        raise Refusal(f"--target {values.name}: every row has the value {shown}: there is nothing to predict")
    flags = {flag_of(word) for word in words} == {0, 1}
    if task == "binary" and not flags:
        raise Refusal(f"--target {values.name}: {shown} are not true and false: write 1 and 0, or leave --task out")
    if flags and task != "regression":
        return Column(values.name, role="target", type="flag"), "binary"
    column = _number(values, days)
    if column is None:
        other = f"{shown} are neither numbers nor true and false: write 1 for one and 0 for all others"
        raise Refusal(f"--target {values.name}: {written_otherwise(words) or other}")
    return replace(column, role="target", missing=False), "regression"


def feature_column(values: Values, days: NDArray[np.datetime64], *, required: bool) -> Column | str:
    words, missing = values.words, not values.given_rows.all()
    if not values.name:
        return "a data frame's index, or another column without a name"
    core = values.name in RESERVED
    if core or set(values.name) & set("[]<"):
        return f"{'core has a column of that name' if core else 'XGBoost allows no [, ] and < in a name'}: rename it"
    if len(words) + missing < 2:
        return "one value only" if words else "no value"
    column = Column(values.name, required=required, missing=missing or not required)
    if all(flag_of(word) is not None for word in words):
        return replace(column, type="flag")
    if not _codes(words) and (number := _number(values, days)):
        return replace(column, type=number.type, low=number.low, high=number.high)
    return _category(values, column)


def _codes(words: list[str]) -> bool:
    """Whether digits are a name, such as 01023: as long as each other, some with a zero in front, and few."""
    fixed = len({len(word) for word in words}) == 1 and len(words[0]) > 1 and len(words) <= CATEGORIES
    return fixed and all(word.isdigit() for word in words) and any(word[0] == "0" for word in words)


def _category(values: Values, column: Column) -> Column | str:
    """Of texts that are not all numbers: the column where they are few, or why it is none."""
    words = values.words
    read, bad = values.read(Column(values.name))
    others = [text for text, value in zip(values.texts, read, strict=True) if text and value is None]
    few = len(words) <= CATEGORIES
    if problem := written_otherwise(others, few=few):
        return problem
    if max(map(len, words)) > LONGEST_VALUE:
        return f"texts of more than {LONGEST_VALUE} characters, which no request may have"
    if few:
        return _in_two_cases(words) or replace(column, type="category", values=tuple(words))
    if 2 * (len(words) - len(others)) > len(words):
        return f'numbers, but "{bad}" in too many rows: write nothing where there is no value'
    return f"texts with {len(words):,} different values, and a category has at most {CATEGORIES}"


def _in_two_cases(words: list[str]) -> str:
    first = {word.casefold(): word for word in reversed(words)}
    twice = next((word for word in words if first[word.casefold()] != word), "")
    return twice and f'"{first[twice.casefold()]}" and "{twice}" differ in case alone: write each word in one way'


def written_otherwise(texts: Sequence[str], *, few: bool = False) -> str:
    """What most of the texts are and what to write in their place; empty where they are no numbers and no times."""
    for pattern, kind, remedy in _WRITTEN_OTHERWISE[: -1 if few else None]:
        found = [text for text in texts if re.fullmatch(pattern, text)]
        if 2 * len(found) > len(texts):
            return f'{kind}, such as "{found[0]}": {remedy}'
    return ""


def _number(values: Values, days: NDArray[np.datetime64]) -> Column | None:
    """Type and range: as much beyond the data as they span, and no negative ones where there is none."""
    found, bad = values.read(Column(values.name))
    numbers = np.array(found, dtype=np.float64)
    if bad or not np.isfinite(numbers).any():
        return None
    least, most = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    span = most - least or max(abs(most), 1.0)
    step = 10.0 ** math.floor(math.log10(span))
    low, high = math.floor((least - span) / step) * step, math.ceil((most + span) / step) * step
    row = pd.DataFrame({"value": numbers[values.codes], "day": days.astype(np.int64)}).dropna()
    grows = row["value"].rank().corr(row["day"].rank()) > GROWS
    whole = values.read(Column(values.name, type="integer"))[0] == found
    return Column(
        values.name,
        type="integer" if whole else "number",
        low=_plain(0.0 if least >= 0 and low < 0 else low),
        high=None if grows else _plain(high),
    )


def _plain(number: float) -> float:
    return int(number) if number.is_integer() else float(f"{number:.6g}")
