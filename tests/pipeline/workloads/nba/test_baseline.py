"""The reference agrees with the features' Elo without sharing its code, and sees nothing of the day it forecasts."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leagues import random_league

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.baseline import EloLogistic, elo_chances
from pipeline.workloads.nba.baseline import forecast as reference_forecast
from pipeline.workloads.nba.data import results as result_table
from pipeline.workloads.nba.features import build_features
from pipeline.workloads.nba.game_data.games import load_games

SEEDS = st.integers(0, 2**32 - 1)
FIRST_SEASON = 2002  # of the made-up leagues


def results_of(games: pd.DataFrame) -> pa.Table:
    return result_table(games)


def forecast(games: pd.DataFrame, of: pd.DataFrame, first_season: int = FIRST_SEASON) -> np.ndarray:
    return reference_forecast(results_of(games), of[nba.GAME_ID].tolist(), date(first_season - 1, 8, 1))


def hand_made(*games: tuple[int, int, str, str, int, bool]) -> pa.Table:
    """Games as (day, season, home, away, margin, neutral)."""
    day, season, home, away, margin, neutral = zip(*games, strict=True)
    columns = {
        c.ROW_ID: [str(n) for n in range(len(games))],
        c.TIME: np.array(day, dtype="datetime64[D]"),
        nba.SEASON: season,
        nba.HOME_FRANCHISE: home,
        nba.AWAY_FRANCHISE: away,
        nba.HOME_POINTS: [100 + points for points in margin],
        nba.AWAY_POINTS: [100] * len(games),
        nba.NEUTRAL_SITE: neutral,
    }
    return pa.table(columns)


def difference(chance: float) -> float:
    """The rating difference behind a chance."""
    return 400.0 * float(np.log10(chance / (1.0 - chance)))


def test_ratings_by_hand() -> None:
    # 538's formula, worked out in test_elo.py: a home win by ten of two new teams moves 6.917097 points,
    # an away win by ten 14.439744.
    home_win = elo_chances(hand_made((1, 2001, "A", "B", 10, False), (3, 2001, "A", "B", 4, True)))
    assert difference(home_win[0]) == pytest.approx(100.0)
    assert difference(home_win[1]) == pytest.approx(2 * 6.917097, abs=1e-5)
    away_win = elo_chances(hand_made((1, 2001, "A", "B", -10, False), (300, 2002, "A", "B", 4, True)))
    assert difference(away_win[1]) == pytest.approx(-0.75 * 2 * 14.439744, abs=1e-5), "a new season keeps 3/4"


def test_all_games_of_a_day_are_forecast_before_one_counts() -> None:
    chances = elo_chances(
        hand_made((1, 2001, "A", "B", 10, True), (1, 2001, "A", "C", -3, True), (1, 2001, "C", "B", 20, True))
    )
    assert chances.tolist() == [0.5, 0.5, 0.5]


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_two_programs_one_elo(seed: int) -> None:
    """A leak in either would be a difference: they share no code."""
    games = random_league(seed, seasons=3)
    assert elo_chances(results_of(games)) == pytest.approx(build_features(games)[nba.P_ELO].to_numpy(), abs=1e-9)


def test_two_programs_one_elo_on_real_games(real_games: Path) -> None:
    day = date(2023, 7, 1)
    games = load_games(real_games, as_of=day, today=day, max_bad_row_share=0.01, min_rows=1000).rows
    features = build_features(games)
    played = features[features[c.TARGET].notna()]
    assert len(played) > 70_000
    assert elo_chances(results_of(games)) == pytest.approx(played[nba.P_ELO].to_numpy(), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, data=st.data())
def test_results_of_a_day_and_later_change_no_forecast_up_to_that_day(seed: int, data: st.DataObject) -> None:
    games = random_league(seed, seasons=3)
    judged = games[games[nba.SEASON] > FIRST_SEASON]
    day = data.draw(st.sampled_from(sorted(judged[nba.DATE].unique())))
    edited = games.copy()
    later = games[nba.DATE] >= day
    edited.loc[later, [nba.HOME_POINTS, nba.AWAY_POINTS]] = games.loc[
        later, [nba.AWAY_POINTS, nba.HOME_POINTS]
    ].to_numpy()
    upto = (judged[nba.DATE] <= day).to_numpy()
    assert forecast(games, judged)[upto].tolist() == forecast(edited, judged)[upto].tolist()
    # numpy's power of the last few numbers of an array is another program than of those before: one bit may differ.
    shorter = forecast(games[games[nba.DATE] <= day], judged[upto])
    assert shorter == pytest.approx(forecast(games, judged)[upto], rel=1e-14)


def test_a_month_is_a_line_through_the_games_before_it() -> None:
    games = random_league(4, seasons=3, games=120)
    judged = games.tail(60)
    chances = elo_chances(results_of(games))
    won = (games[nba.HOME_POINTS] > games[nba.AWAY_POINTS]).to_numpy(dtype=np.float64)
    months = games[nba.DATE].to_numpy().astype("datetime64[M]")
    month = months[-1]
    past = (months < month) & (games[nba.SEASON] >= 2003).to_numpy()
    expected = EloLogistic.fit(chances[past], won[past]).predict(chances[months == month])
    got = forecast(games, judged, first_season=2003)[judged[nba.DATE].to_numpy().astype("datetime64[M]") == month]
    assert got.tolist() == expected.tolist()


def test_the_order_of_the_asked_games_is_kept() -> None:
    games = random_league(5, seasons=2)
    judged = games.tail(20)
    assert forecast(games, judged[::-1]).tolist() == forecast(games, judged)[::-1].tolist()


def test_what_it_cannot_do_it_says() -> None:
    games = random_league(6, seasons=2)
    with pytest.raises(StepError, match=r"results\.parquet has no game 1999-x"):
        reference_forecast(results_of(games), [games[nba.GAME_ID].iloc[-1], "1999-x"], date(FIRST_SEASON - 1, 8, 1))
    with pytest.raises(StepError, match="no game was played before 2001-10-01"):
        forecast(games, games.head(3))
    with pytest.raises(ValueError, match="order of date"):
        elo_chances(results_of(games[::-1]))
