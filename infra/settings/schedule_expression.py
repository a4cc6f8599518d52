"""Schedule expressions of EventBridge Scheduler: validation, and the longest gap between two runs.

Syntax: docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html. Standard library only.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

EXAMPLE: Final = "cron(0 9 * * ? *) or rate(1 day)"
_HOURS: Final = {"minute": 1 / 60, "hour": 1.0, "day": 24.0}
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# Name, lowest and highest number, and names of numbers, from 1.
_Field = tuple[str, int, int, tuple[str, ...]]
_FIELDS: Final[tuple[_Field, ...]] = (
    *(("minutes", 0, 59, ()), ("hours", 0, 23, ()), ("day of month", 1, 31, ())),
    *(("month", 1, 12, _MONTHS), ("day of week", 1, 7, _WEEKDAYS)),
)
# Five years from here hold a leap day and each weekday in each month.
_FIRST_DAY: Final = date(2024, 1, 1)
_DAYS: Final = 5 * 366


class ScheduleError(ValueError):
    """An expression that cannot be used; the message says why."""


def longest_gap_hours(expression: str) -> float:
    """The most hours between two firings, by the clock of the schedule's own time zone.

    Raises ScheduleError for an expression that is not valid or never fires.
    """
    if hours := _rate_hours(expression):
        return hours
    minutes, days = _cron(expression)
    within_a_day = max((later - earlier for earlier, later in pairwise(minutes)), default=0)
    longest = max((later - earlier).days for earlier, later in pairwise(days))
    return max(within_a_day, longest * 24 * 60 + minutes[0] - minutes[-1]) / 60


def runs_a_day(expression: str) -> float:
    """How often it fires, on average over some years; raises ScheduleError like `longest_gap_hours`."""
    if hours := _rate_hours(expression):
        return 24 / hours
    minutes, days = _cron(expression)
    return len(minutes) * len(days) / _DAYS


def next_start(expression: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When a cron expression fires next after `now`, in its zone; None for a rate, which counts from its creation.

    Raises ScheduleError like `longest_gap_hours`.
    """
    if _rate_hours(expression):
        return None
    minutes, days = _cron(expression, first=now.astimezone(zone).date())
    firings = (datetime.combine(day, time(m // 60, m % 60), zone) for day in days for m in minutes)
    return next(firing for firing in firings if firing > now)


def _rate_hours(expression: str) -> float | None:
    match = re.fullmatch(r"rate\(([1-9][0-9]{0,5}) (minute|hour|day)s?\)", expression)
    return int(match[1]) * _HOURS[match[2]] if match else None


def _cron(expression: str, first: date = _FIRST_DAY) -> tuple[list[int], list[date]]:
    """The minutes of a day, and the days of some years, at which a cron expression fires."""
    match = re.fullmatch(r"cron\(([^()]+)\)", expression)
    if not match:
        raise ScheduleError("neither cron(...) nor rate(...)")
    fields = match[1].split()
    if len(fields) != 6:
        raise ScheduleError(
            f"cron needs 6 fields (minutes hours day-of-month month day-of-week year), not {len(fields)}"
        )
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError("exactly one of day-of-month and day-of-week must be ?")
    if fields[5] != "*":
        raise ScheduleError("the year must be *, because retraining has no last year")
    minutes, hours, days, months, weekdays = (
        _values("*" if text == "?" and field[0].startswith("day") else text, field)
        for text, field in zip(fields[:5], _FIELDS, strict=True)
    )
    firing = [
        day
        for day in (first + timedelta(n) for n in range(_DAYS))
        if day.month in months and day.day in days and day.isoweekday() % 7 + 1 in weekdays
    ]
    if not firing:
        raise ScheduleError("it never fires")
    return sorted(60 * hour + minute for hour in hours for minute in minutes), firing


def _values(text: str, field: _Field) -> set[int]:
    """The numbers that a field of a cron expression selects."""
    name, lowest, highest, _ = field
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if step and not re.fullmatch("[1-9][0-9]?", step):
            raise ScheduleError(f"{name}: {part} has a step that is no number from 1 to 99")
        first, dash, last = span.partition("-")
        low = lowest if span == "*" else _number(first, field)
        high = _number(last, field) if dash else highest if span == "*" or step else low
        if low > high:
            raise ScheduleError(f"{name}: {part} runs backwards")
        found.update(range(low, high + 1, int(step or 1)))
    return found


def _number(text: str, field: _Field) -> int:
    name, lowest, highest, words = field
    if text.upper() in words:
        return words.index(text.upper()) + 1
    if re.fullmatch("[0-9]{1,2}", text) and lowest <= int(text) <= highest:
        return int(text)
    named = f" or {words[0]} to {words[-1]}" if words else ""
    raise ScheduleError(f"{name}: {text!r} is not from {lowest} to {highest}{named} (L, W and # are not used)")
