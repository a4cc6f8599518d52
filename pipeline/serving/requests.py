"""What a workload makes of a request's rows: the interface between the server and the workload."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any, Final, Protocol

from pipeline.training.training_sets import FeatureMatrix

LONGEST_VALUE: Final = 100  # characters of a value
SHOWN: Final = 3  # problems in one answer


class BadRequestError(ValueError):
    """What is asked cannot be answered; the text says why and what to do."""


class TooManyRowsError(BadRequestError):
    """A body of more rows than one request may have; found out before all of it is parsed."""

    def __init__(self, most: int, rows: str) -> None:
        super().__init__(f"more than {most:,} {rows}: ask in several requests")


@dataclass(frozen=True)
class RequestFormat:
    """The columns of a request's rows and of the answer, and what the rows are called."""

    row: str
    rows: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    echoed: tuple[str, ...]  # columns that the answer repeats
    prediction: str
    example: Mapping[str, Any]
    most: int = 10_000  # rows of one request

    @property
    def example_body(self) -> str:
        """A body of JSON that is answered."""
        return json.dumps({self.rows: [self.example]})

    def check_columns(self, names: Sequence[str]) -> None:
        """Raises BadRequestError for a column that is missing or unknown."""
        columns = (*self.required, *self.optional)
        for name in names:
            if name not in columns:
                short = name[:LONGEST_VALUE]
                close = get_close_matches(short, columns, n=1)
                hint = f'; did you mean "{close[0]}"?' if close else ""
                raise BadRequestError(f'unknown column "{short}"{hint} The columns are {", ".join(columns)}')
        missing = [name for name in self.required if name not in names]
        if missing:
            rest = f"; {', '.join(self.optional)} may be left out" if self.optional else ""
            raise BadRequestError(f"no {missing[0]}: each {self.row} needs {', '.join(self.required)}{rest}")


class RequestRows(Protocol):
    """A model's own view of requests."""

    @property
    def format(self) -> RequestFormat:
        """What a request looks like."""

    @property
    def state_date(self) -> date:
        """The morning that the model's state is of."""

    def matrix(self, rows: Sequence[Mapping[str, Any]]) -> FeatureMatrix:
        """The features of the rows, in their order; raises BadRequestError naming row, column, value and rule."""

    def warm_up(self) -> Sequence[Mapping[str, Any]]:
        """Rows to be answered once before the first request."""


class Problems:
    """What is wrong with the first rows of a request; a second one with the same columns is not looked at again."""

    def __init__(self, format: RequestFormat) -> None:
        self._format = format
        self._known: set[tuple[str, ...]] = set()
        self._found: list[str] = []

    def check_columns(self, row: Mapping[str, Any]) -> None:
        """Raises BadRequestError for a column that is missing or unknown."""
        names = tuple(row)
        if names not in self._known:
            self._format.check_columns(names)
            self._known.add(names)

    def add(self, number: int, problem: BadRequestError, *, last: bool = False) -> None:
        """Note the problem of a row; raises BadRequestError with the first few: to find more takes too long."""
        self._found.append(f"{self._format.row} {number}: {problem}")
        if len(self._found) == SHOWN:
            self._found += [] if last else [f"what follows {self._format.row} {number:,} was not looked at"]
            self.raise_found()

    def raise_found(self) -> None:
        """Raises BadRequestError where there is a problem."""
        if self._found:
            raise BadRequestError("; ".join(self._found))


def check_each(format: RequestFormat, rows: Sequence[Mapping[str, Any]], check: Any) -> list[Any]:  # noqa: ANN401
    """`check` of each row; raises BadRequestError with the first few rows that it refuses."""
    if not rows:
        raise BadRequestError(f"there is no {format.row} in the request: ask for one at least")
    checked: list[Any] = []
    problems = Problems(format)
    for number, row in enumerate(rows, 1):
        try:
            problems.check_columns(row)
            checked.append(check(row))
        except BadRequestError as problem:
            problems.add(number, problem, last=number == len(rows))
    problems.raise_found()
    return checked
