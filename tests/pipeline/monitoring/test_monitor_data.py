"""Freshness and volume: quiet in summer and in breaks, loud when a feed stops."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from pipeline.contract.workload import load_spec
from pipeline.monitoring.monitor_data import DataDays, DataReport, look_at_data

NONE = np.empty(0, dtype=np.int64)


def number(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def look(labelled: np.ndarray, upcoming: np.ndarray, late: np.ndarray, **given: int) -> DataReport:
    return look_at_data(load_spec("nba"), DataDays(labelled, upcoming, late), **given)


def games(last: str, first_season: int = 2010) -> np.ndarray:
    """Seven games a day from 28 October to 12 June but for five days in February, up to and including `last`."""
    end = number(last)
    days = []
    for season in range(first_season, 2026):
        start, finish = number(f"{season - 1}-10-28"), number(f"{season}-06-12")
        pause = number(f"{season}-02-13") + season % 5
        days += [d for d in range(start, finish) if not pause <= d < pause + 5]
    known = np.array(days)
    return np.repeat(known[known <= end], 7)


@pytest.mark.parametrize("as_of", ["2020-07-15", "2020-10-20", "2020-10-29", "2020-02-20", "2020-06-14", "2020-01-05"])
def test_an_ordinary_morning_is_quiet_without_any_schedule(as_of: str) -> None:
    known = games(as_of)
    report = look(known[known < number(as_of)], NONE, NONE, as_of=number(as_of))
    assert report.alarms == ()


def test_a_feed_that_stops_is_called_within_five_days() -> None:
    stopped = games("2020-01-09")
    called = [d for d in range(30) if look(stopped, NONE, NONE, as_of=number("2020-01-10") + d).alarms]
    assert called[0] <= 5
    assert called == list(range(called[0], 30))
    report = look(stopped, NONE, NONE, as_of=number("2020-01-20"))
    assert "the newest labelled game is 11 days old" in report.alarms[0]


def test_a_schedule_says_better_than_the_calendar_whether_games_are_due() -> None:
    """A late start of a season (a lockout): the feed lists its first games for December."""
    known, as_of = games("2019-06-12"), number("2019-11-20")
    assert look(known, NONE, NONE, as_of=as_of).alarms
    assert not look(known, np.array([number("2019-12-25")]), NONE, as_of=as_of).alarms


def test_scores_that_are_late_are_counted_after_a_day_of_grace() -> None:
    known, as_of = games("2020-01-09"), number("2020-01-13")
    late = np.repeat(np.arange(number("2020-01-10"), as_of), 7)
    report = look(known, np.array([as_of + 1]), late, as_of=as_of)
    assert report.overdue_rows == 14
    assert report.alarms == ("14 games should have got a label in the last 30 days and have none",)
    assert not look(known, np.array([as_of]), late[late == as_of - 1], as_of=as_of).alarms
    old = np.full(101, number("2019-03-01"))
    assert look(known, np.array([as_of]), old, as_of=as_of).overdue_rows == 0


def test_half_a_feed_is_called() -> None:
    as_of = number("2020-01-20")
    known = games("2020-01-19")
    thinned = np.concatenate([known[known < as_of - 14], known[known >= as_of - 14][::3]])
    (alarm,) = look(thinned, NONE, NONE, as_of=as_of).alarms
    assert "games in 14 days, where earlier periods had" in alarm


def test_data_that_ended_long_ago_lacks_as_many_rows_as_the_weeks_before_had() -> None:
    known, as_of = np.repeat(np.arange(1000), 3), 2000
    report = look_at_data(load_spec("churn"), DataDays(known, NONE, NONE), as_of=as_of)
    assert report.expected_since == 3 * (2000 - load_spec("churn").label_delay_days - 1 - 1000)
    (alarm,) = report.alarms
    assert alarm.startswith("the newest labelled customer is 1,001 days old, and earlier periods had 2,907 customers")


def test_a_short_history_expects_nothing() -> None:
    report = look(games("2011-01-09"), NONE, NONE, as_of=number("2011-03-01"))
    assert (report.expected_since, report.alarms) == (None, ())


def test_a_rewritten_history_is_called() -> None:
    known, as_of = games("2020-01-19"), number("2020-01-20")
    (alarm,) = look(known, NONE, NONE, as_of=as_of, changed=600, recorded=1_312).alarms
    assert alarm.startswith("600 of 1,312 games that the champion was judged on")
    assert not look(known, NONE, NONE, as_of=as_of, changed=3, recorded=1_312).alarms


def test_without_a_played_game_there_is_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match="no game with a known label"):
        look(NONE, NONE, NONE, as_of=1)
