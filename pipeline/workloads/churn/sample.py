"""Simulated contracts from July 2022 on. SIMULATED: no customer in it is real.

Writes OUT/contracts_<year>.csv. The contracts of the last 30 days have no label yet. Each day is drawn by itself, from
the seed and the day, so the past never changes: a later as-of date gives the same days, and more of them.

People cancel more in January, after a rise of the price, with problems and without use. Slowly, use rises and the basic
plan keeps fewer. Three in ten do not have their use counted, and most do not answer the survey.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.workloads.churn.spec import CHANNELS, PAYMENTS, PLANS, SPEC

FIRST_DAY: Final = date(2022, 7, 1)
SAMPLE_SEED: Final = 20250301
CONTRACTS_A_DAY: Final = 22
FEES: Final = (19.0, 39.0, 79.0)


def write(folder: Path, as_of: date, seed: int = SAMPLE_SEED) -> Path:
    """The sample as of the morning of `as_of`; raises ValueError for a day before the second."""
    days = (as_of - FIRST_DAY).days
    if days < 1:
        raise ValueError(f"{as_of} is before the first simulated contract; give a day after {FIRST_DAY}")
    each = [contracts_of(FIRST_DAY + timedelta(n), seed) for n in range(days)]
    contracts = pd.DataFrame({name: np.concatenate([columns[name] for columns in each]) for name in each[0]})
    unknown = contracts["day"] >= str(as_of - timedelta(SPEC.label_delay_days))
    contracts["cancelled"] = contracts["cancelled"].mask(unknown)
    contracts = contracts.astype(dict.fromkeys(("active_days", "satisfaction", "cancelled"), "Int64"))
    folder.mkdir(parents=True, exist_ok=True)
    for year, part in contracts.groupby(contracts["day"].str[:4]):
        part.to_csv(folder / f"contracts_{year}.csv", index=False, lineterminator="\n")
    return folder


def contracts_of(day: date, seed: int) -> dict[str, NDArray[Any]]:
    """The contracts that renew 30 days after `day`, with what becomes of them: column -> (contracts,)."""
    rng = np.random.default_rng([seed, day.toordinal()])
    n = int(rng.poisson(CONTRACTS_A_DAY))
    years_on = (day - FIRST_DAY).days / 365.25
    winter = np.cos(2 * np.pi * (day.timetuple().tm_yday - 15) / 365.25)
    plan = rng.choice(3, n, p=(0.5, 0.35, 0.15))
    channel = rng.choice(3, n, p=(0.55, 0.25, 0.2))
    payment = rng.choice(3, n, p=(0.5, 0.4, 0.1))
    years = np.minimum(rng.geometric(0.4, n), 20)
    price_change = np.where(rng.random(n) < 0.4, rng.choice([0.03, 0.05, 0.1, 0.15], n), 0.0)
    tickets = rng.poisson(rng.gamma(0.7, 1.5, n))
    active_days = rng.binomial(30, rng.beta(2.2 + 0.1 * years_on, 2.0, n))
    usage_trend = rng.normal(0.05 * winter, 0.4, n)
    mood = rng.normal(-0.35 * tickets, 1)
    log_odds = (
        -2.6
        + 0.3 * winter
        + (0.5 + 0.08 * years_on) * (plan == 0)
        + 0.3 * (channel == 2)
        + 0.4 * (payment == 2)
        - 0.35 * (years - 2)
        + 9.0 * price_change * (1 + (plan == 0))
        + 0.25 * tickets
        - 0.09 * (active_days - 15)
        - 0.9 * usage_trend
        - 0.45 * mood
    )
    cancelled = rng.random(n) < 1 / (1 + np.exp(-log_odds))
    counted, answered = rng.random(n) < 0.7, rng.random(n) < 0.35
    return {
        "contract_id": np.array([f"SIM-{day:%Y%m%d}-{number:02d}" for number in range(n)], dtype=object),
        "day": np.full(n, str(day), dtype=object),
        "plan": np.array(PLANS)[plan],
        "channel": np.array(CHANNELS)[channel],
        "payment": np.array(PAYMENTS)[payment],
        "years": years,
        "monthly_fee": np.round(np.array(FEES)[plan] * rng.normal(1, 0.05, n), 2),
        "price_change": price_change,
        "tickets": tickets,
        "active_days": np.where(counted, active_days, np.nan),
        "usage_trend": np.where(counted, np.round(usage_trend, 3), np.nan),
        "satisfaction": np.where(answered, np.clip(np.rint(7.5 + 1.6 * mood), 0, 10), np.nan),
        "cancelled": cancelled.astype(np.float64),
    }
