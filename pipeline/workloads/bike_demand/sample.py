"""Simulated rentals of each hour from 2023 on. SIMULATED: no city and no bike in it is real."""

from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.ingest.moments import hours_of
from pipeline.workloads.bike_demand.spec import SPEC
from pipeline.workloads.simulated import FILE

FIRST_DAY = date(2023, 1, 1)
WORKDAY = (6, 4, 3, 3, 6, 20, 60, 150, 220, 130, 90, 100, 120, 110, 110, 130, 180, 260, 220, 150, 100, 70, 45, 20)
WEEKEND = (25, 18, 12, 6, 4, 6, 12, 25, 50, 90, 130, 160, 180, 185, 180, 175, 165, 145, 120, 90, 65, 50, 40, 30)


def write(folder: Path, as_of: date, seed: int = 20250301) -> Path:
    """Hours before the morning of `as_of`, with their offset from UTC; a later one only adds to them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, zone = np.random.default_rng(seed), ZoneInfo(SPEC.time_zone)
    lines, day, weather = ["hour,rentals"], FIRST_DAY, 0.0
    while day < as_of:
        weather = 0.3 * weather + rng.normal(0, 0.2)  # of the whole day: its hours go together
        season = 1 + 0.4 * np.sin((day.timetuple().tm_yday - 105) / 365.25 * 2 * np.pi)
        profile = WEEKEND if day.weekday() >= 5 else WORKDAY
        for hour in hours_of(day, zone):
            mean = profile[hour.hour] * season * np.exp(weather + rng.normal(0, 0.15))
            lines.append(f"{hour.isoformat(timespec='minutes')},{rng.poisson(mean)}")
        day += timedelta(days=1)
    (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
