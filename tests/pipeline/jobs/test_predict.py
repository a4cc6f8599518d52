"""The file of predictions: what its readers may rely on, whoever predicted."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from pipeline.contract import names as c
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.contract.workload import load_spec
from pipeline.jobs.predict import Forecast, predictions_table

SPEC = load_spec("bike_demand")
LAYOUT = FeatureLayout(("warmth",), task="regression", quantiles=SPEC.quantiles)


def test_a_night_of_the_fallback_has_the_columns_of_one_of_the_champion() -> None:
    moment = pa.array([datetime(2024, 2, 29, 23)], pa.timestamp("ns"))
    upcoming = pa.table({c.ROW_ID: ["a"], c.TIME: moment, **{name: ["x"] for name in SPEC.shown}, "warmth": [1.0]})
    upcoming = upcoming.replace_schema_metadata(LAYOUT.as_metadata())
    quantiles = {name: np.array([2.0]) for name in LAYOUT.quantile_columns}
    champion, fallback = (
        predictions_table(SPEC, upcoming, made, "2024-02-29")
        for made in (
            Forecast(np.array([3.0]), c.CHAMPION, "7", "", quantiles=quantiles),
            Forecast(np.array([3.0]), c.FALLBACK, "none", ""),
        )
    )
    assert champion.schema == fallback.schema
    assert [fallback[name].to_pylist() for name in LAYOUT.quantile_columns] == [[None], [None]]
    assert champion[LAYOUT.quantile_columns[0]].to_pylist() == [2.0]
