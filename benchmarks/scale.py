"""How the pipeline grows with its data: seconds, CPU seconds and peak memory, as the tables of docs/scaling.md.

in   ../shared/data/     real data; N times it is N copies with ids and days of their own

Every program is a process of its own, timed from its start to its end, with the peak memory of it and its children.
CPU seconds do not depend on neighbours; seconds do. Prints ratios last: they carry over to other machines.

python -m benchmarks.scale                       some minutes
python -m benchmarks.scale --only aggregation    one part of it
python -m benchmarks.scale --full                the largest sizes, too: half an hour

Training: 1, 2 and 4 hosts, in memory and from disk; N times the games are N leagues, one after the other. Each host is
a process of the step as SageMaker starts it (`pipeline.jobs.entrypoint train`), all on this machine: they share its
cores, so what several save in seconds ends at its number of cores. One host runs again under memory limits that the
kernel keeps: the step sees them, and trains from disk where the games would not fit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.nba import scale_aggregation
from benchmarks.real_data import AS_OF, FIRST_SEASON, ROOT, games_of
from benchmarks.timed_process import TimedRun, growth, ratios, timed
from pipeline.contract import names as c
from pipeline.jobs.prepare import MAX_ROW_GROUP, write_features
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import feature_table, features_and_state
from pipeline.workloads.nba.team_state.feature_names import LAYOUT
from pipeline.workloads.nba.team_state.league_state import write_state

# What is timed.
HOSTS_PROGRAM: Final = """
import sys
from benchmarks.scale import run_hosts
sys.exit(run_hosts(sys.argv[1], sys.argv[2:]))
"""
SIZES: Final = (1, 10)
FULL_SIZES: Final = (*SIZES, 100)
HOSTS: Final = (1, 2, 4)
# Bytes: XGBoost, Arrow and Python alone want 300 MB, and each game keeps some 40 bytes in memory from disk, too.
LIMIT: Final = 700_000_000
LARGE_LIMIT: Final = 1_000_000_000


@dataclass(frozen=True)
class Way:
    """A way to train; `limit` is the memory of each host, in bytes, and `largest` the last size to try."""

    hosts: int = 1
    limit: int | None = None
    largest: int = FULL_SIZES[-1]

    @property
    def label(self) -> str:
        limit = f", {self.limit / 1e6:,.0f} MB" if self.limit else ""
        return f"{self.hosts} host{'s' if self.hosts > 1 else ''}{limit}"


WAYS: Final = (*(Way(hosts) for hosts in HOSTS), Way(limit=LIMIT, largest=10), Way(limit=LARGE_LIMIT))


def training(full: bool) -> None:
    """Print the table of docs/scaling.md, then the ratios."""
    found: dict[tuple[str, int], TimedRun] = {}
    print("| times | games | hosts | games lie | seconds | CPU seconds | games/s | peak MB, all hosts |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        one = Path(temporary) / "real"
        games = write_real(one)
        for times in FULL_SIZES if full else SIZES:
            channel = Path(temporary) / f"{times}"
            repeat(one, channel, times)
            for way in (way for way in WAYS if times <= way.largest):
                run, place = train(channel, Path(temporary) / "job", way)
                found[way.label, times] = run
                numbers = f"{run.seconds:,.1f} | {run.cpu_seconds:,.1f} | {games * times / run.seconds:,.0f}"
                numbers = f"{place} | {numbers} | {run.peak_bytes / 1e6:,.0f}"
                print(f"| {times} | {games * times:,} | {way.label} | {numbers} |", flush=True)
            shutil.rmtree(channel)
    print()
    for line in (*ratios(found, WAYS[0].label), *growth(found, "a game")):
        print(line)


def write_real(folder: Path) -> int:
    """Train's channel from the real games, as Prepare writes it; returns the number of games."""
    loaded = games_of()
    played = loaded[loaded[n.HOME_POINTS].notna()].reset_index(drop=True)
    features, state = features_and_state(played, AS_OF)
    modelled = features[features[n.SEASON] >= FIRST_SEASON].reset_index(drop=True)
    folder.mkdir()
    facts = {
        "as_of_date": str(AS_OF),
        "fingerprint": "benchmark",
        "feature_signature": "benchmark",
        "time_zone": "UTC",
        **LAYOUT.as_metadata(),
    }
    write_features(folder / c.FEATURES_FILE, feature_table(modelled), facts)
    write_state(folder / c.STATE_FILE, state)
    return len(modelled)


def repeat(source: Path, folder: Path, times: int) -> None:
    """`source` repeated; each copy follows the last, with its own ids, days and seasons."""
    folder.mkdir()
    shutil.copy(source / c.STATE_FILE, folder)
    table = pq.read_table(source / c.FEATURES_FILE)
    if times == 1:
        shutil.copy(source / c.FEATURES_FILE, folder)
        return
    day, season = table[c.TIME].to_numpy().astype("datetime64[D]"), table[n.SEASON].to_numpy()
    years = int(season.max() - season.min()) + 1
    writer: pq.ParquetWriter | None = None
    for copy in range(times):
        shifted = {
            c.ROW_ID: pa.array([f"{copy}-{game}" for game in table[c.ROW_ID].to_pylist()]),
            c.TIME: pa.array(day + np.timedelta64(copy * years * 366, "D")),
            n.SEASON: pa.array(season + copy * years),
        }
        part = table
        for name, values in shifted.items():
            part = part.set_column(part.column_names.index(name), name, values)
        writer = writer or pq.ParquetWriter(folder / c.FEATURES_FILE, part.schema)
        writer.write_table(part, row_group_size=MAX_ROW_GROUP)
    assert writer is not None
    writer.close()


def train(channel: Path, folder: Path, way: Way) -> tuple[TimedRun, str]:
    """One training job, and where its games lay; raises CalledProcessError where it fails."""
    shutil.rmtree(folder, ignore_errors=True)
    names = [f"algo-{number + 1}" for number in range(way.hosts)]
    for name in names:
        lay_out(folder / name, channel, name, names)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-c", HOSTS_PROGRAM, str(folder), *names]
    environment = {**os.environ, c.CLUSTER_PORT_VARIABLE: port, "PYTHONPATH": str(ROOT)}
    run = timed(command, environment=environment, memory_limit=way.limit)
    log = (folder / names[0] / "log").read_text(encoding="utf-8")
    return run, "on disk" if "external memory" in log else "in memory"


def lay_out(base: Path, channel: Path, name: str, names: list[str]) -> None:
    """A host's folder as SageMaker lays it out."""
    for below in ("input/config", "input/data", c.MODEL_CHANNEL):
        (base / below).mkdir(parents=True)
    (base / "input/data" / c.FEATURES_CHANNEL).symlink_to(channel)
    (base / "input/config/hyperparameters.json").write_text("{}")
    hosts: dict[str, Any] = {"current_host": name, "hosts": names, "network_interface_name": c.LOOPBACK_INTERFACE}
    (base / c.TRAINING_HOSTS_FILE).write_text(json.dumps(hosts))


def run_hosts(place: str, names: list[str]) -> int:
    """The hosts' processes, started together; the highest of their exit codes."""
    folder, processes = Path(place), []
    for name in names:
        with (folder / name / "log").open("wb") as log:
            variables = {**os.environ, c.BASE_DIR_VARIABLE: str(folder / name)}
            command = [sys.executable, "-m", "pipeline.jobs.entrypoint", "train"]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=variables))
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.stderr.write("".join((folder / name / "log").read_text(encoding="utf-8") for name in names))
    return max(map(abs, codes))


# Each prints its tables; its argument is --full.
PARTS: Final[dict[str, Callable[[bool], None]]] = {"aggregation": scale_aggregation.main, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS), help="one part instead of all")
    parser.add_argument("--full", action="store_true", help="the largest sizes, too: half an hour, and 10 GB of disk")
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(options.full)


if __name__ == "__main__":
    main()
