"""Requests of a workload without a serving.py: rows of its declared features, checked by the same declaration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np

from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.contract.rules.hooks import Features
from pipeline.contract.spec import Column, Spec
from pipeline.contract.workload import Workload
from pipeline.ingest.values import reader_of
from pipeline.serving.requests import BadRequestError, RequestFormat, Row, text_of
from pipeline.training.artifact import Artifact
from pipeline.training.declared_features import layout_of
from pipeline.training.training_sets import FeatureMatrix


@dataclass(frozen=True)
class DeclaredRequests:
    """The declared columns of a request, and the features that they are."""

    format: RequestFormat
    columns: Mapping[str, Column]
    layout: FeatureLayout
    state_date: date
    time_zone: str

    def check(self, row: Row) -> list[float]:
        """The features in the layout's order; NaN where a value may be missing and is."""
        values = {name: self._value(column, text_of(row, name)) for name, column in self.columns.items()}
        return [self._number(name, values[name]) for name in self.layout.features]

    def matrix(self, checked: Sequence[list[float]]) -> FeatureMatrix:
        return np.array(checked, dtype=np.float32)

    def _value(self, column: Column, text: str) -> Any:  # noqa: ANN401 - the type is the column's
        if not text:
            if column.role == "feature" and not column.missing:
                raise BadRequestError(f"{column.name} is missing")
            return None
        read, _, rule = reader_of(column, self.time_zone)
        found = read(text)
        if found is None:
            raise BadRequestError(f'{column.name} "{text}" {rule}')
        return found

    def _number(self, name: str, value: Any) -> float:  # noqa: ANN401 - as above
        if value is None:
            return float("nan")
        return float(self.layout.categories[name].index(value) if name in self.layout.categories else value)

    def warm_up(self) -> Sequence[Row]:
        return [self.format.example]


def open_model(spec: Spec, artifact: Artifact, version: str) -> DeclaredRequests:
    """Raises StepError for a model of other columns than the declared ones."""
    card, layout = artifact.card, layout_of(spec)
    features = Workload(spec).module("features", "pipeline.training.declared_features")
    if card.layout != layout or card.feature_signature != cast(Features, features).signature(spec):
        raise StepError(
            f"model version {version} was trained on other features (code {card.code_version[:12]}) than this code "
            "computes: serve it with the image that trained it, and with its workload (WORKLOAD)"
        )
    columns = {column.name: column for column in spec.columns if column.role in ("id", "time", "feature")}
    required = tuple(name for name, column in columns.items() if column.role == "feature" and not column.missing)
    optional = tuple(name for name in columns if name not in required)
    echoed = tuple(name for name in columns if columns[name].role != "feature" or name in spec.shown)
    example = {name: _example(columns[name]) for name in required}
    format = RequestFormat(spec.row, spec.rows, required, optional, echoed, spec.prediction, example)
    return DeclaredRequests(format, columns, layout, date.fromisoformat(card.as_of_date), card.time_zone)


def _example(column: Column) -> str | float:
    if column.values:
        return column.values[0]
    low, high = -math.inf if column.low is None else column.low, math.inf if column.high is None else column.high
    return min(max(0.0, low), high)
