"""Live scores beside what the champion claims of itself."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.monitoring.monitor_live import Decided, live_performance


def forecasts(p: np.ndarray, y: np.ndarray, per_day: int = 7) -> Decided:
    return Decided("binary", "week", 14_000 + np.arange(len(p)) // per_day, p, y, np.full(len(p), 0.5))


def test_the_expected_log_loss_is_the_entropy_of_the_claim() -> None:
    p = np.array([0.8, 0.5, 0.3])
    live = live_performance(forecasts(p, np.array([1.0, 0.0, 0.0])))
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert live.scores["log_loss"].expected.mean == pytest.approx(entropy.mean())
    assert live.scores["log_loss"].value == pytest.approx(-np.log([0.8, 0.5, 0.7]).mean())
    assert live.scores["brier"].expected.mean == pytest.approx((p * (1 - p)).mean())
    assert live.scores["rate"].expected.mean == pytest.approx(p.mean())


def test_a_right_forecaster_lies_in_its_range_about_19_times_of_20() -> None:
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(40):
        p = rng.uniform(0.2, 0.9, 70)
        inside += live_performance(forecasts(p, (rng.random(70) < p).astype(float))).scores["log_loss"].as_claimed
    assert 35 <= inside <= 40


def test_fewer_than_four_weeks_have_no_bootstrap() -> None:
    p = np.full(100, 0.6)
    young = live_performance(forecasts(p, np.ones(100)))
    assert (young.scores["log_loss"].interval, young.difference) == (None, None)
    old = live_performance(forecasts(p, np.ones(100), per_day=3))
    assert old.scores["log_loss"].interval is not None
    assert old.difference is not None
    assert old.difference.mean == pytest.approx(np.log(0.5 / 0.6))


def test_a_forecaster_that_is_sure_and_wrong_is_outside_its_range() -> None:
    live = live_performance(forecasts(np.full(60, 0.9), np.zeros(60)))
    assert not live.scores["log_loss"].as_claimed
    assert not live.scores["calibration_error"].as_claimed
