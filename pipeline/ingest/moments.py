"""Moments: how a text is one, and the hours of a local day, of which clocks skip one or show one twice.

A row's time is local, because its day is; its id is made of UTC, in which no moment is skipped or comes twice.
Standard library only.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

# As databases and R write it; the year first has one meaning, whatever is between.
_YEAR_FIRST: Final = re.compile(r"([0-9]{4})([/.])([0-9]{2})\2([0-9]{2})(?=[T ])")
_LENGTH_OF_A_DAY: Final = len("2025-03-01")


def moment_rule(zone: ZoneInfo) -> str:
    """What a text that is no moment breaks."""
    return (
        f"is not a time that clocks of {zone.key} show, written YYYY-MM-DD HH:MM, or with its offset from UTC, as "
        "2025-03-01T08:00-05:00 and 2025-03-01T13:00Z are"
    )


def moment_of(text: str, zone: ZoneInfo) -> datetime | None:
    """The moment on the zone's clocks; None where the text is none.

    Without an offset, what the clocks show twice is the first time, and what they skip is no moment.
    """
    try:
        found = datetime.fromisoformat(_plain(text))
        if len(text) <= _LENGTH_OF_A_DAY:  # a day alone
            return None
        if found.tzinfo:
            return found.astimezone(zone)
        local = found.replace(tzinfo=zone)
        there_and_back = local.astimezone(UTC).astimezone(zone)
    except (ValueError, OverflowError):
        return None
    return local if there_and_back.replace(tzinfo=None) == found else None


def _plain(text: str) -> str:
    return _YEAR_FIRST.sub(r"\1-\3-\4", re.sub(" (UTC|GMT)$", "Z", text))


def shown_twice(text: str, zone: ZoneInfo) -> bool:
    """Whether the text is a time without offset that the zone's clocks show twice."""
    try:
        found = datetime.fromisoformat(_plain(text))
    except ValueError:
        return False
    first, second = (found.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return found.tzinfo is None and first != second


def id_of(moment: datetime) -> str:
    """The id of a row that has no other: its moment in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hours_of(day: date, zone: ZoneInfo) -> list[datetime]:
    """When each hour of a local day begins, on the zone's clocks: 24, or 23 or 25 where the clocks change."""
    first, end = (datetime(d.year, d.month, d.day, tzinfo=zone) for d in (day, day + timedelta(days=1)))
    n_hours = round((end.astimezone(UTC) - first.astimezone(UTC)) / timedelta(hours=1))
    return [(first.astimezone(UTC) + timedelta(hours=hour)).astimezone(zone) for hour in range(n_hours)]
