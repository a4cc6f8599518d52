"""Features against the same part of earlier seasons: large and no chance, or nothing is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from pipeline.contract.spec import MonitorSpec
from pipeline.monitoring.monitor_features import FeatureReport, LabelledRows, compare_features, holm, ks_distance, psi

NAMES = ("progress", "form", "home_court")
GAMES = 400  # of a season, three a day
LAST = 2012

MONITOR = MonitorSpec(period="season", left_out="playoff")


def compared(rows: LabelledRows, names: tuple[str, ...], cut_off: int) -> FeatureReport:
    return compare_features(rows, names, cut_off, MONITOR)


def seasons(first: int = 2005, last: int = LAST, played: int = 250, seed: int = 1) -> LabelledRows:
    """Whole seasons and `played` games of the last: a feature grows with the season, one is noise, one constant."""
    rng = np.random.default_rng(seed)
    counts = dict.fromkeys(range(first, last), GAMES) | {last: played}
    season = np.concatenate([np.full(n, year) for year, n in counts.items()])
    number = np.concatenate([np.arange(n) for n in counts.values()])
    values = np.stack([number / 10, rng.normal(size=len(season)), np.ones(len(season))], axis=1).astype(np.float32)
    return LabelledRows(values, (season - 1970) * 365 + number // 3, season, np.zeros(len(season), dtype=bool))


def cut_off(games: LabelledRows) -> int:
    return int(games.day[games.period == LAST][0])


def test_an_ordinary_season_has_not_drifted() -> None:
    games = seasons()
    report = compared(games, NAMES, cut_off(games))
    assert (report.n_rows, report.drifted, report.skip_reason) == (100, (), "")
    assert report.periods == tuple(range(2005, 2012))


def test_what_grows_with_the_season_is_compared_with_the_same_part() -> None:
    """Games 150 to 250 differ from a whole season's, and are like every other season's 150 to 250."""
    games = seasons()
    rows = {row.feature: row for row in compared(games, NAMES, cut_off(games)).rows}
    assert rows["progress"].ks < 0.05
    whole = games.X[games.period < LAST, 0]
    assert ks_distance(games.X[-100:, 0], whole) > 0.3


@pytest.mark.parametrize("feature", [0, 1, 2])
def test_a_feature_that_stands_still_or_moves_away_is_named(feature: int) -> None:
    games = seasons()
    values = games.X.copy()
    live = np.flatnonzero(games.period == LAST)
    values[live[150:], feature] = values[live[0], feature] + (3.0 if feature else 0.0)
    report = compared(replace(games, X=values), NAMES, cut_off(games))
    assert report.drifted == (NAMES[feature],)
    assert report.rows[0].feature == NAMES[feature]


def test_seasons_that_differ_by_themselves_are_allowed_for() -> None:
    """A level of its own in each season would be called every week by the test as it stands."""
    games = seasons(seed=3)
    values = games.X.copy()
    values[:, 1] += np.random.default_rng(8).normal(size=LAST + 1)[games.period] * 0.7
    report = compared(replace(games, X=values), NAMES, cut_off(games))
    assert report.drifted == ()
    live, past = games.period == LAST, games.period < LAST
    assert ks_2samp(values[live, 1][-100:], values[past, 1]).pvalue < 0.01


def test_few_games_few_seasons_and_playoffs_say_why_nothing_is_said() -> None:
    few = seasons(played=MONITOR.min_window_rows - 1)
    assert "59 since the cut-off are too few" in compared(few, NAMES, cut_off(few)).skip_reason
    young = seasons(first=2009)
    assert "3 comparable periods are too few" in compared(young, NAMES, cut_off(young)).skip_reason
    games = seasons()
    playoffs = replace(games, left_out=games.period == LAST)
    assert compared(playoffs, NAMES, cut_off(games)).rows == ()
    nothing = LabelledRows(np.empty((0, 3), np.float32), np.empty(0, int), np.empty(0, int), np.empty(0, bool))
    assert compared(nothing, NAMES, 0).rows == ()


def test_games_before_the_cut_off_take_no_part() -> None:
    """Else a fault of before would be found in a champion that was trained on it."""
    games = seasons()
    late = int(games.day[-80])
    assert compared(games, NAMES, late).n_rows == int((games.day >= late).sum())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9_999), st.integers(5, 80), st.integers(5, 80))
def test_ks_distance_is_scipys(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(9, size=n).astype(np.float32), rng.normal(4, 2, size=m).astype(np.float32)
    assert ks_distance(a, b) == pytest.approx(ks_2samp(a, b).statistic)


def test_psi_is_nothing_for_equals_and_large_for_strangers() -> None:
    values = np.random.default_rng(2).normal(size=5_000).astype(np.float32)
    assert psi(values[:2_500], values[2_500:]) < 0.02
    assert psi(values + 1, values) > 0.25
    assert psi(np.zeros(50, np.float32), np.zeros(500, np.float32)) == pytest.approx(0)


def test_rows_without_a_value_are_a_bin_of_their_own() -> None:
    """A feature that is given less often has drifted, as has one whose given values moved."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=10_000).astype(np.float32)
    values[rng.random(10_000) < 0.3] = np.nan
    emptied = values[:2_500].copy()
    emptied[rng.random(2_500) < 0.5] = np.nan
    assert psi(values[:2_500], values[2_500:]) < 0.02
    assert psi(emptied, values[2_500:]) > 0.25
    assert psi(values[:2_500] + 1, values[2_500:]) > 0.25
    assert ks_distance(emptied, values[2_500:]) > 0.3


def test_holm_is_the_textbook_s() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).max() <= 1.0
