"""How fast a backtest is: fits once, then policies by the thousand, over fifteen seasons of real games.

in   ../shared/data/games/      every NBA game, seasons 2005 to 2019

Prints what the fits cost (a sample of them is timed, on one core), seconds of one with cached fits, and policies a
second: the first time, when pairs of champion and candidate are compared, and once they are known. Policies are timed
in CPU seconds, which do not depend on neighbours. Exit code 1 if fewer than 1,000 policies a second are simulated and
scored with intervals once fits and pairs are known.

python -m benchmarks.nba.backtest [--store .retrain/backtest] [--policies 1000]
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.real_data import GAMES, ROOT, require
from pipeline.backtest.fit_cache import FitCache
from pipeline.backtest.policies import REFERENCE, Policy
from pipeline.backtest.results import differences
from pipeline.backtest.run import BacktestSettings, Prepared, prepare, simulate
from pipeline.training.model import fit

FIRST, LAST = date(2004, 10, 15), date(2019, 6, 30)
TIMED_FITS: Final = 40
WANTED: Final = 1_000


def policies(n: int) -> tuple[Policy, ...]:
    """`n` policies that all differ: schedule, gate, age, approver."""
    trains = ["nightly", *(f"every {days} days" for days in range(5, 95, 5)), "every 500 rows", "each-period"]
    grid = itertools.product((1, 7, 30, 90, 365), (0.25, 1.0, 2.5), ("immediate", "after 7 days", "strict"), trains)
    made = [Policy(train=t, max_age=a, margin=m, approver=who) for a, m, who, t in grid]
    if n - 1 > len(made):
        raise SystemExit(f"--policies {n}: there are {len(made) + 1}")
    return (REFERENCE, *made[:: max(1, len(made) // n)][: n - 1])


def seconds_of_fits(prepared: Prepared) -> float:
    """What all fits of the backtest take on one core, from a sample of them."""
    world, keys = prepared.world, prepared.fits.keys
    sample = [keys[int(n)] for n in np.linspace(0, len(keys) - 1, TIMED_FITS)]
    start = time.process_time()
    for key in sample:
        rows = slice(key.begin, key.end)
        fit(world.X[rows], world.target[rows], prepared.settings.hyperparameters, world.layout)
    return (time.process_time() - start) / len(sample) * len(keys)


def score(prepared: Prepared, chosen: tuple[Policy, ...]) -> int:
    """Simulate, loss and intervals against never; returns how many policies."""
    losses = prepared.service.losses(simulate(prepared, chosen))
    return len(differences(losses, losses[0], prepared.service))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", type=Path, default=ROOT / ".retrain" / "backtest")
    parser.add_argument("--policies", type=int, default=900)
    arguments = parser.parse_args()
    chosen = policies(arguments.policies)
    cache = FitCache(arguments.store)
    settings = BacktestSettings(require(GAMES), FIRST, LAST, chosen, {"FirstSeason": 2000})
    start = time.perf_counter()
    prepare(settings, cache)
    first = time.perf_counter() - start
    start = time.perf_counter()
    prepared = prepare(settings, cache)
    again = time.perf_counter() - start
    fitting = seconds_of_fits(prepared)
    start = time.process_time()
    score(prepared, chosen)
    cold = time.process_time() - start
    prepared.judgements.save()
    start, on_the_clock = time.process_time(), time.perf_counter()
    n = score(prepared, chosen)
    warm, on_the_clock = time.process_time() - start, time.perf_counter() - on_the_clock
    n_runs = len(prepared.world.run_days)
    print(f"{n_runs:,} runs, {len(prepared.fits.keys):,} distinct fits, {n:,} policies")
    print(f"fitting them, one core:       {fitting:7.1f} s (estimated from {TIMED_FITS} fits)")
    print(f"load, fit, judge, first time: {first:7.1f} s; again, all cached: {again:.1f} s")
    print(f"policies, first time:         {cold:7.1f} s of CPU, {n / cold:,.0f} a second")
    known = f"{n / warm:,.0f} a second ({on_the_clock:.1f} s on the clock)"
    print(f"policies, pairs known:        {warm:7.1f} s of CPU, {known}")
    print(f"a backtest of {n:,} policies with everything cached costs {(again + warm) / fitting:.3f} of the fitting")
    kept = n / warm >= WANTED
    print(f"{'kept' if kept else 'BROKEN'}: at least {WANTED:,} policies a second")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
