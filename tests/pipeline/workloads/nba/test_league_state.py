"""From a short past, games to come get the features that all of the past gives them, to the last bit."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leagues import random_league

from pipeline.contract import names as c
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import build_features, features_and_state, features_of_asked
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.sample import write as write_sample
from pipeline.workloads.nba.team_state.feature_names import FEATURES
from pipeline.workloads.nba.team_state.league import KnownGames
from pipeline.workloads.nba.team_state.league_state import LeagueState, days_since_epoch, read_state, write_state

SCORED = [n.P_ELO, *FEATURES]
SEEDS = st.integers(0, 10_000)
property_test = settings(max_examples=20, deadline=None)


def as_known_on(games: pd.DataFrame, day: date) -> pd.DataFrame:
    """The games with no score from a day on."""
    known = games.copy()
    known.loc[known[n.DATE] >= pd.Timestamp(day), [n.HOME_POINTS, n.AWAY_POINTS]] = pd.NA
    return known


def some_day(games: pd.DataFrame, share: float) -> date:
    """A day after the first with about this share of the games before it."""
    days = sorted(games[n.DATE].dt.date.unique())
    return days[max(1, min(int(share * len(days)), len(days) - 1))]


def asked_of(state: LeagueState, games: pd.DataFrame) -> KnownGames:
    """Games of a frame as they are asked for; teams that the state does not know get the next numbers."""
    names = list(state.franchises)
    names += sorted({*games[n.HOME_FRANCHISE], *games[n.AWAY_FRANCHISE]} - set(names))
    number = {name: place for place, name in enumerate(names)}
    nothing = np.zeros(len(games), dtype=np.int64)
    return KnownGames(
        home=np.array([number[name] for name in games[n.HOME_FRANCHISE]]),
        away=np.array([number[name] for name in games[n.AWAY_FRANCHISE]]),
        day=np.array([days_since_epoch(day) for day in games[n.DATE].dt.date]),
        season=games[n.SEASON].to_numpy(dtype=np.int64),
        margin=nothing,
        neutral=games[n.NEUTRAL_SITE].to_numpy(dtype=np.bool_),
        playoff=games[n.PLAYOFF].to_numpy(dtype=np.bool_),
        points=nothing,
        surprise=nothing,
    )


def assert_same(served: dict[str, Any], whole: pd.DataFrame) -> None:
    for name in SCORED:
        assert served[name].tobytes() == whole[name].to_numpy().tobytes(), name


def unplayed(features: pd.DataFrame) -> pd.DataFrame:
    return features[features[c.TARGET].isna()].reset_index(drop=True)


@property_test
@given(seed=SEEDS, share=st.floats(0.1, 0.95))
def test_features_and_state_are_the_features_of_all_games_at_once(seed: int, share: float) -> None:
    games = random_league(seed, seasons=3)
    day = some_day(games, share)
    known = as_known_on(games, day)
    features, state = features_and_state(known, day)
    pd.testing.assert_frame_equal(features, build_features(known), check_exact=True)
    assert state.as_of == day


@pytest.fixture(scope="module")
def long_league() -> pd.DataFrame:
    """More games than any feature looks back to; a season has 100 a team, the league's last 600 are 40 a team."""
    return random_league(5, teams=30, seasons=4, games=1500)


@pytest.mark.parametrize("share", [0.6, 0.87, 0.99])
def test_what_is_dropped_was_not_needed(long_league: pd.DataFrame, share: float, tmp_path: Path) -> None:
    day = some_day(long_league, share)
    known = as_known_on(long_league, day)
    features, state = features_and_state(known, day)
    assert len(state.past) < 0.75 * known[n.HOME_POINTS].notna().sum()
    pd.testing.assert_frame_equal(features, build_features(known), check_exact=True)
    write_state(tmp_path / "state.parquet", state)
    again = read_state(tmp_path / "state.parquet")
    assert_same(features_of_asked(again, again.upcoming), unplayed(features))


@property_test
@given(seed=SEEDS, data=st.data())
def test_games_that_nobody_had_scheduled_count_as_if_they_had_been(seed: int, data: st.DataObject) -> None:
    """Asking for games is the same as having had them in the data, whatever part of them the schedule knew."""
    games = random_league(seed, seasons=3).drop_duplicates([n.DATE, n.HOME_TEAM, n.AWAY_TEAM], ignore_index=True)
    pair = games[[n.HOME_TEAM, n.AWAY_TEAM]].apply(frozenset, axis=1)
    games = games[~pd.DataFrame({"day": games[n.DATE], "pair": pair}).duplicated()].reset_index(drop=True)
    day = some_day(games, data.draw(st.floats(0.5, 0.95)))
    known = as_known_on(games, day)
    to_come = known[known[n.HOME_POINTS].isna()]
    scheduled = to_come.sample(frac=data.draw(st.floats(0, 1)), random_state=seed)
    rest = pd.concat([known[known[n.HOME_POINTS].notna()], scheduled]).sort_values([n.DATE, n.GAME_ID])
    _, state = features_and_state(rest.reset_index(drop=True), day)
    asked = to_come.sample(frac=1.0, random_state=seed)
    whole = build_features(known).set_index(c.ROW_ID).loc[asked[n.GAME_ID]]
    assert_same(features_of_asked(state, asked_of(state, asked)), whole)


def test_one_scheduled_game_alone_is_what_it_is_among_all(long_league: pd.DataFrame) -> None:
    day = some_day(long_league, 0.97)
    known = as_known_on(long_league, day)
    features, state = features_and_state(known, day)
    to_come = unplayed(features)
    for row in range(0, len(to_come), 3):
        alone = features_of_asked(state, state.upcoming.rows(np.array([row])))
        assert_same(alone, to_come.iloc[[row]])


def test_a_state_is_of_a_morning(long_league: pd.DataFrame) -> None:
    day = some_day(long_league, 0.5)
    with pytest.raises(ValueError, match="has no result"):
        features_and_state(as_known_on(long_league, day), day + timedelta(days=400))
    with pytest.raises(ValueError, match="before that day"):
        features_and_state(long_league, day)


def test_no_games_have_a_state_too(long_league: pd.DataFrame) -> None:
    features, state = features_and_state(long_league.head(0), date(2025, 1, 1))
    assert (len(features), state.last_season, state.franchises) == (0, 0, ())


def test_the_sample_and_its_state(tmp_path: Path) -> None:
    as_of = date(2025, 3, 1)
    folder = write_sample(tmp_path / "games", as_of)
    games = load_games(folder, as_of=as_of, today=as_of, max_bad_row_share=0.01, min_rows=1_000).rows
    features, state = features_and_state(games, as_of)
    pd.testing.assert_frame_equal(features, build_features(games), check_exact=True)
    assert len(unplayed(features)) == len(state.upcoming) > 50


@pytest.mark.parametrize("as_of", ["2020-08-05", "2023-01-10"])
def test_real_games_in_the_bubble_and_in_mid_season(real_games: Path, as_of: str) -> None:
    day, after = date.fromisoformat(as_of), date(2023, 7, 1)
    games = load_games(real_games, as_of=day, today=after, max_bad_row_share=0.01, min_rows=1_000).rows
    games = games[games[n.SEASON] >= 2012].reset_index(drop=True)
    features, state = features_and_state(games, day)
    pd.testing.assert_frame_equal(features, build_features(games), check_exact=True)
    assert len(state.upcoming) > 500
    assert len(state.past) < 0.3 * games[n.HOME_POINTS].notna().sum()
