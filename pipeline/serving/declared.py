"""Requests of a workload without a serving.py: rows of its declared features, checked by the same declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np

from pipeline.contract.container import StepError
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.contract.hooks import Features
from pipeline.contract.spec import Column, Spec
from pipeline.contract.workload import Workload
from pipeline.ingest.values import given, reader_of
from pipeline.serving.requests import LONGEST_VALUE, BadRequestError, RequestFormat, check_each
from pipeline.training.artifact import Artifact
from pipeline.training.declared_layout import layout_of
from pipeline.training.training_sets import FeatureMatrix


@dataclass(frozen=True)
class DeclaredRequests:
    """The declared columns of a request, and the features that they are."""

    format: RequestFormat
    columns: Mapping[str, Column]
    layout: FeatureLayout
    state_date: date
    time_zone: str

    def matrix(self, rows: Sequence[Mapping[str, Any]]) -> FeatureMatrix:
        """One line a row, in the layout's order; NaN where a value may be missing and is."""
        return np.array(check_each(self.format, rows, self._features), dtype=np.float32)

    def _features(self, row: Mapping[str, Any]) -> list[float]:
        values = {name: self._value(column, row.get(name)) for name, column in self.columns.items()}
        return [self._number(name, values[name]) for name in self.layout.features]

    def _value(self, column: Column, value: object) -> Any:  # noqa: ANN401 - the type is the column's
        if value is not None and not isinstance(value, str | bool | int | float):
            raise BadRequestError(f"{column.name} is neither text nor a number nor true or false: write it as text")
        text = "" if value is None else given(str(value))
        if len(text) > LONGEST_VALUE:
            raise BadRequestError(f'{column.name} "{text[:20]}..." has more than {LONGEST_VALUE} characters')
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

    def warm_up(self) -> Sequence[Mapping[str, Any]]:
        """The example."""
        return [self.format.example]


def open_model(spec: Spec, artifact: Artifact, version: str) -> DeclaredRequests:
    """Raises StepError for a model of other columns than the declared ones."""
    card, layout = artifact.card, layout_of(spec)
    features = Workload(spec).module("features", "pipeline.training.declared_layout")  # the latter without pandas
    if card.layout != layout or card.feature_signature != cast(Features, features).signature(spec):
        raise StepError(
            f"model version {version} was trained on other features (code {card.code_version[:12]}) than this code "
            "computes: serve it with the image that trained it"
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
    low, high = column.low, column.high
    return (
        0.0 if (low is None or low <= 0) and (high is None or high >= 0) else (low if low is not None else high or 0.0)
    )
