"""A number in the documents has a benchmark behind it: the fast ones must still run, and say what the documents say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmarks.local_run import runner_overhead
from benchmarks.nba.scale_aggregation import compare
from benchmarks.scale import write_real
from pipeline.contract import names as c
from pipeline.local import local_deployment
from pipeline.local.store.store import Store
from pipeline.workloads.nba import columns as nba

# The forecasts of another processor's XGBoost may differ in their last digits.
TOLERANCE = 3e-4


def run(name: str, *arguments: str) -> str:
    """What a benchmark prints, run as a user runs it."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def signed_numbers(text: str) -> list[float]:
    """Differences and the ends of their intervals, in order."""
    return [float(number) for number in re.findall(r"[+-]\d\.\d{4}\b", text)]


@pytest.mark.usefixtures("real_games", "real_events")
def test_whether_features_of_events_help_is_what_the_document_says(root: Path) -> None:
    text = (root / "docs/scaling.md").read_text(encoding="utf-8")
    section = text.partition("## Do the features help?")[2].partition("\n## ")[0]
    printed, documented = signed_numbers(run("nba.event_features")), signed_numbers(section)
    assert len(printed) == 3 * (4 * 2 + 3)  # difference and interval: four sets in two places, three shares of luck
    assert documented == pytest.approx(printed, abs=TOLERANCE)
    below, above = printed[1::3], printed[2::3]
    assert all(low < 0 < high for low, high in zip(below, above, strict=True)), "one is clear of zero: say so"


@pytest.mark.usefixtures("real_games")
def test_the_model_is_better_than_elo_in_each_season() -> None:
    assert "kept: better in each season" in run("nba.model_quality")


def test_the_bounds_of_input_are_still_measured() -> None:
    assert "5,000 columns, and 1,000 are read at most" in run("bounds", "--only", "5,000 columns")


def test_an_idle_step_still_runs(tmp_path: Path) -> None:
    store, games = Store(tmp_path / "store"), tmp_path / "games.csv"
    games.write_text("nobody reads it\n")
    local_deployment.seed(store)
    local_deployment.put_data(store, games, local_deployment.data_prefix(games))
    assert all(seconds > 0 for seconds in runner_overhead(store.root, 1))


@pytest.mark.usefixtures("real_games")
def test_training_is_still_timed_on_features_as_prepare_writes_them(tmp_path: Path) -> None:
    assert write_real(tmp_path / "real") == pq.read_metadata(tmp_path / "real" / c.FEATURES_FILE).num_rows > 25_000


def test_the_pandas_that_duckdb_is_timed_against_does_the_same_work(real_events: Path, tmp_path: Path) -> None:
    """Rows and account, also where some events are bad."""
    events, output = tmp_path / "events", tmp_path / "output"
    events.mkdir()
    for path in sorted(real_events.glob("*.parquet"))[::5]:  # of six teams
        shutil.copyfile(path, events / path.name)
    damaged = min(events.glob("*.parquet"))
    table = pd.read_parquet(damaged)
    shots = table.index[table["actionType"] == "2pt"]
    table.loc[shots[:3], "shotResult"] = "Maybe"
    table.loc[shots[500], "clock"] = "noon"
    table.loc[shots[1000], "date"] = 20230231
    table.to_parquet(damaged)
    for name, program in (
        ("step", "pipeline.workloads.nba.play_by_play.aggregate"),
        ("reference", "benchmarks.nba.pandas_team_games"),
    ):
        folders = [str(events), str(output / name)]
        arguments = ["--input", folders[0], "--output", folders[1]] if name == "step" else folders
        subprocess.run([sys.executable, "-m", program, *arguments], check=True)
    compare(output)
    account = json.loads((output / "reference" / nba.AGGREGATED_FILE).read_text(encoding="utf-8"))
    assert account["n_bad_rows"] == 5
    assert account["n_games_left_out"] == 3
