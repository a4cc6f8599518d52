"""What a person reads from the lines of a game file, and whether the pipeline has read the same or said why not.

This reader shares no code with the pipeline's. It takes each line by itself, so that what a stray quotation mark does
to the lines after it shows as a difference.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from outcomes import Outcome, SilentlyWrongError, UnclearError

from pipeline.ingest.row_counts import took_no_part
from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.sample import COLUMNS, SAMPLE_AS_OF
from pipeline.workloads.nba.sample import write as write_sample

AS_OF = SAMPLE_AS_OF
MISSING = ("", "na", "n/a", "#n/a", "nan", "nat", "<na>", "null", "none", "\\n", "(null)")
NAMES = {
    **{name.replace("_", ""): name for name in (*COLUMNS, "game_id")},
    "isplayoff": "playoff",
    "playoffs": "playoff",
}
Cells = list[list[str]]  # a header and rows
Files = dict[str, bytes]
Lines = dict[int, "Row | int"]  # by number: the game that a line says, or how many games an unreadable line may hold


class Row(NamedTuple):
    """A game as a line says it; None: not given."""

    date: str
    season: int
    home_team: str
    away_team: str
    home_points: int | None
    away_points: int | None
    neutral_site: bool | None
    playoff: bool | None
    game_id: str | None = None

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What does not differ between a game and its plan."""
        return self[:4]

    def without_id(self) -> Row:
        """The game itself."""
        return self._replace(game_id=None)

    def without_flags(self) -> Row:
        """The game, wherever and whenever in the season."""
        return self._replace(game_id=None, neutral_site=None, playoff=None)

    def agrees(self, game: Row) -> bool:
        """Whether `game`, as it was loaded, is this one: what the row does not give may be anything."""
        if game.home_points is None and game.date >= str(AS_OF):  # still to be played that morning
            game = game._replace(home_points=self.home_points, away_points=self.away_points)
        return all(mine is None or mine == its for mine, its in zip(self[4:], game[4:], strict=True))


@lru_cache(maxsize=10_000)
def read_row(header: tuple[str, ...], cells: tuple[str, ...]) -> Row | None:
    """By the data contract in README.md; None where it is no game."""
    value = dict(zip(header, map(cleaned, cells), strict=True))
    flags = {name: read_flag(value.get(name, "")) for name in ("neutral_site", "playoff")}
    try:
        day, season = str(read_day(value.get("date", ""))), read_season(value.get("season", ""))
        points = [read_number(value[side]) if value.get(side) else None for side in ("home_points", "away_points")]
    except ValueError:
        return None
    teams = [read_team(value.get(side, "")) for side in ("home_team", "away_team")]
    if not all(teams) or "?" in flags.values() or not season:
        return None
    if points == [0, 0]:  # still to be played
        points = [None, None]
    return Row(day, season, *teams, *points, *flags.values(), value.get("game_id") or None)  # type: ignore[arg-type]


def cleaned(text: str) -> str:
    """Without invisible characters and blanks around it; nothing for a word that means none."""
    if not text.isascii():
        text = "".join(mark for mark in unicodedata.normalize("NFKC", text) if unicodedata.category(mark) != "Cf")
    text = text.strip()
    return "" if text.lower() in MISSING or not text.strip("-–—−‐‑‒") else text


def read_day(text: str) -> date:
    """From year, month and day in this order, perhaps at midnight; raises ValueError."""
    match = re.fullmatch(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})(?:[T ]0?0:00(?::00(?:\.0+)?)?)?", text)
    if not match:
        raise ValueError(text)
    return date(int(match[1]), int(match[3]), int(match[4]))


def read_number(text: str) -> int:
    """From digits; raises ValueError, also where Python's own reader sees a number (1_00)."""
    match = re.fullmatch(r"([0-9]{1,9})(?:\.0*)?", text)
    if not match:
        raise ValueError(text)
    return int(match[1])


def read_season(text: str) -> int:
    """From the year in which it ends, or both years; raises ValueError."""
    both = re.fullmatch(r"([0-9]{4})[-/](?:[0-9]{2})?([0-9]{2})", text)
    if both and (int(both[1]) + 1) % 100 == int(both[2]):
        return int(both[1]) + 1
    return read_number(text)


def read_flag(text: str) -> bool | str | None:
    """`?` where it is none."""
    word = text.lower()
    if re.fullmatch(r"[01](\.0*)?", word):
        return word[0] == "1"
    return (
        None if not word else True if word in ("true", "t", "yes") else False if word in ("false", "f", "no") else "?"
    )


def read_team(text: str) -> str:
    """Its code, from a code or a name, whatever its case and the marks and blanks around its words."""
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).upper()).strip()
    match = re.fullmatch(r"SIM(\d\d)|SIMULATED TEAM (\d\d?)", words)
    number = int(match[1] or match[2]) if match else 0
    return f"SIM{number:02d}" if 1 <= number <= 30 else ""


def read_header(names: Iterable[str]) -> tuple[str, ...]:
    """The columns' names in the contract's words."""
    return tuple(NAMES.get(re.sub(r"[\W_]", "", name.lower()), name) for name in names)


def written_lines(data: bytes) -> Lines:
    """What each line after the header says, by its number; blank lines left out."""
    try:
        lines = re.split(r"\r\n|\n|\r", data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return {}
    header: tuple[str, ...] = ()
    found: Lines = {}
    for number, line in enumerate(lines, 1):
        try:
            fields = next(csv.reader([line], strict=True), [])
        except csv.Error:
            fields = line.split(",")
        if not any(field.strip() for field in fields) or read_header(fields) == header:  # files were joined
            continue
        if not header:
            header = read_header(fields)
        else:
            row = read_row(header, tuple(fields)) if len(fields) == len(header) else None
            found[number] = row or max(1, round(len(fields) / len(header)))
    return found


def written_rows(cells: Cells) -> Lines:
    """The same of a Parquet file's rows."""
    header = read_header(cells[0])
    return {number: read_row(header, tuple(row)) or 1 for number, row in enumerate(cells[1:], 1)}


# --- the original -----------------------------------------------------------------------------------------------------
@lru_cache(maxsize=1)
def original(folder: Path) -> dict[str, Cells]:
    """Two seasons' ends of the simulated league, with ids; the newest games are in two files, once without scores."""
    seasons = sorted(write_sample(folder / "sample").glob("simulated_*.csv"))[-2:]
    tables = {path.stem: list(csv.reader(io.StringIO(path.read_text()))) for path in seasons}
    kept = {name: [["game_id", *cells[0]], *([f"{row[1]}-{i}", *row] for i, row in enumerate(cells[-350:], 1))]
            for name, cells in tables.items()}  # fmt: skip
    older, newer = kept.values()
    plans = [[*row[:5], "", "", *row[7:]] if i % 2 else list(row) for i, row in enumerate(newer[-40:-20])]
    return {"season_2024": older, "season_2025": newer, "export": [newer[0], *plans]}


def rendered(cells: Cells, form: str, *, typed: bool = False, checksums: bool = True) -> bytes:
    """A file of the form csv or parquet; `typed`: days, numbers and flags are no text."""
    if form == "csv":
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(cells)
        return text.getvalue().encode("utf-8", "surrogateescape")
    columns: list[Sequence[object]] = [list(column) for column in zip(*cells[1:], strict=True)] or [
        [] for _ in cells[0]
    ]
    if typed:
        columns = [_typed(name, column) for name, column in zip(cells[0], columns, strict=True)]
    sink = pa.BufferOutputStream()
    table = pa.Table.from_arrays([pa.array(c) if c else pa.array([], pa.string()) for c in columns], names=cells[0])
    pq.write_table(table, sink, write_page_checksum=checksums, row_group_size=200)
    return bytes(sink.getvalue())


def _typed(name: str, column: Sequence[object]) -> Sequence[object]:
    make: dict[str, Any] = {"date": read_day, **dict.fromkeys(("season", "home_points", "away_points"), read_number)}
    make |= dict.fromkeys(("neutral_site", "playoff"), {"true": True, "false": False}.__getitem__)
    try:
        return [make[name](str(value)) if value else None for value in column]
    except (KeyError, ValueError):  # a column of text, or one with text in it
        return column


# --- what was read ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Written:
    """Files as a person reads them: what each line says, by file; None where only the original is known."""

    says: Mapping[str, Lines] | None
    original: frozenset[Row]
    limit: bool  # what differs from the original may be read as it is written

    def judge(self, loaded: ValidatedRows) -> Outcome:
        """What became of the lines; raises SilentlyWrongError and UnclearError."""
        games = loaded_rows(loaded)
        table = loaded.quarantine
        named = set(zip(table["file"].tolist(), table["line"].tolist(), strict=True))
        line = took_no_part(loaded.files, loaded.left_out)
        if odd := [
            text for text in chain(table["value"], table["rule"], loaded.notes, [line]) if not text.isprintable()
        ]:
            raise UnclearError(f"control characters in {odd[0]!r}")
        n_rows = len(games) + loaded.n_duplicates_collapsed + loaded.n_superseded + loaded.n_bad_rows
        if n_rows != loaded.n_rows_read:
            raise SilentlyWrongError(f"{loaded.n_rows_read} rows were read, and {n_rows} are accounted for")
        if self.says is not None:
            named |= self._left_out(loaded)
            self._compare_lines(games, named)
        return self._compare_original(games, named, loaded)

    def _left_out(self, loaded: ValidatedRows) -> set[tuple[str, int]]:
        names = {item.name for item in loaded.left_out}
        if lost := set(self.says or ()) - names - {file.name for file in loaded.files}:
            raise SilentlyWrongError(f"{lost} were neither read nor named")
        return {(name, line) for name in names for line in (self.says or {}).get(name, ())}

    def _compare_lines(self, games: Iterable[Row], named: set[tuple[str, int]]) -> None:
        """Each line is a game or named, and each game is of a line."""
        found, said = defaultdict(list), defaultdict(list)
        for game in games:
            found[game.key].append(game)
        for file, lines in (self.says or {}).items():
            for line, row in lines.items():
                if isinstance(row, Row):
                    said[row.key].append(row)
                if (file, line) in named or (isinstance(row, Row) and any(map(row.agrees, found[row.key]))):
                    continue
                raise SilentlyWrongError(
                    f"{file}, line {line} is lost: {row}, {isinstance(row, Row) and found[row.key]}"
                )
        for game in games:
            if not any(row.agrees(game) for row in said[game.key]):
                raise SilentlyWrongError(f"no line says {game}, but {said[game.key]}")

    def _compare_original(self, games: Iterable[Row], named: set[tuple[str, int]], loaded: ValidatedRows) -> Outcome:
        now = {game.without_id() for game in games}
        of_named = [(self.says or {}).get(file, {}).get(line, 0) for file, line in named]
        whole = {row.without_id() for row in of_named if isinstance(row, Row)} & self.original
        others = sum(row if isinstance(row, int) else row.without_id() not in self.original for row in of_named)
        lost, new = self.original - now - whole, now - self.original
        if not lost and not new:
            return Outcome.QUARANTINED if named or loaded.left_out else Outcome.RIGHT
        unused = {column for file in loaded.files for column in file.unused_columns}
        if unused and {row.without_flags() for row in new} == {row.without_flags() for row in lost}:
            return Outcome.QUARANTINED  # a flag's column takes no part, and is named
        if not new and (loaded.left_out or len(lost) <= others):
            return Outcome.QUARANTINED
        if self.limit:
            return Outcome.LIMIT
        if any(note.startswith(file) for note in loaded.notes for file in self.says or ()):
            return Outcome.QUARANTINED
        raise SilentlyWrongError(
            f"{len(lost)} games changed or are lost without a word: {sorted(lost)[:1]} {sorted(new)[:1]}"
        )


def loaded_rows(loaded: ValidatedRows) -> list[Row]:
    """The games that were loaded."""
    table = loaded.rows.assign(date=loaded.rows["date"].dt.strftime("%Y-%m-%d"))
    columns = [table[name].astype(object).where(table[name].notna(), None) for name in Row._fields]
    return [Row(*values) for values in zip(*columns, strict=True)]


def original_rows(tables: Iterable[Cells]) -> frozenset[Row]:
    """The games of the original: of a game and its plan, the game."""
    rows = [row for cells in tables for row in written_rows(cells).values() if isinstance(row, Row)]
    by_key = {row.key: row for row in sorted(rows, key=lambda row: row.home_points is not None)}
    return frozenset(row.without_id() for row in by_key.values())


def load(folder: Path) -> ValidatedRows:
    """As Prepare does, with its limits."""
    return load_games(
        folder, as_of=AS_OF, today=AS_OF, max_bad_row_share=0.01, max_bad_row_share_of_file=0.2, min_rows=100
    )


def unpacked(data: bytes) -> bytes:
    """The content of a gzip file, or what it is."""
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
