"""No feature sees its own day or later; the fast features equal the naive ones; the signature is steady."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leagues import random_league

from benchmarks.nba.naive_features import naive_features, naive_frame, replay
from pipeline.contract import names as c
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import KEY_COLUMNS, build_features, feature_signature
from pipeline.workloads.nba.team_state import league as league_module
from pipeline.workloads.nba.team_state.feature_names import FEATURES

SCORED = [n.P_ELO, *FEATURES]
SEEDS = st.integers(0, 10_000)
property_test = settings(max_examples=25, deadline=None)


def bytes_of(features: pd.DataFrame) -> dict[str, bytes]:
    return {name: features[name].to_numpy().tobytes() for name in SCORED}


@pytest.fixture(scope="module")
def league() -> pd.DataFrame:
    return random_league(1, teams=8, seasons=3, games=120, unplayed=9)


def test_columns_and_types(league: pd.DataFrame) -> None:
    features = build_features(league)
    assert list(features.columns) == [*map(n.ROLES.get, KEY_COLUMNS, KEY_COLUMNS), c.TARGET, n.P_ELO, *FEATURES]
    assert {str(features[name].dtype) for name in FEATURES} == {"float32"}
    assert features[c.TARGET].dtype == "Int8"
    assert features[c.TARGET].isna().sum() == 9
    assert features[c.ROW_ID].tolist() == league[n.GAME_ID].tolist()
    assert np.isfinite(features[SCORED].to_numpy()).all()
    assert len(set(FEATURES)) == len(FEATURES)


def test_equal_to_the_naive_reference(league: pd.DataFrame) -> None:
    fast = build_features(league)
    states = replay(league)
    frame = naive_frame(league, states)
    for row in range(0, len(league), 3):
        naive = naive_features(frame, states[row], row)
        for name in SCORED:
            assert fast[name].iloc[row] == pytest.approx(naive[name], abs=2e-5), (row, name)


@property_test
@given(seed=SEEDS)
def test_row_order_does_not_matter(seed: int) -> None:
    games = random_league(seed, unplayed=3)
    shuffled = games.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    a, b = build_features(games), build_features(shuffled)
    assert a[c.ROW_ID].tolist() == b[c.ROW_ID].tolist()
    assert bytes_of(a) == bytes_of(b)


@property_test
@given(seed=SEEDS, data=st.data())
def test_editing_a_days_scores_changes_no_feature_of_that_day_or_earlier(seed: int, data: st.DataObject) -> None:
    games = random_league(seed)
    day = data.draw(st.sampled_from(sorted(games[n.DATE].unique())))
    edited = games.copy()
    later = games[n.DATE] >= day
    edited.loc[later, [n.HOME_POINTS, n.AWAY_POINTS]] = games.loc[later, [n.AWAY_POINTS, n.HOME_POINTS]].to_numpy()
    edited.loc[later & (edited[n.HOME_POINTS] > 100), n.HOME_POINTS] += 37
    kept = (games[n.DATE] <= day).to_numpy()
    assert bytes_of(build_features(games)[kept]) == bytes_of(build_features(edited)[kept])


def test_a_days_scores_do_change_the_next_days_features(league: pd.DataFrame) -> None:
    edited = league.copy()
    edited.loc[100, n.HOME_POINTS] += 30
    later = (league[n.DATE] > league[n.DATE][100]).to_numpy()
    before, after = build_features(league)[later], build_features(edited)[later]
    assert bytes_of(before)["margin_rating_difference"] != bytes_of(after)["margin_rating_difference"]
    assert bytes_of(before)["meetings_surprise"] != bytes_of(after)["meetings_surprise"]


def test_games_to_come_count_for_rest_but_never_for_form() -> None:
    games = random_league(3, teams=4, seasons=1, games=30, unplayed=12)
    features = build_features(games)
    to_come = features[games[n.HOME_POINTS].isna()]
    last = to_come[to_come[c.TIME] == to_come[c.TIME].max()].iloc[-1]
    without = games.drop(index=to_come.index[to_come[c.TIME] < last[c.TIME]]).reset_index(drop=True)
    alone = build_features(without).iloc[-1]
    assert alone[c.ROW_ID] == last[c.ROW_ID]
    assert last["rest_home"] + last["rest_away"] < alone["rest_home"] + alone["rest_away"]
    for name in ("season_games", "margin_10_difference", "elo_difference", "surprise_1_difference"):
        assert last[name] == alone[name]


def test_a_missing_franchise_is_refused(league: pd.DataFrame) -> None:
    games = league.copy()
    games.loc[0, n.HOME_FRANCHISE] = None
    with pytest.raises(ValueError, match="franchise"):
        build_features(games)


def test_no_games_give_no_features(league: pd.DataFrame) -> None:
    assert len(build_features(league.head(0))) == 0


def test_categories_and_text_are_the_same_franchises(league: pd.DataFrame) -> None:
    sides = [n.HOME_FRANCHISE, n.AWAY_FRANCHISE]
    assert bytes_of(build_features(league.astype(dict.fromkeys(sides, "category")))) == bytes_of(build_features(league))


def test_signature_is_quick_and_steady() -> None:
    first = feature_signature()
    start = time.perf_counter()
    assert feature_signature() == first
    assert time.perf_counter() - start < 0.5  # 0.015 s on an idle machine
    assert len(first) == 12


def test_signature_changes_with_behaviour(monkeypatch: pytest.MonkeyPatch) -> None:
    first = feature_signature()
    monkeypatch.setattr(league_module, "LEAGUE_GAMES", 500)
    monkeypatch.setattr(league_module, "_PRIOR_GAMES", 51)
    assert feature_signature() != first


def test_elo_of_real_games_is_as_good_as_published(real_games: object) -> None:
    """FiveThirtyEight's Elo has a log loss of 0.6274 on seasons 2016 to 2022 in the data's own account."""
    from datetime import date
    from pathlib import Path

    from pipeline.evaluation.metrics import log_losses
    from pipeline.workloads.nba.game_data.games import load_games

    as_of = date(2023, 7, 1)
    folder = Path(str(real_games))
    games = load_games(folder, as_of=as_of, today=as_of, max_bad_row_share=0.01, min_rows=1_000).rows
    features = build_features(games)
    rows = features[features[n.SEASON].between(2016, 2022) & features[c.TARGET].notna()]
    loss = log_losses(rows[n.P_ELO].to_numpy(), rows[c.TARGET].to_numpy(dtype=np.float64)).mean()
    assert loss == pytest.approx(0.6274, abs=0.002)
