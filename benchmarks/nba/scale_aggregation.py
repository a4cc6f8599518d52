"""How aggregation grows: DuckDB, Spark and pandas at 1, 10 and 100 times the real season (part of benchmarks.scale).

in   ../shared/data/play_by_play_2023/     every event of a season; N times it: N seasons with ids and days of their own

DuckDB runs once more under memory limits, which the kernel keeps as well (timed_process.py). At each size the rows of
all engines are compared. At 100 times pandas is left out, because it would need 120 GB; with object strings it would
need 23 GB at 10 times.
"""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.real_data import EVENTS, require
from benchmarks.timed_process import TimedRun, growth, ratios, timed
from pipeline.contract.code_version import all_steps
from pipeline.contract.workload import read_definition
from pipeline.cost.prices import load_prices
from pipeline.cost.run_cost import PipelineJob, job_cost
from pipeline.workloads.nba import columns as n

SIZES: Final = (1, 10)
FULL_SIZES: Final = (*SIZES, 100)
STEP: Final = ("-m", "pipeline.workloads.nba.play_by_play.aggregate", "--input", "{input}", "--output", "{output}")
PANDAS_PROGRAM: Final = ("-m", "benchmarks.nba.pandas_team_games", "{input}", "{output}")
DUCKDB: Final = "DuckDB"
SPARK: Final = "Spark, local[2]"
PANDAS: Final = "pandas"
REPEATS: Final = 5
PAUSES_SECONDS: Final = (0, 5)  # without and with time for memory to be given back to the host
OF_THE_RUN: Final = ("summary", "engine", "n_team_games", "files")  # in aggregated.json besides the account of the rows
# DuckDB's limit; the kernel's in bytes (the same, Python, libraries, what is reserved but not used); up to which size.
# A grouping keeps some 7 bytes a row that cannot go to disk, so that half a gigabyte ends between 10 and 100 seasons.
# There the kernel's would count what is reserved as used (a cgroup does not: docs/scaling.md).
LIMITS: Final[tuple[tuple[str, int | None, int], ...]] = (("512MB", 1_250_000_000, 10), ("2GB", None, 100))
# What the engines would run on in an account: the step, its machine, and how many of it.
JOBS: Final = {
    DUCKDB: (("Aggregate", "ml.t3.medium", 1), ("Aggregate", "ml.m5.xlarge", 1)),
    SPARK: (("AggregateOnSpark", "ml.m5.xlarge", 4),),
}


@dataclass(frozen=True)
class MeasuredEngine:
    """A program that aggregates; `{input}` and `{output}` in its arguments are the folders."""

    name: str
    arguments: tuple[str, ...]
    largest: int = FULL_SIZES[-1]
    memory_limit: int | None = None

    def run(self, source: Path, target: Path) -> TimedRun:
        filled = [argument.format(input=source, output=target) for argument in self.arguments]
        return timed([sys.executable, *filled], memory_limit=self.memory_limit)


ENGINES: Final = (
    MeasuredEngine(DUCKDB, STEP),
    *(
        MeasuredEngine(f"DuckDB, {limit}", (*STEP, "--memory-limit", limit), largest, memory_limit=hard)
        for limit, hard, largest in LIMITS
    ),
    MeasuredEngine(SPARK, (*STEP, "--engine", "spark", "--master", "local[2]")),
    MeasuredEngine(PANDAS, PANDAS_PROGRAM, largest=10),
    MeasuredEngine("pandas, object strings", (*PANDAS_PROGRAM, "--object-strings"), largest=1),
    MeasuredEngine("pandas, tuned", (*PANDAS_PROGRAM, "--tuned"), largest=10),
)


def main(full: bool) -> None:
    """Print the table of docs/scaling.md, then the ratios."""
    found: dict[tuple[str, int], TimedRun] = {}
    print("| times | rows | engine | seconds | CPU seconds | rows/s | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    # From here on the disk's cache holds all libraries: the first program would pay for them alone.
    timed([sys.executable, "-c", "import duckdb, pandas, pyarrow, pyspark.sql"])
    with tempfile.TemporaryDirectory() as temporary:
        for times in FULL_SIZES if full else SIZES:
            folder = Path(temporary) / "events"
            rows = write_seasons(folder, times)
            output = Path(temporary) / f"out{times}"
            found |= {(name, times): run for name, run in measure(folder, output, times, rows)}
            print(compare(output), file=sys.stderr)
            if times == 1:
                repeated = [again(folder, output, pause_seconds) for pause_seconds in PAUSES_SECONDS]
    print()
    for line in (*ratios(found, DUCKDB), *repeated, *growth(found, "a row"), "", *costs(found)):
        print(line)


def write_seasons(folder: Path, times: int) -> int:
    """Write seasons, the first one as it is, until there are `times`; returns the number of rows in all of them."""
    folder.mkdir(exist_ok=True)
    files = sorted(require(EVENTS).glob("*.parquet"))
    there = len(list(folder.iterdir())) // len(files)
    for season in range(there, times):
        for path in files:
            target = folder / f"{season:03d}_{path.name}"
            if not season:
                shutil.copyfile(path, target)
                continue
            table = pq.read_table(path)
            ids = pc.add(table[n.GAME_ID], pa.scalar(season * 100_000_000))
            days = pc.add(table[n.DATE], pa.scalar(season % 70 * 10_000))
            for name, values in ((n.GAME_ID, ids), (n.DATE, days)):
                table = table.set_column(table.column_names.index(name), name, values)
            # further ones hold only what is read, so that a hundred of them have room
            pq.write_table(table.select(list(n.EVENT_COLUMNS)), target)
    return sum(pq.read_metadata(path).num_rows for path in folder.iterdir())


def measure(folder: Path, output: Path, times: int, rows: int) -> Iterator[tuple[str, TimedRun]]:
    """Each engine's run, printed as it ends."""
    for engine in ENGINES:
        if times > engine.largest:
            continue
        run = engine.run(folder, output / engine.name.replace(" ", "_"))
        numbers = f"{run.seconds:,.1f} | {run.cpu_seconds:,.1f} | {rows / run.seconds:,.0f}"
        print(f"| {times} | {rows:,} | {engine.name} | {numbers} | {run.peak_bytes / 1e6:,.0f} |", flush=True)
        yield engine.name, run


def again(folder: Path, output: Path, pause_seconds: int) -> str:
    """DuckDB and pandas in turn, several times: what a single run cannot say, and what the state of memory changes.

    Memory that a virtual machine has given back to its host is fetched anew when it is touched, which takes several
    times as long as to touch it. Linux gives back what was free for two seconds, where the host wants it
    (mm/page_reporting.c); on other machines a pause changes nothing.
    """
    duckdb, pandas = (next(engine for engine in ENGINES if engine.name == name) for name in (DUCKDB, PANDAS))
    pairs = []
    for _ in range(REPEATS):
        runs = []
        for engine in (duckdb, pandas):
            time.sleep(pause_seconds)
            runs.append(engine.run(folder, output / "again"))
        pairs.append(runs)
    ratios = sorted(reference.seconds / own.seconds for own, reference in pairs)
    seconds = [statistics.median(run.seconds for run in runs) for runs in zip(*pairs, strict=True)]
    before = f"{pause_seconds} s before each to give memory back" if pause_seconds else "memory kept between them"
    return (
        f"- at 1 times, {REPEATS} runs in turn, {before}: DuckDB {seconds[0]:.2f} s, pandas {seconds[1]:.2f} s, "
        f"{statistics.median(ratios):.1f} times as long ({ratios[0]:.1f} to {ratios[-1]:.1f}; medians)"
    )


def costs(found: dict[tuple[str, int], TimedRun]) -> Iterator[str]:
    """Dollars of a nightly job, as a table: start-up, and the CPU seconds above as if one core did the work.

    As in the estimate of the bill, the machines of a cluster each take as long as one: no gain is promised.
    """
    prices, steps = load_prices(), all_steps(read_definition("nba")["Steps"])
    clusters = {step["Name"]: step["Arguments"].get("ProcessingResources", {}).get("ClusterConfig") for step in steps}
    yield "| seasons | job | instances | a run |"
    yield "| --- | --- | --- | --- |"
    for (name, times), run in found.items():
        for step, machine, count in JOBS.get(name, ()):
            job = PipelineJob(step, "processing", machine, count, clusters[step]["VolumeSizeInGB"], always=True)
            dollars = job_cost(job, run.cpu_seconds, prices).dollars
            yield f"| {times} | `{step}` | {count} `{machine}` | ${dollars:.4f} |"


def compare(output: Path) -> str:
    """Whether all engines wrote the same: pandas' shares may differ in the last bit; tuned, it accounts for no row."""
    found, accounts = {}, {}
    for folder in sorted(output.iterdir()):
        with (folder / n.TEAM_GAMES_FILE).open(encoding="utf-8", newline="") as file:
            found[folder.name] = list(csv.DictReader(file))
        if (folder / n.AGGREGATED_FILE).exists():
            account = json.loads((folder / n.AGGREGATED_FILE).read_text(encoding="utf-8"))
            accounts[folder.name] = {name: value for name, value in account.items() if name not in OF_THE_RUN}
    (_, first), *others = found.items()
    shared = [name for name in first[0] if all(name in rows[0] for _, rows in others) and name != n.DATE]
    for name, rows in others:
        assert len(rows) == len(first), name
        for one, other in zip(first, rows, strict=True):
            for column in shared:
                same = one[column] == other[column] or abs(float(one[column]) - float(other[column])) < 1e-9
                assert same, f"{name}: {column} of game {one[n.GAME_ID]} is {other[column]}, not {one[column]}"
    for name, account in accounts.items():
        assert account == next(iter(accounts.values())), f"{name} accounts otherwise for the rows: {account}"
    return (
        f"{len(first):,} rows of teams and games, the same from {len(found)} programs in {len(shared)} columns; "
        f"the same account of every row from {len(accounts)}"
    )
