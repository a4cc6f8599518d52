"""What editors, copies and disks do to game files and their folder, one kind each; and what of it nothing tells."""

from __future__ import annotations

import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from cell_mutations import CELLS
from damage import any_damage, flipped
from written_games import Cells, Files, Lines, Row, Written, rendered, unpacked, written_lines, written_rows

# Kinds that nothing in the files contradicts: what differs from the original is read as it is written.
LIMITS = {
    "score changed": "a possible score is as good as another; another export of the game would contradict it",
    "score of another game": "the same",
    "scores swapped": "the same: the other team won",
    "teams swapped": "the same: the other team was at home, and one game says nothing of home advantage",
    "home and away exchanged": "points stay where they are, so that home teams win as often as before",
    "another team": "the same as a score, where that team has no game on that day",
    "another day": "the same, where neither team has a game on that day, nor the two of them on the next",
    "another flag": "nothing else says whether a game was a playoff or at a neutral site",
    "cell emptied": "a flag may be left out, and a game without score from the as-of day on is still to come",
    "missing by a word": "the same",
    "column deleted": "without its flag a game is neither a playoff nor at a neutral site",
    "columns swapped": "flags are few, and no other column contradicts them",
    "column shifted": "the same; shifted scores and teams meet other rules",
    "rows deleted": "a row that is not in the files is missed only where another file has it",
    "cut at a character": "a file that ends with a whole row looks whole; what is left of a cut row may be possible",
    "block of text twice": "what is left of two rows may be one that is possible",
    "block of text removed": "the same, and as rows deleted",
    "characters changed": "a digit in place of a digit may be possible",
    "Parquet without checksums flipped": "nothing tells a changed value; the run notes that there are no checksums",
}
# Nothing is wrong with these: none of their rows may be refused.
HARMLESS = [
    "unchanged",
    "rows repeated",
    "rows shuffled",
    "columns moved",
    "numbers spelled otherwise",
    "team spelled otherwise",
    "teams by name",
    "flags in another form",
    "everything quoted",
    "Windows line ends",
    "old Mac line ends",
    "mixed line ends",
    "no line end at the end",
    "byte-order mark",
    "blank lines",
    "rows swapped between files",
    "names swapped",
    "file twice",
    "foreign file beside",
]


@dataclass(frozen=True)
class Mutant:
    """A folder's files, what a person reads from them, and words that a refusal must have (`a|b`: one of them)."""

    files: Files
    written: Written
    must_name: tuple[str, ...]
    must_be_read: bool


# --- the text of a CSV file -------------------------------------------------------------------------------------------
def put(words: str, times: int = 1) -> Callable[[random.Random, str], str]:
    """Puts one of the words between bars somewhere into a text."""

    def mutate(rng: random.Random, text: str) -> str:
        for _ in range(times):
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(words.split("|")) + text[at:]
        return text

    return mutate


def line(form: str) -> Callable[[random.Random, str], str]:
    """One line becomes one of the forms between bars; `{}` is the line without its end."""

    def mutate(rng: random.Random, text: str) -> str:
        lines = text.splitlines(keepends=True)
        at = rng.randrange(1, len(lines))
        lines[at] = rng.choice(form.split("|")).replace("{}", lines[at].rstrip("\n"))
        return "".join(lines)

    return mutate


def replaced(old: str, words: str, *, part: bool = False) -> Callable[[random.Random, str], str]:
    """All of `old` becomes one of the words between spaces; of a `part` from some line on."""

    def mutate(rng: random.Random, text: str) -> str:
        at = text.index("\n", rng.randrange(len(text) - 100)) if part else 0
        return text[:at] + text[at:].replace(old, rng.choice(words.split(" ")))

    return mutate


def at_field(rng: random.Random, text: str) -> str:
    """A quotation mark where a field starts, and perhaps one where a later field ends."""
    commas = [match.start() for match in re.finditer(",", text)]
    for at, after in sorted(zip(rng.sample(commas, rng.choice([1, 2])), (1, 0), strict=False), reverse=True):
        text = text[: at + after] + '"' + text[at + after :]
    return text


def change_characters(rng: random.Random, text: str) -> str:
    letters = list(text)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(letters))
        other = rng.choice("0123456789,;\"' -\t\n\rAéß\x00\x1b\ufeff\u2028\U0001f3c0")
        letters[at] = rng.choice([other, "", letters[at] * 2])
    return "".join(letters)


def block(form: str) -> Callable[[random.Random, str], str]:
    """A part of the text once more, or not at all."""

    def mutate(rng: random.Random, text: str) -> str:
        begin = rng.randrange(len(text))
        end = begin + rng.randrange(1, 3_000)
        return text[: end if form == "twice" else begin] + text[begin if form == "twice" else end :]

    return mutate


PAGES = "<html><body>404</body></html>|{}|version https://git-lfs.github.com/spec/v1|Access denied|PK\x03\x04"
TEXT: dict[str, Callable[[random.Random, str], str | bytes]] = {
    "stray quotation mark": put('"'),
    "two stray quotation marks": put('"', times=2),
    "quotation mark at a field": at_field,
    "curly quotation mark": put("“|’|«"),
    "everything quoted": lambda _, t: '"' + t[:-1].replace(",", '","').replace("\n", '"\n"') + '"\n',
    "lines quoted whole": lambda _, t: '"' + t[:-1].replace("\n", '"\n"') + '"\n',
    "another delimiter": replaced(",", "; \t | :"),
    "another delimiter from a line on": replaced(",", "; \t |", part=True),
    "cut at a character": lambda rng, t: t[: rng.randrange(1, len(t))],
    "block of text twice": block("twice"),
    "block of text removed": block("removed"),
    "characters changed": change_characters,
    "Windows line ends": replaced("\n", "\r\n"),
    "old Mac line ends": replaced("\n", "\r"),
    "mixed line ends": replaced("\n", "\r\n \r", part=True),
    "no line end at the end": lambda _, t: t.rstrip("\n"),
    "doubled line ends": replaced("\n", "\n\n \r\r\n"),
    "strange line end": put("\x0b|\x0c|\x85|\u2028|\x1e"),
    "line broken": put("\n|\r\n"),
    "lines joined": line("{}"),
    "NUL": put("\x00|" + "\x00" * 512),
    "control character": put("\x01|\x1b[2J|\x7f|\u202e|\u200b"),
    "byte-order mark": lambda _, t: t.encode("utf-8-sig"),
    "byte-order mark in the middle": put("\ufeff"),
    "another encoding": lambda rng, t: t.encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037"])),
    "byte of Latin-1": lambda rng, t: put("é")(rng, t).encode("latin-1"),
    "empty": lambda rng, _: rng.choice(["", "\n", "\n\n\r\n", " ", "\ufeff", "\x00" * 100]),
    "header alone": lambda _, t: t.partition("\n")[0] + "\n",
    "no header": lambda _, t: t.partition("\n")[2],
    "title above the header": lambda rng, t: rng.choice(["Games of the season", "# export", "sep=,", ",,,"]) + "\n" + t,
    "blank lines": line("\n\n{}\n\n"),
    "comma at the end": lambda rng, t: rng.choice([replaced("\n", ",\n"), line("{},\n")])(rng, t),
    "comma at the end of the header": lambda _, t: t.replace("\n", ",\n", 1),
    "comma at the start": lambda rng, t: rng.choice([replaced("\n", "\n,"), line(",{}\n")])(rng, t),
    "pasted twice": lambda rng, t: t + t[rng.choice([0, t.index("\n") + 1]) :],
    "merge conflict": line("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> b\n"),
    "another kind of text": lambda rng, _: rng.choice(PAGES.split("|")),
    "a very long line": put("9" * 200_000 + "|" + "," * 200_000),
}


# --- folders ----------------------------------------------------------------------------------------------------------
OLDER, NEWER = "season_2024.csv", "season_2025.csv"


def zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as file:
        file.writestr(NEWER, data)
    return sink.getvalue()


def swap_rows(rng: random.Random, files: Files) -> None:
    a, b = (files[name].splitlines(keepends=True) for name in (OLDER, NEWER))
    at = rng.randrange(1, len(a))
    a[at], b[at] = b[at], a[at]
    files |= {OLDER: b"".join(a), NEWER: b"".join(b)}


def rename_file(rng: random.Random, files: Files) -> None:
    name = rng.choice(list(files))
    forms = [
        "{}.txt",
        "{}.csv.bak",
        ".{}.csv",
        "_{}.csv",
        "{}.tsv",
        "~${}.csv",
        "{}.csv~",
        "{}",
        "{}.CSV",
        "a b/{}.csv",
        "{}\x1b.csv",
    ]
    files[rng.choice(forms).replace("{}", name.removesuffix(".csv"))] = files.pop(name)


def other_content(rng: random.Random, files: Files) -> None:
    data = files.pop(NEWER)
    packed = gzip.compress(data)
    others = [("parquet", data), ("csv.gz", data), ("csv", packed), ("csv", zipped(data)), ("csv.zip", zipped(data))]
    suffix, content = rng.choice([*others, ("csv.gz", gzip.compress(packed))])
    files[f"x.{suffix}"] = content


def add_file(rng: random.Random, files: Files) -> None:
    files[rng.choice(["x.xlsx", "notes.txt", ".DS_Store", "x.csv.part", "Thumbs.db"])] = rng.randbytes(300)


FOLDERS: dict[str, Callable[[random.Random, Files], None]] = {
    "rows swapped between files": swap_rows,
    "names swapped": lambda _, f: f.update({OLDER: f[NEWER], NEWER: f[OLDER]}),
    "file twice": lambda rng, f: f.update({"again.csv": f[rng.choice(list(f))]}),
    "files concatenated": lambda _, f: f.update({OLDER: f[OLDER] + f.pop(NEWER)}),
    "gzip files concatenated": lambda _, f: f.update(
        {"x.csv.gz": gzip.compress(f.pop(OLDER)) + gzip.compress(f.pop(NEWER))}
    ),
    "renamed": rename_file,
    "content of another kind": other_content,
    "foreign file beside": add_file,
    "no file": lambda _, f: f.clear(),
}
PACKED = {"gzip damaged": ".csv.gz", "Parquet damaged": ".parquet", "Parquet without checksums flipped": ".parquet"}
KINDS = ("unchanged", *CELLS, *TEXT, *PACKED, *FOLDERS)


def mutant(kind: str, rng: random.Random, tables: dict[str, Cells], games: frozenset[Row]) -> Mutant:
    """The files of the tables, which hold `games`, with one or their folder tampered with."""
    cells = {name: [list(row) for row in rows] for name, rows in tables.items()}
    files = {f"{name}.csv": rendered(rows, "csv") for name, rows in cells.items()}
    says: dict[str, Lines] = {}
    must_name: tuple[str, ...] = ()
    if kind in FOLDERS:
        FOLDERS[kind](rng, files)
    else:
        table = rng.choice(["season_2024", "season_2025"])
        form = PACKED.get(kind) or rng.choice([".csv", ".csv.gz", *([] if kind in TEXT else [".parquet"])])
        word = CELLS[kind](rng, cells[table]) if kind in CELLS else None
        must_name = (table + form, *([word] if word else []))
        del files[f"{table}.csv"]
        files[table + form], says[table + form] = tampered(kind, rng, cells[table], form)
    says |= {name: written_lines(unpacked(data)) for name, data in files.items() if name not in says}
    known = None if kind == "Parquet without checksums flipped" else says
    return Mutant(files, Written(known, games, kind in LIMITS), must_name, kind in HARMLESS)


def tampered(kind: str, rng: random.Random, cells: Cells, form: str) -> tuple[bytes, Lines]:
    """A file of a table, and what it says, or said before it was damaged."""
    data = rendered(cells, "csv")
    if kind in TEXT:
        text = TEXT[kind](rng, data.decode())
        data = text if isinstance(text, bytes) else text.encode()
    lines = written_rows(cells) if form == ".parquet" else written_lines(data)
    if form == ".parquet":
        data = rendered(cells, form, typed=rng.random() < 0.5, checksums=kind != "Parquet without checksums flipped")
    elif form == ".csv.gz":
        data = gzip.compress(data, 1)
    if kind in PACKED:
        data = flipped(rng, data) if kind == "Parquet without checksums flipped" else any_damage(rng, data)
    return data, lines
