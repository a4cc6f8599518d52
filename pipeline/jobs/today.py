"""The day that it is in the data's time zone, and the morning that a run is as of. Standard library only."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from pipeline.contract.container import StepError
from pipeline.contract.reasons import hint
from pipeline.ingest.values import iso_date

TODAY: Final = "today"


def today_in(zone: str, now: datetime | None = None) -> date:
    """The day in a time zone, which on an American evening is still the one that has ended in UTC.

    Raises StepError for a zone that is no place's.
    """
    if zone not in available_timezones():
        meant = hint(zone, available_timezones())
        raise StepError(f'TimeZone "{zone}" is no IANA time zone such as America/New_York{meant}')
    return (now or datetime.now(UTC)).astimezone(ZoneInfo(zone)).date()


def parse_as_of(text: str, today: date, zone: str) -> date:
    """The morning that the run is as of: a day, a scheduler's time stamp (its day in `zone`), or `today`.

    Raises StepError that names the parameter.
    """
    if text == TODAY:
        return today
    as_of = iso_date(text) or _day_of_time(text, zone)
    if as_of is None:
        raise StepError(f'AsOfDate "{text}" is not a real date: give YYYY-MM-DD, or today')
    if as_of > today:
        raise StepError(
            f"AsOfDate {as_of} is after today, {today} in {zone}: its results are not known yet; give an earlier day, "
            "or today"
        )
    return as_of


def _day_of_time(text: str, zone: str) -> date | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(ZoneInfo(zone)).date() if time.tzinfo else None
    except (ValueError, OverflowError):
        return None
