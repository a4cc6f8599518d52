"""Games that do not fit into memory are trained on from disk: the same model, under a limit that memory would break."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leagues import random_league
from training_hosts import ROOT, finish, lay_out, start, write_training_input

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.jobs.train import train
from pipeline.training import training_rows as module
from pipeline.training import training_sets
from pipeline.training.artifact import Artifact, read_artifact
from pipeline.training.distributed.cluster import Cluster
from pipeline.training.linear import LinearPart

TIMES = 320  # of 1,600 games: 512,000, which take 0.5 GB in memory
# Bytes of data. Python and its libraries claim 0.35 GB of them before the first game. From disk 550 MB are enough, in
# memory 800 MB are not: wide of both, because the peak differs by some tens of MB from run to run.
LIMIT = 650_000_000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each claims memory of its own
IN_MEMORY = (
    "from pipeline.jobs import train; from pipeline.training import training_rows as t; "
    "t.MEMORY_BYTES_A_VALUE = 0; train.main([])"
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The channel of 1,600 made-up games, in parts of 256."""
    games = random_league(5, teams=12, seasons=4, games=400)
    return write_training_input(tmp_path_factory.mktemp("disk") / "input", games, date(2006, 1, 1))


@pytest.fixture
def base(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training job's base directory with those games."""
    return lay_out(tmp_path, small, monkeypatch, walk_forward_rows="900", min_child_weight="10")


def from_disk(monkeypatch: pytest.MonkeyPatch, batch: int) -> Artifact:
    """Train as if memory were too small, in batches of so many games."""
    monkeypatch.setattr(module, "MEMORY_BYTES_A_VALUE", 10**12)
    monkeypatch.setattr(training_sets, "_BATCH_ROWS", batch)
    return train(Cluster())


@pytest.mark.parametrize("batch", [1, 700, 10_000])
def test_the_model_from_disk_is_that_from_memory(
    base: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], batch: int
) -> None:
    """The same linear part to its last digit that counts, and forecasts within a hundredth of a percentage point."""
    memory = train(Cluster())
    assert "external memory" not in capfd.readouterr().err
    monkeypatch.setattr("tempfile.tempdir", str(base))
    disk = from_disk(monkeypatch, batch)
    said = capfd.readouterr().err
    assert "features need about 44800000.0 GB, " in said
    assert "training from disk with XGBoost's external memory" in said
    assert "WARNING" not in said
    assert LinearPart.of(disk.booster).coefficients == pytest.approx(
        LinearPart.of(memory.booster).coefficients, abs=1e-8
    )
    assert disk.walk_forward[c.PREDICTION].to_numpy() == pytest.approx(
        memory.walk_forward[c.PREDICTION].to_numpy(), abs=1e-4
    )
    assert disk.card == memory.card
    assert not list(base.glob("xgboost-cache-*"))


def test_hosts_train_together_from_disk(small: Path, tmp_path: Path) -> None:
    """Under a limit of address space that leaves nothing, as each host's own look at it finds."""
    names = ("algo-1", "algo-2", "algo-3")
    training_config = {"boosting_rounds": "5", "walk_forward_rows": "300"}
    together = start(tmp_path / "disk", small, names, training_config=training_config, prelude=PRELUDE)
    assert finish(together) == [0, 0, 0], [host.log for host in together]
    assert all("external memory" in host.log for host in together)
    memory = start(tmp_path / "memory", small, names, training_config=training_config)
    assert finish(memory) == [0, 0, 0]
    predicted = [
        read_artifact(hosts[0].base / c.MODEL_CHANNEL).walk_forward[c.PREDICTION] for hosts in (together, memory)
    ]
    assert predicted[0].to_numpy() == pytest.approx(predicted[1].to_numpy(), abs=1e-3)


PRELUDE = "from pipeline.training import training_rows as t; t.MEMORY_BYTES_A_VALUE = 10**12"


def test_under_a_limit_that_memory_breaks_it_trains(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is the kernel's; whoever is made to train in memory dies of it, and says of what."""
    channel = many_times(small, tmp_path / "channel")
    base = lay_out(tmp_path / "job", channel, monkeypatch, boosting_rounds="3", walk_forward_rows="20")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        limited = ["prlimit", f"--data={LIMIT}", sys.executable, *command]
        return subprocess.run(
            limited, cwd=ROOT, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False
        )

    dead = run("-c", IN_MEMORY)
    assert dead.returncode == 1
    assert re.search("MemoryError|Memory allocation|bad.alloc", dead.stderr), dead.stderr  # of numpy, BLAS or XGBoost
    alive = run("-m", "pipeline.jobs.entrypoint", "train")
    assert alive.returncode == 0, alive.stderr
    assert "features need about 0.8 GB" in alive.stderr
    assert "(the limit of data, ulimit -d): training from disk" in alive.stderr
    assert read_artifact(base / c.MODEL_CHANNEL).card.n_rows == TIMES * 1_600


def many_times(source: Path, folder: Path) -> Path:
    """The games of `source` TIMES times, one league after the other, a row group each."""
    folder.mkdir()
    (folder / c.STATE_FILE).symlink_to(source / c.STATE_FILE)
    table = pq.read_table(source / c.FEATURES_FILE)
    day = table[c.TIME].to_numpy().astype("datetime64[D]")
    at = table.column_names.index(c.TIME)
    with pq.ParquetWriter(folder / c.FEATURES_FILE, table.set_column(at, c.TIME, pa.array(day)).schema) as writer:
        for copy in range(TIMES):
            writer.write_table(table.set_column(at, c.TIME, pa.array(day + np.timedelta64(copy * 365 * 4, "D"))))
    return folder


def test_too_little_disk_is_said_before_the_work(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_sets, "CACHE_BYTES_A_VALUE", 10**12)
    with pytest.raises(StepError, match=r"training from disk needs \d+\.\d GB in .*: give the training job a larger"):
        from_disk(monkeypatch, 10_000)
