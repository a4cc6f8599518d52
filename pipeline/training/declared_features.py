"""The declared feature columns as they are: what a workload without a features.py of its own gets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.contract import names as c
from pipeline.contract.feature_layout import FeatureLayout, FeatureTables
from pipeline.contract.spec import Spec
from pipeline.ingest.known import known_on
from pipeline.training.declared_layout import layout_of, signature

__all__ = ["features", "layout_of", "signature"]


def features(spec: Spec, rows: pd.DataFrame, as_of: date, parameters: Mapping[str, str]) -> FeatureTables:
    """Rows whose label is known, and those to be predicted: after the last known label, or announced."""
    layout = layout_of(spec)
    labelled = rows[c.TARGET].notna().to_numpy()
    day = rows[c.TIME].to_numpy().astype("datetime64[D]")
    to_come = ~labelled & ~known_on(day, np.datetime64(as_of), spec.label_delay_days)
    return FeatureTables(table_of(spec, rows[labelled], layout), table_of(spec, rows[to_come], layout))


def table_of(spec: Spec, rows: pd.DataFrame, layout: FeatureLayout) -> pa.Table:
    """Core's columns, those that the predictions repeat, and the features; a category is text."""
    keys = [c.ROW_ID, c.TIME, c.TARGET]
    named = dict.fromkeys([*keys, *spec.shown, *layout.features, *spec.monitor.groups])
    table = pa.Table.from_pandas(rows[list(named)], preserve_index=False)
    return table.replace_schema_metadata(layout.as_metadata())
