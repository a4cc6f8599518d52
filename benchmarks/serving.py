"""How fast the server starts and answers: one game at 50 requests a second, batches, and both at once.

A model is trained by a local run (on the real games in ../shared/data, or on the sample), served by a child process on
localhost, and asked by this one. The load is open: requests are sent at their times whether or not earlier ones have
been answered, and a latency counts from the time at which a request was due, so a stall is not hidden.

python -m benchmarks.serving [--seconds 30] [--rate 50] [--model PATH]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.real_data import GAMES, ROOT
from benchmarks.timed_process import memory_bytes
from pipeline.serving.app import MAX_BODY_BYTES
from pipeline.serving.requests import LONGEST_VALUE
from pipeline.serving.serialization import CSV, JSON
from pipeline.training.artifact import read_artifact
from pipeline.workloads.nba.team_state.elo import Schedule
from pipeline.workloads.nba.team_state.league_state import LeagueState, read_state

REAL_AS_OF: Final = "2023-01-10"
BATCH: Final = 10_000
BATCHES: Final = 10
LONGEST_LINE: Final = 300  # characters of the server's log that are worth printing
# Sends what it reads, at each full second.
CLIENT: Final = """
import http.client, sys, time
body = sys.stdin.buffer.read()
while True:
    time.sleep(1 - time.time() % 1)
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    connection.request("POST", "/invocations", body, {"Content-Type": sys.argv[2]})
    connection.getresponse().read()
    connection.close()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="of each load")
    parser.add_argument("--rate", type=int, default=50, help="requests a second")
    parser.add_argument("--model", type=Path, help="a model.tar.gz (default: train one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or train(Path(folder) / "store")
        artifact = read_artifact(model)
        assert artifact.state is not None, "the model carries no state"
        state = artifact.parsed_state(read_state)
        with served(model) as (port, pid):
            single = one_game_requests(state)
            rate, seconds = arguments.rate, arguments.seconds
            pings, games = asyncio.run(load(port, None, rate, 10)), asyncio.run(load(port, single, rate, seconds))
            report(f"ping, {rate} requests/s: what the machine is good for", pings)
            report(f"one game, {rate} requests/s", games)
            batch = body_of(many_games(state, BATCH))
            report(f"{BATCH:,} games, one after another", [ask(port, batch) for _ in range(BATCHES)])
            beside = asyncio.run(load(port, single, rate, seconds, batch))
            report(f"one game, {rate} requests/s, beside a batch of {BATCH:,} each second", beside)
            report("one game, the server's processor time", waits(port, pid, single, arguments.seconds))
            for what, (kind, content) in harmful(state).items():
                with harm(port, kind, content):
                    report(f"  beside eight at once of {what}", waits(port, pid, single, arguments.seconds))


def harmful(state: LeagueState) -> dict[str, tuple[str, bytes]]:
    """Bodies that cost a server the most before it refuses them, or answers: their type and content of almost 4 MB."""
    size = MAX_BODY_BYTES - 100
    games = many_games(state, BATCH)
    long = [{name: value.ljust(LONGEST_VALUE) for name, value in one.items()} for one in games]
    return {
        "more than is read": (JSON, b" " * 2 * size),
        "commas": (CSV, b"," * size),
        "empty lines": (CSV, b"\n" * size),
        "empty objects": (JSON, b'{"games": [' + b"{}," * (16 * BATCH // 3) + b" " * (size - 16 * BATCH)),
        "one text": (JSON, b'{"games": ["' + b"\\u00e9" * (size // 6) + b'"]}'),
        f"{BATCH:,} games of long values": (JSON, body_of(long)),
        "lists in lists": (JSON, b'{"games": [' + (b"[" * 900 + b"]" * 900 + b",") * (size // 1802) + b"1]}"),
        f"{BATCH:,} unknown teams": (JSON, body_of([{**one, "home_team": f"x{n}"} for n, one in enumerate(games)])),
        f"{BATCH:,} unknown columns": (JSON, body_of([{**one, "hometeam": 1} for one in games])),
    }


def waits(port: int, pid: int, body: Callable[[], bytes], seconds: int) -> list[float]:
    """Processor seconds of the server from the sending of each request to its answer: one after another.

    What else the server does meanwhile is what the request waits for, and other programs of the machine count nothing.
    """
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        before = processor_seconds(pid)
        ask(port, body())
        found.append(processor_seconds(pid) - before)
    return found


def processor_seconds(pid: int) -> float:
    """Of all threads of a process; Linux only."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@contextmanager
def harm(port: int, kind: str, content: bytes) -> Iterator[None]:
    """Eight clients that send a body at once, each second, while the block runs."""
    clients = [
        subprocess.Popen([sys.executable, "-c", CLIENT, str(port), kind], stdin=subprocess.PIPE) for _ in range(8)
    ]
    for client in clients:
        assert client.stdin is not None
        client.stdin.write(content)
        client.stdin.close()
    time.sleep(2)  # they have started
    try:
        yield
    finally:
        for client in clients:
            client.terminate()
            client.wait()


def train(store: Path) -> Path:
    """The model.tar.gz of a local run."""
    command = [sys.executable, "-m", "scripts.run_local", "--store", str(store), "--json"]
    if GAMES.is_dir():
        command += ["--data", str(GAMES), "--param", f"AsOfDate={REAL_AS_OF}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (model,) = store.glob("objects/**/model.tar.gz")
    return model


@contextmanager
def served(model: Path) -> Iterator[tuple[int, int]]:
    """Port and process of the server; prints how long it took to answer its first ping, and what it needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "pipeline.serving.server", "--host", "127.0.0.1", "--port", str(port)]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--model", str(model), "--version", "1"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    threading.Thread(target=print_once, args=(process.stderr,), daemon=True).start()
    try:
        while not answers(port):
            assert process.poll() is None, "the server ended"
            time.sleep(0.01)
        print(f"first ping answered after {time.perf_counter() - start:.2f} s")
        yield port, process.pid
        print(f"memory of the server: {memory_bytes(process.pid, 'VmHWM') / 2**20:,.0f} MB")
        start = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        print(f"ended {time.perf_counter() - start:.2f} s after SIGTERM, code {code}")
    finally:
        process.kill()
        process.wait()


def print_once(lines: Iterable[str]) -> None:
    """Each line of the server's, once: it refuses hundreds of requests with one reason."""
    seen: set[str] = set()
    for line in lines:
        if line not in seen:
            seen.add(line)
            print(f"  server: {line.rstrip()[:LONGEST_LINE]}", flush=True)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def one_game_requests(state: LeagueState) -> Callable[[], bytes]:
    """A game of the schedule each time, in turn."""
    rows = itertools.cycle(range(len(state.upcoming)))
    return lambda: body_of([game(state, state.upcoming, next(rows))])


def many_games(state: LeagueState, n: int) -> list[dict[str, Any]]:
    """`n` different games on days after the schedule: each pair of teams at home and away in turn."""
    pairs = [p for p in itertools.permutations(sorted({*teams(state)}), 2) if p[0] < p[1]]
    last = int(state.upcoming.day.max())
    days = itertools.count(last + 1)
    games = ({"date": str(np.datetime64(day, "D")), "home_team": a, "away_team": b} for day in days for a, b in pairs)
    return list(itertools.islice(games, n))


def teams(state: LeagueState) -> list[str]:
    return [state.franchises[number] for number in state.upcoming.home.tolist()]


def game(state: LeagueState, games: Schedule, row: int) -> dict[str, Any]:
    """A game as a request names it; a franchise's own name is its code of today."""
    return {
        "date": str(np.datetime64(int(games.day[row]), "D")),
        "home_team": state.franchises[games.home[row]],
        "away_team": state.franchises[games.away[row]],
        "neutral_site": bool(games.neutral[row]),
        "season": int(games.season[row]),
    }


def body_of(games: list[dict[str, Any]]) -> bytes:
    return json.dumps({"games": games}).encode()


def ask(port: int, body: bytes) -> float:
    """Seconds of one request on a connection of its own."""
    start = time.perf_counter()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310 (our own address)
        assert response.status == 200
        response.read()
    return time.perf_counter() - start


async def load(
    port: int, body: Callable[[], bytes] | None, rate: int, seconds: int, beside: bytes | None = None
) -> list[float]:
    """Latencies in seconds of requests that are due at equal distances; without a body, of pings."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    latencies: list[float] = []

    async def one(due: float) -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        content = body() if body else b""
        start_line = "POST /invocations HTTP/1.1" if body else "GET /ping HTTP/1.1"
        headers = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
        writer.write(f"{start_line}\r\n{headers}\r\n\r\n".encode() + content)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert " 200 " in answer, answer
        await reader.readexactly(int(answer.split("content-length:")[1].split()[0]))
        latencies.append(time.perf_counter() - due)
        idle.append((reader, writer))

    start = time.perf_counter() + 0.1
    tasks: list[asyncio.Task[Any]] = []
    for number in range(rate * seconds):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
        if beside and number % rate == 0:
            tasks.append(asyncio.create_task(asyncio.to_thread(ask, port, beside)))
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return latencies


def report(what: str, seconds: list[float]) -> None:
    """Percentiles in milliseconds."""
    p50, p95, p99, most = np.percentile(np.array(seconds) * 1000, [50, 95, 99, 100])
    print(f"{what}: {len(seconds):,} requests, p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    main()
