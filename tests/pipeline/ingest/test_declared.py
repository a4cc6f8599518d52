"""Files of declared columns: what is a row, which rows are one, and which times, numbers and ids cannot be."""

from __future__ import annotations

import csv
import gzip
import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.contract.spec import Column, Spec
from pipeline.ingest import quarantine, row_counts
from pipeline.ingest.declared import load
from pipeline.ingest.files import csv_lines
from pipeline.ingest.quarantine import BadData, RowRule
from pipeline.ingest.validated import LoadRequest, ValidatedRows

HEADER = "id,day,kind,amount,paid"
Read = Callable[..., ValidatedRows]


def spec(*, with_id: bool = True, time: str = "day") -> Spec:
    return Spec(
        name="bills",
        title="Bills",
        row="bill",
        rows="bills",
        task="binary",
        event="a payment",
        prediction="payment_probability",
        columns=(
            *([Column("id", role="id", type="text")] * with_id),
            Column("day", role="time", type="moment" if time == "moment" else "day"),
            Column("paid", role="target", type="flag"),
            Column("kind", type="category", values=("new", "old")),
            Column("amount", low=0),
            Column("seller", role="other", type="text", required=False, missing=True),
        ),
        baseline="mean",
        baseline_meaning="the mean",
        time_zone="America/New_York",
        data_prefix="bills",
        unit="row",
    )


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(files: Mapping[str, str | bytes | pa.Table], of: Spec | None = None, share: float = 1.0) -> ValidatedRows:
        for name, content in files.items():
            if isinstance(content, pa.Table):
                pq.write_table(content, tmp_path / name)
            else:
                (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        as_of = date(2025, 6, 1)
        return load(of or spec(), LoadRequest(tmp_path, as_of, as_of, share, share, time_zone="America/New_York"))

    return of


def lines(n: int = 200, first: int = 0) -> list[str]:
    """Rows of some weeks; ids have leading zeros."""
    days = np.datetime64("2025-01-01") + np.arange(first, first + n) // 4
    return [f"{first + k:06d},{day},new,{k}.5,{k % 2}" for k, day in enumerate(days)]


def rules(found: ValidatedRows) -> set[tuple[str, str, str]]:
    return set(zip(found.quarantine["column"], found.quarantine["value"], found.quarantine["rule"], strict=True))


def test_the_lines_of_each_file_add_up(read: Read) -> None:
    rows = lines()
    texts = {
        "a.csv": "\n".join(
            [f"{HEADER},note", *(f"{row},x" for row in rows[:50]), f'{rows[50]},"two\nlines"', "", ",,,"]
        ),
        "b.csv": "\r\n".join(
            [HEADER, *rows[40:80], "", rows[40], HEADER, rows[81], "000082,2025-01-21,odd,1,0", "cut,2"]
        ),
        "c.csv": "\n".join([HEADER, rows[100], '"000101,2025-01-26,new,1,0', '000102,2025-01-26,new",1,0', rows[103]]),
    }
    packed = gzip.compress("\n".join([HEADER, *rows[90:110]]).encode())
    cells = [row.split(",") for row in rows[105:120]] + [["x", "2025-02-30", "new", "1", "0"]]
    table = pa.table(dict(zip(HEADER.split(","), map(list, zip(*cells, strict=True)), strict=True)))
    found = read({**texts, "d.csv.gz": packed, "e.parquet": table})
    summaries = {file.name: file for file in found.files}
    for file in summaries.values():
        counts = file.lines
        assert counts.lines == counts.header + counts.rows + counts.continued + counts.bad + counts.blank
        assert file.rows == file.kept + file.replaced + file.bad_rows
    assert {name: summaries[name].lines.lines for name in texts} == {
        name: len(text.splitlines()) for name, text in texts.items()
    }
    of = {name: (file.kept, file.replaced, file.bad_rows, file.lines.blank) for name, file in summaries.items()}
    assert of == {
        "a.csv": (51, 0, 0, 2),
        "b.csv": (30, 12, 2, 1),
        "c.csv": (2, 0, 2, 0),
        "d.csv.gz": (18, 2, 0, 0),
        "e.parquet": (10, 5, 1, 0),
    }
    assert sum(file.rows for file in found.files) == found.n_rows_read
    assert len(found.rows) == sum(file.kept for file in found.files) == len(set(found.rows[ROW_ID]))


@pytest.mark.parametrize("other", ["41", "41.0", "0041", "'000041", '"=""000041"""', '"000,041"'])
def test_an_id_that_another_export_writes_in_another_way_is_no_second_row(read: Read, other: str) -> None:
    again = lines()[41].replace("000041", other)
    found = read({"a.csv": "\n".join([HEADER, *lines()]), "b.csv": f"{HEADER}\n{again}\n"})
    rule = "is the id of another row of that day, written in another way"
    read_as = next(csv.reader([other]))[0]
    assert rules(found) == {("id", "000041", rule), ("id", read_as, rule)}


@pytest.mark.parametrize("id", ["4.1E+01", "1.23e+07", '"1,23E+07"'])
def test_an_id_that_lost_digits_is_no_other_row(read: Read, id: str) -> None:
    found = read({"a.csv": "\n".join([HEADER, *lines(9), f"{id},2025-01-01,new,1,0"])})
    (rule,) = rules(found)
    assert rule[:2] == ("id", id.strip('"')) and rule[2].startswith("is a number that has lost its last digits")


@pytest.mark.parametrize(("zone", "hour"), [("UTC", "00"), ("America/New_York", "05")])
def test_a_midnight_of_the_datas_time_zone_is_its_day(tmp_path: Path, zone: str, hour: str) -> None:
    cells = [row.split(",") for row in lines(8)]
    names = HEADER.split(",")
    moments = pa.array([np.datetime64(f"{row[1]}T{hour}:00", "us") for row in cells]).cast(pa.timestamp("us", "UTC"))
    table = pa.table(dict(zip(names, map(list, zip(*cells, strict=True)), strict=True)))
    pq.write_table(table.set_column(1, "day", moments), tmp_path / "a.parquet")
    rows = [",".join([f"x{row[0]}", f"{row[1]}T{hour}:00:00Z", *row[2:]]) for row in cells]
    (tmp_path / "b.csv").write_text("\n".join([HEADER, *rows]))
    found = load(spec(), LoadRequest(tmp_path, date(2025, 6, 1), date(2025, 6, 1), time_zone=zone))
    assert (len(found.rows), found.n_bad_rows) == (16, 0)
    assert set(found.rows[TIME].astype(str)) == {row[1] for row in cells}


def test_the_remedy_fits_the_value(read: Read) -> None:
    rows = ['z,2025-01-01,new,"1,5",0', "y,2025-01-01T00:00Z,new,1,0"]
    found = read({"a.csv": "\n".join([HEADER, *lines(9), *rows])})
    assert {rule.rpartition(": ")[2] for _, _, rule in rules(found)} == {
        "write decimals with a point, and thousands without a mark",
        "write the local day alone; a day in UTC is often the day after",
    }


def test_a_rule_of_the_workload_says_its_remedy(read: Read, tmp_path: Path) -> None:
    read({"a.csv": "\n".join([HEADER, *lines()])})
    rule = RowRule("amount", "is too odd", lambda rows: rows["amount"] != 1.5, lambda text: f"halve {text}")
    found = load(spec(), LoadRequest(tmp_path, date(2025, 6, 1), date(2025, 6, 1), time_zone="UTC"), [rule])
    assert rules(found) == {("amount", "1.5", "is too odd: halve 1.5")}


def test_ids_of_different_days_and_ids_that_end_alike_are_different_rows(read: Read) -> None:
    rows = ["a1,2025-01-01,new,1,0", "A1,2025-01-02,new,1,0", "a10,2025-01-01,new,1,0", "a1.0.0,2025-01-05,new,1,0"]
    assert len(read({"a.csv": "\n".join([HEADER, *rows])}).rows) == 4


def test_times_that_cannot_be_are_named(read: Read) -> None:
    late = [f"x{n},{day},new,1,0" for n, day in enumerate(("1900-01-01", "0025-01-01", "1970-01-01"))]
    found = read({"a.csv": "\n".join([HEADER, *lines(300), *late])})
    default = "is more than ten years before all other rows, as a time by default is; correct it"
    assert rules(found) == {
        ("day", "1900-01-01", default),
        ("day", "1970-01-01", default),
        ("day", "0025-01-01", "is before 1900; write the year with four digits"),
    }
    assert len(found.rows) == 300


def test_old_rows_that_are_many_are_history(read: Read) -> None:
    old = [f"x{n},1990-01-0{n + 1},new,1,0" for n in range(4)]
    assert not len(read({"a.csv": "\n".join([HEADER, *lines(300), *old])}).quarantine)


@pytest.mark.parametrize(
    "text", ["1_0", "\u0661", "0x1", "1,5", "1 000", "nan", "inf", "1e400", "-3.5e38", "--1", "1.", ".5", "+2e1"]
)
def test_a_number_is_written_in_one_way(read: Read, text: str) -> None:
    found = read({"a.csv": "\n".join([HEADER, *lines(9), f'z,2025-01-01,new,"{text}",1'])})
    amounts = found.rows.set_index(ROW_ID)["amount"]
    right = {"1.": 1.0, ".5": 0.5, "+2e1": 20.0}
    assert ("z" in amounts.index) == (text in right)
    assert amounts.get("z") == right.get(text)


def test_an_id_with_a_control_character_is_bad_and_free_text_may_have_one(read: Read) -> None:
    rows = ["z\x00,2025-01-01,new,1,1,", "y,2025-01-01,new,1,1,a\tb"]
    found = read({"a.csv": "\n".join([f"{HEADER},seller", *(f"{row}," for row in lines(9)), *rows])})
    assert rules(found) == {("id", r"z\x00", "holds control characters")}


# One id with both labels, without one, and of another kind; one to come, and one with a bad value.
TEXTS = [*(f"a,2025-01-01,new,1,{label}" for label in ("0", "1", "")), "a,2025-01-01,old,1,0", "a,2025-01-01,old,1,"]
TEXTS += ["b,2026-01-01,new,1,", "b,2026-01-01,old,1,", "c,2025-01-01,new,x,1", "c,2025-01-01,new,1,1"]


@settings(max_examples=25, deadline=None)
@example(rows=TEXTS[:3], cut=8)
@given(rows=st.lists(st.sampled_from(TEXTS), max_size=8), cut=st.integers(0, 8))
def test_every_row_is_kept_collapsed_superseded_or_bad(rows: list[str], cut: int) -> None:
    files = {"a.csv": ["z,2025-01-01,new,1,1", *rows[:cut]], "b.csv": rows[cut:]}
    with tempfile.TemporaryDirectory() as folder:
        for name, texts in files.items():
            if texts:
                (Path(folder) / name).write_text("\n".join([HEADER, *texts]))
        as_of = date(2025, 6, 1)
        found = load(spec(), LoadRequest(Path(folder), as_of, as_of, time_zone="UTC"))
    n_kept = sum(file.kept for file in found.files)
    counts = [n_kept, found.n_duplicates_collapsed, found.n_superseded, found.n_bad_rows]
    assert sum(counts) == found.n_rows_read == len(rows) + 1 and min(counts) >= 0
    n_later = sum(int(note.rpartition(": ")[2]) for note in found.notes)
    assert n_kept == len(found.rows) + n_later == len(set(found.rows[ROW_ID])) + n_later


def test_an_optional_column_that_one_file_lacks_contradicts_nothing(read: Read) -> None:
    full = [f"{row},shop {number % 3}" for number, row in enumerate(lines())]
    found = read({"a.csv": "\n".join([HEADER, *lines()]), "b.csv": "\n".join([f"{HEADER},seller", *full[50:]])})
    assert (len(found.rows), found.n_duplicates_collapsed, found.n_bad_rows) == (200, 150, 0)
    assert found.rows["seller"].notna().sum() == 150
    other = full[60].replace("shop 0", "market")
    again = read({"c.csv": f"{HEADER},seller\n{other}\n"})
    assert {rule for _, _, rule in rules(again)} == {"contradicts another row of the same id"}


def test_only_times_that_clocks_show_twice_are_told_to_have_an_offset(read: Read) -> None:
    header, hours = (
        "day,kind,amount,paid",
        ["2024-11-03 01:00", "2024-11-03 01:00", "2024-11-04 01:00", "2024-11-04 01:00"],
    )
    rows = [f"{hour},new,{number},1" for number, hour in enumerate(hours)]
    found = read({"a.csv": "\n".join([header, *rows, "2024-11-05 01:00,new,1,1"])}, spec(with_id=False, time="moment"))
    told = "contradicts another row of the same day"
    assert rules(found) == {
        ("day", "2024-11-03 01:00", f"{told}; write times that clocks show twice with their offset from UTC"),
        ("day", "2024-11-04 01:00", told),
    }


@pytest.mark.parametrize("text", ["1740787200", "01/03/2025 05:00", "2025-03-01", "2025-03-01 05:00 EST"])
def test_files_whose_times_are_all_of_another_kind_are_refused_in_a_sentence(read: Read, text: str) -> None:
    """The rule of moments has colons in it."""
    content = "\n".join(["day,kind,amount,paid", *[f"{text},new,1,1"] * 9])
    with pytest.raises(
        BadData, match=f'9 of 9 rows are bad .* day "{text}" is not a time that clocks of America/New_York'
    ):
        read({"a.csv": content}, spec(with_id=False, time="moment"), 0.01)


def test_rows_that_are_all_to_come_are_the_cause_that_is_named(read: Read) -> None:
    with pytest.raises(
        BadData, match=r"^0 bills have a label .* minimum of 1; 40 are from that day on; add older files"
    ):
        read({"a.csv": "\n".join([HEADER, *(row.replace("2025-", "2026-") for row in lines(40))])})


def test_labels_that_are_all_one_are_the_cause_that_is_named(read: Read) -> None:
    same = [row[:-1] + "0" for row in lines()]
    with pytest.raises(
        BadData, match=r"^paid is 0 in all of 200 bills, so that there is nothing to predict; correct paid"
    ):
        read({"a.csv": "\n".join([HEADER, *same])})


def test_a_target_of_one_letter_is_read(read: Read) -> None:
    found = read({"a.csv": "\n".join([HEADER, *(row[:-1] + "nY"[int(row[-1])] for row in lines(8))])})
    assert found.rows[TARGET].tolist() == [0, 1] * 4
    assert found.rows[TIME].is_monotonic_increasing


@pytest.mark.parametrize(
    ("rows", "most"),
    [
        ([row.replace("new", "odd") for row in lines(60)], 'kind "odd" is none of new, old'),
        ([f"same,2025-01-01,new,{n},1" for n in range(60)], 'id "same" contradicts another row of the same id'),
        (["cut,2"] * 60, "has a wrong number of fields: 2, where the header has 5"),
    ],
)
def test_more_bad_rows_than_are_listed_are_refused_in_a_sentence(
    read: Read, rows: list[str], most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (quarantine, csv_lines, row_counts):
        monkeypatch.setattr(module, "MAX_VIOLATIONS", 50)
    monkeypatch.setattr(quarantine, "LISTED_OF_TOO_MANY", 10)
    monkeypatch.setattr(csv_lines, "LISTED_OF_TOO_MANY", 10)
    with pytest.raises(BadData, match=f"^60 of 69 rows are bad .* most common .* line 11: {most}") as error:
        read({"a.csv": "\n".join([HEADER, *lines(9), *rows])})
    assert len(error.value.quarantine) == 10


@pytest.mark.parametrize(
    ("column", "text"),
    [("amount", "1" * 65_000 + "x"), ("id", "x" + "'" * 65_000 + "x"), ("kind", "a" + "\u0301\u0316" * 30_000)],
)
@pytest.mark.timeout(10)  # where each character is a place to begin anew, one such text takes minutes
def test_a_long_text_is_looked_at_once(read: Read, column: str, text: str) -> None:
    row = {"id": "x", "day": "2025-01-01", "kind": "new", "amount": "1", "paid": "0"}
    long = [",".join({**row, column: f"{text}{n}"}.values()) for n in range(5)]
    found = read({"a.csv": "\n".join([HEADER, *lines(), *long])})
    assert found.n_rows_read == 205 and found.n_bad_rows == 5 * (column != "id")
