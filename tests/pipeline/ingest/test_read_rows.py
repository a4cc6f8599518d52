"""Small files are read together, and come to the same as each by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.contract.spec import Column
from pipeline.ingest import read_rows
from pipeline.ingest.csv_rows import read_csv, read_lines
from pipeline.ingest.quarantine import FILE, LINE, BadData
from pipeline.ingest.read_rows import read_folder

DECLARED = (Column("key", role="id", type="text"), Column("value", type="text"), Column("note", False, type="text"))
TEXTS = {
    "a.csv": "key,value,x\n1,a,\n2,b,3",
    "b.csv": "value,key\r\nc,3\r\n,,\r\n \r\nd,4\r\n",
    "c.csv": "key,value,x\n5,,é\nKEY,Value,X\n6,\ttab,\u200b\n7\n",
    "d.csv": 'key,value,x\n8,"a ""b""","two\nlines"\n9,"c",\n',
    "e.csv": 'Key,value,x\n10,"a,\n11,b,c\n12,d,"e"\n',
    "f.csv": "key,value,x\n1\n",
    "g.csv": 'key,value,x\n"",,1\n13,a,b\n',
    "h.csv": "key,value,x\n14,NULL,NULL\n",
}
TABLES = {
    "a.parquet": {"key": ["1", None, "1"], "value": [1.5, None, 2]},
    "b.parquet": {"key": ["1", "2"], "value": [3.0, float("nan")]},
    "c.parquet": {"key": ["one\nline", "2"], "value": [1.0, 2.0]},
    "d.parquet": {"key": [1, 2], "value": ["a", ""], "note": ["b", None]},
}


def read(folder: Path) -> tuple[pd.DataFrame, list[object]]:
    found = read_folder(folder, DECLARED)
    bad = [(file.name, file.bad.numbers.tolist(), list(file.bad.rules), list(file.bad.texts)) for file in found.files]
    files = [(file.name, file.columns, file.counts, file.checksums) for file in found.files]
    return found.rows.astype(dict.fromkeys(("key", "value", "note", FILE), "str")), [files, bad]


@pytest.mark.parametrize("at_once", [2, 500])
def test_files_read_together_and_alone_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).write_bytes(text.encode())
    for name, values in TABLES.items():
        pq.write_table(pa.table(values), tmp_path / name)
    monkeypatch.setattr(read_rows, "_TOGETHER", at_once)
    together, files = read(tmp_path)
    monkeypatch.setattr(read_rows, "_SMALL", 0)
    alone, files_alone = read(tmp_path)
    pd.testing.assert_frame_equal(together, alone)
    assert files == files_alone
    assert together[FILE].is_monotonic_increasing
    assert together.loc[together[FILE] == "c.csv", ["key", "value", LINE]].to_numpy().tolist() == [
        ["5", "", 2],
        ["6", "\ttab", 4],
    ]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("key,value\n", "b.csv has a header and no rows"),
        ("key,value,a,b\n1,2,3,4\nb,a,value,key\n", "b.csv, line 3: a second header"),
    ],
)
def test_of_files_read_together_the_wrong_one_is_named(tmp_path: Path, second: str, message: str) -> None:
    declared = tuple(Column(name, name in ("key", "value"), type="text") for name in ("key", "value", "a", "b"))
    header = second.partition("\n")[0]
    for name, text in {"a.csv": "1,2", "b.csv": "", "c.csv": "3,4"}.items():
        row = text + "," * (header.count(",") - 1)
        (tmp_path / name).write_text(f"{header}\n{row}\n" if text else second)
    with pytest.raises(BadData) as raised:
        read_folder(tmp_path, declared)
    assert str(raised.value).startswith(message)


def test_a_row_that_ends_in_the_next_file_is_seen() -> None:
    """Should Arrow ever take quotation marks otherwise than the lines were told apart."""
    files = [read_lines(b"key,value\n1,a\n2,b\n", name, DECLARED) for name in ("a.csv", "b.csv", "c.csv")]
    opened = replace(files[1].lines, rows=memoryview(b'1,a\n2,"b\n'))
    closed = replace(files[2].lines, rows=memoryview(b'"\n1,a\n2,b\n3,c\n'))
    files[1:] = replace(files[1], lines=opened), replace(files[2], lines=closed)
    with pytest.raises(BadData, match=r"^c\.csv: quotation marks are ambiguous"):
        read_csv(files, DECLARED)
