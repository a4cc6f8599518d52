"""Bodies of requests and answers: JSON and CSV to rows, and an Answer to either."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.serving.predictor import Answer
from pipeline.serving.requests import LONGEST_VALUE, BadRequestError, Problems, RequestFormat, TooManyRowsError

JSON: Final = "application/json"
CSV: Final = "text/csv"
PREDICTIONS_KEY: Final = "predictions"

_LONGEST_LINE: Final = 64 * 1024  # characters of a line of CSV: seven values of at most a hundred each need fewer
_LINE: Final = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")
# Signs that part values and rows, for each row of a table: seven columns have 8, the others may be in names.
_SIGNS_OF_A_ROW: Final = 16
_LONGEST_ROW: Final = 8 * 1024  # characters of a row in JSON
_DECODER: Final = json.JSONDecoder()
_BLANKS: Final = "[ \t\r\n]*+"
_OPENING: Final = rf"{_BLANKS}\{{{{{_BLANKS}{{key}}{_BLANKS}:{_BLANKS}\[{_BLANKS}"
_COMMA: Final = re.compile(f"{_BLANKS},{_BLANKS}")
_CLOSING: Final = re.compile(rf"{_BLANKS}\]{_BLANKS}\}}{_BLANKS}")

Rows = Sequence[Mapping[str, Any]]
Body = bytes | bytearray


def rows_from_json(body: Body, format: RequestFormat) -> Rows:
    """The rows of `{"<rows>": [...]}`, `format.most` of them; raises BadRequestError.

    Their columns are compared here: of thousands with a wrong one, the first few are parsed and no more.
    """
    rows: list[dict[str, Any]] = []
    problems = Problems(format)
    for row in _rows(_text(body), format):
        if not isinstance(row, dict):
            raise BadRequestError(f"{format.row} {len(rows) + 1} is not an object; {_should(format)}")
        if len(rows) == format.most:
            raise TooManyRowsError(format.most, format.rows)
        rows.append(row)
        try:
            problems.check_columns(row)
        except BadRequestError as problem:
            problems.add(len(rows), problem)
    return rows


def _rows(text: str, format: RequestFormat) -> Iterator[Any]:
    """One after another: Python's reader lets no other request go on while it reads a text, and keeps all of it."""
    opening = re.match(_OPENING.format(key=re.escape(json.dumps(format.rows))), text)
    place = opening.end() if opening else 0
    more, number = bool(opening) and not _CLOSING.fullmatch(text, place), 0
    while more:
        number += 1
        piece = text[place : place + _LONGEST_ROW]
        try:
            row, length = _DECODER.raw_decode(piece)
        except ValueError as error:  # not JSON, or a number of thousands of digits
            long = f", or it has more than {_LONGEST_ROW:,} characters" if len(piece) == _LONGEST_ROW else ""
            raise BadRequestError(
                f"the body is not JSON ({format.row} {number}: {error}{long}); {_should(format)}"
            ) from None
        except RecursionError:
            raise BadRequestError(f"the body is nested too deeply; {_should(format)}") from None
        yield row
        comma = _COMMA.match(text, place + length)
        more, place = comma is not None, comma.end() if comma else place + length
    if not opening or not _CLOSING.fullmatch(text, place):
        raise BadRequestError(f"the body is not JSON of {format.rows}; {_should(format)}")


def _should(format: RequestFormat) -> str:
    return f"it should look like {format.example_body}"


def rows_from_csv(body: Body, format: RequestFormat) -> Rows:
    """The rows of a table with a header, `format.most` of them; raises BadRequestError."""
    # Parsed, a megabyte of commas would take 30 MB.
    if sum(body.count(sign) for sign in (b",", b"\n", b"\r")) > _SIGNS_OF_A_ROW * format.most:
        raise TooManyRowsError(format.most, format.rows)
    text = _text(body)
    try:
        table = [row for row in csv.reader(_lines(text), strict=True) if row]
    except csv.Error as error:
        raise BadRequestError(f"the body is not CSV ({error}): check its quotation marks") from None
    if not table:
        raise BadRequestError(f"the body is empty: its first line should name the columns: {','.join(format.required)}")
    header, *lines = table
    if len(lines) > format.most:
        raise TooManyRowsError(format.most, format.rows)
    names = [name.strip() for name in header]
    if len(set(names)) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise BadRequestError(f'column "{twice[:LONGEST_VALUE]}" appears twice in the header: remove one')
    try:
        format.check_columns(names)
    except BadRequestError as error:
        raise BadRequestError(f"{error} (the first line of CSV names the columns)") from None
    for number, line in enumerate(lines, 1):
        if len(line) != len(names):
            raise BadRequestError(
                f"{format.row} {number} has {len(line)} fields, where the header has {len(names)}: give it as many"
            )
    return [dict(zip(names, line, strict=True)) for line in lines]


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends, as io.StringIO has them, which copies the text at four bytes a character."""
    end_of_line = "\n" if "\n" in text else "\r"
    begin = 0
    while begin < len(text):
        end = text.find(end_of_line, begin, begin + _LONGEST_LINE) + 1 or len(text)
        if end - begin > _LONGEST_LINE:
            raise BadRequestError(f"a line of the body has more than {_LONGEST_LINE:,} characters: shorten it")
        yield from _LINE.findall(text[begin:end])
        begin = end


def _text(body: Body) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the body is not UTF-8 (byte {error.start}): encode it as UTF-8") from None


def answer_as_json(answer: Answer, format: RequestFormat) -> bytes:
    """One object: what the predictions rest on, and one prediction a row in the order of the request."""
    columns = _columns(answer, format)
    predictions = [
        {**{name: row[name] for name in format.echoed if name in row}, **dict(zip(columns, values, strict=True))}
        for row, values in zip(answer.rows, zip(*columns.values(), strict=True), strict=True)
    ]
    content = {**_basis(answer), PREDICTIONS_KEY: predictions}
    return json.dumps(content, separators=(",", ":")).encode()


def answer_as_csv(answer: Answer, format: RequestFormat) -> bytes:
    """A table with a header, one line a row in the order of the request."""
    basis = _basis(answer)
    echoed = [name for name in format.echoed if name in answer.rows[0]]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    columns = _columns(answer, format)
    writer.writerow([*echoed, *columns, *basis])
    rest = [str(value).lower() if isinstance(value, bool) else value for value in basis.values()]
    for row, values in zip(answer.rows, zip(*columns.values(), strict=True), strict=True):
        writer.writerow([*(row.get(name, "") for name in echoed), *values, *rest])
    return written.getvalue().encode(errors="replace")  # a lone surrogate in an id


def _columns(answer: Answer, format: RequestFormat) -> dict[str, list[float]]:
    """The prediction, and the predicted quantiles where there are any."""
    quantiles = {name: values.tolist() for name, values in answer.quantiles.items()}
    return {format.prediction: answer.predictions.tolist(), **quantiles}


def _basis(answer: Answer) -> dict[str, Any]:
    return {
        c.MODEL_VERSION: answer.model_version,
        c.STATE_DATE: str(answer.state_date),
        c.STATE_AGE_DAYS: answer.state_age_days,
        c.STALE: answer.stale,
    }


READERS: Final[Mapping[str, Callable[[Body, RequestFormat], Rows]]] = {JSON: rows_from_json, CSV: rows_from_csv}
WRITERS: Final[Mapping[str, Callable[[Answer, RequestFormat], bytes]]] = {JSON: answer_as_json, CSV: answer_as_csv}
