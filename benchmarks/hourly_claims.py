"""False alarms of evidence per hour where the hours of a day go together, and of one claim a day.

Targets are normal with variance one, of which the hours of a day share a part: its weather. The predicted 10 % and 90 %
points are exactly right, so every alarm is a false one; with a fault, all targets are a standard deviation higher.

python -m benchmarks.hourly_claims
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pipeline.contract.spec import Unit
from pipeline.contract.workload import load_spec
from pipeline.monitoring.claims import above_quantile, claimed_rows
from pipeline.monitoring.monitor_evidence import EvidencePath, Forecasts, evidence_by_day

DAYS: Final = 182
HALF_YEARS: Final = 100
UNITS: Final[tuple[Unit, ...]] = ("row", "day")
QUANTILES: Final = {0.1: -1.2815515655, 0.9: 1.2815515655}  # of the normal distribution


@dataclass(frozen=True)
class CorrelatedHours:
    """How hours depend on each other, and what is wrong with the predictor."""

    day_share: float  # of the variance, that all hours of a day have in common
    persistence: float = 0.0  # correlation of a day's weather with that of the day before
    shift: float = 0.0  # of all targets, in standard deviations


def half_year(world: CorrelatedHours, claims: Unit, seed: int) -> EvidencePath:
    """The evidence after each day, of one claim for each `row`, or one for each `day`."""
    rng = np.random.default_rng(seed)
    weather = rng.normal(size=DAYS)
    for number in range(1, DAYS):
        fresh = np.sqrt(1 - world.persistence**2) * weather[number]
        weather[number] = world.persistence * weather[number - 1] + fresh
    common, own = np.sqrt(world.day_share), np.sqrt(1 - world.day_share)
    target = world.shift + common * weather.repeat(24) + own * rng.normal(size=24 * DAYS)
    ids = [f"{seed} {hour}" for hour in range(24 * DAYS)]
    spec, day = load_spec("bike_demand"), np.arange(DAYS).repeat(24)
    rows = claimed_rows(replace(spec, monitor=replace(spec.monitor, claims=claims)), ids, day)
    p, came = above_quantile(ids, target, {q: np.full(len(target), value) for q, value in QUANTILES.items()})
    return evidence_by_day(Forecasts(p[rows], came[rows], day[rows]), spec.monitor)


def first_alarms(world: CorrelatedHours, claims: Unit, n: int = HALF_YEARS) -> list[int | None]:
    """The first day of each half-year on which an alarm is raised; None where none is."""
    paths = (half_year(world, claims, seed) for seed in range(n))
    return [next(iter(path.day[path.alarm()].tolist()), None) for path in paths]


def main() -> None:
    """Print how many half-years have an alarm, and when."""
    print(f"{HALF_YEARS} half-years of {DAYS} days; half-years with an alarm (median day of the first)")
    print(f"{'the day has':<14}{'persistence':>12}{'fault':>8}{'a claim each hour':>22}{'a claim each day':>22}")
    shares = [CorrelatedHours(share) for share in (0.0, 0.25, 0.5, 0.75)]
    for world in (*shares, CorrelatedHours(0.75, persistence=0.3), CorrelatedHours(0.75, shift=1.0)):
        cells = []
        for claims in UNITS:
            found = [day for day in first_alarms(world, claims) if day is not None]
            cells.append(f"{len(found)} ({np.median(found):.0f})" if found else "0")
        share, fault = f"{world.day_share:.0%}", f"{world.shift:g} sd" if world.shift else "none"
        print(f"{share:<14}{world.persistence:>12g}{fault:>8}{cells[0]:>22}{cells[1]:>22}")


if __name__ == "__main__":
    main()
