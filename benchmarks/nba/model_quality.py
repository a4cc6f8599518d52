"""How good the model is on real games, season by season, walking forward.

in   ../shared/data/games/                          every NBA game
     ../shared/data/forecasts_538_2016_2022.csv     FiveThirtyEight's published forecasts

Monthly refits through the pipeline's own walk-forward code, modelling seasons from 2004 on; older games only warm up
the ratings. Features, constants and hyperparameters were chosen on seasons up to 2018: 2019 to 2023 confirm them. One
idea is not that clean: to divide margins by their recent spread came from calibration slopes by season, 2020 to 2023
among them; without it the gain over Elo-logistic there is about 0.001 smaller.

python -m benchmarks.nba.model_quality
"""

from __future__ import annotations

import sys
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.real_data import FIRST_SEASON, REAL_DATA, games_of
from pipeline.contract import names as c
from pipeline.evaluation import metrics
from pipeline.training.model import Hyperparameters
from pipeline.training.walk_forward import walk_forward
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.baseline import forecast as reference_forecast
from pipeline.workloads.nba.data import results as result_table
from pipeline.workloads.nba.features import build_features, feature_table

FIRST_COMPARED: Final = 2016  # 538's forecasts start there
CONFIRMED: Final = (2019, 2023)
BASELINE: Final = "p_elo_logistic"
WHO: Final = {"model": c.PREDICTION, "Elo-logistic": BASELINE, "base rate": c.P_CONSTANT}
MIN_MEAN_GAIN: Final = 0.003
BOOTSTRAP_SEED: Final = 538

# FiveThirtyEight names franchises by nickname.
NICKNAMES: Final = {
    **{"Hawks": "ATL", "Nets": "BKN", "Celtics": "BOS", "Hornets": "CHA", "Bulls": "CHI", "Cavaliers": "CLE"},
    **{"Mavericks": "DAL", "Nuggets": "DEN", "Pistons": "DET", "Warriors": "GSW", "Rockets": "HOU", "Pacers": "IND"},
    **{"Clippers": "LAC", "Lakers": "LAL", "Grizzlies": "MEM", "Heat": "MIA", "Bucks": "MIL", "Timberwolves": "MIN"},
    **{"Pelicans": "NOP", "Knicks": "NYK", "Thunder": "OKC", "Magic": "ORL", "Sixers": "PHI", "Suns": "PHX"},
    **{"Trailblazers": "POR", "Kings": "SAC", "Spurs": "SAS", "Raptors": "TOR", "Jazz": "UTA", "Wizards": "WAS"},
}


def main() -> int:
    """Print the tables; exit code 1 where the model does not beat Elo-logistic as promised."""
    games = games_of()
    record = season_records(games)
    print_seasons(record)
    print_538(record, games)
    return 0 if print_verdict(record) else 1


def season_records(games: pd.DataFrame) -> pd.DataFrame:
    """The walk-forward predictions of seasons 2016 to 2023, with Elo-logistic's forecasts as Evaluate makes them."""
    features = build_features(games)
    modelled = features[features[c.TARGET].notna() & (features[n.SEASON] >= FIRST_SEASON)]
    wanted = int((modelled[n.SEASON] >= FIRST_COMPARED).sum())
    record: pd.DataFrame = walk_forward(feature_table(modelled), Hyperparameters(), wanted).to_pandas()
    record[n.SEASON] = modelled[n.SEASON].to_numpy()[-len(record) :]
    since = date(FIRST_SEASON - 1, 8, 1)
    forecast = reference_forecast(result_table(games), record[c.ROW_ID].tolist(), since)
    return record.assign(**{BASELINE: forecast})


def print_seasons(record: pd.DataFrame) -> None:
    """One line a season and forecaster; the seasons that confirm also together."""
    names = ("log loss", "Brier", "accuracy", "AUC", "calib.", "games")
    print(f"{'season':>9}  {'forecaster':<13}" + "".join(f"{name:>9}" for name in names))
    first, last = CONFIRMED
    for season in range(first, last + 1):
        _print_scores(str(season), record[record[n.SEASON] == season])
    _print_scores(f"{first}-{last}", record[record[n.SEASON] >= first])


def _print_scores(label: str, record: pd.DataFrame) -> None:
    for who, column in WHO.items():
        s = metrics.score(_floats(record[column]), _floats(record[c.TARGET]))
        *shares, n_rows = s.values()
        print(f"{label:>9}  {who:<13}" + "".join(f"{share:9.4f}" for share in shares) + f"{n_rows:9,}")
        label = ""


def print_538(record: pd.DataFrame, games: pd.DataFrame) -> None:
    """Log loss beside FiveThirtyEight's on the games that both have forecast."""
    published = published_forecasts()
    both = joined(record, games, published)
    loss = _loss(published.rename(columns={"home_won": c.TARGET}), "p_538")
    print(f"\n538 published {len(published):,} forecasts with log loss {loss:.4f};")
    print(f"{len(published) - len(both):,} of these games have no score in the data, so that they teach nothing.")
    print(f"\n{'season':>9}{'model':>9}{'538':>9}{'Elo-log.':>9}{'games':>7}")
    for season, rows in [*both.groupby(n.SEASON), ("together", both)]:
        losses = [_loss(rows, column) for column in (c.PREDICTION, "p_538", BASELINE)]
        print(f"{season!s:>9}" + "".join(f"{loss:9.4f}" for loss in losses) + f"{len(rows):7,}")
    gap = _difference(both, c.PREDICTION, "p_538")
    print(f"model minus 538: {gap.mean:+.4f}, 95 % interval {gap.lower:+.4f} to {gap.upper:+.4f}")


def published_forecasts() -> pd.DataFrame:
    """date, both franchises, p_538 and home_won, as 538 names home and away."""
    file = pd.read_csv(REAL_DATA / "forecasts_538_2016_2022.csv", parse_dates=["date"])
    sides = {side: file[side].map(NICKNAMES) for side in (n.HOME_FRANCHISE, n.AWAY_FRANCHISE)}
    assert not any(side.isna().any() for side in sides.values()), "a nickname has no franchise"
    return file.assign(**sides).rename(columns={"home_win_probability": "p_538"})


def joined(record: pd.DataFrame, games: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The record's rows with p_538; on neutral sites the sources disagree about who is at home, so both ways count."""
    teams = games[[n.GAME_ID, n.HOME_FRANCHISE, n.AWAY_FRANCHISE]].astype(str)
    ours = record.merge(teams, left_on=c.ROW_ID, right_on=n.GAME_ID).assign(day=record[c.TIME].astype("datetime64[s]"))
    theirs = published.assign(day=published[n.DATE].astype("datetime64[s]"))
    swapped = theirs.rename(columns={n.HOME_FRANCHISE: n.AWAY_FRANCHISE, n.AWAY_FRANCHISE: n.HOME_FRANCHISE})
    swapped = swapped.assign(p_538=1 - swapped["p_538"], home_won=1 - swapped["home_won"])
    keys = ["day", n.HOME_FRANCHISE, n.AWAY_FRANCHISE]
    theirs = pd.concat([theirs, swapped])[[*keys, "p_538", "home_won"]]
    both = ours.merge(theirs, on=keys, validate="one_to_one")
    assert (both[c.TARGET] == both["home_won"]).all(), "the sources disagree about a winner"
    return both


def print_verdict(record: pd.DataFrame) -> bool:
    """Whether the model beats Elo-logistic in each season that confirms, and by enough on average."""
    first, last = CONFIRMED
    confirmed = record[record[n.SEASON] >= first]
    gains = {season: -_difference(confirmed[confirmed[n.SEASON] == season]).mean for season in range(first, last + 1)}
    together = _difference(confirmed)
    print("\ngain over Elo-logistic: " + ", ".join(f"{season} {gain:.4f}" for season, gain in gains.items()))
    print(f"together {-together.mean:.4f}, 95 % interval {-together.upper:.4f} to {-together.lower:.4f}")
    kept = min(gains.values()) > 0 and -together.mean >= MIN_MEAN_GAIN
    print(f"{'kept' if kept else 'BROKEN'}: better in each season, and by {MIN_MEAN_GAIN} on average")
    return kept


def _difference(rows: pd.DataFrame, a: str = c.PREDICTION, b: str = BASELINE) -> metrics.Difference:
    y = _floats(rows[c.TARGET])
    weeks = rows[c.TIME].to_numpy().astype("datetime64[W]").astype(np.int64)
    losses = [metrics.log_losses(_floats(rows[column]), y) for column in (a, b)]
    return metrics.paired_difference(losses[0], losses[1], weeks, seed=BOOTSTRAP_SEED)


def _loss(rows: pd.DataFrame, column: str) -> float:
    return float(metrics.log_losses(_floats(rows[column]), _floats(rows[c.TARGET])).mean())


def _floats(column: pd.Series[Any]) -> NDArray[np.float64]:
    return column.to_numpy(dtype=np.float64)


if __name__ == "__main__":
    sys.exit(main())
