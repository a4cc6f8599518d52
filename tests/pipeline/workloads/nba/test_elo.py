"""Elo and margin ratings against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.workloads.nba.team_state.elo import Schedule, pre_game_elo, win_probability
from pipeline.workloads.nba.team_state.margin_ratings import pre_game_margin_ratings


def schedule(*games: tuple[int, int, int, int, int, bool]) -> Schedule:
    """Games as (home, away, day, season, margin, neutral)."""
    home, away, day, season, margin, neutral = (np.array(column) for column in zip(*games, strict=True))
    return Schedule(home, away, day, season, margin, neutral.astype(bool))


def elo(*games: tuple[int, int, int, int, int, bool]) -> tuple[list[float], list[float]]:
    made = schedule(*games)
    home, away = pre_game_elo(made, made.team_history())
    return home.tolist(), away.tolist()


def test_a_home_win_by_ten_of_two_new_teams() -> None:
    # 538's formula by hand: difference 0 + 100, expected 1 / (1 + 10^-0.25) = 0.640065;
    # multiplier (10 + 3)^0.8 / (7.5 + 0.006 x 100) = 7.783137 / 8.1 = 0.960881;
    # change 20 x 0.960881 x 0.359935 = 6.917097
    home, away = elo((0, 1, 1, 2001, 10, False), (0, 1, 3, 2001, 4, False))
    assert home[0] == away[0] == 1300.0
    assert home[1] == pytest.approx(1306.917097, abs=1e-5)
    assert away[1] == pytest.approx(1293.082903, abs=1e-5)


def test_an_away_win_counts_from_the_winners_side() -> None:
    # winner's difference -100: multiplier 13^0.8 / (7.5 - 0.6) = 1.127991; change 20 x 1.127991 x 0.640065 = 14.4398
    home, _ = elo((0, 1, 1, 2001, -10, False), (0, 1, 3, 2001, 4, False))
    assert home[1] == pytest.approx(1300 - 14.439744, abs=1e-5)


def test_a_neutral_site_has_no_home_advantage() -> None:
    # 20 x 13^0.8 / 7.5 x 0.5 = 10.377516
    home, _ = elo((0, 1, 1, 2001, 10, True), (0, 1, 3, 2001, 4, False))
    assert home[1] == pytest.approx(1310.377516, abs=1e-5)


def test_a_new_season_keeps_three_quarters() -> None:
    home, away = elo((0, 1, 1, 2001, 10, True), (0, 1, 300, 2002, 0, False), (2, 0, 300, 2002, 0, False))
    assert home[1] == pytest.approx(0.75 * 1310.377516 + 0.25 * 1505, abs=1e-5)
    assert home[2] == 1300.0, "a team that is new in the second season starts afresh"
    assert away[2] == home[1], "the carry-over happens once"


def test_two_games_of_one_day_both_see_the_ratings_before_it() -> None:
    home, away = elo(
        (0, 1, 1, 2001, 10, True), (0, 1, 5, 2001, 10, True), (2, 0, 5, 2001, 10, True), (0, 2, 6, 2001, 1, True)
    )
    assert away[2] == home[1]
    assert home[3] != home[1]


def test_a_game_to_come_moves_nothing() -> None:
    home, _ = elo((0, 1, 1, 2001, 0, False), (0, 1, 2, 2001, 0, False))
    assert home == [1300.0, 1300.0]


def test_win_probability() -> None:
    assert win_probability(np.array([0.0, 400.0])).tolist() == pytest.approx([0.5, 10 / 11])


def test_margin_ratings_by_hand() -> None:
    games = schedule((0, 1, 1, 2001, 13, False), (1, 0, 2, 2001, 5, True), (0, 1, 400, 2002, 0, False))
    ratings = pre_game_margin_ratings(games, games.team_history())
    # first game: expected 3.5, surprise 9.5, gain 0.08 -> 0.76; home edge 3.5 + 0.001 x 9.5
    assert ratings.home[:2].tolist() == pytest.approx([-3.0, -3.76])
    assert ratings.away[:2].tolist() == pytest.approx([-3.0, -2.24])
    assert ratings.home_edge.tolist() == pytest.approx([3.5, 3.5095, 3.5095])
    assert ratings.expected(games)[1] == pytest.approx(-1.52)
    # second: surprise 6.52, gain 0.02 + 0.06 e^(-1/15) = 0.07613; then four fifths are carried over
    gain = 0.02 + 0.06 * np.exp(-1 / 15)
    assert ratings.home[2] == pytest.approx(0.8 * (-2.24 - gain * 6.52))


def test_a_long_schedule_is_played_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    home = rng.integers(5, size=200)
    games = Schedule(
        home=home,
        away=(home + rng.integers(1, 5, size=200)) % 5,
        day=np.sort(rng.integers(40, size=200)),
        season=np.full(200, 2001),
        margin=rng.integers(1, 20, size=200) * rng.choice([-1, 1], size=200),
        neutral=rng.random(200) < 0.2,
    )
    history = games.team_history()
    whole = (*pre_game_elo(games, history), pre_game_margin_ratings(games, history).home_edge)
    monkeypatch.setattr("pipeline.workloads.nba.team_state.elo._CHUNK", 7)
    pieces = (*pre_game_elo(games, history), pre_game_margin_ratings(games, history).home_edge)
    assert all((a == b).all() for a, b in zip(whole, pieces, strict=True))
