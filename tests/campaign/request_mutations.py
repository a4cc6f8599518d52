"""What clients send to the server that is not a question, or another one than they meant."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from damage import any_damage
from written_games import AS_OF, cleaned, read_day, read_flag, read_season, read_team

from pipeline.serving.serialization import CSV, JSON

COLUMNS = ("game_id", "date", "season", "home_team", "away_team", "neutral_site", "playoff")
Game = dict[str, Any]
Games = list[Game]


@dataclass(frozen=True)
class Question:
    """A request to /invocations."""

    body: bytes
    headers: Mapping[str, str]


def questions(rng: random.Random) -> Games:
    """One to three games to come."""
    teams = [f"SIM{number:02d}" for number in rng.sample(range(1, 31), 6)]
    pairs = list(zip(teams[:3], teams[3:], strict=True))[: rng.randrange(1, 4)]
    return [
        {"date": f"2025-03-{rng.randrange(1, 29):02d}", "home_team": a, "away_team": b, "playoff": rng.random() < 0.2}
        for a, b in pairs
    ]


def as_json(games: Any) -> bytes:
    return json.dumps({"games": games}).encode()


def as_csv(games: Games) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for game in games for name in game)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(games)
    return text.getvalue().encode()


def value(names: tuple[str, ...], *values: Any) -> Callable[[random.Random, Games], None]:
    def mutate(rng: random.Random, games: Games) -> None:
        rng.choice(games)[rng.choice(names)] = rng.choice(values)

    return mutate


def without(rng: random.Random, games: Games) -> None:
    game = rng.choice(games)
    del game[rng.choice(list(game))]


def again(rng: random.Random, games: Games) -> None:
    games.append({**rng.choice(games), **rng.choice([{}, {"playoff": True}, {"season": 2025}, {"game_id": "x"}])})


def exchanged(rng: random.Random, games: Games) -> None:
    game = rng.choice(games)
    game["home_team"], game["away_team"] = game["away_team"], game["home_team"]


def spliced(*words: bytes) -> Callable[[random.Random, bytes], bytes]:
    def mutate(rng: random.Random, body: bytes) -> bytes:
        at = rng.randrange(len(body))
        return body[:at] + rng.choice(words) + body[at:]

    return mutate


def replaced(old: bytes, *words: bytes) -> Callable[[random.Random, bytes], bytes]:
    return lambda rng, body: body.replace(old, rng.choice(words))


def around(*forms: bytes) -> Callable[[random.Random, bytes], bytes]:
    """Another body; `%b` is the one before."""
    return lambda rng, body: rng.choice(forms).replace(b"%b", body)


# fmt: off
# Changed games may still be a question; it is then answered as it is asked.
GAMES: dict[str, Callable[[random.Random, Games], None]] = {
    "no change": lambda rng, games: None,
    "another date": value(
        ("date",), "2025-03-01", "2025-02-28", "1999-01-01", "01/03/2025", "20250305", "2025-3-5", "2025-02-30", "",
        None, 45352, 1e308, "9999-12-31", "2199-12-01"
    ),
    "another team": value(
        ("home_team", "away_team"), "SIM01", "sim01", "Simulated team 1", "BOS", "", None, 7, True, "SIM01\x00", "<b>",
        "é" * 99, "x" * 5_000, " SIM02 "
    ),
    "another flag": value(("neutral_site", "playoff"), True, 1, "yes", "1.0", "", None, "2", "ja", 0.5, -1, "\u2028"),
    "another season": value(("season",), 2025, "2025", 2025.0, 2026, 2024, "2024-25", -1, 10**30, "", None),
    "another type": value(("date", "home_team", "playoff", "season"), [], {}, [["x"]], {"a": {"b": 1}}, [None]),
    "unknown column": value(("home", "points", "Date", "", "x" * 500, "home_team\x1b[31m", "\ud800"), 1),
    "column missing": without,
    "game again": again,
    "home and away exchanged": exchanged,
}
BODIES: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "damaged": any_damage,
    "character inserted": spliced(*(bytes([n]) for n in b'",{]\\\n\x00\xff0'), "\u2028".encode()),
    "another encoding": lambda rng, body: body.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "cp037"])),
    "byte-order mark": around(b"\xef\xbb\xbf%b"),
    "empty": around(b"", b"\n", b" ", b"{}", b"[]", b"null", b"0", b'""', b'{"games": []}', b'{"games": [null]}'),
    "another shape": around(b"[%b]", b"%b%b", b'{"instances": %b}', b'{"Games": []}', b'{"games": {}}', b"%b}", b"{%b"),
    "deep": around(b"[" * 900 + b"%b", b"[" * 100_000 + b"%b", b'{"games":' * 2_000),
    "large": around(
        b"%b" + b" " * 7_000_000, b'{"games": [' + b"{}," * 300_000 + b"{}]}", b'{"games": [' + b"9" * 5_000 + b"]}",
        b"date,home_team,away_team\n" + b",,\n" * 200_000, b"9" * 200_000
    ),
    "not a number": replaced(b"false", b"NaN", b"Infinity", b"1e999", b"-0", b"tru"),
    "another delimiter": replaced(b",", b";", b"\t", b"|"),
    "other line ends": replaced(b"\n", b"\r\n", b"\r", b"\n\n", b"\x0b"),
    "quotation mark in the table": spliced(b'"', b'""', b'","'),
}
HEADERS = {
    "content-type": ("", "text/plain", "application/json; charset=latin-1", "json", "a/b", "text/csv;x=y"),
    "accept": ("", "text/html", "text/csv", "application/json;q=0", "*/*;q=x", "x" * 5_000, "\x7f"),
    "content-encoding": ("gzip", "br", "identity", "x"),
    "content-length": ("0", "5", "-1", "x", "99999999999999999999", "1e3"),
}
# fmt: on
KINDS = (*GAMES, *BODIES, *HEADERS)


def question(kind: str, rng: random.Random) -> Question:
    """A request that was tampered with."""
    games = questions(rng)
    if kind in GAMES:
        GAMES[kind](rng, games)
    table = kind in ("another delimiter", "other line ends", "quotation mark in the table") or rng.random() < 0.4
    try:
        body = as_csv(games) if table else as_json(games)
    except UnicodeEncodeError:  # a lone surrogate can stand in JSON only
        table, body = False, as_json(games)
    if kind in BODIES:
        body = BODIES[kind](rng, body)
    header = {kind: rng.choice(HEADERS[kind])} if kind in HEADERS else {}
    return Question(body, {"content-type": CSV if table else JSON, **header})


# --- what is asked ----------------------------------------------------------------------------------------------------
def asked(made: Question) -> Games | None:
    """The games that a body asks for, in the words of the contract; None where it is no question."""
    kind = made.headers["content-type"].partition(";")[0]
    try:
        text = made.body.decode("utf-8-sig")
        games = json.loads(text)["games"] if kind == JSON else _table(text) if kind == CSV else None
        return [_game(game) for game in games] if games else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _table(text: str) -> Games:
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line]
    header, *rows = [next(csv.reader([line], strict=True)) for line in lines]
    return [dict(zip([name.strip() for name in header], row, strict=True)) for row in rows]


def _game(game: Mapping[str, Any]) -> Game:
    """The game in one spelling; raises ValueError for none."""
    text = {name: cleaned(str(cell)) for name, cell in game.items()}
    day = read_day(text["date"])
    teams = {side: read_team(text[side]) for side in ("home_team", "away_team")}
    flags = {name: read_flag(text.get(name, "")) for name in ("neutral_site", "playoff")}
    season = read_season(text["season"]) if text.get("season") else None
    if set(text) - set(COLUMNS) or not all(teams.values()) or "?" in flags.values() or day < AS_OF:
        raise ValueError(game)
    return {"date": str(day), **teams, **{name: bool(flag) for name, flag in flags.items()}, "season": season}
