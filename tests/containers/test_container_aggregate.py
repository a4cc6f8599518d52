"""Aggregate in the image: as the unprivileged user, without network, under a container's memory limit."""

from __future__ import annotations

import json
from pathlib import Path

from containers import run

from pipeline.contract import names as c
from pipeline.workloads.nba import columns as n

ROWS = 200_000  # 50 MB of text


def write_games(folder: Path) -> None:
    """Free throws of many games, each row twice."""
    folder.mkdir(parents=True)
    with (folder / "events.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(n.EVENT_COLUMNS) + "\n")
        for number in range(ROWS):
            game, team = number // 400, "BOS" if number % 2 else "LAL"
            row = (
                f"{game},2022-10-18,{1 + number % 4},PT01M00.00S,{number},freethrow,Made,{team},Free Throw 2 of 2,[]\n"
            )
            file.write(row * 2)


def test_it_works_as_nobody_without_network_under_a_memory_limit(image: str, ml: Path) -> None:
    write_games(ml / "processing" / "input" / n.EVENTS_CHANNEL)
    limits = ("--network", "none", "--memory", "512m", "--memory-swap", "512m", "-v", f"{ml}:/opt/ml")
    done = run(*limits, image, "aggregate", "--memory-limit", "256MB", timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads((ml / "processing" / "output" / n.TEAM_GAMES_CHANNEL / n.AGGREGATED_FILE).read_text())
    assert (found["n_games"], found["n_duplicates_collapsed"]) == (ROWS // 400, ROWS)


def test_its_reason_is_left_where_sagemaker_reads_it(image: str, ml: Path) -> None:
    folder = ml / "processing" / "input" / n.EVENTS_CHANNEL
    folder.mkdir(parents=True)
    (folder / "events.csv").write_text("game_id,date\n")
    done = run("--network", "none", "-v", f"{ml}:/opt/ml", image, "aggregate")
    assert done.returncode == 1
    assert 'events.csv: column "period" is missing' in (ml / c.PROCESSING_FAILURE_FILE).read_text()
