"""How aggregation grows: rows a second and peak memory of DuckDB, Spark and pandas, all in one run.

in   ../shared/data/play_by_play_2023/     every event of a season; N times it: N seasons with ids and days of their own

Each engine is a process of its own, timed from its start to its end, with the peak memory of it and its children. CPU
seconds do not depend on neighbours; seconds do. DuckDB runs once more under a fixed memory limit. At 1 times the rows
of all engines are compared.

python -m benchmarks.scale             1 and 10 times
python -m benchmarks.scale --full      100 times, too: DuckDB and Spark only, 1 GB of disk
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
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

from pipeline import contract as c

REAL_EVENTS: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "play_by_play_2023"
MEMORY_LIMIT: Final = "512MB"
LARGEST_FOR_PANDAS: Final = 10
STEP: Final = ("-m", "pipeline.steps.aggregate")
ENGINES: Final[dict[str, tuple[str, ...]]] = {
    "DuckDB": STEP,
    f"DuckDB, {MEMORY_LIMIT}": (*STEP, "--memory-limit", MEMORY_LIMIT),
    "Spark, local[2]": (*STEP, "--engine", "spark", "--master", "local[2]"),
    "pandas": ("-m", "benchmarks.pandas_team_games"),
    "pandas, tuned": ("-m", "benchmarks.pandas_team_games", "--tuned"),
}


@dataclass(frozen=True)
class Run:
    """Of a process and its children: seconds, CPU seconds, and their highest resident memory together, in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def main() -> int:
    """Print one line for each engine and size, then the ratios at 1 times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true", help="100 times the season, too")
    if not REAL_EVENTS.is_dir():
        print("real play-by-play not found at ../shared/data", file=sys.stderr)
        return 2
    sizes = (1, 10, 100) if parser.parse_args().full else (1, 10)
    print(f"{'times':>5} {'rows':>12}  {'engine':<16}{'seconds':>9}{'CPU s':>8}{'rows/s':>12}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as temporary:
        for times in sizes:
            folder = Path(temporary) / "events"
            rows = write_seasons(folder, times)
            found = dict(measure(folder, Path(temporary) / "out", times, rows))
            if times == 1:
                at_one = found
                compare(Path(temporary) / "out")
    duck = at_one["DuckDB"]
    for name in ("Spark, local[2]", "pandas", "pandas, tuned"):
        seconds, cpu = at_one[name].seconds / duck.seconds, at_one[name].cpu_seconds / duck.cpu_seconds
        print(f"at 1 times, {name} takes {seconds:.1f} times DuckDB's seconds, {cpu:.1f} times its CPU seconds")
    return 0


def write_seasons(folder: Path, times: int) -> int:
    """Write further seasons until there are `times`; returns the number of rows in all of them."""
    folder.mkdir(exist_ok=True)
    files = sorted(REAL_EVENTS.glob("*.parquet"))
    there = len(list(folder.iterdir())) // len(files)
    for season in range(there, times):
        for path in files:
            table = pq.read_table(path)
            ids = pc.add(table[c.GAME_ID], pa.scalar(season * 100_000_000))
            days = pc.add(table[c.DATE], pa.scalar(season % 70 * 10_000))
            for name, values in ((c.GAME_ID, ids), (c.DATE, days)):
                table = table.set_column(table.column_names.index(name), name, values)
            if season:  # the copies hold only what is read, so that a hundred of them have room
                table = table.select(list(c.EVENT_COLUMNS))
            pq.write_table(table, folder / f"{season:03d}_{path.name}")
    return sum(pq.read_metadata(path).num_rows for path in folder.iterdir())


def measure(folder: Path, output: Path, times: int, rows: int) -> Iterator[tuple[str, Run]]:
    """Each engine's run, printed as it ends."""
    for name, command in ENGINES.items():
        if name.startswith("pandas") and times > LARGEST_FOR_PANDAS:
            continue
        target = output / name.replace(" ", "_")
        places = ["--input", str(folder), "--output", str(target)] if STEP[1] in command else [str(folder), str(target)]
        run = timed([sys.executable, *command[:2], *places, *command[2:]])
        rate = f"{rows / run.seconds:12,.0f}"
        used = f"{run.seconds:9.1f}{run.cpu_seconds:8.1f}"
        print(f"{times:>5} {rows:>12,}  {name:<16}{used}{rate}{run.peak_bytes / 1e6:9,.0f}", flush=True)
        yield name, run


def timed(command: list[str]) -> Run:
    """Run a command to its end; raises CalledProcessError where it fails."""
    start, peak, cpu = time.perf_counter(), 0, dict[int, float]()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            pids = list(family(process.pid))
            peak = max(peak, sum(resident_bytes(pid) for pid in pids))
            cpu.update({pid: max(cpu.get(pid, 0.0), cpu_seconds(pid)) for pid in pids})
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        log = process.stderr.read() if process.stderr else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=log)
    return Run(seconds, sum(cpu.values()), peak)


def family(pid: int) -> Iterator[int]:
    """A process and all below it (Linux)."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process now; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 if "VmRSS:" in status else 0


def cpu_seconds(pid: int) -> float:
    """What a process has used until now; 0 when it has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def compare(output: Path) -> None:
    """Whether all engines wrote the same numbers; pandas' shares may differ in the last bit."""
    found = {}
    for folder in sorted(output.iterdir()):
        with (folder / c.TEAM_GAMES_FILE).open(encoding="utf-8", newline="") as file:
            found[folder.name] = list(csv.DictReader(file))
    (_, first), *others = found.items()
    shared = [name for name in first[0] if name in others[-1][1][0] and name != c.DATE]
    for name, rows in others:
        assert len(rows) == len(first), name
        for one, other in zip(first, rows, strict=True):
            for column in shared:
                same = one[column] == other[column] or abs(float(one[column]) - float(other[column])) < 1e-9
                assert same, f"{name}: {column} of game {one[c.GAME_ID]} is {other[column]}, not {one[column]}"
    print(f"{'':>5} {len(first):>12,}  rows of teams and games, the same from all engines in {len(shared)} columns")


if __name__ == "__main__":
    sys.exit(main())
