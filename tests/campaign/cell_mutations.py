"""What exports and spreadsheets do to the cells, rows and columns of a table of games, one kind each.

A mutation changes the table in place; what it returns, a refusal must name.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

from written_games import Cells

Change = Callable[[random.Random, str], str]
Mutation = Callable[[random.Random, Cells], str | None]
POINTS, TEAMS, FLAGS = ("home_points", "away_points"), ("home_team", "away_team"), ("neutral_site", "playoff")
ALL = ("date", "season", *TEAMS, *POINTS)


def words(text: str) -> Change:
    """One of the words between bars; `{v}` is the value before, `{y}` its year, `{m}` its month, `{d}` its day."""

    def change(rng: random.Random, value: str) -> str:
        return rng.choice(text.split("|")).format(v=value, y=value[:4], m=value[5:7], d=value[8:])

    return change


def some_row(rng: random.Random, cells: Cells) -> tuple[list[str], str]:
    """A row, and its place in words, whatever the form of the file."""
    number = rng.randrange(1, len(cells))
    return cells[number], f"line {number + 1}|row {number}"


def cell(names: tuple[str, ...], change: Change) -> Mutation:
    """Changes one cell of one of the columns."""

    def mutate(rng: random.Random, cells: Cells) -> str:
        (row, place), at = some_row(rng, cells), cells[0].index(rng.choice(names))
        row[at] = change(rng, row[at])
        return place

    return mutate


def column(names: tuple[str, ...], change: Change) -> Mutation:
    """Changes all cells of one of the columns, in the same way."""

    def mutate(rng: random.Random, cells: Cells) -> str:
        at, seed = cells[0].index(name := rng.choice(names)), rng.random()
        for row in cells[1:]:
            row[at] = change(random.Random(seed), row[at])  # noqa: S311
        return name

    return mutate


def rename(rng: random.Random, cells: Cells) -> str:
    at = rng.randrange(len(cells[0]))
    name = cells[0][at]
    forms = words("{v}s|is_{v}|{v}\u200b|x||{v}_2| {v} |\x1b{v}")(rng, name)
    cells[0][at] = rng.choice([name.upper(), name.title().replace("_", " "), name[:-1], name.replace("o", "0"), forms])
    return name


def reorder(change: Callable[[random.Random, int], list[int]], *, rows_too: bool = True) -> Mutation:
    """Columns by their new order; without `rows_too` the header alone."""

    def mutate(rng: random.Random, cells: Cells) -> str:
        order = change(rng, len(cells[0]))
        gone = [name for at, name in enumerate(cells[0]) if at not in order]
        cells[: len(cells) if rows_too else 1] = [[row[at] for at in order] for row in cells[: None if rows_too else 1]]
        return "".join(gone)

    return mutate


def swapped(rng: random.Random, n: int) -> list[int]:
    a, b = sorted(rng.sample(range(n), 2))
    return [*range(a), b, *range(a + 1, b), a, *range(b + 1, n)]


def shift(rng: random.Random, cells: Cells) -> None:
    at = rng.randrange(len(cells[0]))
    for row, value in zip(cells[1:], ["", *[row[at] for row in cells[1:]]], strict=False):
        row[at] = value


def add_column(rng: random.Random, cells: Cells) -> None:
    name = rng.choice(["", "attendance", "Unnamed: 0", "home_pts", "play-off?", "date_utc", "=cmd"])
    cells[:] = [[str(number) if number else name, *row] for number, row in enumerate(cells)]


def insert(rng: random.Random, cells: Cells, header: bool) -> None:
    at = rng.randrange(2, len(cells))
    cells[at:at] = [list(row) for row in (cells[:1] if header else cells[at : at + rng.randrange(1, 60)])]


def delete_rows(rng: random.Random, cells: Cells) -> None:
    at = rng.randrange(1, len(cells) - 1)
    del cells[at : at + rng.randrange(1, 60)]


def shuffle(rng: random.Random, cells: Cells) -> None:
    cells[1:] = rng.sample(cells[1:], len(cells) - 1)


def copy_cell(rng: random.Random, cells: Cells) -> str:
    (row, place), at = some_row(rng, cells), cells[0].index(rng.choice(POINTS))
    row[at] = some_row(rng, cells)[0][at]
    return place


def swap(*pairs: tuple[str, str], of: str = "one") -> Mutation:
    """Exchanges the cells of columns: of one row, all rows, or those that the away team won."""

    def mutate(rng: random.Random, cells: Cells) -> str:
        row, place = some_row(rng, cells)
        home, away = (cells[0].index(name) for name in POINTS)
        for each in [row] if of == "one" else cells[1:]:
            if of != "lost at home" or (each[home] and int(each[home]) < int(each[away])):
                for a, b in (map(cells[0].index, pair) for pair in pairs):
                    each[a], each[b] = each[b], each[a]
        return place if of == "one" else ""

    return mutate


def row_again(change: Callable[[random.Random, dict[str, str]], dict[str, str]]) -> Mutation:
    """Adds a row at the end that is made of another."""

    def mutate(rng: random.Random, cells: Cells) -> None:
        row = dict(zip(cells[0], some_row(rng, cells)[0], strict=True))
        cells.append(list({**row, **change(rng, row)}.values()))

    return mutate


def contradiction(rng: random.Random, row: dict[str, str]) -> dict[str, str]:
    return rng.choice([{"home_points": "101"}, {"away_points": "102"}, {"home_team": "SIM30"}, {"away_team": "SIM29"}])


def next_day(rng: random.Random, row: dict[str, str]) -> dict[str, str]:
    return {"game_id": "", "date": str(date.fromisoformat(row["date"]) + timedelta(days=1))}


def foot(rng: random.Random, row: dict[str, str]) -> dict[str, str]:
    return {
        **dict.fromkeys(row, ""),
        rng.choice(list(row)): rng.choice(["Total", "Source: example.org", "350 rows", "…"]),
    }


def half_time(rng: random.Random, cells: Cells) -> None:
    for name in POINTS:
        column((name,), lambda _, value: value and str(int(value) // 2))(rng, cells)


OTHER_DATE = words(
    "{d}/{m}/{y}|{m}/{d}/{y}|{d}.{m}.{y}|{y}{m}{d}|{y}/{m}/{d}|{y}-{d}-{m}|{m}/{d}|{v}T19:30:00Z|{v} 19:30|45352|{v}x"
)
OTHER_NUMBER = words("{v},0|1,{v}|1.{v}|{v}.5|'{v}|{v} pts|-{v}|1e2|#REF!|={v}+0|0x63|0x64|1_00")
FLAG_FORMS = {"true": "T|1|YES|1.0", "false": "F|0|NO|0.0"}
CELLS: dict[str, Mutation] = {
    "date in another order": cell(("date",), OTHER_DATE),
    "dates in another order": column(("date",), OTHER_DATE),
    "number in another form": cell((*POINTS, "season"), OTHER_NUMBER),
    "numbers in another form": column((*POINTS, "season"), OTHER_NUMBER),
    "score changed": cell(POINTS, lambda rng, v: str(int(v or 90) + rng.choice([-9, -1, 1, 10]))),
    "score out of range": cell(POINTS, words(f"0|-1|1|250|999|10000|{'9' * 400}")),
    "score of another game": copy_cell,
    "scores swapped": swap(POINTS),
    "teams swapped": swap(TEAMS),
    "half-time scores": half_time,
    "home and away exchanged": swap(TEAMS, of="all"),
    "points exchanged": swap(POINTS, of="all"),
    "winners first": swap(TEAMS, POINTS, of="lost at home"),
    "another team": cell(TEAMS, lambda rng, _: f"SIM{rng.randrange(1, 31):02d}"),
    "unknown team": cell(TEAMS, words("SIM31|XXX|?|S\u0406M01|SIM01\x1b[31m|SIM01\nSIM02|" + "é" * 5_000)),
    "another day": cell(("date",), lambda rng, v: f"{v[:8]}{rng.randrange(1, 29):02d}"),
    "impossible day": cell(("date",), words("2025-02-30|0000-00-00|1899-12-30|1970-01-01|2099-01-01|today|2025-00-10")),
    "another season": cell(("season",), words("2023|2026|24|2023-24|2023/24|0|99999|MMXXIV")),
    "seasons by their first year": column(("season",), lambda _, v: str(int(v) - 1)),
    "another flag": cell(FLAGS, words("true|false|1|0|yes|no")),
    "no flag": cell(FLAGS, words("ja|2|x|+|truee|wahr|☑|1.5")),
    "flags in another form": column(FLAGS, lambda rng, v: words(FLAG_FORMS[v])(rng, v)),
    "cell emptied": cell((*ALL, *FLAGS), words("| |\t")),
    "missing by a word": cell((*ALL, *FLAGS), words("NA|NULL|NaN|None|\\N|#N/A|-|?|TBD|n.a.")),
    "column emptied": column(ALL, words("")),
    "column deleted": reorder(lambda rng, n: sorted(rng.sample(range(n), n - 1))),
    "column renamed": rename,
    "column added": add_column,
    "columns swapped": reorder(swapped, rows_too=False),
    "columns moved": reorder(lambda rng, n: rng.sample(range(n), n)),
    "column shifted": shift,
    "header repeated": partial(insert, header=True),
    "rows repeated": partial(insert, header=False),
    "rows deleted": delete_rows,
    "rows shuffled": shuffle,
    "row contradicted": row_again(contradiction),
    "game on the next day too": row_again(next_day),
    "foot added": row_again(foot),
    "numbers spelled otherwise": column(POINTS, lambda rng, v: words(" {v}|{v} |{v}.0|{v}." if v else "NA|| ")(rng, v)),
    "team spelled otherwise": cell(
        TEAMS, lambda rng, v: words(f"{v.lower()}| {v}|{v}\u00a0|={v}|simulated team {v[3:]}")(rng, v)
    ),
    "teams by name": column(TEAMS, lambda _, v: f"Simulated team {int(v[3:])}"),
}
