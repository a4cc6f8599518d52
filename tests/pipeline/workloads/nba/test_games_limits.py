"""Input that is too much, or made to be, ends in one sentence; and a damaged Parquet file never in a wrong game."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest import csv_rows, parquet_rows, quarantine, read_rows, row_counts
from pipeline.ingest.files import csv_lines, limits
from pipeline.ingest.files.parquet_pages import has_checksums
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.validated import ValidatedRows
from pipeline.workloads.nba.columns import COLUMNS
from pipeline.workloads.nba.game_data.games import load_games

HEADER = "date,season,home_team,away_team,home_points,away_points,neutral_site,playoff\n"
GOOD = "2021-01-01,2021,BOS,LAL,100,90,false,false\n"
Load = Callable[..., ValidatedRows]


def refusal(load: Load, content: str | bytes | pd.DataFrame, name: str = "a.csv") -> BadData:
    with pytest.raises(BadData) as caught:
        load({name: content})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1_000
    return caught.value


def test_a_header_of_too_many_columns_or_characters(load: Load) -> None:
    assert "the header is longer than 131,072 characters" in str(
        refusal(load, gzip.compress(b"," * 20_000_000), "a.csv.gz")
    )
    assert "the header has 1,009 columns, and 1,000 are read at most" in str(
        refusal(load, HEADER.strip() + "," * 1_001 + "\n")
    )
    wide = pd.DataFrame({f"c{n}": [1] for n in range(1_001)})
    assert "0.parquet has 1,001 columns, and 1,000 are read at most" in str(refusal(load, wide, "0.parquet"))


def test_a_gzip_file_is_unpacked_as_far_as_the_limit(load: Load) -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packed.compress(b"," * 1_000_000) for _ in range(300)) + packed.flush()
    assert "a.csv.gz unpacks to more than is read: 268,435,456 bytes" in str(refusal(load, bomb, "a.csv.gz"))


def test_the_limit_is_of_all_files_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + GOOD)
    (tmp_path / "b.csv").write_text(HEADER + GOOD)
    size = len(HEADER + GOOD)
    assert len(read_rows.read_folder(tmp_path, COLUMNS, 2 * size).files) == 2
    with pytest.raises(BadData, match=r"^b\.csv unpacks to more than is read"):
        read_rows.read_folder(tmp_path, COLUMNS, 2 * size - 1)


def test_too_many_rows(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (csv_rows, parquet_rows, read_rows):
        monkeypatch.setattr(module, "MAX_ROWS", 3)
    assert "a.csv has 4 lines; more than 3 rows are not read" in str(refusal(load, HEADER + GOOD * 3))
    frame = pd.read_csv(io.StringIO(HEADER + GOOD * 4))
    with pytest.raises(BadData, match=r"a\.parquet has 4 rows; more than 3 are not read"):
        load({"a.csv": HEADER + GOOD, "a.parquet": frame})


def test_too_much_text(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_rows, "MAX_TEXT_BYTES", 1_000)
    error = refusal(load, HEADER + GOOD + GOOD.replace("BOS", "x" * 1_000))
    assert str(error).startswith(
        "the different values of home_team in all data files take 1,011 bytes, and all columns"
    )


def few_violations(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (csv_lines, quarantine, row_counts):
        monkeypatch.setattr(module, "MAX_VIOLATIONS", 10)
    for module in (csv_lines, quarantine):
        monkeypatch.setattr(module, "LISTED_OF_TOO_MANY", 4)


@pytest.mark.parametrize("row", ["?,,,,,,,\n", "1,2\n", '"1",2\n', "2021-01-01,2021,BOS,LAL,abc,90,,\n"])
def test_more_violations_than_are_reported(load: Load, monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    few_violations(monkeypatch)
    error = refusal(load, HEADER + row * 12)
    assert str(error).startswith(
        "12 of 12 rows are bad (100.00%), and more than 10 violations are never accepted; most common ("
    )
    assert "): a.csv, line 2: " in str(error)
    assert len(error.quarantine) == 4


def test_contradictions_are_limited_too(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    few_violations(monkeypatch)
    error = refusal(load, HEADER + "".join(GOOD.replace("100", str(points)) for points in range(100, 113)))
    assert str(error).startswith("13 of 13 rows are bad") and "contradicts another row of the same game" in str(error)


def test_of_many_ids_of_one_game_two_are_named(load: Load) -> None:
    header = HEADER.replace("\n", ",game_id\n")
    loaded = load({"a.csv": header + "".join(GOOD.replace("\n", f",{number:04}\n") for number in range(2_000))})
    assert set(loaded.quarantine["rule"]) == {
        "is one of several ids of the same game: 0000, 1999 and 1,998 more; keep one"
    }


@pytest.mark.parametrize("quoted", ["{}", '"{}"'])
def test_a_file_of_several_blocks_is_read_whole(load: Load, monkeypatch: pytest.MonkeyPatch, quoted: str) -> None:
    monkeypatch.setattr(csv_rows, "_BLOCK", 200)
    rows = [GOOD.replace("2021-01-01", quoted.format(f"2021-01-{day:02}")) for day in range(1, 32, 2)]
    loaded = load({"a.csv": HEADER + "".join(rows)})
    assert loaded.rows["date"].astype(str).tolist() == [f"2021-01-{day:02}" for day in range(1, 32, 2)]


def test_half_a_million_bad_rows_take_seconds(load: Load) -> None:
    """A loop over rows would take minutes; the suite's own limit for a test stops it."""
    loaded = load({"a.csv": HEADER + "2021-01-01,2021,BOS,LAL,abc,90,,\n" * 500_000})
    assert len(loaded.quarantine) == loaded.n_bad_rows == 500_000
    assert loaded.quarantine["line"].tolist() == list(range(2, 500_002))


# --- Parquet ----------------------------------------------------------------------------------------------------------
def league() -> pa.Table:
    days = pd.date_range("2020-12-25", "2021-02-20")
    rows = {
        "date": [str(day.date()) for day in days],
        "season": [2021] * len(days),
        "home_team": ["BOS", "LAL"] * (len(days) // 2),
        "away_team": ["MIA", "NYK"] * (len(days) // 2),
        "home_points": [100.0 + number % 30 for number in range(len(days))],
        "away_points": [99.0 - number % 20 for number in range(len(days))],
        "neutral_site": [False] * len(days),
        "playoff": [False] * len(days),
    }
    return pa.table(rows)


def parquet(*, checksums: bool) -> bytes:
    file = io.BytesIO()
    pq.write_table(league(), file, write_page_checksum=checksums)
    return file.getvalue()


def read(folder: Path) -> ValidatedRows:
    day = date(2021, 3, 1)
    return load_games(folder, as_of=day, today=day, max_bad_row_share=0.01, min_rows=1)


@pytest.mark.parametrize("seed", range(60))
def test_no_flipped_bit_ends_in_a_wrong_game(tmp_path: Path, seed: int) -> None:
    whole = parquet(checksums=True)
    (tmp_path / "a.parquet").write_bytes(whole)
    games_of_whole = read(tmp_path).rows
    damaged = bytearray(whole)
    chosen = np.random.default_rng(seed)
    damaged[chosen.integers(len(whole))] ^= 1 << int(chosen.integers(8))
    (tmp_path / "a.parquet").write_bytes(damaged)
    try:
        pd.testing.assert_frame_equal(read(tmp_path).rows, games_of_whole)
    except BadData as error:
        assert str(error).startswith("a.parquet")


@pytest.mark.parametrize("seed", range(20))
def test_without_checksums_a_flipped_bit_is_no_traceback_and_the_lack_is_noted(tmp_path: Path, seed: int) -> None:
    damaged = bytearray(parquet(checksums=False))
    chosen = np.random.default_rng(seed)
    damaged[chosen.integers(len(damaged))] ^= 1 << int(chosen.integers(8))
    (tmp_path / "a.parquet").write_bytes(damaged)
    try:
        assert any("no checksums of pages" in note for note in read(tmp_path).notes)
    except BadData as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("codec", ["NONE", "SNAPPY", "ZSTD", "GZIP"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_checksums_are_seen_in_the_first_page(codec: str, version: str) -> None:
    for checksums in (True, False):
        file = io.BytesIO()
        pq.write_table(league(), file, write_page_checksum=checksums, compression=codec, data_page_version=version)
        assert has_checksums(file.getvalue()[:64]) is checksums
    assert not has_checksums(b"") and not has_checksums(b"PAR1\x15\xff\xff\xff\xff\xff\xff")


def test_a_long_text_that_repeats_in_a_dictionary_is_in_memory_once(load: Load) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000), pa.array(["x" * 100_000]))
    rows = pa.table({name: [value] * 10_000 for name, value in zip(HEADER.split(","), GOOD.split(","), strict=True)})
    file = io.BytesIO()
    pq.write_table(rows.set_column(2, "home_team", long), file)
    before = pa.default_memory_pool().max_memory()
    assert "a.parquet unpacks to 1,000,330,000 bytes" in str(refusal(load, file.getvalue(), "a.parquet"))
    assert pa.default_memory_pool().max_memory() - before < 100_000_000


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_text_that_is_not_utf_8_is_named_with_its_row(load: Load, kind: pa.DataType) -> None:
    table = league()
    codes = pa.array([b"BOS"] * 7 + [b"M\xdcN"] + [b"BOS"] * (len(table) - 8), pa.large_binary())
    offsets = codes.cast(pa.large_binary() if kind == pa.large_string() else pa.binary())
    broken = table.set_column(2, "home_team", pa.Array.from_buffers(kind, len(table), offsets.buffers()))
    file = io.BytesIO()
    pq.write_table(broken, file)
    assert str(refusal(load, file.getvalue(), "a.parquet")).startswith(
        "a.parquet, row 8: home_team holds byte 0xDC, which is not UTF-8"
    )


def test_a_line_break_in_a_parquet_value_is_a_bad_row(load: Load) -> None:
    frame = league().to_pandas()
    frame.loc[3, "home_team"] = "LAL\n2021-01-01,2021,BOS"
    loaded = load({"a.parquet": frame})
    assert loaded.quarantine[["line", "rule"]].to_numpy().tolist() == [
        [4, "has a line break within home_team; write each row, and each value, on one line"]
    ]
    assert len(loaded.rows) == len(frame) - 1


def test_limits_have_their_order() -> None:
    assert limits.LISTED_OF_TOO_MANY < limits.MAX_VIOLATIONS < limits.MAX_ROWS


@pytest.mark.parametrize(
    ("column", "text", "rule"),
    [
        ("game_id", "0" * 65_000 + "x", ""),
        ("home_team", "!" * 65_000 + "x", "is an unknown team"),
        ("home_team", "BOS" + "!" * 200 + "x", "is an unknown team"),  # and not Boston
        ("date", "2021-01-01" + "\u0301\u0316" * 30_000, "is not a real date"),
    ],
)
@pytest.mark.timeout(10)  # where each character is a place to begin anew, one such text takes minutes
def test_a_long_text_is_looked_at_once(load: Load, column: str, text: str, rule: str) -> None:
    row = dict(zip(HEADER.strip().split(","), GOOD.strip().split(","), strict=True))
    rows = [row | {"date": f"2021-01-0{n}"} | {column: f"{text}{n}"} for n in range(1, 10, 2)]
    found = load({"a.csv": pd.DataFrame(rows).to_csv(index=False)})
    assert found.quarantine["rule"].str.startswith(rule or "is").tolist() == [True] * (5 if rule else 0)
