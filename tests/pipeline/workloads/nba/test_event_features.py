"""Features from play-by-play: what belongs to which game, what they say, and that they see earlier days only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leagues import random_league

from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.play_by_play.event_features import COUNTED, EVENT_FEATURES, event_features, match_events


def games_of(*rows: tuple[str, str, str, int, int]) -> pd.DataFrame:
    """Games of season 2023 from day, home, away and both scores, as `load_games` returns them."""
    frame = pd.DataFrame(rows, columns=[n.DATE, n.HOME_TEAM, n.AWAY_TEAM, n.HOME_POINTS, n.AWAY_POINTS])
    return frame.assign(
        **{
            n.DATE: frame[n.DATE].astype("datetime64[s]"),
            n.HOME_POINTS: frame[n.HOME_POINTS].astype("Int16"),
            n.AWAY_POINTS: frame[n.AWAY_POINTS].astype("Int16"),
            n.SEASON: 2023,
            n.GAME_ID: [f"g{number}" for number in range(len(frame))],
            n.HOME_FRANCHISE: frame[n.HOME_TEAM],
            n.AWAY_FRANCHISE: frame[n.AWAY_TEAM],
        }
    )


def team_games_of(games: pd.DataFrame, rng: np.random.Generator | None = None) -> pd.DataFrame:
    """Rows of both teams of each played game; 100 possessions, 40 of 80 shots, unless drawn."""
    usual = dict.fromkeys(COUNTED, 10) | {"possessions": 100, "field_goals_made": 40, "field_goals_attempted": 80}
    rows = []
    for game in games[games[n.HOME_POINTS].notna()].to_dict("records"):
        home = (game[n.HOME_TEAM], game[n.AWAY_TEAM], game[n.HOME_POINTS], game[n.AWAY_POINTS])
        for team, opponent, points, opponent_points in (home, (home[1], home[0], home[3], home[2])):
            drawn = {name: int(rng.integers(1, 90)) for name in COUNTED} if rng else {}
            sides = {n.DATE: str(game[n.DATE].date()), "team": team, "opponent": opponent}
            rows.append({**usual, **drawn, **sides, "points": points, "opponent_points": opponent_points})
    return pd.DataFrame(rows)


GAMES = games_of(
    ("2022-11-01", "BOS", "LAL", 120, 100),
    ("2022-11-03", "LAL", "BOS", 100, 110),
    ("2022-11-05", "BOS", "LAL", 100, 90),
)


def test_efficiency_of_earlier_games_beyond_the_leagues_steadied_by_ten_average_games() -> None:
    found = event_features(GAMES, match_events(GAMES, team_games_of(GAMES)))
    expected = [0.0, -2 * 2 * 0.1 * 100 / 1100, 2 * 2 * (230 - 215) / 1200]
    assert found["net_efficiency_difference"].tolist() == pytest.approx(expected, abs=1e-6)
    assert found.columns.tolist() == list(EVENT_FEATURES)
    assert (found.dtypes == np.float32).all()
    assert found["turnover_difference"].tolist() == [0.0, 0.0, 0.0]  # all teams alike


def test_a_missed_free_throw_is_bad_luck() -> None:
    rows = team_games_of(GAMES)
    rows.loc[(rows["team"] == "BOS"), "free_throws_made"] = 5
    found = event_features(GAMES, match_events(GAMES, rows))["unlucky_margin_difference"]
    # Boston made 5 of 10 and its opponent all 10: at the league's 75 % it would have 2.5 more, and allowed 2.5 less.
    assert found.tolist() == pytest.approx([0.0, -2 * 5.0 / 11, 2 * 10.0 / 12], abs=1e-6)


def test_another_code_of_the_franchise_is_the_same_team() -> None:
    games = games_of(("2022-11-01", "BKN", "CHA", 120, 100), ("2022-11-03", "BKN", "CHA", 100, 110))
    rows = team_games_of(games).replace({"BKN": "BRK", "CHA": "CHO"})
    assert match_events(games, rows).known.all()


@pytest.mark.parametrize(
    ("column", "value", "known", "contradicting"),
    [
        ("points", 119, [False, True], ("g0",)),
        ("team", "XXX", [False, True], ()),
        (n.DATE, "2022-11-09", [False, True], ()),
    ],
)
def test_events_that_do_not_fit_a_game_are_not_used(
    column: str, value: str | int, known: list[bool], contradicting: tuple[str, ...]
) -> None:
    games = GAMES[:2]
    rows = team_games_of(games)
    rows.loc[0, column] = value
    found = match_events(games, rows)
    assert found.known.tolist() == [known[0], known[0], known[1], known[1]]
    assert found.contradicting == contradicting
    assert not found.own["possessions"][:2].any()


def test_events_of_other_days_alone_are_of_no_game() -> None:
    assert not match_events(GAMES, team_games_of(GAMES).assign(date="2021-11-01")).known.any()


def test_two_games_of_a_pair_on_one_day_are_not_guessed_apart() -> None:
    games = games_of(("2022-11-01", "BOS", "LAL", 120, 100), ("2022-11-01", "BOS", "LAL", 99, 100))
    assert not match_events(games, team_games_of(games)).known.any()


def test_a_game_to_come_has_features_and_gives_none() -> None:
    games = GAMES.copy()
    games.loc[2, [n.HOME_POINTS, n.AWAY_POINTS]] = pd.NA
    found = event_features(games, match_events(games, team_games_of(GAMES)))
    assert found["net_efficiency_difference"].iloc[2] > 0
    assert match_events(games, team_games_of(GAMES)).contradicting == ()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 45))
def test_no_feature_sees_its_own_day_or_later(seed: int, cut: int) -> None:
    real_codes = {f"T{number:02d}": code for number, code in enumerate(("ATL", "BOS", "CLE", "DAL", "DEN", "DET"))}
    games = random_league(seed, games=25).replace(real_codes)
    rng = np.random.default_rng(seed)
    rows = team_games_of(games, rng)
    day = str(games[n.DATE].iloc[cut].date())
    edited = rows.copy()
    later = edited[n.DATE] >= day
    names = [name for name in COUNTED if name != "points"]
    edited.loc[later, names] = rng.integers(1, 90, size=(int(later.sum()), len(names)))
    edited = edited.drop(edited.index[later][::3])
    assert match_events(games, rows).known.sum() > len(games)  # most: some pairs meet twice a day
    before = event_features(games, match_events(games, rows))
    after = event_features(games, match_events(games, edited))
    seen = (games[n.DATE] <= pd.Timestamp(day)).to_numpy()
    assert before[seen].to_numpy().tobytes() == after[seen].to_numpy().tobytes()
    order = rng.permutation(len(rows))
    assert event_features(games, match_events(games, rows.iloc[order])).equals(before)


def test_of_the_seasons_before_nothing_counts() -> None:
    earlier = GAMES.assign(**{n.SEASON: [2022, 2022, 2023]})
    found = event_features(earlier, match_events(earlier, team_games_of(earlier)))
    assert found.iloc[2].tolist() == [0.0] * len(EVENT_FEATURES)
