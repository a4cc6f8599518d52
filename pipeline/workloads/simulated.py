"""Simulated rows of declared columns: what a workload's sample.py writes where nothing better is known of its domain.

SIMULATED: no row is real. Values are drawn within the declared ranges and categories, and the target depends on the
first features, so that there is something to learn. A month's draw depends on the seed and the month alone: a later
as-of date only adds rows and labels.
"""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.contract.spec import Column, Spec
from pipeline.ingest.known import known_on

FILE: Final = "SIMULATED.csv"  # a file of this name makes every report say that its rows are simulated
_INFORMATIVE: Final = 5  # features that the target depends on
_ANNOUNCED_DAYS: Final = 7
_MISSING: Final = 0.05
_STRENGTH: Final = 1.2  # of the features together, in log-odds
_GROUPS: Final = 20

FloatArray = NDArray[np.float64]


def simulate(
    spec: Spec,
    folder: Path,
    as_of: date,
    seed: int,
    *,
    since: date,
    rows_a_day: int,
    mean: float,
    spread: float = 0.0,
) -> Path:
    """Write the rows from `since` (the first of a month) up to the as-of morning; returns the folder.

    `mean` and `spread` (standard deviation) are the target's; of a binary one, `mean` is the rate.
    """
    last = np.datetime64(as_of) + (_ANNOUNCED_DAYS if spec.announced else 0)
    months = np.arange(np.datetime64(since, "M"), last.astype("datetime64[M]") + 1)
    rows = pd.concat([_month(spec, month, seed, rows_a_day, mean, spread) for month in months], ignore_index=True)
    day = rows.pop("").to_numpy().astype("datetime64[D]")
    hidden = ~known_on(day, np.datetime64(as_of), spec.label_delay_days)
    rows[spec.name_of("target")] = rows[spec.name_of("target")].mask(hidden, "")
    folder.mkdir(parents=True, exist_ok=True)
    rows[day < last].to_csv(folder / FILE, index=False)
    return folder


def _month(spec: Spec, month: np.datetime64, seed: int, rows_a_day: int, mean: float, spread: float) -> pd.DataFrame:
    rng = np.random.default_rng([seed, int(month.astype(np.int64))])
    days = np.arange(month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]"))
    day, number = np.repeat(days, rows_a_day), np.tile(np.arange(rows_a_day), len(days))
    moment = day.astype("datetime64[m]") + (number * 1440 // rows_a_day).astype("timedelta64[m]")
    columns: dict[str, Any] = {"": day}
    effects: list[FloatArray] = []
    for column in spec.columns:
        if column.role == "id":
            columns[column.name] = [f"SIM-{d}-{n}" for d, n in zip(day, number, strict=True)]
        elif column.type in ("day", "moment"):
            columns[column.name] = (day if column.type == "day" else moment).astype(str)
        elif column.role != "target":
            values, effect = _draw(column, rng, len(day))
            columns[column.name] = np.where(rng.random(len(day)) < _MISSING, "", values) if column.missing else values
            effects += [effect] if column.role == "feature" else []
    weights = 0.8 ** np.arange(len(effects[:_INFORMATIVE]))
    score = np.stack(effects[:_INFORMATIVE], axis=1) @ weights / math.sqrt(float(weights @ weights))
    (target,) = spec.of_role("target")
    if spec.task == "binary":
        log_odds = math.log(mean / (1 - mean)) + _STRENGTH * score
        columns[target.name] = (rng.random(len(day)) < 1 / (1 + np.exp(-log_odds))).astype(int).astype(str)
    else:
        drawn = mean + spread * (0.7 * score + 0.7 * rng.standard_normal(len(day)))
        columns[target.name] = _texts(target, np.clip(drawn, target.low, target.high))
    return pd.DataFrame({"": day, **{c.name: columns[c.name] for c in spec.columns}})


def _draw(column: Column, rng: np.random.Generator, n: int) -> tuple[Any, FloatArray]:
    """Texts, and how each moves the target: mean 0 and variance 1, nearly."""
    if column.type == "flag":
        on = rng.random(n) < 0.3
        return on.astype(int).astype(str), np.asarray((on - 0.3) / 0.458)
    if column.type in ("number", "integer"):
        low = (column.high or 100.0) - 100.0 if column.low is None else column.low
        high = low + 100.0 if column.high is None else column.high
        share = rng.beta(2, 5, n)
        return _texts(column, low + share * (high - low)), np.asarray((share - 0.286) / 0.16)
    words = column.values or tuple(f"{column.name}-{number}" for number in range(_GROUPS))
    chosen = rng.integers(len(words), size=n)
    return np.array(words)[chosen], np.asarray((chosen - (len(words) - 1) / 2) / max(len(words) / 3.46, 0.5))


def _texts(column: Column, values: FloatArray) -> NDArray[np.str_]:
    return np.array([f"{value:.0f}" if column.type == "integer" else f"{value:.6g}" for value in values])
