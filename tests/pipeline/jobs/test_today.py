"""Today is the day where the games are played."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from pipeline.contract.container import StepError
from pipeline.jobs.today import parse_as_of, today_in

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("zone", "hour", "expected"),
    [
        (NEW_YORK, 1, date(2025, 2, 28)),  # 20:00 on an American evening: the night's games are to come
        (NEW_YORK, 5, date(2025, 3, 1)),
        ("UTC", 1, date(2025, 3, 1)),
        ("Asia/Tokyo", 16, date(2025, 3, 2)),
    ],
)
def test_today(zone: str, hour: int, expected: date) -> None:
    assert today_in(zone, datetime(2025, 3, 1, hour, 30, tzinfo=UTC)) == expected


@pytest.mark.parametrize("zone", ["America/NewYork", "", "../etc/passwd", "/etc/localtime", "x\0", "Nowhere"])
def test_a_zone_that_is_none_is_named(zone: str) -> None:
    with pytest.raises(StepError, match=r"^TimeZone .* is no IANA time zone such as America/New_York"):
        today_in(zone)
    with pytest.raises(StepError, match=r'did you mean "America/New_York"\?$'):
        today_in("America/NewYork")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", date(2025, 3, 1)),
        ("2024-12-31", date(2024, 12, 31)),
        ("2025-03-01", date(2025, 3, 1)),
        ("2024-12-31T08:00:00Z", date(2024, 12, 31)),  # as a scheduler writes it
        ("2024-12-31T01:00:00Z", date(2024, 12, 30)),
        ("2024-12-31T01:00:00-05:00", date(2024, 12, 31)),
    ],
)
def test_as_of(text: str, expected: date) -> None:
    assert parse_as_of(text, date(2025, 3, 1), NEW_YORK) == expected


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2025-01-15garbage",
        "2025-01-15 ",
        "20250115",
        "2025-02-30",
        "2025-01-15T08:00:00",
        "",
        "TODAY",
        "0001-01-01T00:00:00Z",
    ],
)
def test_a_day_that_is_none_is_named_whole(text: str) -> None:
    with pytest.raises(StepError) as caught:
        parse_as_of(text, date(2025, 3, 1), NEW_YORK)
    assert str(caught.value) == f'AsOfDate "{text}" is not a real date: give YYYY-MM-DD, or today'


def test_a_day_to_come_is_refused() -> None:
    with pytest.raises(StepError, match=r"^AsOfDate 2025-03-02 is after today, 2025-03-01 in America/New_York"):
        parse_as_of("2025-03-02", date(2025, 3, 1), NEW_YORK)
