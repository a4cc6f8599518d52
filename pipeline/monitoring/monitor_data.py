"""Is the data as fresh and as much as it should be on this morning of the year?

What to expect is known from the schedule where the feed lists games to come, and from the same calendar days of earlier
seasons where it does not: so the off-season and the All-Star break are quiet, and a feed that stops in January is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

GRACE_DAYS: Final = 1  # a score may come a day late
MAX_OVERDUE_GAMES: Final = 4
OVERDUE_DAYS: Final = 30  # older games without a score are known gaps of the data, not tonight's news
VOLUME_DAYS: Final = 14
SEASONS: Final = 5
MIN_SEASONS: Final = 3
SLACK_DAYS: Final = 7  # breaks and the ends of a season move by as much from year to year
MIN_EXPECTED_GAMES: Final = 14  # two ordinary nights
MIN_VOLUME: Final = 0.5  # of the games to expect in VOLUME_DAYS
MAX_CHANGED_SHARE: Final = 0.05  # of the games of the champion's record
_YEAR: Final = 365.25


@dataclass(frozen=True)
class DataReport:
    """Freshness and volume on one morning; `alarms` are sentences, none where all is well."""

    days_since_newest: int
    overdue_games: int  # should have a score by now, and have none
    expected_since: float | None  # games that earlier seasons had in the days since the newest; None: unknown
    recent_games: int  # played in the last VOLUME_DAYS days
    expected_recent: float | None  # games that earlier seasons had in these days; None: unknown
    changed_games: int  # games of the champion's record that are gone, or have another winner now
    alarms: tuple[str, ...]


def look_at_data(
    played: IntArray, upcoming: IntArray, without_score: IntArray, *, as_of: int, changed: int = 0, recorded: int = 0
) -> DataReport:
    """Judge the data of the morning of day `as_of`; all days are since 1970-01-01.

    `played` are the days of played games, ascending; `upcoming` those of games to come; `without_score` those of games
    that are past and have no score. `changed` of `recorded` games of the champion's record differ from today's data.
    Raises ValueError where there is no played game.
    """
    if played.size == 0:
        raise ValueError("there is no played game")
    newest = int(played[-1])
    late = (without_score < as_of - GRACE_DAYS) & (without_score >= as_of - OVERDUE_DAYS)
    report = DataReport(
        days_since_newest=as_of - newest,
        overdue_games=int(late.sum()),
        expected_since=_expected(played, newest + 1, as_of - GRACE_DAYS),
        recent_games=int(((played >= as_of - VOLUME_DAYS) & (played < as_of - GRACE_DAYS)).sum()),
        expected_recent=_expected(played, as_of - VOLUME_DAYS, as_of - GRACE_DAYS),
        changed_games=changed,
        alarms=(),
    )
    return _judge(report, announced=bool((upcoming >= as_of).any()), recorded=recorded)


def _expected(played: IntArray, begin: int, end: int) -> float | None:
    """Games to expect on the days [begin, end): median of the latest years; None where too few years are known.

    Of each year the quietest such stretch within SLACK_DAYS counts: breaks and the season's ends move.
    """
    shifts = np.rint(np.arange(1, SEASONS + 1) * _YEAR).astype(np.int64)
    shifts = shifts[begin - shifts - SLACK_DAYS >= played[0]]
    if len(shifts) < MIN_SEASONS:
        return None
    moved = shifts[:, None] + np.arange(-SLACK_DAYS, SLACK_DAYS + 1)
    counts = np.searchsorted(played, max(end, begin) - moved) - np.searchsorted(played, begin - moved)
    return float(np.median(counts.min(axis=1)))


def _judge(report: DataReport, *, announced: bool, recorded: int) -> DataReport:
    """`announced`: the feed lists games to come, so that a night without any is known to be one."""
    alarms, expected = [], report.expected_recent or 0
    if report.overdue_games > MAX_OVERDUE_GAMES:
        alarms.append(f"{report.overdue_games} games of the last {OVERDUE_DAYS} days should have a score and have none")
    elif not announced and (report.expected_since or 0) >= MIN_EXPECTED_GAMES:
        alarms.append(
            f"the newest game is {report.days_since_newest} days old, and earlier seasons had "
            f"{report.expected_since:.0f} games in these days"
        )
    elif not announced and expected >= MIN_EXPECTED_GAMES and report.recent_games < MIN_VOLUME * expected:
        alarms.append(f"{report.recent_games} games in {VOLUME_DAYS} days, where earlier seasons had {expected:.0f}")
    if recorded and report.changed_games > MAX_CHANGED_SHARE * recorded:
        alarms.append(
            f"{report.changed_games} of {recorded:,} games that the champion was judged on are gone or have another "
            "winner now"
        )
    return replace(report, alarms=tuple(alarms))
