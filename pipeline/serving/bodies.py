"""Bodies of requests and answers: JSON and CSV to rows, and an Answer to either."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.serving.forecaster import Answer
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.serving.asked_games import (
    LONGEST_VALUE,
    MAX_GAMES,
    REQUIRED,
    BadRequestError,
    TooManyGamesError,
    check_columns,
)

JSON: Final = "application/json"
CSV: Final = "text/csv"
PREDICTIONS_KEY: Final = "predictions"
_EXAMPLE: Final = '{"games": [{"date": "2025-03-01", "home_team": "BOS", "away_team": "NYK"}]}'
_ECHOED: Final = (n.GAME_ID, n.DATE, n.HOME_TEAM, n.AWAY_TEAM)

_LONGEST_LINE: Final = 64 * 1024  # characters of a line of CSV: seven values of at most a hundred each need fewer
_LINE: Final = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")
# Signs that part values and rows, for each game of a table: all seven columns have 8, the others may be in names.
_SIGNS_OF_A_GAME: Final = 16
_LONGEST_GAME: Final = 8 * 1024  # characters of a game in JSON
_DECODER: Final = json.JSONDecoder()
_BLANKS: Final = "[ \t\r\n]*+"
_OPENING: Final = re.compile(rf'{_BLANKS}\{{{_BLANKS}"games"{_BLANKS}:{_BLANKS}\[{_BLANKS}')
_COMMA: Final = re.compile(f"{_BLANKS},{_BLANKS}")
_CLOSING: Final = re.compile(rf"{_BLANKS}\]{_BLANKS}\}}{_BLANKS}")

Rows = Sequence[Mapping[str, Any]]
Body = bytes | bytearray


def rows_from_json(body: Body, most: int = MAX_GAMES) -> Rows:
    """The games of `{"games": [...]}`, `most` of them; raises BadRequestError."""
    games: list[dict[str, Any]] = []
    for game in _games(_text(body)):
        if not isinstance(game, dict):
            raise BadRequestError(f"game {len(games) + 1} is not an object; the body should look like {_EXAMPLE}")
        if len(games) == most:
            raise TooManyGamesError(most)
        games.append(game)
    return games


def _games(text: str) -> Iterator[Any]:
    """One after another: Python's reader lets no other request go on while it reads a text, and keeps all of it."""
    opening = _OPENING.match(text)
    place = opening.end() if opening else 0
    more, number = bool(opening) and not _CLOSING.fullmatch(text, place), 0
    while more:
        number += 1
        piece = text[place : place + _LONGEST_GAME]
        try:
            game, length = _DECODER.raw_decode(piece)
        except ValueError as error:  # not JSON, or a number of thousands of digits
            long = f", or it has more than {_LONGEST_GAME:,} characters" if len(piece) == _LONGEST_GAME else ""
            raise BadRequestError(
                f"the body is not JSON (game {number}: {error}{long}); it should look like {_EXAMPLE}"
            ) from None
        except RecursionError:
            raise BadRequestError(f"the body is nested too deeply; it should look like {_EXAMPLE}") from None
        yield game
        comma = _COMMA.match(text, place + length)
        more, place = comma is not None, comma.end() if comma else place + length
    if not opening or not _CLOSING.fullmatch(text, place):
        raise BadRequestError(f"the body is not JSON of games; it should look like {_EXAMPLE}")


def rows_from_csv(body: Body, most: int = MAX_GAMES) -> Rows:
    """The games of a table with a header, `most` of them; raises BadRequestError."""
    # Parsed, a megabyte of commas would take 30 MB.
    if sum(body.count(sign) for sign in (b",", b"\n", b"\r")) > _SIGNS_OF_A_GAME * most:
        raise TooManyGamesError(most)
    text = _text(body)
    try:
        table = [row for row in csv.reader(_lines(text), strict=True) if row]
    except csv.Error as error:
        raise BadRequestError(f"the body is not CSV ({error}): check its quotation marks") from None
    if not table:
        raise BadRequestError(f"the body is empty: its first line should name the columns: {','.join(REQUIRED)}")
    header, *lines = table
    if len(lines) > most:
        raise TooManyGamesError(most)
    names = [name.strip() for name in header]
    if len(set(names)) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise BadRequestError(f'column "{twice[:LONGEST_VALUE]}" stands twice in the header: remove one')
    try:
        check_columns(names)
    except BadRequestError as error:
        raise BadRequestError(f"{error} (the first line of CSV names the columns)") from None
    for number, line in enumerate(lines, 1):
        if len(line) != len(names):
            raise BadRequestError(
                f"game {number} has {len(line)} fields, where the header has {len(names)}: give it as many"
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


def answer_as_json(answer: Answer) -> bytes:
    """One object: what the probabilities rest on, and one prediction a game in the order of the request."""
    predictions = [
        {**{name: row[name] for name in _ECHOED if name in row}, n.HOME_WIN_PROBABILITY: probability}
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
    writer.writerow([*echoed, n.HOME_WIN_PROBABILITY, *basis])
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


READERS: Final[Mapping[str, Callable[[Body, int], Rows]]] = {JSON: rows_from_json, CSV: rows_from_csv}
WRITERS: Final[Mapping[str, Callable[[Answer], bytes]]] = {JSON: answer_as_json, CSV: answer_as_csv}
