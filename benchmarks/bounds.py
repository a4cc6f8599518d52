"""What input that is too much, or made to be, costs until it is refused: seconds, peak memory, and the sentence.

Each input is made in a temporary folder and read by a separate process, as Prepare reads games and Predict a model.
The bound is 10 s and 1 GB. Beside the seconds stand those of the processor: on a busy machine the first are longer.

python -m benchmarks.bounds [--only WORD]
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.real_data import ROOT
from benchmarks.serving import train
from pipeline.contract import names as c
from pipeline.contract.workload import WORKLOAD_VARIABLE
from pipeline.ingest.files.limits import MAX_ROWS, MAX_VIOLATIONS
from pipeline.training.model_files import Content, files_of_archive, write_digests
from pipeline.workloads.churn.spec import SPEC as CHURN
from pipeline.workloads.nba.game_data.franchise_spans import read_spans

SECONDS: Final = 10
BYTES: Final = 10**9
SIZE: Final = 200_000_000
MILLION: Final = 1_000_000
MOST: Final = MAX_ROWS
LISTED: Final = MAX_VIOLATIONS
HEADER: Final = "date,season,home_team,away_team,home_points,away_points,neutral_site,playoff"
# Reads one input; says what it cost and, after that, what it said.
CHILD: Final = """
import json, time
from datetime import date
from pathlib import Path
from pipeline.training.artifact import read_artifact
from pipeline.contract import names as c
from pipeline.contract.container import StepError, processing_input
from pipeline.contract.workload import current_workload
from pipeline.jobs.prepare import parse_arguments, validate
workload = current_workload()
start, spent = time.perf_counter(), time.process_time()
day, said = date(2026, 1, 1), "read"
try:
    if (model := processing_input(c.DATA_CHANNEL) / "model.tar.gz").exists():
        read_artifact(model)
    else:
        validate(workload, parse_arguments(workload.spec, []), day, day)
except StepError as error:
    said = str(error)
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps([time.perf_counter() - start, time.process_time() - spent, peak, said]))
"""
CODES: Final = sorted(
    s.code for s in read_spans() if s.code == s.franchise and s.last_season > 2021 > s.first_season + 15
)


def rows(n: int, row: Callable[[int], str], header: str = HEADER) -> Iterator[bytes]:
    """A CSV file of `n` rows, in parts."""
    yield f"{header}\n".encode()
    for start in range(0, n, 10_000):
        yield "".join(f"{row(number)}\n" for number in range(start, min(n, start + 10_000))).encode()


def repeated(text: bytes, header: str = HEADER) -> Iterator[bytes]:
    """A text again and again, up to SIZE."""
    yield f"{header}\n".encode() if header else b""
    part = text * max(1, MILLION // len(text))
    yield from (part for _ in range(SIZE // len(part)))


def game(number: int) -> str:
    """Games that are all different: each pair on each day of 15 seasons, which is 2 million."""
    days, pair = divmod(number, len(PAIRS))
    season, day = divmod(days, 240)
    when = date(2005 + season % 15, 11, 1) + timedelta(day)
    return f"{when},{2006 + season % 15},{','.join(PAIRS[pair])},{100 + day % 90},{99 - number % 40},,"


PAIRS: Final = list(combinations(CODES, 2))
ONE_GAME: Final = "2021-01-01,2021,BOS,LAL"
LONG: Final = 490  # rows of a text of 130 kB each: as much text as may be different
ACCENTS: Final = "a" + "\u0301\u0316" * 32_000
APOSTROPHES: Final = "'" * 130_000
CONTRACT: Final = [column.name for column in CHURN.columns]
STRANGE: Final = "".join(map(chr, range(0x3200, 0x5200)))
CSV: Final[dict[str, Callable[[], Iterable[bytes]]]] = {
    "200 MB of commas": lambda: repeated(b",", ""),
    "200 MB of commas in a row": lambda: repeated(b","),
    "200 MB of newlines": lambda: repeated(b"\n"),
    "200 MB of carriage returns": lambda: repeated(b"\r"),
    "200 MB of quotation marks": lambda: repeated(b'"'),
    "200 MB of quotation marks, a line each": lambda: repeated(b'"\n'),
    "200 MB of quoted rows that are open": lambda: repeated(b'a,"b\n'),
    "200 MB of one line": lambda: repeated(b"x"),
    "200 MB of lines of 131,000": lambda: repeated(b"x" * 131_000 + b"\n"),
    "200 MB of letters of four bytes": lambda: repeated("\U0001f3c0".encode() * 10 + b"\n"),
    "4.4 million ragged quoted rows": lambda: repeated(b'"2021-01-01","2021","BOS","LAL","100","90"\n'),
    "2 million ragged quoted rows": lambda: rows(MOST - 2, lambda _: '"2021-01-01","2021","BOS","LAL","100","90"'),
    "2 million ragged rows with one mark": lambda: [*rows(MOST - 2, lambda _: f"{ONE_GAME},100,90,no,no,1,2"), b'"'],
    "1 million rows, a text of two lines in each": lambda: rows(
        MOST // 2 - 2, lambda _: f'{ONE_GAME},100,90,no,no,"two\nlines"', f"{HEADER},text"
    ),
    "2.5 million bad rows": lambda: rows(2_500_000, lambda _: f"{ONE_GAME},abc,90,,"),
    "2.5 million empty rows": lambda: rows(2_500_000, lambda _: ",,,,,,,"),
    "2.5 million rows of two fields": lambda: rows(2_500_000, lambda n: f"{n},2"),
    "a million rows, bad in all columns": lambda: rows(MILLION, lambda _: "x,x,x,x,x,x,x,x"),
    "half a million bad rows": lambda: rows(LISTED, lambda _: f"{ONE_GAME},abc,90,,"),
    "half a million bad dates": lambda: rows(LISTED, lambda n: f"2021-13-{n},2021,BOS,LAL,100,90,,"),
    "half a million unknown teams": lambda: rows(LISTED, lambda n: f"2021-01-01,2021,T{n},LAL,100,90,,"),
    "half a million values with control characters": lambda: rows(LISTED, lambda n: f"{ONE_GAME},\x1b[{n},90,,"),
    "two thousand team names of 50,000 letters": lambda: rows(
        2_000, lambda n: f"2021-01-01,2021,{'Boston Celtics ' * 3_333}{n},LAL,100,90,,"
    ),
    "a column of 8,000 strange characters": lambda: rows(9, str, STRANGE),
    "a column of 65,000 accents": lambda: rows(9, lambda n: f"{game(n)},", f"{HEADER},{ACCENTS}"),
    "team names of 130,000 marks": lambda: rows(LONG, lambda n: f"2021-01-01,2021,{'!' * 130_000}{n},LAL,100,90,,"),
    "team names of 65,000 accents": lambda: rows(LONG, lambda n: f"2021-01-01,2021,{ACCENTS}{n},LAL,100,90,,"),
    "ids of 130,000 noughts": lambda: rows(LONG, lambda n: f"{game(n)},{'0' * 130_000}x{n}", f"{HEADER},game_id"),
    "a million contradictions": lambda: rows(MILLION, lambda n: f"{ONE_GAME},{1 + n % 200},{201 + n % 49},,"),
    "a quarter of a million games told in two ways": lambda: rows(LISTED, lambda n: f"{game(n // 2)}{n % 2}"),
    "half a million rows under one id": lambda: rows(LISTED, lambda n: f"{game(n)},1", f"{HEADER},game_id"),
    "half a million ids of one game": lambda: rows(LISTED, lambda n: f"{ONE_GAME},100,90,,,{n}", f"{HEADER},game_id"),
    "a quarter of a million games under two ids": lambda: rows(
        LISTED, lambda n: f"{game(n // 2)},{n}", f"{HEADER},game_id"
    ),
    "a million games, each team often on a day": lambda: rows(MILLION, game),
    "a quarter of a million games, each team often on a day": lambda: rows(LISTED // 2, game),
    "2 million good rows of one game": lambda: rows(MOST - 2, lambda _: f"{ONE_GAME},100,90,,"),
    "5,000 columns": lambda: rows(1_000, lambda n: f"{game(n)}{',' * 4_992}", f"{HEADER}{',x' * 4_992}"),
    "1,000 columns": lambda: repeated(game(1).encode() + b"," * 992 + b"\n", f"{HEADER}{',x' * 992}"),
    "1,000 columns and a quotation mark": lambda: repeated(
        game(1).encode() + b"," * 992 + b'""\n', f"{HEADER}{',x' * 992}"
    ),
    "1,000 columns nearly of one name": lambda: rows(
        9, lambda n: f"{game(n)}{',' * 990}", f"{HEADER}{''.join(f',playof{n:0100}' for n in range(990))}"
    ),
}

# The same of other workloads, whose columns are of other types.
ELSEWHERE: Final[dict[str, tuple[str, Callable[[], Iterable[bytes]]]]] = {
    "times of 130,000 marks": (
        "bike_demand",
        lambda: rows(LONG, lambda n: f"2024-01-01T1:{'-' * 130_000}{n},1", "hour,rentals"),
    ),
    "numbers of 130,000 digits": (
        "bike_demand",
        lambda: rows(LONG, lambda n: f"2024-01-01 00:00,{'1' * 130_000}x{n}", "hour,rentals"),
    ),
    "ids of 130,000 apostrophes": (
        "churn",
        lambda: rows(
            LONG, lambda n: f"x{APOSTROPHES}{n},2025-01-01,0,basic,web,card,1,1,0,0,1,0,1", ",".join(CONTRACT)
        ),
    ),
}


def csv_file(parts: Callable[[], Iterable[bytes]], name: str = "a.csv") -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.writelines(parts())

    return make


def gzip_bomb(folder: Path) -> None:
    """A gigabyte in a megabyte."""
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    part = (f"{ONE_GAME},100,90,,\n" * 40_000).encode()
    with (folder / "a.csv.gz").open("wb") as file:
        file.write(packed.compress(f"{HEADER}\n".encode()))
        for _ in range(BYTES // len(part)):
            file.write(packed.compress(part))
        file.write(packed.flush())


def table(n: int, **others: pa.Array) -> pa.Table:
    """`n` rows of one game, some columns otherwise."""
    columns = zip(HEADER.split(","), f"{ONE_GAME},100,90,,".split(","), strict=True)
    return pa.table({**{name: pa.array([value] * n) for name, value in columns}, **others})


def parquet(content: Callable[[], pa.Table], **options: bool) -> Callable[[Path], None]:
    return lambda folder: pq.write_table(content(), folder / "a.parquet", compression="zstd", **options)


def long_texts(n: int) -> pa.Array:
    """Long texts, which are one in a file's dictionary."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * n), pa.array(["x" * 100_000]))


def texts(text: Callable[[int], str]) -> pa.Table:
    """A million rows with texts of their own."""
    return table(MILLION, home_team=pa.array(map(text, range(MILLION))))


def many_files(n: int) -> Callable[[Path], None]:
    """`n` files of a game each."""

    def make(folder: Path) -> None:
        for number in range(n):
            (folder / f"{number}.csv").write_text(f"{HEADER}\n{game(number)}\n")

    return make


@cache
def trained() -> dict[str, Content]:
    with tempfile.TemporaryDirectory() as folder:
        return files_of_archive(train(Path(folder)))


def model(name: str, content: Callable[[], Iterable[bytes]]) -> Callable[[Path], None]:
    """A model of which one file is another; the digests are right."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as place:
            for known, data in trained().items():
                (Path(place) / known).write_bytes(data)
            with (Path(place) / name).open("wb") as file:
                file.writelines(content())
            write_digests(Path(place))
            with tarfile.open(folder / "model.tar.gz", "w:gz", compresslevel=1) as archive:
                archive.add(place, ".")

    return make


def ubjson_of_many() -> bytes:
    """A UBJSON array that says to hold 2^40 numbers."""
    return b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner[$d#L" + (1 << 40).to_bytes(8)


def text_bomb() -> bytes:
    """A Parquet table of few rows and long texts."""
    file = io.BytesIO()
    pq.write_table(pa.table({"a": long_texts(100_000)}), file, compression="zstd")
    return file.getvalue()


OTHERS: Final[dict[str, Callable[[Path], None]]] = {
    "a gzip bomb": gzip_bomb,
    "a gzip file of 12 million parts": csv_file(lambda: [gzip.compress(b"")] * 12 * MILLION, "a.csv.gz"),
    "a Parquet bomb of one long text": parquet(lambda: table(MOST, home_team=long_texts(MOST))),
    "a Parquet file of a million texts": parquet(lambda: texts(lambda number: f"{number:0150}")),
    "a Parquet file of a million line breaks": parquet(lambda: texts(lambda number: f"{number}\nx")),
    # A page that is packed a thousand times smaller, of bytes that its footer does not tell of.
    "a Parquet bomb of pages": parquet(
        lambda: table(250, home_team=pa.array(["x" * MILLION] * 250)), use_dictionary=False
    ),
    "9,999 files": many_files(9_999),
    "20,000 files": many_files(20_000),
    "a model bomb: 1 GB of zeros": model(c.MODEL_FILE, lambda: (bytes(MILLION) for _ in range(1_000))),
    "a model bomb: 390 MB of zeros": model(c.MODEL_FILE, lambda: (bytes(MILLION) for _ in range(390))),
    "a model of 300 MB of [": model(c.MODEL_FILE, lambda: (b"[" * MILLION for _ in range(300))),
    "a model of 300 MB of {L1 (UBJSON)": model(c.MODEL_FILE, lambda: (b"{i\x01a" * 250_000 for _ in range(300))),
    "a model of 50 million nulls": model(c.MODEL_FILE, lambda: [b"{L" + (1).to_bytes(8) + b"a[", b"Z" * 50 * MILLION]),
    "a model in JSON of 25 million []": model(c.MODEL_FILE, lambda: [b'{"a":[', b"[]," * 25 * MILLION]),
    "a model of 2^40 numbers": model(c.MODEL_FILE, lambda: [ubjson_of_many()]),
    "a model with a card of 300 MB of []": model(c.MODEL_CARD_FILE, lambda: [b"[", *([b"[],"] * 100 * MILLION)]),
    "a model with a record of long texts": model(c.WALK_FORWARD_FILE, lambda: [text_bomb()]),
}


def main() -> int:
    """Make each input, read it, print; the exit code says whether all were within the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="inputs whose name has this in it")
    arguments = parser.parse_args()
    makers = {**{name: csv_file(parts) for name, parts in CSV.items()}, **OTHERS}
    makers |= {name: csv_file(parts) for name, (_, parts) in ELSEWHERE.items()}
    beyond = [name for name, make in makers.items() if arguments.only in name and not within(name, make)]
    print(f"beyond {SECONDS} s or {BYTES / 1e9:g} GB: {', '.join(beyond) or 'none'}")
    return bool(beyond)


def within(name: str, make: Callable[[Path], None]) -> bool:
    """Whether an input stays within the bound, which counts the processor's seconds."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "processing" / "input" / c.DATA_CHANNEL
        folder.mkdir(parents=True)
        make(folder)
        workload = {WORKLOAD_VARIABLE: ELSEWHERE.get(name, ("nba",))[0]}
        environment = {**os.environ, **workload, c.BASE_DIR_VARIABLE: place, "PYTHONPATH": str(ROOT)}
        command = ["prlimit", f"--data={3 * BYTES}", sys.executable, "-c", CHILD]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: ended with {done.returncode}: {done.stderr.strip()[-300:]}", flush=True)
        return False
    seconds, spent, peak, said = json.loads(done.stdout)
    print(f"{name}: {seconds:.1f} s ({spent:.1f} s of the processor), {peak / 1e6:,.0f} MB: {said[:150]}", flush=True)
    return bool(spent < SECONDS and peak < BYTES)


if __name__ == "__main__":
    sys.exit(main())
