"""Live scores beside what the champion claims of itself."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.monitoring.monitor_live import Approved, Decided, live_performance


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


def test_a_regression_whose_hours_go_together_lies_in_its_range_about_19_times_of_20() -> None:
    """Taken for independent, the hours would have a range a fifth as wide."""
    rng = np.random.default_rng(7)

    def errors(days: int) -> np.ndarray:
        return rng.normal(size=days).repeat(24) + rng.normal(0, 0.3, 24 * days)

    def day(days: int) -> np.ndarray:
        return 20_000 + np.arange(days).repeat(24)

    inside = 0
    for _ in range(40):
        then, now = errors(120), errors(60)
        approved = Approved(then, np.zeros_like(then), day(120))
        live = live_performance(Decided("regression", "day", day(60), now, np.zeros_like(now), approved=approved))
        inside += live.scores["bias"].as_claimed
    assert 36 <= inside <= 40


def test_rows_on_their_own_have_the_range_of_a_mean_of_as_many() -> None:
    error = np.array([1.0, -1.0] * 50)
    approved = Approved(error, np.zeros(100), np.arange(100))
    live = live_performance(Decided("regression", "row", np.arange(25), error[:25], np.zeros(25), approved=approved))
    expected = live.scores["bias"].expected
    assert expected.upper - expected.mean == pytest.approx(1.96 * np.sqrt(1 / 25 + 1 / 100), rel=1e-4)
