"""Schedule expressions of EventBridge Scheduler: validation, and the longest gap between two runs.

Syntax: docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html. Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

EXAMPLE: Final = "cron(0 9 * * ? *) or rate(1 day)"
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_HOURS: Final = {"minute": 1 / 60, "hour": 1.0, "day": 24.0}
# Five years from here hold a leap day and each weekday in each month.
_FIRST_DAY: Final = date(2024, 1, 1)
_DAYS: Final = 5 * 366


class ScheduleError(ValueError):
    """An expression that cannot be used; the message says why."""


@dataclass(frozen=True)
class _Field:
    name: str
    lowest: int
    highest: int
    words: tuple[str, ...] = ()
    first_word: int = 1


_MINUTE: Final = _Field("minutes", 0, 59)
_HOUR: Final = _Field("hours", 0, 23)
_DAY: Final = _Field("day of month", 1, 31)
_MONTH: Final = _Field("month", 1, 12, _MONTHS)
_WEEKDAY: Final = _Field("day of week", 1, 7, _WEEKDAYS)


def longest_gap_hours(expression: str) -> float:
    """The most hours between two firings, by the clock of the schedule's own time zone.

    Raises ScheduleError for an expression that is not valid or never fires.
    """
    if match := re.fullmatch(r"rate\(([1-9][0-9]{0,5}) (minute|hour|day)s?\)", expression):
        return int(match[1]) * _HOURS[match[2]]
    if match := re.fullmatch(r"cron\(([^()]+)\)", expression):
        return _cron_gap(match[1].split())
    raise ScheduleError("neither cron(...) nor rate(...)")


def runs_a_day(expression: str) -> float:
    """How often it fires, on average over some years; raises ScheduleError like `longest_gap_hours`."""
    gap = longest_gap_hours(expression)
    if expression.startswith("rate"):
        return 24 / gap
    times, days = _cron(expression.removeprefix("cron(").removesuffix(")").split())
    return len(times) * len(days) / _DAYS


def next_start(expression: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When a cron expression fires next after `now`, in its zone; None for a rate, which counts from its creation.

    Raises ScheduleError like `longest_gap_hours`.
    """
    if not expression.startswith("cron"):
        longest_gap_hours(expression)
        return None
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    times, days = _cron(fields, first=now.astimezone(zone).date())
    firings = (datetime(d.year, d.month, d.day, h, m, tzinfo=zone) for d in days for h, m in times)
    return next(firing for firing in firings if firing > now)


def _cron_gap(fields: list[str]) -> float:
    times, days = _cron(fields)
    firings = [datetime(d.year, d.month, d.day, h, m) for d in days for h, m in (times[0], times[-1])]
    within_a_day = max((_minutes(b) - _minutes(a) for a, b in pairwise(times)), default=0) / 60
    across = max((b - a).total_seconds() / 3600 for a, b in pairwise(firings) if a.date() != b.date())
    return max(within_a_day, across)


def _cron(fields: list[str], first: date = _FIRST_DAY) -> tuple[list[tuple[int, int]], list[date]]:
    """The times of day, and the days of some years, at which a cron expression fires."""
    if len(fields) != 6:
        raise ScheduleError(
            f"cron needs 6 fields (minutes hours day-of-month month day-of-week year), not {len(fields)}"
        )
    minute, hour, day, month, weekday, year = fields
    if (day == "?") == (weekday == "?"):
        raise ScheduleError("exactly one of day-of-month and day-of-week must be ?")
    if year != "*":
        raise ScheduleError("the year must be *, because retraining has no last year")
    times = [(h, m) for h in sorted(_values(hour, _HOUR)) for m in sorted(_values(minute, _MINUTE))]
    days = _values(day, _DAY) if day != "?" else None
    weekdays = _values(weekday, _WEEKDAY) if weekday != "?" else None
    months = _values(month, _MONTH)
    firing = [
        d
        for d in (first + timedelta(n) for n in range(_DAYS))
        if d.month in months
        and (days is None or d.day in days)
        and (weekdays is None or (d.isoweekday() % 7) + 1 in weekdays)
    ]
    if not firing:
        raise ScheduleError("it never fires")
    return times, firing


def _minutes(time: tuple[int, int]) -> int:
    return time[0] * 60 + time[1]


def _values(text: str, field: _Field) -> frozenset[int]:
    """The numbers that a field of a cron expression selects."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if step and not re.fullmatch("[1-9][0-9]?", step):
            raise ScheduleError(f"{field.name}: {part} has a step that is no number from 1 to 99")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = field.lowest, field.highest
        else:
            low = _number(first, field)
            high = _number(last, field) if dash else (field.highest if step else low)
        if low > high:
            raise ScheduleError(f"{field.name}: {part} runs backwards")
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, field: _Field) -> int:
    if text.upper() in field.words:
        return field.words.index(text.upper()) + field.first_word
    if re.fullmatch("[0-9]{1,2}", text) and field.lowest <= int(text) <= field.highest:
        return int(text)
    words = f" or {field.words[0]} to {field.words[-1]}" if field.words else ""
    raise ScheduleError(
        f"{field.name}: {text!r} is not from {field.lowest} to {field.highest}{words} (L, W and # are not used)"
    )
