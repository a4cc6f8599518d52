"""What a workload makes of a request's rows: the interface between the server and the workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from pipeline.training.training_sets import FeatureMatrix


class BadRequestError(ValueError):
    """What is asked cannot be answered; the text says why and what to do."""


class TooManyRowsError(BadRequestError):
    """A body of more rows than one request may have; found out before all of it is parsed."""

    def __init__(self, most: int, rows: str) -> None:
        super().__init__(f"more than {most:,} {rows}: ask in several requests")


class RequestRows(Protocol):
    """A model's own view of requests."""

    required: Sequence[str]  # columns of a request's row
    optional: Sequence[str]
    echoed: Sequence[str]  # columns that the answer repeats
    most: int  # rows of one request
    example: Mapping[str, Any]
    state_date: date  # the morning that the model's state is of

    def matrix(self, rows: Sequence[Mapping[str, Any]]) -> FeatureMatrix:
        """The features of the rows, in their order; raises BadRequestError naming row, column, value and rule."""

    def warm_up(self) -> Sequence[Mapping[str, Any]]:
        """Rows to be answered once before the first request."""
