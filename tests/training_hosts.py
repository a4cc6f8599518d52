"""Training jobs of one or more hosts as real processes, each with a base directory laid out as SageMaker does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.contract import names as c
from pipeline.jobs.prepare import write_features
from pipeline.workloads.nba.features import feature_table, features_and_state
from pipeline.workloads.nba.team_state.feature_names import LAYOUT
from pipeline.workloads.nba.team_state.league_state import write_state

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds until a job that hangs is a failed test


@dataclass(frozen=True)
class Host:
    """One host's process and its base directory."""

    name: str
    base: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.base / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def reason(self) -> str:
        """What SageMaker would show as FailureReason; empty where there is none."""
        path = self.base / c.TRAINING_FAILURE_FILE
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def model_files(self) -> list[str]:
        return sorted(path.name for path in (self.base / c.MODEL_CHANNEL).iterdir())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_training_input(folder: Path, games: pd.DataFrame, as_of: date, row_group: int | None = None) -> Path:
    """What Prepare writes for Train, from games as `load_games` returns them; `row_group`: games in a part."""
    folder.mkdir(parents=True)
    features, state = features_and_state(games, as_of)
    facts = {
        "as_of_date": str(as_of),
        "fingerprint": "f",
        "feature_signature": "s",
        "time_zone": "UTC",
        **LAYOUT.as_metadata(),
    }
    write_features(folder / c.FEATURES_FILE, feature_table(features), facts | LAYOUT.as_metadata())
    if row_group:
        table = pq.read_table(folder / c.FEATURES_FILE)
        pq.write_table(table, folder / c.FEATURES_FILE, row_group_size=row_group)
    write_state(folder / c.STATE_FILE, state)
    return folder


def lay_out(base: Path, channel: Path, monkeypatch: pytest.MonkeyPatch, **training_config: str) -> Path:
    """A training job's base directory for this process, with the features of `channel`."""
    (base / "input/config").mkdir(parents=True)
    (base / "input/data").mkdir()
    (base / "input/data" / c.FEATURES_CHANNEL).symlink_to(channel)
    (base / "input/config/hyperparameters.json").write_text(json.dumps(training_config))
    monkeypatch.setenv(c.BASE_DIR_VARIABLE, str(base))
    return base


def start(
    folder: Path,
    inputs: Path | Mapping[str, Path],
    names: tuple[str, ...],
    *,
    absent: str = "",
    training_config: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    prelude: str = "",
) -> list[Host]:
    """Start a job on hosts of these names, but not `absent`; `inputs` is the channel's folder, or each host's own.

    `prelude` is Python that each host runs first, to change what it believes of its machine.
    """
    command = ["-m", "pipeline.jobs.entrypoint", "train"]
    if prelude:
        step = "import sys; from pipeline.contract.container import run_step; from pipeline.jobs.train import main"
        command = ["-c", f"{prelude}\n{step}\nsys.exit(run_step(main, [], {c.TRAINING_FAILURE_FILE!r}))"]
    port = str(free_port())
    hosts = []
    for name in names:
        if name == absent:
            continue
        base = folder / name
        for below in ("input/config", "input/data", c.MODEL_CHANNEL):
            (base / below).mkdir(parents=True)
        source = inputs if isinstance(inputs, Path) else inputs[name]
        (base / "input/data" / c.FEATURES_CHANNEL).symlink_to(source)
        (base / "input/config/hyperparameters.json").write_text(
            json.dumps({"walk_forward_rows": "1312", **(training_config or {})})
        )
        who = {"current_host": name, "hosts": list(names), "network_interface_name": "lo"}
        (base / c.TRAINING_HOSTS_FILE).write_text(json.dumps(who))
        variables = {c.BASE_DIR_VARIABLE: str(base), c.CLUSTER_PORT_VARIABLE: port, **(environment or {})}
        with (base / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        hosts.append(Host(name, base, process))
    return hosts


def finish(hosts: list[Host]) -> list[int]:
    """Wait for all; returns the exit codes. Ends whoever is left, and raises TimeoutExpired, when they hang."""
    deadline = time.monotonic() + PATIENCE
    try:
        return [host.process.wait(max(0.1, deadline - time.monotonic())) for host in hosts]
    finally:
        for host in hosts:
            host.process.kill()
            host.process.wait()


def wait_until(holds: Callable[[], bool]) -> None:
    """Poll; raises AssertionError when it never holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
