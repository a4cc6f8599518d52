"""Do features from play-by-play help the model? The pipeline's own walk-forward, with and without them.

in   ../shared/data/games/                  every NBA game
     ../shared/data/play_by_play_2023/      every event of the regular season 2022-23

Two questions, on that season's regular games. Features: each set is put beside the model's own, in its linear part and
in its trees. Better margins: the same features, but with the margins of games with events less what threes and free
throws above or below the league's usual rate made of them, which needs no weights to be learnt. Negative is better.

python -m benchmarks.nba.event_features
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.real_data import EVENTS, FIRST_SEASON, games_of, require
from pipeline.contract import names as c
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.evaluation import metrics
from pipeline.training.model import Hyperparameters
from pipeline.training.walk_forward import walk_forward
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.features import build_features
from pipeline.workloads.nba.play_by_play import aggregate
from pipeline.workloads.nba.play_by_play.event_features import (
    EVENT_FEATURES,
    MatchedEvents,
    event_features,
    match_events,
)
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LINEAR_FEATURES

SETS: Final = {
    "net efficiency": EVENT_FEATURES[:1],
    "Four Factors": EVENT_FEATURES[1:5],
    "unlucky margin": EVENT_FEATURES[5:6],
    "all": EVENT_FEATURES,
}
# Points a made three or free throw is above an average one; rates of the seasons before.
USUAL_RATES: Final = {"threes": (3, 0.36), "free_throws": (1, 0.775)}
LUCK_REMOVED: Final = (0.25, 0.5, 1.0)
# Columns of FEATURES that are made of margins
OF_MARGINS: Final = [
    n for n in FEATURES if "margin" in n or "surprise" in n or n in ("league_home_edge", "team_home_edge")
]
SEED: Final = 2023


def main() -> None:
    """Print one line for each way in which events might help."""
    games = games_of()
    events = match_events(games, team_games())
    features = build_features(games)
    print(f"{events.known.sum() // 2:,} games have events; {len(events.contradicting)} contradict their score")
    known = events.known[0::2]
    base = record(features, known, (), ())
    print(f"log loss without events {losses(base).mean():.4f} on {len(base):,} games\n")
    print(f"{'features':<16}{'where':<8}{'difference':>11}   95 % interval")
    with_events = features.join(event_features(games, events))
    for name, chosen in SETS.items():
        for where, linear, tree in (("linear", chosen, ()), ("trees", (), chosen)):
            report(f"{name:<16}{where:<8}", record(with_events, known, linear, tree), base)
    print(f"\n{'luck removed':<24}{'difference':>11}   95 % interval")
    for share in LUCK_REMOVED:
        report(f"{share:<24.2f}", record(with_better_margins(games, features, events, share), known, (), ()), base)


def team_games() -> pd.DataFrame:
    """The season's team_games.csv, made by the step itself."""
    with tempfile.TemporaryDirectory() as folder:
        aggregate.main(["--input", str(require(EVENTS)), "--output", folder])
        return pd.read_csv(Path(folder) / nba.TEAM_GAMES_FILE)


def record(
    features: pd.DataFrame, known: NDArray[np.bool_], linear: tuple[str, ...], tree: tuple[str, ...]
) -> pd.DataFrame:
    """The walk-forward predictions of the games with events, by the model with more features."""
    last = int(np.flatnonzero(known).max())
    played = features[: last + 1]
    played = played[played[c.TARGET].notna() & (played[nba.SEASON] >= FIRST_SEASON)]
    all_linear = LINEAR_FEATURES + linear
    all_features = all_linear + FEATURES[len(LINEAR_FEATURES) :] + tree
    layout = FeatureLayout(all_features, n_linear=len(all_linear), intercept=False)
    table = pa.Table.from_pandas(played, preserve_index=False).replace_schema_metadata(layout.as_metadata())
    found: pd.DataFrame = walk_forward(table, Hyperparameters(), int(known.sum())).to_pandas()
    return found


def with_better_margins(
    games: pd.DataFrame, features: pd.DataFrame, events: MatchedEvents, share: float
) -> pd.DataFrame:
    """The features, those of margins made from margins without `share` of what luck at shooting made of them."""
    luck = np.zeros(len(games))
    for shot, (worth, rate) in USUAL_RATES.items():
        by_team = events.own[f"{shot}_made"] - rate * events.own[f"{shot}_attempted"]
        luck += worth * by_team[0::2]
        luck -= worth * by_team[1::2]
    less = np.rint(share * luck).astype(np.int64)
    home = games[nba.HOME_POINTS].to_numpy(dtype=np.int64, na_value=0) - less
    away = games[nba.AWAY_POINTS].to_numpy(dtype=np.int64, na_value=0)
    won = games[nba.HOME_POINTS] > games[nba.AWAY_POINTS]
    home += np.where((home == away) & (less != 0), np.where(won.fillna(False), 1, -1), 0)  # a game has no draw
    points = pd.array(home, dtype="Int64")
    points[games[nba.HOME_POINTS].isna().to_numpy()] = pd.NA
    other = build_features(games.assign(**{nba.HOME_POINTS: points}))
    return features.assign(**{name: other[name] for name in OF_MARGINS})


def losses(found: pd.DataFrame) -> NDArray[np.float64]:
    return metrics.log_losses(found[c.PREDICTION].to_numpy(np.float64), found[c.TARGET].to_numpy(np.float64))


def report(label: str, found: pd.DataFrame, base: pd.DataFrame) -> None:
    """Print the paired difference to the model without events, with its interval from a bootstrap over weeks."""
    assert (found[c.ROW_ID] == base[c.ROW_ID]).all()
    weeks = base[c.TIME].to_numpy().astype("datetime64[W]").astype(np.int64)
    d = metrics.paired_difference(losses(found), losses(base), weeks, seed=SEED)
    print(f"{label}{d.mean:+11.4f}   {d.lower:+.4f} to {d.upper:+.4f}")


if __name__ == "__main__":
    main()
