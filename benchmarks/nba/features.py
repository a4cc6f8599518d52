"""How fast the features are, against the naive reference, and how time and memory grow.

in   ../shared/data/games/     every NBA game; then simulated ones, of which there are more

python -m benchmarks.nba.features
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.nba.naive_features import naive_features, naive_frame, replay
from benchmarks.real_data import games_of
from benchmarks.timed_process import memory_bytes
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.features import build_features
from pipeline.workloads.nba.team_state.feature_names import FEATURES

IntArray = NDArray[np.int64]

SIZES: Final = (100_000, 1_000_000, 7_000_000)
SEASONS: Final = 50
TEAMS: Final = 30  # of one simulated league; more games are more leagues at once
DAYS: Final = 154  # of a season, with eight games each: 1,232
NAIVE_SAMPLE: Final = 100
REPEATS: Final = 3


def main() -> None:
    """Print both tables; `--child N` is how a size is measured in its own process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--child", type=int, metavar="N", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        print(json.dumps(measure(arguments.child)))
        return
    against_naive(NAIVE_SAMPLE)
    growth(SIZES)


def against_naive(sample: int) -> None:
    """Games a second of both on the same games, after asserting that they agree on the sample."""
    games = games_of()
    seconds, features = best_time(games)
    states = replay(games)  # one replay for all games, and not counted: the reference is naive about form only
    frame = naive_frame(games, states)
    rows = np.random.default_rng(1).choice(len(games), size=sample, replace=False)
    start = time.perf_counter()
    naive = [naive_features(frame, states[row], row) for row in rows.tolist()]
    naive_rate = sample / (time.perf_counter() - start)
    for name in (nba.P_ELO, *FEATURES):
        expected = np.array([game[name] for game in naive], dtype=np.float64)
        np.testing.assert_allclose(features[name].to_numpy()[rows], expected, atol=2e-5, rtol=1e-5, err_msg=name)
    rate = len(games) / seconds
    print(f"{len(games):,} real games, {len(FEATURES) + 1} features")
    print(f"  pipeline   {rate:12,.0f} games/s   ({seconds:.2f} s, best of {REPEATS})")
    print(f"  naive      {naive_rate:12,.1f} games/s   (a sample of {sample} games; the results agree)")
    print(f"  ratio      {rate / naive_rate:12,.0f}\n")


def best_time(games: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """Shortest of some runs, in seconds, and the features."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        features = build_features(games)
        seconds.append(time.perf_counter() - start)
    return min(seconds), features


def growth(sizes: tuple[int, ...]) -> None:
    """Time and peak memory at each size, each in its own process."""
    heads = ("games", "seconds", "games/s", "us/game", "peak MB", "kB/game", "net kB/game")
    print("".join(f"{head:>12}" for head in heads))
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks.nba.features", "--child", str(size)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        n, seconds, peak = found["games"], found["seconds"], found["peak_bytes"]
        net = peak - found["libraries_bytes"]
        print(
            f"{n:12,}{seconds:12.2f}{n / seconds:12,.0f}{seconds / n * 1e6:12.2f}{peak / 1e6:12,.0f}"
            f"{peak / n / 1e3:12.2f}{net / n / 1e3:12.2f}"
        )
    print("peak: of the whole process; net: without Python and its libraries, but with the simulated games")


def measure(n: int) -> dict[str, float]:
    """Seconds of build_features on `n` simulated games, and the process's peak memory in bytes."""
    before = memory_bytes(os.getpid(), "VmHWM")
    games = simulated_games(n)
    start = time.perf_counter()
    build_features(games)
    seconds = time.perf_counter() - start
    peak = memory_bytes(os.getpid(), "VmHWM")
    return {"games": len(games), "seconds": seconds, "peak_bytes": peak, "libraries_bytes": before}


def simulated_games(n: int) -> pd.DataFrame:
    """About `n` games of 50 seasons in as many leagues of 30 teams as it takes, as `load_games` returns them."""
    rng = np.random.default_rng(2)
    leagues = max(1, round(n / (SEASONS * DAYS * 8)))
    season, day, home, away = (np.concatenate(parts) for parts in zip(*_seasons(rng, leagues, n), strict=True))
    strength = rng.normal(0.0, 4.0, size=(SEASONS, leagues * TEAMS))
    margin = np.rint(rng.normal(strength[season, home] - strength[season, away] + 2.5, 12.0)).clip(-60, 60)
    margin[margin == 0] = 1
    names = pd.Index([f"L{team // TEAMS:03d}T{team % TEAMS:02d}" for team in range(leagues * TEAMS)])
    dates = np.datetime64("1970-10-20", "s") + (season * 365 + day) * np.timedelta64(86_400, "s")
    away_points = rng.integers(80, 130, size=len(day))
    home_name, away_name = (names.take(side).astype("str") for side in (home, away))
    return pd.DataFrame(
        {
            nba.GAME_ID: pd.Series(np.arange(len(day))).astype("str").str.zfill(8),
            nba.DATE: dates,
            nba.SEASON: (1971 + season).astype("int16"),
            nba.HOME_TEAM: home_name,
            nba.AWAY_TEAM: away_name,
            nba.HOME_POINTS: pd.array((away_points + margin).astype("int16"), dtype="Int16"),
            nba.AWAY_POINTS: pd.array(away_points.astype("int16"), dtype="Int16"),
            nba.NEUTRAL_SITE: rng.random(len(day)) < 0.002,
            nba.PLAYOFF: day >= DAYS - 10,
            nba.HOME_FRANCHISE: home_name,
            nba.AWAY_FRANCHISE: away_name,
        }
    )


def _seasons(rng: np.random.Generator, leagues: int, n: int) -> list[tuple[IntArray, ...]]:
    """Season, day, home and away team of each season's games, in order of day; each day pairs 16 of 30 teams."""
    per_day = max(1, round(n / (SEASONS * DAYS * leagues)))
    parts: list[tuple[IntArray, ...]] = []
    for season in range(SEASONS):
        drawn = rng.random((DAYS * leagues, TEAMS), dtype=np.float32).argsort(axis=1)[:, : 2 * per_day]
        teams = drawn + (np.arange(DAYS * leagues) % leagues * TEAMS)[:, None]
        day = np.repeat(np.arange(DAYS * leagues) // leagues, per_day)
        parts.append((np.full(len(day), season), day, teams[:, 0::2].ravel(), teams[:, 1::2].ravel()))
    return parts


if __name__ == "__main__":
    main()
