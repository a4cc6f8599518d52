"""Each line of a CSV file is one of five things, and none is lost between quotation marks."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract.spec import Column
from pipeline.ingest.csv_rows import read_csv, read_lines
from pipeline.ingest.files.csv_lines import (
    BAD,
    BLANK,
    CONTINUED,
    HEADER,
    ROW,
    CsvLines,
    QuotesError,
    first_line,
    sort_lines,
)
from pipeline.ingest.files.limits import MAX_LINE

LETTERS = {BLANK: " ", HEADER: "h", ROW: "r", CONTINUED: "c", BAD: "b"}


def sort(text: str, used: tuple[int, ...] = (0, 1)) -> tuple[str, CsvLines]:
    """The kinds of the lines of a file with three columns, the last of which is not used, as letters."""
    data = text.encode()
    line, header = first_line(data)
    found = sort_lines(data, line, header.count(b",") + 1, used)
    return "".join(LETTERS[kind] for kind in found.kinds.tolist()), found


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a,b,c\n1,2,3\n", "hr"),
        ("\n\na,b,c\n\n1,2,3\n\n4,5,6", "  h r r"),
        ("a,b,c\n1,2\n4,5,6\n1,2,3,4\n", "hbrb"),
        ('a,b,c\n"1","2","3"\n', "hr"),
        ('a,b,c\n1,2,"two\nlines"\n4,5,6\n', "hrcr"),  # a line break in a column that nobody reads
        ('a,b,c\n1,2,"two\n\nlines, ""quoted"""\n', "hrcc"),
        ('a,b,c\n"1\n",2,3\n4,5,6\n', "hbbr"),  # in one that is read
        ('a,b,c\n1,2,"3\n4,5,6\n7,8,9"\n1,2,3\n', "hbbbr"),  # two marks swallow a row; the number of fields is right
        ('a,b,c\n1,"2,3\n4,5,6\n7,8",9\n1,2,3\n', "hbbbr"),
        ('a,b,c\n1,2,3\n1,2,"3\n4,5,6\n', "hrbb"),  # the mark never closes
        ('a,b,c\n1,2,"3', "hb"),
        ('a,b,c\n1,2,"3"', "hr"),
        ("a,b,c\n6'11\",2,3\n4,5,6' 1\"\n", "hrr"),  # inches: a mark within a field is a letter
        ('a,b,c\n1,2,x "y" z\n', "hr"),
        ('a,b,c\n1,"2,3",4\n"5,6",7\n', "hrb"),
        ("a,b,c\n,,\n1,2,3\n  \t\n,,,\n , ,\n", "h r   "),  # rows of empty cells, as spreadsheets write them
        ('a,b,c\n,,\n"1",2,3\n  \n"","",""\n', "h r  "),
    ],
)
def test_kinds_of_lines(text: str, kinds: str) -> None:
    found, lines = sort(text)
    assert found == kinds
    assert len(lines.starts) == kinds.count("r") and lines.bad.n_lines == kinds.count("b")
    assert lines.bad.numbers.tolist() == [n for n, kind in enumerate(kinds, 1) if kind == "b"]


def test_a_swallowed_line_is_named_with_both_ends() -> None:
    _, lines = sort('a,b,c\n1,2,"3\n4,5,6\n7,8,9"\n1,2,3\n')
    assert list(lines.bad.texts) == ['1,2,"3', "4,5,6", '7,8,9"']
    assert set(lines.bad.rules) == {
        "is inside quotation marks that go over several lines: they open in line 2 and close in line 4; "
        "remove the mark that is too many, or write the row on one line"
    }
    assert bytes(lines.rows) == b"1,2,3\n"


def test_a_line_that_is_too_long_is_bad_alone() -> None:
    kinds, lines = sort(f'a,b,c\n1,2,{"x" * MAX_LINE}\n1,2,"3"\n')
    assert kinds == "hbr" and lines.bad.rules[0].startswith("is longer than")
    assert len(lines.bad.texts[0]) == 100


def test_a_quoted_field_without_an_end_is_an_error_with_its_line() -> None:
    with pytest.raises(QuotesError) as caught:
        sort('a,b,c\n1,2,3\n1,2,"3\n' + "4,5,6\n" * 50_000)
    assert caught.value.line == 3


cells = st.one_of(st.text('ab"\n, 0', max_size=6), st.just("x"))
tables = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(rows=tables, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_a_writer_of_csv_wrote_is_read_or_named(rows: list[tuple[str, ...]], quoting: int) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", quoting=quoting).writerows([("a", "b", "c"), *rows])
    kinds, lines = sort(written.getvalue())
    assert len(kinds) == written.getvalue().count("\n")
    good = list(csv.reader(io.StringIO(bytes(lines.rows).decode(), newline="")))
    assert all(tuple(row) in rows for row in good)  # nothing invented
    one_line = [row for row in rows if "".join(row).strip(" ") and not any("\n" in cell for cell in row)]
    assert [tuple(row) for row in good if not any("\n" in cell for cell in row)] == one_line  # nothing lost
    assert not any("\n" in cell for row in good for cell in row[:2])


@settings(max_examples=500, deadline=None)
@given(text=st.text('"",\n\n1a', max_size=80))
def test_any_text_is_accounted_for(text: str) -> None:
    data = ("a,b,c\n" + text).encode()
    kinds, lines = sort(data.decode())
    assert len(kinds) == data.count(b"\n") + (not data.endswith(b"\n"))
    records = [row for row in csv.reader(io.StringIO(bytes(lines.rows).decode(), newline="")) if row]
    assert len(records) == len(lines.starts) == kinds.count("r")
    assert all(len(row) == 3 and "\n" not in row[0] + row[1] for row in records)
    assert np.all(np.diff(lines.starts) > 0)


def test_a_header_among_thousands_of_rows_is_no_row() -> None:
    """Where two files were joined: short names, and ids that could be names."""
    declared = (Column("id", role="id", type="text"), Column("day", role="time", type="day"), Column("unit price"))
    rows = [f"customer {number},2025-01-01,{number}" for number in range(3_000)]
    for header in ("id,day,unit_price", "ID,Day,Unit Price"):
        data = "\n".join(["id,day,unit_price", *rows, header, *rows]).encode()
        (read,) = read_csv([read_lines(data, "a.csv", declared)], declared)
        (found,) = read.files
        assert (found.counts.header, found.counts.rows, found.counts.bad) == (2, 6_000, 0)
