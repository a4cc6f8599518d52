"""Moments: how a text is one, and the hours of a local day, of which clocks skip one or show one twice.

A row's time is local, because its day is; its id is made of UTC, in which no moment is skipped or comes twice.
Standard library only.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

# The year first, as days may be written too, then a time: as spreadsheets (2025/3/1 8:00) and databases write it.
_MOMENT: Final = re.compile(
    r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})[T ]+([0-9]{1,2})(:[0-9:.,]*) ?([-+][0-9:.]*|Z|UTC|GMT)?"
)
DASHES: Final = "-\u2010\u2011\u2012\u2013\u2014\u2212"
HYPHEN: Final = str.maketrans(DASHES, "-" * len(DASHES))


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
    found = _written(text)
    try:
        if not found or found.tzinfo:
            return found and found.astimezone(zone)
        local = found.replace(tzinfo=zone)
        there_and_back = local.astimezone(UTC).astimezone(zone)
    except OverflowError:
        return None
    return local if there_and_back.replace(tzinfo=None) == found else None


def _written(text: str) -> datetime | None:
    """The time as it is written, with an offset or without one; a date alone is not a moment."""
    if match := _MOMENT.fullmatch(text.translate(HYPHEN)):
        year, _, month, day, hour, rest, offset = match.groups(default="")
        offset = "Z" if offset in ("UTC", "GMT") else offset
        text = f"{year}-{month:>02}-{day:>02}T{hour:>02}{rest}{offset}"
    try:
        return datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None


def shown_twice(text: str, zone: ZoneInfo) -> bool:
    """Whether the text is a time without offset that the zone's clocks show twice."""
    found = _written(text)
    if not found or found.tzinfo:
        return False
    first, second = (found.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first != second


def id_of(moment: datetime) -> str:
    """The id of a row that has no other: its moment in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hours_of(day: date, zone: ZoneInfo) -> list[datetime]:
    """When each hour of a local day begins, on the zone's clocks: 24, or 23 or 25 where the clocks change."""
    first, end = (datetime(d.year, d.month, d.day, tzinfo=zone) for d in (day, day + timedelta(days=1)))
    n_hours = round((end.astimezone(UTC) - first.astimezone(UTC)) / timedelta(hours=1))
    return [(first.astimezone(UTC) + timedelta(hours=hour)).astimezone(zone) for hour in range(n_hours)]
