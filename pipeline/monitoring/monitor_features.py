"""Do the features of the rows since the champion's cut-off look like those that it was trained on?

The comparison is with earlier periods. Where rows have a period (a year, say), it is the same part of each (the same
row numbers within it), because features mean other things at its start than in its middle; rows that the workload
leaves out are not compared. Without one, earlier periods are the windows of the same length before the cut-off.

For each feature:

    PSI    population stability index over the baseline's deciles: how large the shift is (0.25 is the usual limit)
    KS     two-sample Kolmogorov-Smirnov test: whether it can be chance

A window's rows are far from independent, and periods differ by more than chance: the plain test would call each week.
So its statistic is measured in units of the most different of the past periods,
each compared with the others in the same way. The p-values are corrected for many features (Holm 1979), and the level
is spent over the days of a year, which holds for any dependence between days (the union bound). A feature has
drifted when its shift is both large and no chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from pipeline.contract.spec import MonitorSpec
from pipeline.training.training_sets import FeatureMatrix

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MIN_PERIODS: Final = 5
YEARLY_LEVEL: Final = 0.05  # chance of a false alarm in a year of daily runs, over all features
DAILY_LEVEL: Final = YEARLY_LEVEL / 365
PSI_LIMIT: Final = 0.25
_BINS: Final = 10
_KOLMOGOROV_95: Final = 1.358  # 95 % point of the limiting distribution


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows in order of time; arrays of the shape (rows, ...)."""

    X: FeatureMatrix
    day: IntArray  # since 1970-01-01
    period: IntArray | None = None
    left_out: BoolArray | None = None  # rows that are never compared


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's window against its baseline."""

    feature: str
    psi: float
    ks: float  # greatest distance of the two distributions, 0 to 1
    p_value: float  # corrected for all features; not for the days, which DAILY_LEVEL is
    mean: float
    baseline_mean: float
    drifted: bool


@dataclass(frozen=True)
class FeatureReport:
    """The features of a run; no rows, and a reason, where there is too little to compare."""

    n_rows: int
    n_baseline_rows: int
    periods: tuple[int, ...]
    rows: tuple[FeatureDrift, ...]  # most drifted first
    skip_reason: str = ""

    @property
    def drifted(self) -> tuple[str, ...]:
        """Features that have drifted, worst first."""
        return tuple(row.feature for row in self.rows if row.drifted)


def compare_features(rows: LabelledRows, names: tuple[str, ...], cut_off: int, spec: MonitorSpec) -> FeatureReport:
    """The newest rows since day `cut_off` against the same part of the periods before it."""
    kept = np.arange(len(rows.day)) if rows.left_out is None else np.flatnonzero(~rows.left_out)
    if rows.left_out is not None and len(rows.left_out) and rows.left_out[-1]:
        kept = kept[:0]
    least = spec.min_window_rows
    newest = kept[rows.day[kept] >= cut_off]
    if rows.period is not None and len(newest):
        newest = newest[rows.period[newest] == rows.period[newest[-1]]]
    live = newest[-spec.window_rows :]
    if len(live) < least:
        return FeatureReport(len(live), 0, (), (), f"{len(live)} since the cut-off are too few (at least {least})")
    past = (
        _same_part(rows, kept, live, cut_off, spec)
        if rows.period is not None
        else _windows(rows, kept, live, cut_off, spec.max_periods)
    )
    if len(past) < MIN_PERIODS:
        reason = f"{len(past)} comparable periods are too few (at least {MIN_PERIODS})"
        return FeatureReport(len(live), 0, tuple(past), (), reason)
    found = [_compare(rows.X[live, i], [rows.X[part, i] for part in past.values()]) for i in range(len(names))]
    p_values = holm(np.array([p for _, _, p in found]))
    baseline = np.concatenate(list(past.values()))
    drifts = [
        FeatureDrift(
            feature=name,
            psi=psi,
            ks=ks,
            p_value=float(p),
            mean=_mean(rows.X[live, i]),
            baseline_mean=_mean(rows.X[baseline, i]),
            drifted=bool(psi >= PSI_LIMIT and p < DAILY_LEVEL),
        )
        for i, (name, (psi, ks, _), p) in enumerate(zip(names, found, p_values, strict=True))
    ]
    drifts.sort(key=lambda row: (not row.drifted, row.p_value, -row.psi, row.feature))
    return FeatureReport(len(live), len(baseline), tuple(past), tuple(drifts))


def _same_part(
    rows: LabelledRows, kept: IntArray, live: IntArray, cut_off: int, spec: MonitorSpec
) -> dict[int, IntArray]:
    """Rows of the same numbers within earlier periods, by period; what the champion has not seen is left out."""
    assert rows.period is not None  # noqa: S101 - the caller's condition
    periods = rows.period[kept]
    number = np.arange(len(kept)) - np.searchsorted(periods, periods)  # row number within its period
    first, last = (int(number[np.searchsorted(kept, row)]) for row in (live[0], live[-1]))
    here = (number >= first) & (number <= last) & (rows.day[kept] < cut_off) & (periods < rows.period[live[0]])
    enough = [int(p) for p in np.unique(periods[here]) if (periods[here] == p).sum() >= spec.min_window_rows]
    return {p: kept[here & (periods == p)] for p in enough[-spec.max_periods :]}


def _windows(rows: LabelledRows, kept: IntArray, live: IntArray, cut_off: int, max_periods: int) -> dict[int, IntArray]:
    """Windows of the length of the newest before the cut-off, latest last; the key is the number of a window."""
    seen = kept[rows.day[kept] < cut_off]
    length = len(live)
    many = min(len(seen) // length, max_periods)
    return {
        number: part for number, part in enumerate(np.split(seen[len(seen) - many * length :], many or 1)) if len(part)
    }


def _compare(window: NDArray[np.float32], periods: list[NDArray[np.float32]]) -> tuple[float, float, float]:
    """PSI, KS distance and its p-value in units of the most different past period."""
    baseline = np.concatenate(periods)
    distance = ks_distance(window, baseline)
    usual = max(
        _scaled(ks_distance(s, rest), len(s), len(rest))
        for s, rest in (
            (period, np.concatenate([other for j, other in enumerate(periods) if j != i]))
            for i, period in enumerate(periods)
        )
    )
    unit = max(1.0, usual / _KOLMOGOROV_95)
    return psi(window, baseline), distance, float(kolmogorov(_scaled(distance, len(window), len(baseline)) / unit))


def _mean(values: NDArray[np.float32]) -> float:
    """Of the values that are given; NaN where none is."""
    given = values[~np.isnan(values)]
    return float(given.mean(dtype=np.float64)) if len(given) else float("nan")


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

    Bins are the baseline's deciles; of a feature with few values, the values; and one of the rows without a value. Half
    a row is added to each bin, so that an empty one gives a large number and not infinity.
    """
    given = baseline[~np.isnan(baseline)]
    edges = np.unique(np.quantile(given, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(given) else given
    bins = [np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x, side="left")) for x in (window, baseline)]
    counts = [np.bincount(numbers, minlength=len(edges) + 2) for numbers in bins]
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
