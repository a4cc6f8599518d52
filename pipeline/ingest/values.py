"""How a value is written in data: a date, a number, a flag, a declared column, and what is missing.

The same in CSV, Parquet and JSON. Standard library only: a request to the server is read by the same rules.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import date, time
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipeline.contract.spec import Column
from pipeline.ingest.column_words import composed
from pipeline.ingest.moments import DASHES, HYPHEN, moment_of, moment_rule

# What exports write for a value that is missing, in upper or lower case: pandas, R, SQL, Hive and MySQL (\\N), Excel,
# editors of databases, and people, whose dashes may be of any kind and number.
MISSING: Final = ("", "NA", "N/A", "#N/A", "NaN", "NaT", "<NA>", "null", "None", "\\N", "(null)", "-")
MISSING_RULE: Final = f"missing is written as nothing or {', '.join(MISSING[1:])}"
DATE_RULE: Final = "is not a real date written YYYY-MM-DD"
FLAG_RULE: Final = f"is not true or false: yes, no, y, n, t, f, 1, 0, 1.0 and 0.0 are read as well; {MISSING_RULE}"

NOT_GIVEN: Final = -2  # of a flag: other rows of the same id may know it

_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# The year first has one meaning, and so has a midnight of no zone: a day, as databases and pandas write it.
_DAY: Final = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})(?:[T ]0?0:00(?::00(?:\.0+)?)?)?")
_WHOLE: Final = re.compile(r"([0-9]{1,4})(\.0*)?")
# float() alone takes digits of any script, and 1_000.
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LARGEST_WHOLE: Final = 2**53  # beyond, a float is not each whole number
_LARGEST: Final = 3.4e38  # beyond, a number of single precision, which models compute with, is infinite
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FLAG: Final = re.compile(r"([01])(\.0*)?")
_FLAGS: Final = {"": 0, "false": 0, "f": 0, "no": 0, "n": 0, "true": 1, "t": 1, "yes": 1, "y": 1}
_MISSING: Final = frozenset(word.lower() for word in MISSING)


def given(text: str) -> str:
    """The text without blanks around it and invisible characters; nothing where it is a word for a missing value."""
    if not text.isascii():
        text = "".join(mark for mark in composed(text) if unicodedata.category(mark) != "Cf")
    text = text.strip()
    return "" if text.lower() in _MISSING or not text.strip(DASHES) else text


def iso_date(text: str) -> date | None:
    """The date; None where the text is none."""
    try:
        # fromisoformat alone also takes 20210105 and 2021-W01-1.
        return date.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None


def day_of(text: str, zone: ZoneInfo | None = None) -> date | None:
    """The day that a text means: YYYY-MM-DD, or the same with other marks, without noughts, or at midnight.

    A midnight with an offset from UTC is one on the clocks of `zone`.
    """
    if day := iso_date(text):
        return day
    match = _DAY.fullmatch(text.translate(HYPHEN))
    try:
        if match:
            return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
    moment = moment_of(text, zone) if zone else None
    return moment.date() if moment and moment.time() == time() else None


def whole_number(text: str) -> int | None:
    """The number of up to four digits; None where the text is none."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def flag_of(text: str) -> int | None:
    """1, or 0 which is also what nothing means; None where the text is no flag."""
    word = text.lower()
    match = _FLAG.fullmatch(word)
    return int(match[1]) if match else _FLAGS.get(word)


def day_remedy(text: str) -> str:
    """What to do about a text that is no day, where its form tells; else nothing."""
    is_time = re.search(r"[0-9]:[0-9]", text)
    return "write the local day alone; a day in UTC is often the day after" if is_time else ""


def number_remedy(text: str) -> str:
    """The same for a text that is no number."""
    has_marks = re.fullmatch(r"[-+]?[0-9][0-9.]*[,' ][0-9.,' ]*[0-9]", text)
    return "write decimals with a point, and thousands without a mark" if has_marks else ""


# An id as a spreadsheet shows a long number, 1.23E+07: what it was before is lost.
ROUNDED_ID: Final = r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2,}"
ROUNDED_ID_RULE: Final = "is a number that has lost its last digits: make the column text where it is written"
_SECONDS: Final = "datetime64[s]"


def reader_of(column: Column, time_zone: str) -> tuple[Callable[[str], Any], Any, str]:
    """How a text of the column is read (None: it is wrong), the type of its values, and the rule in words.

    A moment is read as the local time of `time_zone` (IANA name).
    """
    zone = ZoneInfo(time_zone)
    if column.type == "day":
        return partial(day_of, zone=zone), _SECONDS, DATE_RULE
    if column.type == "moment":
        return lambda text: (at := moment_of(text, zone)) and at.replace(tzinfo=None), _SECONDS, moment_rule(zone)
    if column.type == "flag":
        return flag_of, "Float64", FLAG_RULE
    if column.type in ("number", "integer"):
        kind = "a whole number" if column.type == "integer" else "a number"
        return lambda text: _number(column, text), "Float64", f"is not {kind}{_range(column)}"
    if column.values:
        return lambda text: text if text in column.values else None, "str", f"is none of {', '.join(column.values)}"
    as_it_is = column.role == "other"
    return lambda text: text if as_it_is or not _CONTROL.search(text) else None, "str", "holds control characters"


def _number(column: Column, text: str) -> float | None:
    text = text.translate(HYPHEN)
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    low, high = (-math.inf if column.low is None else column.low), (math.inf if column.high is None else column.high)
    whole = column.type == "number" or (number.is_integer() and abs(number) <= _LARGEST_WHOLE)
    return number if abs(number) <= _LARGEST and low <= number <= high and whole else None


def _range(column: Column) -> str:
    low = "" if column.low is None else f" from {column.low:.15g}"
    return low if column.high is None else f"{low or ' up'} to {column.high:.15g}"
