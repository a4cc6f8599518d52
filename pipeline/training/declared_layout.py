"""The layout of declared features. Standard library only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from pipeline.contract.feature_layout import FeatureLayout
from pipeline.contract.spec import Spec


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
