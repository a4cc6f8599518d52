"""Training on several hosts, as real processes: one model whatever their number; a host that is lost is named."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leagues import random_league
from training_hosts import Host, finish, start, wait_until, write_training_input

from pipeline.contract import names as c
from pipeline.evaluation.metrics import score
from pipeline.training.artifact import Artifact, read_artifact
from pipeline.training.linear import LinearPart
from pipeline.training.model import predict
from pipeline.training.training_sets import feature_matrix
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.games import load_games

ENDLESS = {"boosting_rounds": "5000", "walk_forward_rows": "5000"}  # no host is done before the test has lost one
QUICK = {"boosting_rounds": "10", "walk_forward_rows": "300"}
THREE = ("algo-1", "algo-2", "algo-3")


def loaded(folder: Path, as_of: date) -> Path:
    """A training job's channel from a folder of games; played games of the modelled seasons only."""
    games = load_games(folder, as_of=as_of, today=as_of, max_bad_row_share=0.01, min_rows=500).rows
    played = games[games[n.HOME_POINTS].notna() & (games[n.SEASON] >= 2004)].reset_index(drop=True)
    return write_training_input(folder.parent / "input", played, as_of)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The channel of 1,600 made-up games, in parts of 256."""
    games = random_league(3, teams=12, seasons=4, games=400)
    return write_training_input(tmp_path_factory.mktemp("small") / "input", games, date(2006, 1, 1))


@pytest.fixture(scope="module")
def inputs(real_games: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The channel of the real games; the conformance suite (test_contract.py) trains on those of the sample."""
    folder = tmp_path_factory.mktemp("real") / "games"
    folder.symlink_to(real_games)
    return loaded(folder, date(2023, 7, 1))


@pytest.fixture
def started() -> Iterator[list[Host]]:
    """Hosts that are ended with the test, even stopped ones."""
    hosts: list[Host] = []
    yield hosts
    for host in hosts:
        host.process.kill()
        host.process.wait()


def trained(folder: Path, inputs: Path, n_hosts: int) -> Artifact:
    hosts = start(folder / str(n_hosts), inputs, tuple(f"algo-{number + 1}" for number in range(n_hosts)))
    assert finish(hosts) == [0] * n_hosts, [host.log for host in hosts]
    assert [host.model_files for host in hosts[1:]] == [[]] * (n_hosts - 1)
    assert not any(host.reason for host in hosts)
    return read_artifact(hosts[0].base / c.MODEL_CHANNEL)


def test_one_and_four_hosts_train_the_same_model(inputs: Path, tmp_path: Path) -> None:
    """Within 0.1 % of log loss: the walk-forward predictions', and the shipped weights' on all games."""
    features = pq.read_table(inputs / c.FEATURES_FILE)
    games, target = feature_matrix(features), features[c.TARGET].to_numpy().astype(np.float64)

    def losses(artifact: Artifact) -> np.ndarray:
        predicted = score(artifact.walk_forward[c.PREDICTION].to_numpy(), artifact.walk_forward[c.TARGET].to_numpy())
        return np.array([predicted["log_loss"], score(predict(artifact.booster, games), target)["log_loss"]])

    alone, together = (trained(tmp_path, inputs, n_hosts) for n_hosts in (1, 4))
    assert losses(together) == pytest.approx(losses(alone), rel=0.001)
    assert together.card == alone.card
    assert LinearPart.of(together.booster).coefficients == pytest.approx(
        LinearPart.of(alone.booster).coefficients, abs=1e-6
    )
    assert drop(together.walk_forward, c.PREDICTION).equals(drop(alone.walk_forward, c.PREDICTION))
    assert together.walk_forward[c.PREDICTION].to_numpy() == pytest.approx(
        alone.walk_forward[c.PREDICTION].to_numpy(), abs=0.05
    )


def drop(table: pa.Table, name: str) -> pa.Table:
    return table.drop_columns([name])


def test_hosts_without_a_game_of_some_month_or_of_any_take_part(small: Path, tmp_path: Path) -> None:
    """1,600 games in 7 parts on 8 hosts: the first checkpoint's games lie on some of them, and one has no game."""
    names = tuple(f"algo-{number}-x7k2p" for number in range(1, 9))
    hosts = start(tmp_path, small, names, training_config={**QUICK, "walk_forward_rows": "1000"})
    assert finish(hosts) == [0] * 8, [host.log for host in hosts]
    predicted = read_artifact(hosts[0].base / c.MODEL_CHANNEL).walk_forward
    assert predicted.num_rows > 900  # the rest have fewer than 500 games before their month
    assert (predicted[c.PREDICTION].to_numpy() > 0).all()


@pytest.mark.parametrize(
    ("lost", "way", "words"),
    [
        ("algo-2", signal.SIGKILL, "host algo-2 died"),
        ("algo-1", signal.SIGKILL, "host algo-1 died"),
        ("algo-3", signal.SIGSTOP, "host algo-3 has sent no heartbeat for 2 s"),
    ],
)
def test_a_host_that_is_lost_while_all_compute_is_named_by_the_others(
    small: Path, tmp_path: Path, started: list[Host], lost: str, way: signal.Signals, words: str
) -> None:
    started += start(tmp_path, small, THREE, training_config=ENDLESS, environment={c.CLUSTER_HEARTBEAT_VARIABLE: "2"})
    wait_until(lambda: all("walking forward" in host.log for host in started))
    victim = next(host for host in started if host.name == lost)
    os.kill(victim.process.pid, way)
    survivors = [host for host in started if host is not victim]
    assert finish(survivors) == [1, 1]
    for host in survivors:
        assert words in host.reason, host.log
        assert "start the run again" in host.reason
    assert not any(host.model_files for host in started)


def test_a_host_that_never_comes_is_named_by_those_who_did(small: Path, tmp_path: Path) -> None:
    hosts = start(tmp_path, small, THREE, absent="algo-3", environment={c.CLUSTER_WAIT_VARIABLE: "4"})
    assert finish(hosts) == [1, 1]
    for host in hosts:
        assert "host algo-3 did not come within 4 s: 2 of 3 hosts are there (algo-1, algo-2)" in host.reason
        assert host.model_files == []


def test_without_the_first_host_the_others_name_it(small: Path, tmp_path: Path) -> None:
    hosts = start(tmp_path, small, THREE[:2], absent="algo-1", environment={c.CLUSTER_WAIT_VARIABLE: "1"})
    assert finish(hosts) == [1]
    assert "host algo-1 did not answer" in hosts[0].reason
    assert "within 1 s (Connection refused)" in hosts[0].reason


def test_a_host_that_fails_for_a_reason_of_its_own_tells_it_to_all(small: Path, tmp_path: Path) -> None:
    """One cannot read its input, the other waits for it in a sum over both."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / c.FEATURES_FILE).write_bytes(b"no parquet")
    hosts = start(tmp_path, {"algo-1": small, "algo-2": broken}, THREE[:2], training_config=QUICK)
    assert finish(hosts) == [1, 1]
    assert hosts[1].reason.startswith("features.parquet of channel features cannot be read")
    assert hosts[0].reason == f"host algo-2 failed: {hosts[1].reason}"


def test_hosts_with_different_games_do_not_train(small: Path, tmp_path: Path) -> None:
    """As when somebody shards the channel by key: the sums would be of other games than each host believes."""
    other = write_training_input(tmp_path / "other", random_league(4, seasons=3, games=400), date(2005, 1, 1))
    hosts = start(tmp_path, {"algo-1": small, "algo-2": other}, THREE[:2], training_config=QUICK)
    assert finish(hosts) == [1, 1]
    assert all("algo-2 and algo-1 have different rows, training configs or code" in host.reason for host in hosts)


def test_a_job_whose_hosts_file_lies_says_so(small: Path, tmp_path: Path) -> None:
    hosts = start(tmp_path, small, ("algo-1",))
    (hosts[0].base / c.TRAINING_HOSTS_FILE).write_text('{"current_host": "algo-9", "hosts": ["algo-1"]}')
    assert finish(hosts) == [1]
    assert 'current_host "algo-9" is not among the hosts algo-1' in hosts[0].reason
