"""A small set of data as somebody has it: customers, and whether they left within 30 days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def churn_rows(days: int = 540, rows_a_day: int = 3, seed: int = 4) -> pd.DataFrame:
    """Three customers a day from 2024 on; the newest 30 days have no label yet."""
    rng, n = np.random.default_rng(seed), days * rows_a_day
    day = np.repeat(np.datetime64("2024-01-01") + np.arange(days), rows_a_day)
    fee, tickets = rng.uniform(10, 90, n).round(2), rng.poisson(2.0, n)
    plan = rng.choice(["basic", "plus", ""], n, p=[0.6, 0.3, 0.1])
    log_odds = -2.2 + 1.4 * (plan == "basic") + 0.5 * (tickets - 2) + 0.02 * (fee - 50)
    churned = np.where(rng.random(n) < 1 / (1 + np.exp(-log_odds)), "yes", "no")
    churned[day > day[-1] - 30] = ""
    return pd.DataFrame(
        {
            "customer": [f"C{number:05d}" for number in range(n)],
            "day": day.astype(str),
            "plan": plan,
            "fee": fee,
            "tickets": [str(count) if keep else "" for count, keep in zip(tickets, rng.random(n) < 0.95, strict=True)],
            "note": [f"called on line {number}" for number in range(n)],
            "country": "NL",
            "churned": churned,
        }
    )


def write_churn(folder: Path) -> Path:
    """The rows in two files: CSV, and gzipped CSV."""
    folder.mkdir(parents=True)
    rows = churn_rows()
    rows.head(800).to_csv(folder / "first.csv", index=False)
    rows.tail(-800).to_csv(folder / "second.csv.gz", index=False)
    return folder
