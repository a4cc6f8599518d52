"""The image serves the champion of a local run, started and stopped as SageMaker does it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from containers import Nights
from served_model import GAME, Client, many_games, predictions, unpack_champion

from pipeline.training.model_files import write_digests

UNPRIVILEGED = "10001"


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Endpoint(Client):
    container: str


@pytest.fixture(scope="module")
def store(embedded: Nights) -> Path:
    """Its version 1 is the champion, and predicted the week to come."""
    return embedded.store


@pytest.fixture(scope="module")
def endpoint(image: str, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """`docker run IMAGE serve` with the model mounted read-only."""
    model = tmp_path_factory.mktemp("model")
    unpack_champion(store, model)
    model.chmod(0o755)  # pytest's folders are for their owner only; what is mounted read-only cannot be handed over
    mounted = ["-v", f"{model}:/opt/ml/model:ro", "-e", "MODEL_VERSION=1", "-p", "127.0.0.1::8080"]
    container = docker("run", "-d", *mounted, image, "serve")
    try:
        port = int(docker("port", container, "8080/tcp").rsplit(":", maxsplit=1)[-1])
        one = Endpoint(port, container)
        while not one.answers():
            assert docker("inspect", "-f", "{{.State.Running}}", container) == "true", docker("logs", container)
            time.sleep(0.1)
        yield one
    finally:
        docker("rm", "-f", container)


def test_every_game_is_served_as_predict_wrote_it(endpoint: Endpoint, store: Path) -> None:
    predicted = predictions(store)
    games = [{name: row[name] for name in ("date", "home_team", "away_team")} for row in predicted]
    answer = endpoint.ask(*games).json
    assert answer["model_version"] == "1"
    assert [round(row["home_win_probability"], 4) for row in answer["predictions"]] == [
        float(row["home_win_probability"]) for row in predicted
    ]


def test_a_large_batch_and_a_refusal(endpoint: Endpoint) -> None:
    assert len(endpoint.ask(*many_games(10_000)).json["predictions"]) == 10_000
    refused = endpoint.ask({**GAME, "home_team": "SIM99"})
    assert (refused.status, "is no team of this model" in refused.reason) == (400, True)


def test_the_server_runs_without_privileges(endpoint: Endpoint) -> None:
    found = docker("top", endpoint.container, "-eo", "pid,uid,args")
    (server,) = [line for line in found.splitlines() if "pipeline.serving.server" in line]
    assert server.split()[1] == UNPRIVILEGED


def test_sigterm_ends_it_at_once_and_in_order(endpoint: Endpoint) -> None:
    start = time.monotonic()
    docker("stop", "--time", "30", endpoint.container)
    assert time.monotonic() - start < 20, "killed, rather than told"
    assert docker("inspect", "-f", "{{.State.ExitCode}}", endpoint.container) == "0"


def test_a_model_without_state_ends_with_one_sentence(image: str, store: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    code, lines = serve_without_state(image, store, tmp_path)
    assert (code, len(lines)) == (1, 1)
    assert "model version 1" in lines[0]


def test_a_model_that_only_root_may_read_is_read_by_root(image: str, store: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    code, lines = serve_without_state(image, store, tmp_path)
    assert (code, len(lines)) == (1, 2)
    assert "running as root" in lines[0]
    assert "model version 1" in lines[1]


def serve_without_state(image: str, store: Path, model: Path) -> tuple[int, list[str]]:
    """Exit code and what was said, of an endpoint whose model was read and then refused."""
    unpack_champion(store, model)
    (model / "state.parquet").unlink()
    write_digests(model)  # made without a state, not damaged
    done = subprocess.run(
        ["docker", "run", "--rm", "-v", f"{model}:/opt/ml/model:ro", "-e", "MODEL_VERSION=1", image, "serve"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr.splitlines()
