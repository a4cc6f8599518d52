"""Faults in a backtest: what the gates stop, what slips through, and how it is counted."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from tested_league import Make

from pipeline.backtest.faults import Injection, parse_injection
from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.policies import REFERENCE, Policy
from pipeline.backtest.run import BacktestResult, run_backtest
from pipeline.backtest.world import BacktestError

WATCHED = (REFERENCE, Policy(), Policy(gate="off"))


def injected(settings: Make, cache: FitCache, *texts: str) -> BacktestResult:
    return run_backtest(settings(*texts, policies=WATCHED), cache)


def test_a_refused_feed_is_an_email_a_run_and_an_older_forecast(
    settings: Make, cache: FitCache, done: BacktestResult
) -> None:
    hurt = injected(settings, cache, "bad-feed@2025-01-20..2025-01-22")
    assert "away_points" in hurt.prepared.faults.refusal
    assert (hurt.outcome.counts["failed_prepare"] == 3).all()
    assert (hurt.outcome.oncall_emails >= 3).all()
    assert hurt.outcome.counts["missed_promotions"][1] > 0
    before, after = (r.prepared.service.predictions(r.outcome, 0) for r in (done, hurt))
    day = done.prepared.world.day[done.prepared.service.begin :].astype("datetime64[D]")
    first, last = np.datetime64("2025-01-20"), np.datetime64("2025-01-22")
    during = (day > first) & (day <= last)  # the state of the first morning is as old as the last good one's
    assert (before[(day < first) | (day > last)] == after[(day < first) | (day > last)]).all()
    assert (before[during] != after[during]).mean() > 0.5


def test_gates_stop_a_leak_and_a_broken_fit(settings: Make, cache: FitCache) -> None:
    for fault in ("leak@2025-01-20", "broken-fit@2025-01-20"):
        hurt = injected(settings, cache, fault)
        never, gated, ungated = hurt.outcome.counts["false_promotions"].tolist()
        assert (never, gated) == (0, 0), fault
        assert ungated > 5, fault
        assert hurt.outcome.counts["failed_gate"][1] > 5, fault
    assert hurt.losses[2].sum() > hurt.losses[1].sum() + 0.5


def test_broken_weights_pass_gates_that_judge_the_record(settings: Make, cache: FitCache) -> None:
    """A known limit of judging a training config by walk-forward predictions; the next sound candidate repairs it."""
    hurt = injected(settings, cache, "broken-weights@2025-01-08..2025-01-14")
    assert hurt.outcome.counts["failed_gate"][1] == 0
    assert hurt.outcome.counts["false_promotions"][1] >= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("leek@2025-01-01", "KIND one of bad-feed, leak"),
        ("leak", "is not KIND@DATE"),
        ("leak@2025-02-30", "day is out of range"),
        ("leak@2025-02-10..2025-02-01", "ends before it begins"),
    ],
)
def test_what_cannot_be_injected_is_refused(text: str, message: str) -> None:
    with pytest.raises(BacktestError, match=message):
        parse_injection(text)


def test_a_fault_lasts_two_weeks_unless_said(settings: Make, cache: FitCache) -> None:
    assert parse_injection("leak@2025-01-01") == Injection("leak", date(2025, 1, 1), date(2025, 1, 14))
    with pytest.raises(BacktestError, match="no run of the backtest"):
        injected(settings, cache, "leak@2019-01-01")
