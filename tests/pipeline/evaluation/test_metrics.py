"""Metrics against values worked out by hand, and the seeded bootstrap."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.metrics import metrics_of
from pipeline.contract.workload import load_spec
from pipeline.evaluation.metrics import (
    Difference,
    blocks_of,
    calibration_error,
    interval_of_mean,
    log_losses,
    paired_difference,
    reliability_bins,
    roc_auc,
    row_losses,
    score,
    scores,
)

P = np.array([0.9, 0.6, 0.4, 0.2])
Y = np.array([1.0, 0.0, 1.0, 0.0])


def forecasts(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(3, 2, size=n), 2).clip(0.01, 0.99)  # two decimals: many ties
    return p, (rng.random(n) < p).astype(np.float64)


def test_hand_values() -> None:
    metrics = score(P, Y)
    assert metrics["log_loss"] == pytest.approx(-(math.log(0.9) + 2 * math.log(0.4) + math.log(0.8)) / 4)
    assert metrics["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.04) / 4)
    assert metrics["accuracy"] == 0.5
    assert metrics["roc_auc"] == 0.75
    assert metrics["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.2) / 4)
    assert metrics["n_rows"] == 4


def test_metrics_are_the_contracts() -> None:
    assert list(score(P, Y)) == [metric.key for metric in metrics_of(load_spec("nba"))]


def test_a_forecast_of_one_half_is_half_right() -> None:
    assert score(np.full(3, 0.5), np.array([1.0, 0.0, 1.0]))["accuracy"] == 0.5


def test_a_certain_failure_costs_much_but_not_infinity() -> None:
    assert log_losses(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx([34.5, 34.5], abs=0.1)


def test_accuracy_counts_the_likelier_outcome() -> None:
    assert score(np.array([0.9, 0.6, 0.2]), np.array([1.0, 0.0, 0.0]))["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_outcomes_that_are_all_alike_have_no_auc(outcome: float) -> None:
    assert math.isnan(roc_auc(np.array([0.3, 0.4]), np.array([outcome, outcome])))


def test_roc_auc_of_ties_and_of_one_row_each() -> None:
    assert roc_auc(np.array([0.3, 0.3, 0.3]), np.array([1.0, 0.0, 1.0])) == 0.5
    assert [roc_auc(np.array([0.3, 0.4]), np.array(y)) for y in ([0.0, 1.0], [1.0, 0.0])] == [1.0, 0.0]


def test_agrees_with_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    p, y = forecasts(1)
    metrics = score(p, y)
    assert metrics["log_loss"] == pytest.approx(sklearn.log_loss(y, p))
    assert metrics["brier"] == pytest.approx(sklearn.brier_score_loss(y, p))
    assert metrics["roc_auc"] == pytest.approx(sklearn.roc_auc_score(y, p))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_roc_auc_counts_pairs(seed: int) -> None:
    p, y = forecasts(seed, 60)
    won, lost = p[y == 1.0][:, None], p[y == 0.0][None, :]
    pairs = (won > lost) + 0.5 * (won == lost)
    if pairs.size:
        assert roc_auc(p, y) == pytest.approx(pairs.mean())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_games_does_not_matter(seed: int) -> None:
    p, y = forecasts(seed, 97)
    order = np.random.default_rng(seed).permutation(97)
    assert score(p, y)["calibration_error"] == pytest.approx(score(p[order], y[order])["calibration_error"])


def test_bins_have_nearly_equal_counts_and_intervals_around_the_share() -> None:
    p, y = forecasts(2, 1_312)
    bins = reliability_bins(p, y)
    assert len(bins) == 10
    assert sum(b.n_rows for b in bins) == 1_312
    assert all(80 < b.n_rows < 190 for b in bins)
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    assert all(0.0 <= b.lower < b.observed < b.upper <= 1.0 for b in bins)


def test_equal_forecasts_share_a_bin() -> None:
    bins = reliability_bins(np.full(100, 0.6), np.arange(100) % 2.0)
    assert [(b.n_rows, b.observed) for b in bins] == [(100, 0.5)]
    assert calibration_error(np.full(100, 0.6), np.arange(100) % 2.0) == pytest.approx(0.1)


def test_noise_of_calibration_error_is_as_documented() -> None:
    rng = np.random.default_rng(3)
    p = 1 / (1 + np.exp(-rng.normal(0.3, 0.85, size=(200, 1_312))))
    errors = [calibration_error(row, (rng.random(1_312) < row).astype(np.float64)) for row in p]
    assert np.mean(errors) == pytest.approx(0.023, abs=0.002)
    assert np.quantile(errors, 0.95) < 0.042


@pytest.mark.parametrize(
    ("p", "y", "words"),
    [
        (np.array([]), np.array([]), "0 probabilities"),
        (np.array([0.5]), np.array([1.0, 0.0]), "2 outcomes"),
        (np.array([np.nan]), np.array([1.0]), "not a number from 0 to 1"),
        (np.array([1.2]), np.array([1.0]), "not a number from 0 to 1"),
    ],
)
def test_nonsense_is_refused(p: np.ndarray, y: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        score(p, y)


def test_the_loss_of_each_task() -> None:
    assert row_losses("binary", P, Y).tolist() == log_losses(P, Y).tolist()
    assert row_losses("regression", np.array([1.0, 4.0]), np.array([3.0, 4.5])).tolist() == [4.0, 0.25]


def test_scores_of_a_regression() -> None:
    assert scores("regression", np.array([1.0, 3.0]), np.array([3.0, 2.5])) == {
        **{"squared_error": 2.125, "rmse": 2.125**0.5, "absolute_error": 1.25, "bias": -0.75, "n_rows": 2}
    }


@pytest.mark.parametrize(
    ("prediction", "target", "words"),
    [([], [], "cannot score 0 predictions for 0 targets"), ([1.0], [1.0, 2.0], "cannot score 1 predictions for 2")],
)
def test_a_regression_without_a_target_for_each_row_is_refused(prediction: Any, target: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        scores("regression", np.array(prediction), np.array(target))


def test_numbers_that_there_are_none_of_are_none() -> None:
    alike = scores("binary", np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    assert (alike["roc_auc"], alike["accuracy"], alike["n_rows"]) == (None, 0.5, 2)


def test_a_bin_has_its_wilson_interval() -> None:
    """8 of 10: Wilson 1927, as any table of binomial intervals gives it."""
    (one,) = reliability_bins(np.full(10, 0.7), np.array([1.0] * 8 + [0.0] * 2))
    assert (one.predicted, one.observed, one.n_rows) == (pytest.approx(0.7), 0.8, 10)
    assert (one.lower, one.upper) == (pytest.approx(0.4902, abs=5e-5), pytest.approx(0.9433, abs=5e-5))


def test_bins_are_cut_by_rank() -> None:
    bins = reliability_bins(np.array([0.9, 0.1, 0.2, 0.8, 0.3]), np.array([1.0, 0.0, 0.0, 1.0, 1.0]), 2)
    assert [(b.predicted, b.observed) for b in bins] == [(pytest.approx(0.15), 0.0), (pytest.approx(2 / 3), 1.0)]


def test_rows_days_and_weeks_from_monday_are_units() -> None:
    thursday, sunday, monday = 0, 3, 4  # 1970-01-01 was a Thursday
    days = np.array([thursday, thursday, sunday, monday, monday + 7])
    assert blocks_of("row", days).tolist() == [0, 1, 2, 3, 4]
    assert blocks_of("day", days).tolist() == [0, 0, 3, 4, 11]
    assert blocks_of("week", days).tolist() == [0, 0, 0, 1, 2]


def test_the_interval_is_the_middle_95_percent_of_2000_bootstraps() -> None:
    sums, counts = np.array([[3.0, 1.0], [-2.0, 0.5], [1.0, 4.0]]), np.array([2.0, 1.0, 3.0])
    drawn = np.random.default_rng(7).integers(3, size=(2_000, 3))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None]
    lower, upper = interval_of_mean(sums, counts, 7)
    assert lower.tolist() == pytest.approx(np.quantile(means, 0.025, axis=0).tolist())
    assert upper.tolist() == pytest.approx(np.quantile(means, 0.975, axis=0).tolist())
    first = interval_of_mean(sums[:, 0], counts, 7)
    assert first == (pytest.approx(lower[0]), pytest.approx(upper[0]))
    by_row = np.array([1.0, 2.0, -2.0, 0.25, 0.25, 0.5])
    assert paired_difference(by_row + 1, np.ones(6), np.array([5, 5, 6, 9, 9, 9]), 7) == Difference(
        pytest.approx(2.0 / 6), pytest.approx(lower[0]), pytest.approx(upper[0])
    )


def test_paired_difference_is_seeded_and_covers_the_mean() -> None:
    rng = np.random.default_rng(4)
    a, b, weeks = rng.normal(0.62, 0.2, 500), rng.normal(0.63, 0.2, 500), np.arange(500) // 50
    first = paired_difference(a, b, weeks, seed=1)
    assert first == paired_difference(a, b, weeks, seed=1)
    assert first != paired_difference(a, b, weeks, seed=2)
    assert first.mean == pytest.approx((a - b).mean())
    assert first.lower < first.mean < first.upper


def test_bootstrap_draws_weeks_not_games() -> None:
    # Ten weeks, each all +1 or all -1: the error of the mean is that of ten numbers, not of a thousand.
    weeks = np.arange(1_000) // 100
    loss = np.where(weeks % 2 == 0, 1.0, -1.0)
    found = paired_difference(loss, np.zeros(1_000), weeks, seed=1)
    assert found.mean == 0.0
    assert 0.5 < found.upper < 0.75
    shuffled = paired_difference(loss, np.zeros(1_000), np.arange(1_000), seed=1)
    assert shuffled.upper < 0.08


@pytest.mark.parametrize("n", [1, 6])
def test_one_unit_says_nothing_of_chance(n: int) -> None:
    """The interval is then all that losses, which are not below 0, can differ by."""
    a, b = np.linspace(0.5, 0.6, n), np.linspace(0.6, 0.8, n)
    found = paired_difference(a, b, np.full(n, 7), seed=1)
    assert found == Difference(pytest.approx((a - b).mean()), -b.max(), a.max())


def test_many_units_cost_no_more_memory_than_some_thousand() -> None:
    losses, n = np.random.default_rng(1).normal(size=200_000), 200_000
    tracemalloc.start()
    found = paired_difference(losses, np.zeros(n), np.arange(n), seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6
    half = 1.96 * losses.std() / n**0.5
    assert (found.mean - found.lower, found.upper - found.mean) == (pytest.approx(half, rel=0.1),) * 2


def test_a_target_that_is_often_the_quantile_itself_is_covered() -> None:
    """Six of ten days sell nothing: nothing is the 10 % and the 50 % point of a perfect forecast."""
    target = np.array([0.0] * 6 + [1.0, 2.0, 3.0, 4.0])
    gap = [scores("regression", target, target, {q: np.full(10, p)})["coverage_error"] for q, p in COVERING]
    assert gap == [0.0, 0.0, pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.3)]


COVERING = [(0.1, 0.0), (0.5, 0.0), (0.7, 0.0), (0.5, 0.5), (0.5, 2.5)]


def test_comparing_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        paired_difference(np.array([]), np.array([]), np.array([], dtype=np.int64), seed=1)
