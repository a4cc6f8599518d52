"""The baselines and the logistic regression beneath them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.logistic import fit_logistic, fit_logistic_in_batches, sigmoid
from pipeline.workloads.nba.baseline import EloLogistic


def test_logistic_regression_solves_its_own_equation() -> None:
    rng = np.random.default_rng(1)
    x = np.stack([np.ones(5_000), rng.normal(0, 100, 5_000)], axis=1)
    y = (rng.random(5_000) < sigmoid(x @ np.array([0.4, 0.008]))).astype(np.float64)
    coefficients = fit_logistic(x, y)
    assert coefficients == pytest.approx([0.4, 0.008], abs=0.1)
    assert x.T @ (sigmoid(x @ coefficients) - y) == pytest.approx([0.0, 0.0], abs=1e-2), "the gradient is zero"


@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_games_in_any_batches_even_empty_ones_give_the_same_coefficients(cuts: list[int]) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (200, 3)).astype(np.float64)
    y = (rng.random(200) < sigmoid(x @ np.array([0.4, -0.2, 0.0]))).astype(np.float64)
    edges = [0, *sorted(cuts), 200]
    batches = [(x[a:b], y[a:b]) for a, b in itertools.pairwise(edges)]
    assert fit_logistic_in_batches(lambda: batches, 3, 1.0) == pytest.approx(fit_logistic(x, y, 1.0), abs=1e-8)


def test_one_column_by_hand() -> None:
    # Three wins in four games: log-odds ln 3.
    assert fit_logistic(np.ones((4, 1)), np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx([np.log(3)], abs=1e-6)


def test_ridge_draws_to_zero_whatever_the_unit() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(50, 1))
    y = (x[:, 0] > 0).astype(np.float64)
    free, tied = fit_logistic(x, y, ridge=0.01), fit_logistic(x, y, ridge=10.0)
    assert 0 < tied[0] < free[0]
    assert fit_logistic(x * 1_000, y, ridge=10.0) * 1_000 == pytest.approx(tied, abs=1e-5)


def test_outcomes_all_alike_and_empty_columns_stay_finite() -> None:
    x = np.stack([np.ones(20), np.zeros(20)], axis=1)
    assert np.isfinite(fit_logistic(x, np.ones(20))).all()


def test_no_games_are_refused() -> None:
    with pytest.raises(ValueError, match="there are none"):
        EloLogistic.fit(np.array([]), np.array([]))


def test_elo_logistic_recovers_a_known_line() -> None:
    rng = np.random.default_rng(3)
    p_elo = rng.uniform(0.1, 0.9, 20_000)
    truth = EloLogistic(intercept=-0.2, slope=0.8)
    home_won = (rng.random(20_000) < truth.predict(p_elo)).astype(np.float64)
    fitted = EloLogistic.fit(p_elo, home_won)
    assert fitted.intercept == pytest.approx(-0.2, abs=0.05)
    assert fitted.slope == pytest.approx(0.8, abs=0.05)


def test_the_line_of_elo_itself() -> None:
    assert EloLogistic(0.0, 1.0).predict(np.array([0.25, 0.9])).tolist() == pytest.approx([0.25, 0.9])
