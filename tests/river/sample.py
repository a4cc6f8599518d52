"""Simulated readings from 2023 on."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
from pipeline.workloads.river.spec import GAUGES


def write(folder: Path, as_of: date, seed: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng, lines, day = np.random.default_rng(seed), ["reading_id,day,gauge,rain,warmth,flow"], date(2023, 1, 1)
    while day < as_of:
        for number, gauge in enumerate(GAUGES):
            rain, warmth, noise = rng.gamma(2.0, 5.0), 10 + 10 * np.sin(day.toordinal() / 58), rng.normal(0, 4)
            flow = max(0.0, 30 + 20 * number + 1.5 * rain - 0.5 * warmth + noise)
            shown = f"{flow:.2f}" if day + timedelta(2) < as_of else ""
            lines.append(f"SIM-{day}-{gauge},{day},{gauge},{rain:.2f},{warmth:.2f},{shown}")
        day += timedelta(1)
    (folder / "readings.csv").write_text("\n".join(lines) + "\n")
    return folder
