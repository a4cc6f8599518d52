"""Where MaxSkill comes from: the gain over Elo-logistic in every window of a season's length, honest and leaking.

in   ../shared/data/games/     every NBA game; simulated games alone where it is missing

Monthly refits through the pipeline's own walk-forward code, and the reference of Evaluate, from the first modelled
season on: all windows of 1,312 games in a row. The limit must lie above each honest window and below each leaking one.

python -m benchmarks.nba.leak_gate
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.nba import canaries
from benchmarks.real_data import AS_OF, FIRST_SEASON, GAMES, games_of
from pipeline.contract import names as c
from pipeline.contract.parameters import parameters_of
from pipeline.contract.workload import load_spec
from pipeline.evaluation import metrics
from pipeline.training.model import Hyperparameters
from pipeline.training.walk_forward import walk_forward
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.baseline import forecast as reference_forecast
from pipeline.workloads.nba.data import results as result_table
from pipeline.workloads.nba.features import build_features, feature_table
from pipeline.workloads.nba.sample import write as write_sample

SAMPLE_AS_OF: Final = date.fromisoformat(c.SAMPLE_AS_OF)
WINDOW: Final = 1_312
LIMIT: Final = float(parameters_of(load_spec("nba")).defaults["MaxSkill"])
LEAKS: Final = {"honest": build_features, **{leak.__name__.replace("_", " "): leak for leak in canaries.ALL}}

FeatureCode = Callable[[pd.DataFrame], pd.DataFrame]


def main() -> int:
    """Print a line a kind of games and features; exit code 1 where a window lies on the wrong side of the limit."""
    with tempfile.TemporaryDirectory() as folder:
        leagues = {"simulated": (write_sample(Path(folder) / "games", SAMPLE_AS_OF), SAMPLE_AS_OF)}
        if GAMES.is_dir():
            leagues["real"] = (GAMES, AS_OF)
        else:
            print("real games not found at ../shared/data: simulated ones only", file=sys.stderr)
        loaded = {kind: played_games(*where) for kind, where in leagues.items()}
    print(f"gain in log loss over Elo-logistic in windows of {WINDOW:,} games; the limit is {LIMIT} of its loss there")
    print(f"{'games':<10}{'features':<31}{'windows':>8}{'least':>9}{'mean':>9}{'s.d.':>9}{'most':>9}{'accuracy':>17}")
    kept = [print_row(kind, name, games) for kind, games in loaded.items() for name in LEAKS]
    print("kept: the limit parts them" if all(kept) else "BROKEN: a window lies on the wrong side")
    return 0 if all(kept) else 1


def played_games(folder: Path, as_of: date) -> pd.DataFrame:
    games = games_of(folder, as_of)
    return games[games[n.HOME_POINTS].notna()].reset_index(drop=True)


def print_row(kind: str, name: str, games: pd.DataFrame) -> bool:
    """One line of the table; whether all windows lie on their side of the limit."""
    gain, right, baseline = gains(games, LEAKS[name])
    windows, accuracy = window_means(gain), window_means(right)
    skill = windows / window_means(baseline)
    print(
        f"{kind:<10}{name:<31}{windows.size:8,}{windows.min():9.4f}{windows.mean():9.4f}{windows.std():9.4f}"
        f"{windows.max():9.4f}{accuracy.min():9.3f} to {accuracy.max():.3f}",
        flush=True,
    )
    return bool((skill <= LIMIT).all() if name == "honest" else (skill > LIMIT).all())


def gains(games: pd.DataFrame, features_of: FeatureCode) -> tuple[NDArray[np.float64], ...]:
    """Gain of each game forecast over Elo-logistic, whether the model's favourite won, and Elo-logistic's loss."""
    features = features_of(games)
    modelled = feature_table(features[features[n.SEASON] >= FIRST_SEASON])
    record = walk_forward(modelled, Hyperparameters(), n_rows=modelled.num_rows)
    won = record[c.TARGET].to_numpy().astype(np.float64)
    model = record[c.PREDICTION].to_numpy().astype(np.float64)
    results = result_table(games)
    reference = reference_forecast(results, record[c.ROW_ID].to_pylist(), date(FIRST_SEASON - 1, 8, 1))
    baseline = metrics.log_losses(reference, won)
    return baseline - metrics.log_losses(model, won), ((model > 0.5) == (won == 1.0)).astype(np.float64), baseline


def window_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each WINDOW values in a row."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((sums[WINDOW:] - sums[:-WINDOW]) / WINDOW)


if __name__ == "__main__":
    sys.exit(main())
