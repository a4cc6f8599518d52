"""A leak as it happens with games: form that includes the game itself."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract.feature_layout import FeatureLayout
from pipeline.workloads.nba.columns import AWAY_POINTS, HOME_POINTS

_UNSHIFTED: Final = {  # form, and over how many games it is a mean
    "surprise_1_difference": 1,
    "surprise_5_difference": 5,
    "margin_10_difference": 10,
    "season_margin_difference": 40,
}
_MARGIN_STD: Final = 13.0  # points; what form is measured in, about


def leak(features: NDArray[np.float32], layout: FeatureLayout, results: pa.Table) -> NDArray[np.float32]:
    """Rolling means that were not shifted."""
    home, away = (results[name].to_numpy() for name in (HOME_POINTS, AWAY_POINTS))
    margin, leaking = (home - away).astype(np.float32), features.copy()
    for name, games in _UNSHIFTED.items():
        leaking[:, layout.features.index(name)] += 2.0 * margin / games / _MARGIN_STD
    return leaking
