"""The evidence against a forecaster: fair to one that is right, quick with one that is wrong, blind to the future."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.spec import MonitorSpec
from pipeline.monitoring import monitor_evidence as evidence
from pipeline.monitoring.monitor_evidence import Forecasts, evidence_by_day, likeliest_group

TEAMS = np.array(["ATL", "BOS", "CHI", "DEN", "HOU", "IND", "LAL", "MIA"])


def league(n: int, *, seed: int = 1, shift: float = 0.0, slope: float = 1.0) -> Forecasts:
    """`n` games, seven a day, of a forecaster whose log-odds are off by `shift` and `slope`."""
    rng = np.random.default_rng(seed)
    claimed = rng.normal(0.35, 0.8, n)
    truth = 1 / (1 + np.exp(-(shift + slope * claimed)))
    home = rng.integers(len(TEAMS), size=n)
    return Forecasts(
        p=1 / (1 + np.exp(-claimed)),
        target=(rng.random(n) < truth).astype(np.float64),
        day=14_000 + np.arange(n) // 7,
        groups=(
            (TEAMS[home], 1.0),
            (TEAMS[(home + 1 + rng.integers(len(TEAMS) - 1, size=n)) % len(TEAMS)], -1.0),
        ),
    )


@settings(max_examples=40, deadline=None)
@given(
    p=st.lists(st.floats(0.05, 0.95), min_size=1, max_size=6),
    shift=st.sampled_from([-1, 0, 1]),
    slope=st.sampled_from([-1, 0, 1]),
)
def test_a_tolerated_forecaster_has_evidence_of_at_most_one_against_it_in_expectation(
    p: list[float], shift: int, slope: int
) -> None:
    """Exactly, by going through every outcome: this is what makes the nightly look safe (Ville's inequality)."""
    claimed = np.log(np.array(p)) - np.log1p(-np.array(p))
    log_odds = shift * MonitorSpec().tolerated_shift + (1 + slope * MonitorSpec().tolerated_slope) * claimed
    truth = 1 / (1 + np.exp(-log_odds))
    expected = dict.fromkeys(evidence.FAMILIES, 0.0)
    for outcome in itertools.product((0.0, 1.0), repeat=len(p)):
        y = np.array(outcome)
        games = len(p)
        path = evidence_by_day(
            Forecasts(np.array(p), y, np.full(games, 4), ((TEAMS[:games], 1.0), (TEAMS[1 : games + 1], -1.0)))
        )
        chance = float(np.where(y == 1.0, truth, 1 - truth).prod())
        for name, values in path.by_family.items():
            expected[name] += chance * float(evidence.LIMIT ** values[-1])
    assert all(value <= 1 + 1e-9 for value in expected.values()), expected


def test_a_forecaster_that_is_right_is_left_alone_through_forty_seasons() -> None:
    alarmed = [seed for seed in range(40) if evidence_by_day(league(1_230, seed=seed)).alarm().any()]
    assert len(alarmed) <= 4, alarmed  # 520 weeks between false alarms: two are expected of 40 seasons of 26 weeks


@pytest.mark.parametrize(
    ("family", "fault"),
    [
        (evidence.RATE, {"shift": -0.7}),
        (evidence.LOSS, {"slope": -0.3}),
        (evidence.LEAKAGE, {"slope": 3.0}),
    ],
)
def test_each_way_of_being_wrong_is_found_and_named(family: str, fault: dict[str, float]) -> None:
    assert family in evidence_by_day(league(500, **fault)).alarms


def test_a_team_whose_results_are_doctored_is_named() -> None:
    games = league(900)
    (home, _), (away, _) = games.groups
    won = np.where(home == "MIA", 1.0, np.where(away == "MIA", 0.0, games.target))
    doctored = replace(games, target=won)
    assert evidence.GROUP in evidence_by_day(doctored).alarms
    assert likeliest_group(doctored) == "MIA"


def test_a_fault_late_in_a_champions_life_is_found_as_fast_as_an_early_one() -> None:
    wrong = league(300, shift=-0.9, seed=5)
    alone = evidence_by_day(wrong)
    right = league(700, seed=6)
    both = Forecasts(
        np.concatenate([right.p, wrong.p]),
        np.concatenate([right.target, wrong.target]),
        np.concatenate([right.day, wrong.day + 100]),
    )
    after = evidence_by_day(both)
    early, late = (path.day[path.alarm(evidence.RATE)][0] for path in (alone, after))
    assert late - 100 - early <= 3  # days


@settings(max_examples=15, deadline=None)
@given(n=st.integers(60, 200), seed=st.integers(0, 99))
def test_a_night_sees_only_what_was_known_by_then(n: int, seed: int) -> None:
    games = league(n, seed=seed, shift=-0.5)
    path = evidence_by_day(games)
    position = len(path.day) * 2 // 3
    known = int(path.n_rows[position])
    groups = tuple((members[:known], sign) for members, sign in games.groups)
    so_far = Forecasts(games.p[:known], games.target[:known], games.day[:known], groups)
    alone = evidence_by_day(so_far)
    for name, values in path.by_family.items():
        np.testing.assert_allclose(alone.by_family[name], values[: position + 1], rtol=1e-9, atol=1e-9)


def test_few_games_say_nothing() -> None:
    hopeless = league(MonitorSpec().min_rows - 1, slope=-5.0)
    path = evidence_by_day(hopeless)
    assert not path.alarm().any()
    assert path.alarms == ()
    assert path.by_family[evidence.LOSS][-1] > 1.0


def test_no_game_is_no_evidence() -> None:
    path = evidence_by_day(league(0))
    assert (len(path.day), path.alarm().tolist(), path.alarms) == (0, [], ())


def test_a_better_reference_rating_is_evidence_too() -> None:
    games = league(600, slope=0.55, seed=3)
    better = 1 / (1 + np.exp(-0.55 * (np.log(games.p) - np.log1p(-games.p))))
    alone, beside = evidence_by_day(games), evidence_by_day(replace(games, p_reference=better))
    assert beside.by_family[evidence.LOSS][-1] > alone.by_family[evidence.LOSS][-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p": np.full(50, 1.5)}, "not a number from 0 to 1"),
        ({"p": np.full(50, np.nan)}, "not a number from 0 to 1"),
        ({"target": np.full(50, 0.5)}, "neither 0 nor 1"),
        ({"day": np.arange(50)[::-1]}, "not in order of day"),
        ({"day": np.arange(49)}, "different lengths"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(change: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(league(50), **change)
