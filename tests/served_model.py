"""A model of a local run, promoted and unpacked as SageMaker unpacks it; and requests to whoever serves it."""

from __future__ import annotations

import csv
import http.client
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

from pipeline.workloads.nba.sample import write as write_sample

AS_OF = "2025-03-01"
SETTINGS = {"WalkForwardRows": "600", "MinEvaluatedRows": "400", "BoostingRounds": "20", "AsOfDate": AS_OF}
GAME = {"date": "2025-03-20", "home_team": "SIM01", "away_team": "SIM02"}
JSON, CSV = "application/json", "text/csv"


def promoted_store(root: Path, folder: Path, store: Path) -> Path:
    """The empty store after two runs on three seasons: version 1 is the champion and has predicted the week to come."""
    league = write_sample(folder / "games", date.fromisoformat(AS_OF))
    for path in sorted(league.glob("simulated_*.csv"))[:-3]:
        path.unlink()
    chosen = [part for name, value in SETTINGS.items() for part in ("--param", f"{name}={value}")]
    run = ["scripts.run_local", "--data", str(league), "--store", str(store), *chosen]
    _command(root, *run)
    _command(root, "scripts.review_model", "approve", "--version", "1", "--store", str(store))
    _command(root, *run)
    return store


def _command(root: Path, module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def unpack_champion(store: Path, folder: Path) -> None:
    """The champion's artifact into a folder."""
    champion = store / "objects" / "artifacts" / "champion"
    pointer = json.loads((champion / "champion.json").read_text())
    with tarfile.open(champion / pointer["artifact"]) as tar:
        tar.extractall(folder, filter="data")


def predictions(store: Path) -> list[dict[str, str]]:
    """What Predict wrote last."""
    with (store / "objects/artifacts/predictions/predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def free_port() -> int:
    """Of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def many_games(n: int) -> list[dict[str, str]]:
    """Each pair of teams on day after day."""
    pairs = list(combinations([f"SIM{number:02d}" for number in range(1, 31)], 2))
    days = [str(date(2025, 4, 1 + day)) for day in range(n // len(pairs) + 1)]
    return [{"date": day, "home_team": a, "away_team": b} for day in days for a, b in pairs][:n]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Of a refusal."""
        assert set(self.json) == {"error"}
        assert self.headers["content-type"] == JSON
        return str(self.json["error"])


@dataclass(frozen=True)
class Client:
    """Asks a server of this machine; each request has a connection of its own."""

    port: int

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Headers are named with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=named)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def ask(self, *games: dict[str, Any], **headers: str) -> Answer:
        """For games, as JSON."""
        return self.request("POST", "/invocations", json.dumps({"games": games}), **{"Content_Type": JSON, **headers})

    def answers(self) -> bool:
        """Whether a ping is answered."""
        try:
            return self.request("GET", "/ping").status == 200
        except (OSError, http.client.HTTPException):
            return False


@dataclass(frozen=True)
class Server(Client):
    """One of this machine."""

    process: subprocess.Popen[bytes]


@contextmanager
def started(root: Path, log: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """The real server, as soon as it answers."""
    port = free_port()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.serving.server", "--port", str(port), *arguments],
            cwd=root,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
        )
    server = Server(port, process)
    try:
        while not server.answers():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()
