"""The page says what was chosen, on which periods, and loads nothing; the choice rule is what it says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from tested_league import Make

from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.policies import REFERENCE, Policy
from pipeline.backtest.report import render
from pipeline.backtest.results import choose, differences, spent
from pipeline.backtest.run import BacktestResult, run_backtest
from pipeline.evaluation import metrics


def test_the_page_is_self_contained_and_names_every_policy(done: BacktestResult) -> None:
    page = render(done, simulated=True)
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link[^>]+href=\"http|src=|@import|url\((?!#)", page)
    for result in done.results:
        assert result.name in page
    assert page.count("<svg") == 3
    assert "simulated games" in page
    assert "One season only" in page, "a span of one season leaves none to score a choice on"


def test_faults_stand_on_the_page_with_prepares_own_words(settings: Make, cache: FitCache) -> None:
    hurt = run_backtest(settings("bad-feed@2025-01-20..2025-01-20", policies=(REFERENCE, Policy())), cache)
    page = render(hurt, simulated=False)
    assert "bad-feed</strong> from 2025-01-20" in page
    assert "away_points" in page
    assert "Missed" in page


def test_intervals_against_never_are_the_pipelines_own(done: BacktestResult) -> None:
    service = done.prepared.service
    for number, result in enumerate(done.results):
        losses = [metrics.log_losses(service.predictions(done.outcome, n), service.target) for n in (number, 0)]
        weeks = (service.world.day[service.begin :] + 3) // 7
        alone = metrics.paired_difference(losses[0], losses[1], weeks, seed=20_041_102)
        assert np.allclose(
            (alone.mean, alone.lower, alone.upper),
            (result.difference.mean, result.difference.lower, result.difference.upper),
            atol=1e-12,
        )


def test_the_choice_is_made_on_earlier_rows_only(done: BacktestResult) -> None:
    """The later periods' losses and counts are replaced by nonsense: the choice stays, its score does not."""
    service, losses = done.prepared.service, done.losses
    half = len(service.days) // 2
    service.period[half:] += 1
    try:
        period = int(service.period[0])
        choice = choose(done.outcome, losses, service, done.run_costs, period, margin=0.002, default="nightly")
        nonsense = losses.copy()
        nonsense[:, half:] = np.random.default_rng(1).random(nonsense[:, half:].shape)
        changed = {name: values.copy() for name, values in done.outcome.by_run.items()}
        dear = [policy.train == "never" for policy in done.outcome.policies]  # the cheapest, as far as is known
        changed["trainings"][int(service.run_of_day[half]) :] = dear
        hindsight = replace(done.outcome, by_run=changed)
        other = choose(hindsight, nonsense, service, done.run_costs, period, margin=0.002, default="nightly")
        assert choice is not None
        assert other is not None
        names = [(c.best.name, c.cheapest.name, c.n_eligible) for c in (choice, other)]
        assert names[0] == names[1]
        assert choice.best.loss != other.best.loss
        assert choice.default is not None
        assert choice.default.name == "nightly"
        early = service.period <= period
        to_best = differences(losses, losses[_number(done, choice.best.name)], service, early)
        dollars, _ = spent(done.outcome.until(int(service.run_of_day[half - 1]) + 1), done.run_costs)
        chosen = _number(done, choice.cheapest.name)
        for number, gap in enumerate(to_best):
            if gap.lower <= 0 and gap.upper <= 0.002:
                assert dollars[chosen] <= dollars[number], number
    finally:
        service.period[half:] -= 1


def _number(done: BacktestResult, name: str) -> int:
    return [result.name for result in done.results].index(name)
