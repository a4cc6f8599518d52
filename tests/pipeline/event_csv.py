"""CSV event files of every kind of lines: ones to read, each with what its lines are, and ones to refuse, with why."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

from play_by_play import a_game

from pipeline.workloads.nba import columns as nba

HEADER = ",".join(["extra", *nba.EVENT_COLUMNS])


def _line(place: int, **changes: str) -> str:
    event = a_game()[place]
    values = {"extra": "x", **{name: "" if value is None else str(value) for name, value in event.items()}, **changes}
    return ",".join(
        f'"{value}"' if "," in value and '"' not in value else value
        for value in map(values.__getitem__, HEADER.split(","))
    )


N_ROWS = len(a_game())
LINES = [HEADER, *(_line(place) for place in range(N_ROWS))]
_OPEN, _QUOTED = '"D. Murray', '"D. ""Dejounte"" Murray, pullup"'


def _with(changes: dict[int, dict[str, str]], end: str = "\n") -> bytes:
    """The file with changed values in lines by their number from 1."""
    return "".join(f"{_line(n - 2, **changes[n]) if n in changes else LINES[n - 1]}{end}" for n in numbers()).encode()


def _instead(number: int, *lines: str) -> bytes:
    return "".join(f"{line}\n" for n in numbers() for line in (lines if n == number else [LINES[n - 1]])).encode()


def numbers() -> range:
    """The numbers of the lines."""
    return range(1, N_ROWS + 2)


PLAIN = _with({})
_LAST = N_ROWS + 1
# Content, and how many lines, blank lines and lines that continue a row it has.
READ: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "plain.csv": (PLAIN, (_LAST, 0, 0)),
    "packed.csv.gz": (gzip.compress(PLAIN), (_LAST, 0, 0)),
    "no_final_line_end.csv": (PLAIN[:-1], (_LAST, 0, 0)),
    "crlf.csv": (_with({}, "\r\n"), (_LAST, 0, 0)),
    "cr.csv": (_with({}, "\r"), (_LAST, 0, 0)),
    "bom.csv": (b"\xef\xbb\xbf" + PLAIN, (_LAST, 0, 0)),
    "blank_first.csv": (b"\n\n" + PLAIN, (_LAST + 2, 2, 0)),
    "bom_and_blank.csv": (b"\xef\xbb\xbf\n" + PLAIN, (_LAST + 1, 1, 0)),
    "blank_between.csv": (_instead(5, "", LINES[4], "", ""), (_LAST + 3, 3, 0)),
    "blank_last.csv": (PLAIN + b"\n\n", (_LAST + 2, 2, 0)),
    "header_only.csv": (f"{HEADER}\n".encode(), (1, 0, 0)),
    "header_without_end.csv": (HEADER.encode(), (1, 0, 0)),
    "header_over_lines.csv": (PLAIN.replace(b"extra", b'"ex\ntra"', 1), (_LAST + 1, 0, 1)),
    "quoted.csv": (_with({5: {"description": _QUOTED}}), (_LAST, 0, 0)),
    "a_lone_mark.csv": (_with({5: {"description": "6'2\" guard"}, _LAST: {"extra": '5"'}}), (_LAST, 0, 0)),
    "break_nobody_reads.csv": (_with({5: {"extra": '"two\n\nbreaks"'}}), (_LAST + 2, 0, 2)),
    "break_of_another_kind.csv": (_with({5: {"extra": '"one\nbreak"'}}, "\r\n"), (_LAST + 1, 0, 1)),
}
# Content, and the beginning of what is said after the file's name.
REFUSED: dict[str, tuple[bytes, str]] = {
    "swallowed": (
        _with({5: {"description": _OPEN}, 8: {"description": 'Murray"'}}),
        ": lines 5 to 8 are one row, because quotation marks open in line 5 and close in line 8; remove the mark",
    ),
    "swallowed_last_column": (
        _with({5: {"qualifier": '"[]'}, 8: {"qualifier": '[]"'}}),
        ": lines 5 to 8 are one row, because quotation marks open in line 5 and close in line 8; remove the mark",
    ),
    "swallowed_where_nobody_reads": (
        _with({5: {"extra": '"x'}, 8: {"extra": 'x"'}}),
        ": lines 5 to 8 are one row, because quotation marks open in line 5 and close in line 8; remove the mark",
    ),
    "swallowed_as_many_as_blank_lines": (
        _with({5: {"qualifier": '"[]'}, 8: {"qualifier": '[]"'}}) + b"\n\n\n",
        ": lines 5 to 8 are one row",
    ),
    "break_in_a_column_we_read": (_with({5: {"description": '"two\nlines"'}}), ": lines 5 to 6 are one row"),
    "two_marks_that_open": (
        _with({5: {"extra": '"x'}, 8: {"extra": '"x'}}),
        ": a quotation mark opens in line 5 and meets another within line 8; remove the mark that is too many",
    ),
    "one_mark": (
        _with({20: {"qualifier": '"[]'}}),
        f": a quotation mark opens in line 20 and does not close up to line {_LAST}; remove the mark",
    ),
    "one_mark_in_the_last_line": (
        _with({_LAST: {"qualifier": '"[]'}}),
        f": a quotation mark opens in line {_LAST} and does not close up to line {_LAST}; remove the mark",
    ),
    "marks_within_marks": (
        _with({5: {"description": '"D. "Dejounte" Murray"'}}),
        ": line 5 has a quotation mark within quoted text; write it twice, or remove it",
    ),
    "cut": (
        PLAIN[:-30],
        f": line {_LAST} has 7 fields, where the header has 11; the file ends there, as if cut: export it again",
    ),
    "too_few_fields": (_instead(5, "a,b"), ": line 5 has 2 fields, where the header has 11; correct it, or export"),
    "too_many_fields": (_instead(5, f"{LINES[4]},z"), ": line 5 has 12 fields, where the header has 11; correct it"),
    "a_comment": (_instead(5, "# half-time"), ": line 5 has 1 field, where the header has 11; correct it"),
    "spaces": (_instead(5, "  ", LINES[4]), ": line 5 has 1 field, where the header has 11; correct it"),
    "mixed_line_ends": (
        _with({5: {"qualifier": "[]\r"}}),
        ": line 5 ends with CR LF, and lines before it with LF; save",
    ),
    "a_break_of_another_kind": (_with({5: {"extra": "x\ry"}}), ": line 5 ends with CR, and lines before it with LF"),
    "doubled_line_ends": (_with({}, "\r\r\n"), ": line 2 ends with CR LF, and lines before it with CR; save"),
    "nul": (_with({5: {"extra": "\0"}}), ": line 5 holds NUL, which no text does; export it again"),
    "not_utf_8": (PLAIN.replace(b"TEAM", b"T\xc9AM", 1), ": line 11 is not UTF-8; save the file as UTF-8"),
    "a_long_line": (
        _with({5: {"extra": "x" * 200_000}, 6: {"extra": "\0"}}),
        ": line 5 is longer than 131,072 characters",
    ),
    "nothing_but_blank_lines": (b"\n\n\n", ': column "game_id" is missing'),
}


def write_contents(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
