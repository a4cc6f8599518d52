"""The declared feature columns as they are: what a workload without features.py gets.

Without pandas, which a server does not have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.contract import names as c
from pipeline.contract.feature_layout import FeatureLayout, FeatureTables
from pipeline.contract.spec import Spec
from pipeline.ingest.known import known_on

if TYPE_CHECKING:
    import pandas as pd


def layout_of(spec: Spec) -> FeatureLayout:
    """The columns of the role `feature`, and no others; numbers and flags without gaps have a linear part as well."""
    columns = spec.of_role("feature")
    linear = [column.name for column in columns if column.type != "category" and not column.missing]
    rest = [column.name for column in columns if column.name not in linear]
    (target,) = spec.of_role("target")
    return FeatureLayout(
        (*linear, *rest),
        n_linear=len(linear),
        task=spec.task,
        quantiles=spec.quantiles,
        categories={column.name: column.values for column in columns if column.type == "category"},
        low=target.low if spec.task == "regression" else None,
        high=target.high if spec.task == "regression" else None,
    )


def signature(spec: Spec) -> str:
    """Changes with the declaration of the columns."""
    declared = json.dumps([asdict(column) for column in spec.columns], sort_keys=True)
    return hashlib.sha256(declared.encode()).hexdigest()[:16]


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
