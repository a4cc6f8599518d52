"""Bodies of requests and answers: JSON and CSV to rows, and an Answer to either."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pipeline import contract as c
from pipeline.serving.asked_games import REQUIRED, BadRequestError, check_columns
from pipeline.serving.forecaster import Answer

JSON: Final = "application/json"
CSV: Final = "text/csv"
GAMES_KEY: Final = "games"
PREDICTIONS_KEY: Final = "predictions"
_EXAMPLE: Final = '{"games": [{"date": "2025-03-01", "home_team": "BOS", "away_team": "NYK"}]}'
_ECHOED: Final = (c.GAME_ID, c.DATE, c.HOME_TEAM, c.AWAY_TEAM)

Rows = Sequence[Mapping[str, Any]]


def rows_from_json(body: bytes) -> Rows:
    """The games of `{"games": [...]}`; raises BadRequestError."""
    text = _text(body)
    try:
        content = json.loads(text)
    except ValueError as error:  # not JSON, or a number of thousands of digits
        raise BadRequestError(f"the body is not JSON ({error}); it should look like {_EXAMPLE}") from None
    except RecursionError:
        raise BadRequestError(f"the body is nested too deeply; it should look like {_EXAMPLE}") from None
    if not isinstance(content, dict) or set(content) != {GAMES_KEY} or not isinstance(content[GAMES_KEY], list):
        raise BadRequestError(f"the body should look like {_EXAMPLE}")
    games: list[Any] = content[GAMES_KEY]
    for number, game in enumerate(games, 1):
        if not isinstance(game, dict):
            raise BadRequestError(f"game {number} is not an object; the body should look like {_EXAMPLE}")
    return games


def rows_from_csv(body: bytes) -> Rows:
    """The games of a table with a header; raises BadRequestError."""
    text = _text(body)
    try:
        table = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise BadRequestError(f"the body is not CSV: {error}") from None
    if not table:
        raise BadRequestError(f"the body is empty: its first line should name the columns: {','.join(REQUIRED)}")
    header, *lines = table
    names = [name.strip() for name in header]
    if len(set(names)) != len(names):
        raise BadRequestError(f"a column stands twice in the header: {','.join(names)}")
    try:
        check_columns(names)
    except BadRequestError as error:
        raise BadRequestError(f"{error} (the first line of CSV names the columns)") from None
    for number, line in enumerate(lines, 1):
        if len(line) != len(names):
            raise BadRequestError(f"game {number} has {len(line)} fields, where the header has {len(names)}")
    return [dict(zip(names, line, strict=True)) for line in lines]


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the body is not UTF-8 (byte {error.start})") from None


def answer_as_json(answer: Answer) -> bytes:
    """One object: what the probabilities rest on, and one prediction a game in the order of the request."""
    predictions = [
        {**{name: row[name] for name in _ECHOED if name in row}, c.HOME_WIN_PROBABILITY: probability}
        for row, probability in zip(answer.rows, answer.probabilities.tolist(), strict=True)
    ]
    content = {**_basis(answer), PREDICTIONS_KEY: predictions}
    return json.dumps(content, separators=(",", ":")).encode()


def answer_as_csv(answer: Answer) -> bytes:
    """A table with a header, one line a game in the order of the request."""
    basis = _basis(answer)
    echoed = [name for name in _ECHOED if name in answer.rows[0]]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*echoed, c.HOME_WIN_PROBABILITY, *basis])
    rest = [str(value).lower() if isinstance(value, bool) else value for value in basis.values()]
    for row, probability in zip(answer.rows, answer.probabilities.tolist(), strict=True):
        writer.writerow([*(row.get(name, "") for name in echoed), probability, *rest])
    return written.getvalue().encode(errors="replace")  # a lone surrogate in a game_id


def _basis(answer: Answer) -> dict[str, Any]:
    return {
        c.MODEL_VERSION: answer.model_version,
        c.STATE_DATE: str(answer.state_date),
        c.STATE_AGE_DAYS: answer.state_age_days,
        c.STALE: answer.stale,
    }


READERS: Final[Mapping[str, Callable[[bytes], Rows]]] = {JSON: rows_from_json, CSV: rows_from_csv}
WRITERS: Final[Mapping[str, Callable[[Answer], bytes]]] = {JSON: answer_as_json, CSV: answer_as_csv}
