"""Is the data as fresh and as much as it should be on this morning?

What to expect is known from the rows announced, where the data lists them, and from earlier data where it does not: the
same calendar days of earlier years, or the same days of earlier weeks. So a yearly break is quiet, and data that stops
is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.spec import Spec

IntArray = NDArray[np.int64]

GRACE_DAYS: Final = 1  # a label may come a day late
MAX_OVERDUE_ROWS: Final = 4
OVERDUE_DAYS: Final = 30  # older rows without a label are known gaps of the data
VOLUME_DAYS: Final = 14
YEARS: Final = 5
WEEKS: Final = 8
MIN_PERIODS: Final = 3
SLACK_DAYS: Final = 7  # breaks move by as much from year to year
MIN_EXPECTED_ROWS: Final = 14
MIN_VOLUME: Final = 0.5  # of the rows to expect in VOLUME_DAYS
MAX_CHANGED_SHARE: Final = 0.05  # of the champion's walk-forward rows
_YEAR: Final = 365.25


@dataclass(frozen=True)
class DataReport:
    """Freshness and volume on one morning; `alarms` are sentences, none where all is well."""

    days_since_newest: int
    overdue_rows: int  # should have a label by now, and have none
    expected_since: float | None  # rows that earlier periods had in the days since the newest; None: unknown
    recent_rows: int  # labelled, of the last VOLUME_DAYS days
    expected_recent: float | None  # rows that earlier periods had in these days; None: unknown
    changed_rows: int  # of the champion's walk-forward rows: gone, or with another label now
    alarms: tuple[str, ...]


@dataclass(frozen=True)
class DataDays:
    """Days since 1970-01-01 of labelled rows, of those to come, and of past ones without a label; each ascending."""

    labelled: IntArray
    upcoming: IntArray
    without_label: IntArray


def look_at_data(spec: Spec, days: DataDays, *, as_of: int, changed: int = 0, recorded: int = 0) -> DataReport:
    """Judge the data of the morning of day `as_of`.

    `changed` of `recorded` rows of the champion's walk-forward predictions differ from today's data. Raises ValueError
    where there is no labelled row.
    """
    if days.labelled.size == 0:
        raise ValueError(f"there is no {spec.row} with a known label")
    known = as_of - spec.label_delay_days  # labels of earlier days should be there
    newest, yearly = int(days.labelled[-1]), spec.monitor.yearly
    late = (days.without_label < known - GRACE_DAYS) & (days.without_label >= known - OVERDUE_DAYS)
    recent = (days.labelled >= known - VOLUME_DAYS) & (days.labelled < known - GRACE_DAYS)
    report = DataReport(
        days_since_newest=as_of - newest,
        overdue_rows=int(late.sum()),
        expected_since=_expected(days.labelled, newest + 1, known - GRACE_DAYS, yearly=yearly),
        recent_rows=int(recent.sum()),
        expected_recent=_expected(days.labelled, known - VOLUME_DAYS, known - GRACE_DAYS, yearly=yearly),
        changed_rows=changed,
        alarms=(),
    )
    announced = spec.monitor.yearly and bool((days.upcoming >= as_of).any())
    return replace(report, alarms=tuple(_alarms(spec, report, announced=announced, recorded=recorded)))


def _expected(labelled: IntArray, begin: int, end: int, *, yearly: bool) -> float | None:
    """Rows to expect on the days [begin, end): median of the latest years or weeks; None where too few are known.

    Of each year the quietest such stretch within SLACK_DAYS counts: breaks move. A stretch that is longer than the
    shift would reach into itself: the rows of the days before it are counted, and scaled to its length.
    """
    slack = SLACK_DAYS if yearly else 0
    shifts = np.rint(np.arange(1, YEARS + 1) * _YEAR).astype(np.int64) if yearly else 14 + 7 * np.arange(WEEKS)
    shifts = shifts[begin - shifts - slack >= labelled[0]]
    if len(shifts) < MIN_PERIODS:
        return None
    moved = shifts[:, None] + np.arange(-slack, slack + 1)
    counts = np.searchsorted(labelled, max(end, begin) - moved) - np.searchsorted(labelled, begin - moved)
    return float(np.median(counts.min(axis=1) * np.maximum((end - begin) / shifts, 1)))


def _alarms(spec: Spec, report: DataReport, *, announced: bool, recorded: int) -> Iterator[str]:
    """`announced`: the data lists rows to come, so that a day without any is known to be one."""
    expected, rows = report.expected_recent or 0, spec.rows
    if report.overdue_rows > MAX_OVERDUE_ROWS:
        yield f"{report.overdue_rows} {rows} should have got a label in the last {OVERDUE_DAYS} days and have none"
    elif not announced and (report.expected_since or 0) >= MIN_EXPECTED_ROWS:
        age = f"the newest labelled {spec.row} is {report.days_since_newest:,} days old"
        yield f"{age}, and earlier periods had {report.expected_since:,.0f} {rows} in as many days"
    elif not announced and expected >= MIN_EXPECTED_ROWS and report.recent_rows < MIN_VOLUME * expected:
        yield f"{report.recent_rows} {rows} in {VOLUME_DAYS} days, where earlier periods had {expected:.0f}"
    if recorded and report.changed_rows > MAX_CHANGED_SHARE * recorded:
        judged = f"{report.changed_rows} of {recorded:,} {rows} that the champion was judged on"
        yield f"{judged} are gone or have another label now"
