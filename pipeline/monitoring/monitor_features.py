"""Do the features of the games since the champion's cut-off look like those that it was trained on?

The baseline is comparable: the same part of earlier seasons (the same game numbers within a season), because games
played and form mean other things in November than in April. In the playoffs nothing is said: they are too few games,
and their formats change. For each feature:

    PSI    population stability index over the baseline's deciles: how large the shift is (0.25 is the usual limit)
    KS     two-sample Kolmogorov-Smirnov test: whether it can be chance

A window's games share thirty teams, so they are far from independent, and seasons differ by more than chance: as it
stands the test would call each week. So its statistic is measured in units of the most different of the past seasons,
each compared with the others in the same way. The p-values are corrected for many features (Holm 1979), and the level
is spent over the nights of a year, which holds for any dependence between nights (the union bound). A feature has
drifted when its shift is both large and no chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from pipeline.training.training_sets import FeatureMatrix

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

WINDOW_GAMES: Final = 100  # the newest: about two weeks of the league
MIN_GAMES: Final = 60
MIN_SEASONS: Final = 5
MAX_SEASONS: Final = 10  # older ones are another game
YEARLY_LEVEL: Final = 0.05  # chance of a false alarm in a year of nights, over all features
NIGHTLY_LEVEL: Final = YEARLY_LEVEL / 365
PSI_LIMIT: Final = 0.25
_BINS: Final = 10
_KOLMOGOROV_95: Final = 1.358  # 95 % point of the limiting distribution


@dataclass(frozen=True)
class SeasonGames:
    """Played games in order of day; arrays of the shape (games, ...)."""

    X: FeatureMatrix
    day: IntArray  # since 1970-01-01
    season: IntArray
    playoff: BoolArray


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's window against its baseline."""

    feature: str
    psi: float
    ks: float  # greatest distance of the two distributions, 0 to 1
    p_value: float  # corrected for all features; not for the nights, which NIGHTLY_LEVEL is
    mean: float
    baseline_mean: float
    drifted: bool


@dataclass(frozen=True)
class FeatureReport:
    """Tonight's features; no rows, and a reason, where there is too little to compare."""

    n_rows: int
    n_baseline_rows: int
    seasons: tuple[int, ...]
    rows: tuple[FeatureDrift, ...]  # most drifted first
    skip_reason: str = ""

    @property
    def drifted(self) -> tuple[str, ...]:
        """Features that have drifted, worst first."""
        return tuple(row.feature for row in self.rows if row.drifted)


def compare_features(games: SeasonGames, names: tuple[str, ...], cut_off: int) -> FeatureReport:
    """The newest games since day `cut_off` against the same part of the seasons before it."""
    live = _live(games, cut_off)
    if len(live) < MIN_GAMES:
        return FeatureReport(len(live), 0, (), (), f"{len(live)} games are too few to compare (at least {MIN_GAMES})")
    past = _same_part(games, live, cut_off)
    if len(past) < MIN_SEASONS:
        return FeatureReport(
            len(live), 0, tuple(past), (), f"{len(past)} comparable seasons are too few (at least {MIN_SEASONS})"
        )
    found = [_compare(games.X[live, i], [games.X[rows, i] for rows in past.values()]) for i in range(len(names))]
    p_values = holm(np.array([p for _, _, p in found]))
    baseline = np.concatenate(list(past.values()))
    rows = [
        FeatureDrift(
            feature=name,
            psi=psi,
            ks=ks,
            p_value=float(p),
            mean=float(games.X[live, i].mean(dtype=np.float64)),
            baseline_mean=float(games.X[baseline, i].mean(dtype=np.float64)),
            drifted=bool(psi >= PSI_LIMIT and p < NIGHTLY_LEVEL),
        )
        for i, (name, (psi, ks, _), p) in enumerate(zip(names, found, p_values, strict=True))
    ]
    rows.sort(key=lambda row: (not row.drifted, row.p_value, -row.psi, row.feature))
    return FeatureReport(len(live), len(baseline), tuple(past), tuple(rows))


def _live(games: SeasonGames, cut_off: int) -> IntArray:
    """Rows of the newest games since the cut-off; none in the playoffs."""
    if len(games.day) == 0 or games.playoff[-1]:
        return np.empty(0, dtype=np.int64)
    here = (games.season == games.season[-1]) & ~games.playoff & (games.day >= cut_off)
    return np.flatnonzero(here)[-WINDOW_GAMES:]


def _same_part(games: SeasonGames, live: IntArray, cut_off: int) -> dict[int, IntArray]:
    """Rows of the same game numbers of earlier seasons, by season; what the champion has not seen is left out."""
    kind = np.flatnonzero(~games.playoff)
    seasons = games.season[kind]
    number = np.arange(len(kind)) - np.searchsorted(seasons, seasons)  # game number within its season
    of_row = dict(zip(kind.tolist(), number.tolist(), strict=True))
    first, last = of_row[int(live[0])], of_row[int(live[-1])]
    here = (number >= first) & (number <= last) & (games.day[kind] < cut_off) & (seasons < games.season[live[0]])
    enough = [int(s) for s in np.unique(seasons[here]) if (seasons[here] == s).sum() >= MIN_GAMES]
    return {s: kind[here & (seasons == s)] for s in enough[-MAX_SEASONS:]}


def _compare(window: NDArray[np.float32], seasons: list[NDArray[np.float32]]) -> tuple[float, float, float]:
    """PSI, KS distance and its p-value in units of the most different past season."""
    baseline = np.concatenate(seasons)
    distance = ks_distance(window, baseline)
    usual = max(
        _scaled(ks_distance(s, rest), len(s), len(rest))
        for s, rest in (
            (season, np.concatenate([other for j, other in enumerate(seasons) if j != i]))
            for i, season in enumerate(seasons)
        )
    )
    unit = max(1.0, usual / _KOLMOGOROV_95)
    return psi(window, baseline), distance, float(kolmogorov(_scaled(distance, len(window), len(baseline)) / unit))


def _scaled(distance: float, n: int, m: int) -> float:
    return float(distance * np.sqrt(n * m / (n + m)))


def ks_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Greatest difference of the two empirical distribution functions."""
    a, b = np.sort(a), np.sort(b)
    values = np.concatenate([a, b])
    shares = (np.searchsorted(x, values, side="right") / len(x) for x in (a, b))
    return float(np.abs(next(shares) - next(shares)).max())


def psi(window: NDArray[np.float32], baseline: NDArray[np.float32]) -> float:
    """Population stability index: sum of (share - baseline share) ln(share / baseline share) over the bins.

    Bins are the baseline's deciles; of a feature with few values, the values. Half a game is added to each bin, so that
    an empty one gives a large number and not infinity.
    """
    edges = np.unique(np.quantile(baseline, np.linspace(0, 1, _BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1) for x in (window, baseline)]
    filled = (counts[0] + counts[1]) > 0  # a feature that is constant has one bin
    now, then = ((count[filled] + 0.5) / (count[filled] + 0.5).sum() for count in counts)
    return float(((now - then) * np.log(now / then)).sum())


def holm(p_values: FloatArray) -> FloatArray:
    """p-values adjusted so that the chance of any false one of all is kept, for any dependence (Holm 1979)."""
    order = np.argsort(p_values)
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    result = np.empty(len(p_values))
    result[order] = np.minimum(adjusted, 1.0)
    return result
