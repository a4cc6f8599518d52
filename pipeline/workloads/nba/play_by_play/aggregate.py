"""Aggregate: play-by-play events -> one row a team and game: possessions, pace, efficiency, the Four Factors.

in   processing/input/events/*.csv|csv.gz|parquet     every event of every game (docs/events.md)
out  processing/output/team_games/team_games.csv      one row a team and game
     processing/output/team_games/aggregated.json     what was read, what was left out and why

python -m pipeline.workloads.nba.play_by_play.aggregate                                         DuckDB, on this machine
python -m pipeline.workloads.nba.play_by_play.aggregate --engine spark --master "local[*]"   the same queries on Spark
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from pipeline.contract.container import StepError, processing_input, processing_output, run_step
from pipeline.contract.reasons import counted
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.play_by_play.event_account import account, refuse_bad_data, summarise
from pipeline.workloads.nba.play_by_play.event_sql import Engine, read_queries

DUCKDB: Final = "duckdb"
SPARK: Final = "spark"


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The step's command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.workloads.nba.play_by_play.aggregate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", choices=[DUCKDB, SPARK], default=DUCKDB)
    parser.add_argument("--input", default="", help="folder of event files (default: the container's input channel)")
    parser.add_argument("--output", default="", help="folder of the results (default: the container's output channel)")
    parser.add_argument("--max-bad-row-share", type=float, default=0.01)
    parser.add_argument("--max-bad-row-share-of-file", type=float, default=0.2)
    parser.add_argument("--memory-limit", default="", help="of DuckDB, e.g. 1GB; beyond it, it uses the disk")
    parser.add_argument("--master", default="", help="of Spark, e.g. local[*] (default: what spark-submit says)")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Check the files, let the engine aggregate, refuse bad data, write."""
    arguments = parse_arguments(argv)
    limits = {"": arguments.max_bad_row_share, "OfFile": arguments.max_bad_row_share_of_file}
    for name, share in limits.items():
        if not 0 <= share <= 1:
            raise StepError(f"MaxBadRowShare{name} {share:g} is not a share from 0 to 1")
    started = time.perf_counter()
    target = Path(arguments.output) if arguments.output else processing_output(nba.TEAM_GAMES_CHANNEL)
    target.mkdir(parents=True, exist_ok=True)
    with open_engine(arguments) as engine:
        define_queries(engine)
        found = account(engine)
        refuse_bad_data(found, *limits.values())
        n_rows = write_team_games(engine, target / nba.TEAM_GAMES_FILE)
    found = {"engine": arguments.engine, "summary": summarise(found), "n_team_games": n_rows, **found}
    (target / nba.AGGREGATED_FILE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.stderr.write(
        f"{counted(found['n_rows_read'], 'row')}, {found['n_duplicates_collapsed']:,} of them repeated; "
        f"{counted(found['n_games'], 'game')}, {found['n_games_left_out']:,} left out; {n_rows:,} rows of teams and "
        f"games with {arguments.engine} in {time.perf_counter() - started:.1f} s\n"
        + "".join(f"took no part: {item['name']} {item['reason']}\n" for item in found["left_out"])
    )


def open_engine(arguments: argparse.Namespace) -> AbstractContextManager[Engine]:
    """The engine that the arguments ask for, with `raw_events` defined; to be closed. Raises StepError."""
    folder = Path(arguments.input) if arguments.input else processing_input(nba.EVENTS_CHANNEL)
    if arguments.engine == DUCKDB:
        from pipeline.workloads.nba.play_by_play.aggregate_duckdb import open_duckdb  # noqa: PLC0415 (a cluster has no DuckDB)

        return open_duckdb(folder, memory_limit=arguments.memory_limit)
    try:
        from pipeline.workloads.nba.play_by_play.aggregate_spark import open_spark  # noqa: PLC0415 (only where it is wanted and installed)
    except ImportError as error:
        raise StepError(f"{error}: install pyspark (make .venv/.all does), or use --engine duckdb") from error
    return open_spark(folder, master=arguments.master)


def define_queries(engine: Engine) -> None:
    """Make every query of events.sql known to the engine."""
    for query in read_queries():
        engine.define(query)


def write_team_games(engine: Engine, path: Path) -> int:
    """Write the rows as CSV (numbers so that they read back as they were); returns how many there are.

    The file is complete or absent. Raises StepError where the disk is full.
    """
    n_rows = 0
    partial = path.with_name(f".{path.name}")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(engine.columns("team_games"))
            for row in engine.rows("SELECT * FROM team_games"):
                writer.writerow(row)
                n_rows += 1
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StepError(f"{path} cannot be written ({error.strerror}); make room there") from error
    return n_rows


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:]))
