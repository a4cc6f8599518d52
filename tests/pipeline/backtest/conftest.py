"""Ten weeks of a simulated league, backtested once under a few policies."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from tested_league import FIRST, LAST, POLICIES, SMALL, Make

from pipeline.backtest.faults import parse_injection
from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.policies import Policy
from pipeline.backtest.run import BacktestResult, BacktestSettings, Prepared, prepare, run_backtest
from pipeline.workloads.nba.sample import write as write_sample


@pytest.fixture(scope="session")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last three simulated seasons up to 2025-03-01."""
    folder = write_sample(tmp_path_factory.mktemp("backtest") / "games", date(2025, 3, 1))
    for path in sorted(folder.glob("simulated_*.csv"))[:-3]:
        path.unlink()
    return folder


@pytest.fixture(scope="session")
def settings(games: Path) -> Make:
    """Settings of a backtest of the small league, with faults if wanted."""

    def make(*injections: str, policies: tuple[Policy, ...] = POLICIES, first: date = FIRST) -> BacktestSettings:
        chosen = tuple(parse_injection(text) for text in injections)
        return BacktestSettings(games, first, LAST, policies, SMALL, chosen, jobs=1)

    return make


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FitCache:
    """Fits are shared by all tests, as by all backtests."""
    return FitCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def done(settings: Make, cache: FitCache) -> BacktestResult:
    """The backtest without faults."""
    return run_backtest(settings(), cache)


@pytest.fixture(scope="session")
def prepared(settings: Make, cache: FitCache, done: BacktestResult) -> Prepared:
    """What its policies share."""
    assert done.results
    return prepare(settings(), cache)
