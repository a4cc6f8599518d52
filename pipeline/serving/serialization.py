"""Bodies of requests and answers: JSON and CSV to rows, and an Answer to either.

Python lets no other request go on while one of its parsers reads, or writes, a text. So each works on one row of a
bounded length at a time.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.serving.predictor import Answer
from pipeline.serving.requests import BadRequestError, RequestFormat, Row

JSON: Final = "application/json"
CSV: Final = "text/csv"
PREDICTIONS_KEY: Final = "predictions"

_LONGEST_ROW: Final = 8 * 1024  # characters of a row in JSON, or of a line of CSV
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_BLANKS: Final = "[ \t\r\n]*+"
_COMMA: Final = re.compile(f"{_BLANKS},{_BLANKS}")
_CLOSING: Final = re.compile(rf"{_BLANKS}\]{_BLANKS}\}}{_BLANKS}")

Body = bytes | bytearray


def _finite(text: str) -> float | None:
    """The number; None for NaN, which clients in Python write for a missing value. Raises ValueError for infinity."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is not a finite number")
    return None if math.isnan(number) else number


# An answer repeats values of the request, and other clients read no NaN and no Infinity.
_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def rows_from_json(body: Body, format: RequestFormat) -> Iterator[Row]:
    """The rows of `{"<rows>": [...]}`, one after another; raises BadRequestError."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the body is not UTF-8 (byte {error.start}): encode it as UTF-8") from None
    should = f"it should look like {format.example_body}"
    opening = re.match(rf'{_BLANKS}\{{{_BLANKS}"{format.rows}"{_BLANKS}:{_BLANKS}\[{_BLANKS}', text)
    place = opening.end() if opening else 0
    more, number = bool(opening) and not _CLOSING.fullmatch(text, place), 0
    while more:
        number += 1
        piece = text[place : place + _LONGEST_ROW]
        try:
            row, length = _DECODER.raw_decode(piece)
        except ValueError as error:  # not JSON, or a number of thousands of digits
            long = f", or it has more than {_LONGEST_ROW:,} characters" if len(piece) == _LONGEST_ROW else ""
            raise BadRequestError(f"the body is not JSON ({format.row} {number}: {error}{long}); {should}") from None
        except RecursionError:
            raise BadRequestError(f"the body is nested too deeply; {should}") from None
        if not isinstance(row, dict):
            raise BadRequestError(f"{format.row} {number} is not an object; {should}")
        yield row
        comma = _COMMA.match(text, place + length)
        more, place = comma is not None, comma.end() if comma else place + length
    if not opening or not _CLOSING.fullmatch(text, place):
        raise BadRequestError(f"the body is not JSON of {format.rows}; {should}")


def rows_from_csv(body: Body, format: RequestFormat) -> Iterator[Row]:
    """The rows of a table with a header, one after another; raises BadRequestError."""
    table = _table(body, format)
    names = [name.strip() for name in next(table, ())]
    if not names:
        raise BadRequestError(f"the body is empty: its first line should name the columns: {','.join(format.required)}")
    try:
        format.check_columns(names)
    except BadRequestError as error:
        raise BadRequestError(f"{error} (the first line of CSV names the columns)") from None
    if len(set(names)) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise BadRequestError(f'column "{twice}" appears twice in the header: remove one')
    for number, values in enumerate(table, 1):
        if len(values) != len(names):
            raise BadRequestError(
                f"{format.row} {number} has {len(values)} fields, where the header has {len(names)}: give it as many"
            )
        yield dict(zip(names, values, strict=True))


def _table(body: Body, format: RequestFormat) -> Iterator[list[str]]:
    """The fields of the lines that are not empty."""
    table = csv.reader(_lines(body), strict=True)
    try:
        for fields in table:
            if table.line_num > 4 * format.most:  # empty ones, or within quotation marks
                raise format.too_many
            if fields:
                yield fields
    except UnicodeDecodeError:
        raise BadRequestError("the body is not UTF-8: encode it as UTF-8") from None
    except csv.Error as error:
        raise BadRequestError(f"the body is not CSV ({error}): check its quotation marks") from None


def _lines(body: Body) -> Iterator[str]:
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    while line := text.readline(_LONGEST_ROW + 1):
        if len(line) > _LONGEST_ROW:
            raise BadRequestError(f"a line of the body has more than {_LONGEST_ROW:,} characters: shorten it")
        yield line


def answer_as_json(answer: Answer, format: RequestFormat) -> Iterator[bytes]:
    """One object: what the predictions rest on, and one prediction a row in the order of the request."""
    yield f'{_ENCODER.encode(_basis(answer))[:-1]},"{PREDICTIONS_KEY}":['.encode()
    separator = ""
    for row, predicted in _predicted(answer, format):
        written = {**{name: row[name] for name in format.echoed if name in row}, **predicted}
        yield f"{separator}{_ENCODER.encode(written)}".encode()
        separator = ","
    yield b"]}"


class _Line:
    """A file whose `write` returns what it was given: so does csv's `writerow` then."""

    @staticmethod
    def write(line: str) -> str:
        return line


def answer_as_csv(answer: Answer, format: RequestFormat) -> Iterator[bytes]:
    """A table with a header, one line a row in the order of the request."""
    basis = {name: str(value).lower() if isinstance(value, bool) else value for name, value in _basis(answer).items()}
    echoed = [name for name in format.echoed if any(name in row for row in answer.rows)]
    writer = csv.writer(_Line, lineterminator="\n")
    yield writer.writerow([*echoed, format.prediction, *answer.quantiles, *basis]).encode()
    for row, predicted in _predicted(answer, format):
        line = writer.writerow([*(row.get(name, "") for name in echoed), *predicted.values(), *basis.values()])
        yield line.encode(errors="replace")  # a lone surrogate in an id


def _predicted(answer: Answer, format: RequestFormat) -> Iterator[tuple[Row, dict[str, float]]]:
    """Each row with its prediction, and the predicted quantiles where there are any."""
    names = (format.prediction, *answer.quantiles)
    columns = [values.tolist() for values in (answer.predictions, *answer.quantiles.values())]
    for row, values in zip(answer.rows, zip(*columns, strict=True), strict=True):
        yield row, dict(zip(names, values, strict=True))


def _basis(answer: Answer) -> dict[str, Any]:
    return {
        c.MODEL_VERSION: answer.model_version,
        c.STATE_DATE: str(answer.state_date),
        c.STATE_AGE_DAYS: answer.state_age_days,
        c.STALE: answer.stale,
    }


READERS: Final[Mapping[str, Callable[[Body, RequestFormat], Iterator[Row]]]] = {
    JSON: rows_from_json,
    CSV: rows_from_csv,
}
WRITERS: Final[Mapping[str, Callable[[Answer, RequestFormat], Iterator[bytes]]]] = {
    JSON: answer_as_json,
    CSV: answer_as_csv,
}
