"""What a workload makes of a request's rows: the interface between the server and the workload."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Protocol

from pipeline.contract.reasons import hint
from pipeline.ingest.values import given
from pipeline.training.training_sets import FeatureMatrix

LONGEST_VALUE: Final = 100  # characters of a value
_SHOWN: Final = 3  # problems in one answer: to find more takes too long

Row = Mapping[str, Any]


class BadRequestError(ValueError):
    """What is asked cannot be answered; the text says why and what to do."""

    status_code = 400


class TooManyRowsError(BadRequestError):
    """A body of more rows than one request may have."""

    status_code = 413


@dataclass(frozen=True)
class RequestFormat:
    """The columns of a request's rows and of the answer, and what the rows are called."""

    row: str
    rows: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    echoed: tuple[str, ...]  # columns that the answer repeats
    prediction: str
    example: Row
    most: int = 10_000  # rows of one request

    @property
    def example_body(self) -> str:
        return json.dumps({self.rows: [self.example]})

    @property
    def too_many(self) -> TooManyRowsError:
        return TooManyRowsError(f"more than {self.most:,} {self.rows}: ask in several requests")

    def check_columns(self, names: Sequence[str]) -> None:
        """Raises BadRequestError for a column that is missing or unknown."""
        columns = (*self.required, *self.optional)
        for name in names:
            if name not in columns:
                short = name[:LONGEST_VALUE]
                meant = hint(short, columns)
                known = f"{' The' if meant else '; the'} columns are {', '.join(columns)}"
                raise BadRequestError(f'unknown column "{short}"{meant}{known}')
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

    def check(self, row: Row) -> Any:  # noqa: ANN401 - what `matrix` needs of it
        """What a row of known columns asks for; raises BadRequestError naming column, value and rule."""

    def matrix(self, checked: Sequence[Any]) -> FeatureMatrix:
        """The features of checked rows, in their order; raises BadRequestError for rows that contradict each other."""

    def warm_up(self) -> Sequence[Row]:
        """Rows to be answered once before the first request."""


def checked_rows(requests: RequestRows, rows: Iterable[Row]) -> tuple[list[Row], list[Any]]:
    """The rows, and what each asks for; raises BadRequestError with the first few that are refused.

    Rows are taken one after another: what follows those is not even parsed.
    """
    format, known = requests.format, set()
    kept: list[Row] = []
    checked: list[Any] = []
    problems: list[str] = []
    for row in rows:
        if len(kept) == format.most:
            raise format.too_many
        kept.append(row)
        try:
            if (names := tuple(row)) not in known:
                format.check_columns(names)
                known.add(names)
            checked.append(requests.check(row))
        except BadRequestError as problem:
            problems.append(f"{format.row} {len(kept)}: {problem}")
        if len(problems) == _SHOWN:
            problems.append(f"what follows {format.row} {len(kept):,} was not looked at")
            break
    if problems:
        raise BadRequestError("; ".join(problems))
    if not kept:
        raise BadRequestError(f"there is no {format.row} in the request: ask for one at least")
    return kept, checked


def text_of(row: Row, name: str) -> str:
    """A value as text, without blanks around it; nothing where it is missing. Raises BadRequestError."""
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | bool | int | float):
        raise BadRequestError(f"{name} is neither text nor a number nor true or false: write it as text")
    text = str(value)
    if len(text) > LONGEST_VALUE:  # of any text: to compare invisible and strange characters takes its time
        raise BadRequestError(f'{name} "{text[:20]}..." has more than {LONGEST_VALUE} characters: shorten it')
    return given(text)
