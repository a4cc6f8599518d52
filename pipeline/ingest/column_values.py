"""How the text of a declared column is read, and the rule that a wrong one breaks: files and requests alike.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipeline.contract.spec import Column
from pipeline.ingest.moments import moment_of, moment_rule
from pipeline.ingest.values import DATE_RULE, FLAG_RULE, day_of, flag_of

_SECONDS: Final = "datetime64[s]"


def reader_of(column: Column, time_zone: str) -> tuple[Callable[[str], Any], Any, str]:
    """How a text of the column is read (None: it is wrong), the type of its values, and the rule in words.

    A moment is read as the local time of `time_zone` (IANA name).
    """
    if column.type == "day":
        return day_of, _SECONDS, DATE_RULE
    if column.type == "moment":
        zone = ZoneInfo(time_zone)
        return lambda text: _local_time(text, zone), _SECONDS, moment_rule(zone)
    if column.type == "flag":
        return flag_of, "Float64", FLAG_RULE
    if column.type in ("number", "integer"):
        kind = "a whole number" if column.type == "integer" else "a number"
        return lambda text: _number(column, text), "Float64", f"is not {kind}{_range(column)}"
    if column.values:
        return lambda text: text if text in column.values else None, "str", f"is none of {', '.join(column.values)}"
    return lambda text: text, "str", ""


def _number(column: Column, text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    low, high = (-math.inf if column.low is None else column.low), (math.inf if column.high is None else column.high)
    fits = math.isfinite(number) and low <= number <= high and (column.type == "number" or number.is_integer())
    return number if fits else None


def _range(column: Column) -> str:
    if column.low is None and column.high is None:
        return ""
    if column.high is None:
        return f" from {column.low:g}"
    return f" up to {column.high:g}" if column.low is None else f" from {column.low:g} to {column.high:g}"


def _local_time(text: str, zone: ZoneInfo) -> datetime | None:
    moment = moment_of(text, zone)
    return moment.replace(tzinfo=None) if moment else None
