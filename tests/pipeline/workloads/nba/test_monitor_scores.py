"""One team's points: a jump is found and named, a season of chance is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.workloads.nba.monitor import Scores, score_evidence

TEAMS = np.array([f"T{i:02}" for i in range(30)])


def season(seed: int = 1, rounds: int = 80) -> Scores:
    """Every team plays every second day; points of 100 and a team's own level, standard deviation 12."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(30) for _ in range(rounds)]).reshape(-1, 2)
    level = 100 + rng.normal(0, 4, size=30)
    points = np.rint(level[order] + rng.normal(0, 12, size=order.shape))
    day = 14_000 + np.repeat(np.arange(rounds), 15) * 2
    return Scores(day, TEAMS[order[:, 0]], TEAMS[order[:, 1]], points[:, 0], points[:, 1])


def scaled(scores: Scores, team: str, factor: float, since: int) -> Scores:
    late = scores.day >= since
    return replace(
        scores,
        home_points=np.where(late & (scores.home == team), scores.home_points * factor, scores.home_points),
        away_points=np.where(late & (scores.away == team), scores.away_points * factor, scores.away_points),
    )


def test_chance_and_levels_of_their_own_raise_nothing_in_twenty_seasons() -> None:
    assert not any(score_evidence(season(seed), 14_000).alarm().any() for seed in range(20))


@pytest.mark.parametrize(("factor", "days"), [(2.0, 4), (1.5, 12), (0.5, 12)])
def test_scaled_scores_of_one_team_are_found_within_days_and_the_team_is_named(factor: float, days: int) -> None:
    since = 14_080
    path = score_evidence(scaled(season(), "T07", factor, since), 14_000)
    assert since <= path.day[path.alarm()][0] <= since + days
    assert path.team == "T07"


def test_what_was_so_before_the_cut_off_is_the_champions_world() -> None:
    doctored = scaled(season(), "T07", 1.5, 14_040)
    assert not score_evidence(doctored, 14_120).alarm().any()


def test_a_night_sees_only_what_was_known_by_then() -> None:
    whole = season(3)
    known = whole.day < 14_100
    arrays = (whole.day, whole.home, whole.away, whole.home_points, whole.away_points)
    so_far = score_evidence(Scores(*(array[known] for array in arrays)), 14_000)
    np.testing.assert_allclose(so_far.evidence, score_evidence(whole, 14_000).evidence[: len(so_far.day)])


def test_no_game_since_the_cut_off_is_no_evidence() -> None:
    assert len(score_evidence(season(), 20_000).day) == 0
