"""The simulated league: the same for a seed, a past that never changes, and numbers like the real league's."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.sample import SAMPLE_AS_OF, SAMPLE_SEED
from pipeline.workloads.nba.sample import write as write_sample
from pipeline.workloads.nba.simulated_league import play_season
from scripts.make_sample import main


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += csv.DictReader(file)
    return found


def load(folder: Path, as_of: date = SAMPLE_AS_OF) -> ValidatedRows:
    return load_games(folder, as_of=as_of, today=as_of, max_bad_row_share=0.0, min_rows=1)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def played(sample: Path) -> pd.DataFrame:
    return load(sample).rows.dropna(subset=["home_points"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_league(sample: Path, tmp_path: Path) -> None:
    assert read(write_sample(tmp_path / "again")) == read(sample)
    other = read(write_sample(tmp_path / "other", seed=1))
    assert other.keys() == read(sample).keys()
    assert all(other[name] != content for name, content in read(sample).items())


@pytest.mark.parametrize("as_of", [date(2025, 3, 8), date(2025, 5, 5), date(2025, 10, 25)])
def test_a_later_morning_has_the_same_past_and_more(sample: Path, tmp_path: Path, as_of: date) -> None:
    before, after = rows(sample), rows(write_sample(tmp_path, as_of))
    scored = [row for row in before if row["home_points"]]
    assert [row for row in after if row["date"] < str(SAMPLE_AS_OF)] == scored
    assert all((row["date"] < str(as_of)) == bool(row["home_points"]) for row in after)
    # What was to be played is played, as planned.
    games = [(row["date"], row["home_team"], row["away_team"], row["playoff"]) for row in after]
    planned = [(row["date"], row["home_team"], row["away_team"], row["playoff"]) for row in before]
    assert set(planned) <= set(games)
    assert len(after) > len(before)


def test_playoff_games_are_planned_only_when_they_are_certain() -> None:
    games, _ = play_season(2025, SAMPLE_SEED, np.zeros(30))
    playoffs = [game for game in games if game.playoff]
    series = {frozenset((game.home, game.away)) for game in playoffs}
    assert len(series) == 15
    for teams in series:
        played = [game for game in playoffs if {game.home, game.away} == teams]
        for number, game in enumerate(played):
            assert game.known_from <= game.day
            # The games that were over on the morning on which this one became certain.
            winners = [other.winner for other in played[:number] if other.day < game.known_from]
            assert number + 1 <= 4 + min(winners.count(team) for team in teams)
            # Nor are the opponents of a later round known before both have won their series.
            before = [other for other in playoffs if other.day < played[0].day and {other.home, other.away} != teams]
            ends = [other.day for other in before if teams & {other.home, other.away}]
            assert all(end < game.known_from for end in ends)


def test_a_week_of_games_is_to_come(sample: Path) -> None:
    loaded = load(sample)
    upcoming = loaded.rows[loaded.rows["home_points"].isna()]
    assert len(upcoming) > 30
    assert upcoming["date"].between("2025-03-01", "2025-03-07").all()
    assert (loaded.n_bad_rows, loaded.n_duplicates_collapsed, loaded.left_out) == (0, 0, ())


def test_the_sample_says_that_it_is_simulated(sample: Path) -> None:
    assert sorted(path.name for path in sample.glob("*.csv")) == [f"simulated_{year}.csv" for year in range(2014, 2026)]
    assert {row["home_team"][:3] for row in rows(sample)} == {"SIM"}


def test_the_schedule_is_like_the_real_one(played: pd.DataFrame) -> None:
    regular = played[~played["playoff"] & (played["season"] < 2025)]
    assert (regular.groupby("season").size() == 1230).all()
    for side in ("home_team", "away_team"):
        assert (regular.groupby(["season", side]).size() == 41).all()
    sides = pd.concat(
        [played[["date", "home_team"]], played[["date", "away_team"]].set_axis(["date", "home_team"], axis=1)]
    )
    days = sides.sort_values("date").groupby("home_team")["date"]
    rest = days.diff().dt.days
    assert rest.min() == 1
    assert 0.08 < (rest == 1).mean() < 0.20
    assert days.diff(2).dt.days.min() == 3, "never three days in a row"
    assert played.groupby("season")["neutral_site"].sum().le(3).all()
    n_playoff = played[played["playoff"]].groupby("season").size()
    assert n_playoff.between(60, 105).all()


def test_scores_are_like_the_real_ones(played: pd.DataFrame) -> None:
    home, away = played["home_points"].to_numpy(dtype=float), played["away_points"].to_numpy(dtype=float)
    assert 0.54 < (home > away).mean() < 0.60
    assert 12.5 < (home - away).std() < 15.0
    total = pd.Series(home + away).groupby(played["season"].to_numpy()).mean()
    assert 200 < total.iloc[0] < 208
    assert 221 < total.iloc[-1] < 230
    home_wins = played[~played["playoff"]].assign(won=home[~played["playoff"]] > away[~played["playoff"]])
    share = home_wins.groupby("home_team")["won"].mean()
    assert 0.3 < share.min() < share.max() < 0.85


def log_loss(probability: np.ndarray, won: np.ndarray) -> float:
    return float(-np.log(np.where(won, probability, 1 - probability)).mean())


def test_ratings_predict_about_as_well_as_in_the_real_league_and_tired_teams_do_worse(played: pd.DataFrame) -> None:
    """Plain Elo (K 20, home 80, a quarter back to the mean a season), without margin of victory."""
    ratings: dict[str, float] = {}
    season = 0
    expected: list[float] = []
    for game in played.itertuples():
        if game.season != season:
            season = int(game.season)
            ratings = {team: 0.75 * rating for team, rating in ratings.items()}
        home, away = str(game.home_team), str(game.away_team)
        difference = ratings.get(home, 0.0) - ratings.get(away, 0.0) + 80 * (not game.neutral_site)
        p_home = 1 / (1 + 10 ** (-difference / 400))
        expected.append(p_home)
        change = 20 * (float(game.home_points > game.away_points) - p_home)
        ratings[home] = ratings.get(home, 0.0) + change
        ratings[away] = ratings.get(away, 0.0) - change
    won = (played["home_points"] > played["away_points"]).to_numpy(dtype=bool)
    probability, late = np.array(expected), (played["season"] >= 2020).to_numpy()
    assert 0.61 < log_loss(probability[late], won[late]) < 0.65
    assert 0.61 < ((probability > 0.5) == won)[late].mean() < 0.68
    last: dict[str, pd.Timestamp] = {}
    tired: list[bool] = []
    for game in played.itertuples():
        tired.append(last.get(str(game.home_team)) == game.date - pd.Timedelta(days=1))
        last[str(game.home_team)] = last[str(game.away_team)] = game.date
    # 2.6 points are about 8 % of the games; the noise of this mean is below 2 %.
    assert (won - probability)[np.array(tired)].mean() < -0.02


def test_the_command_writes_and_refuses_a_day_before_the_first(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, [str(tmp_path / "out"), "--as-of", "2014-01-01", "--seed", "3"])
    assert done.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["simulated_2014.csv"]
    early = CliRunner().invoke(main, [str(tmp_path / "out"), "--as-of", "2013-01-01"])
    assert early.exit_code == 2
    assert "2013-01-01 is before the first simulated game; give a day after 2013-10-22" in early.output
