"""What clients may cost: bodies that are large only when they are parsed, silent and slow connections."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import uvicorn
from trained_models import SAMPLE_AS_OF, trained

from pipeline.local.run.staging import pack
from pipeline.serving.app import make_app
from pipeline.serving.connections import LimitedConnection
from pipeline.serving.predictor import Answer
from pipeline.serving.requests import BadRequestError, TooManyRowsError
from pipeline.serving.serialization import rows_from_csv, rows_from_json
from pipeline.training.artifact import write_artifact
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.sample import write as write_sample
from pipeline.workloads.nba.serving.requested_games import FORMAT

HEADER = b"date,home_team,away_team\n"
GAME = {"date": "2025-03-20", "home_team": "SIM01", "away_team": "SIM02"}
MB = 1_000_000

# Bodies of at most 6 MB that are no request, each as large as it may be.
HARMFUL: dict[str, tuple[str, bytes]] = {
    "short lines": ("text/csv", b"a\n" * 2_250_000),
    "many games": ("text/csv", HEADER + b"2025-03-20,SIM01,SIM02\n" * 200_000),
    "many columns": ("text/csv", b"," * 6 * MB),
    "empty lines": ("text/csv", b"\n" * 6 * MB),
    "old line ends": ("text/csv", b"\r" * 6 * MB),
    "quotation marks": ("text/csv", b'"' * 6 * MB),
    "one value": ("text/csv", HEADER + b"x" * 5 * MB),
    "objects": ("application/json", b'{"games":[' + b"{}," * 1_900_000 + b"{}]}"),
    "as many objects as may be": ("application/json", b'{"games":[' + b'{"":0},' * 79_000 + b"{}]}" + b" " * 5 * MB),
    "lists in lists": ("application/json", b"[" * 6 * MB),
    "numbers": ("application/json", b'{"games":[' + b"1," * 2_900_000 + b"1]}"),
    "digits": ("application/json", b'{"games":[1.' + b"1" * 5 * MB + b"]}"),
    "escapes": ("application/json", b'{"games":["' + b"\\u0041" * 900_000 + b'"]}'),
    "blanks": ("application/json", b" " * 6 * MB),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_no_request_is_refused_in_a_short_sentence(name: str) -> None:
    kind, body = HARMFUL[name]
    began = time.process_time()
    with pytest.raises(BadRequestError) as refused:
        rows = rows_from_csv(body, FORMAT) if kind == "text/csv" else rows_from_json(body, FORMAT)
        raise BadRequestError(f"for the rows: {rows[0]}") if len(rows) < 3 else AssertionError(name)
    assert len(str(refused.value)) < 400
    assert time.process_time() - began < 1


def test_of_thousands_with_a_wrong_column_the_first_are_parsed_alone() -> None:
    rows = [json.dumps({**GAME, "hometeam": 1})] * 3
    body = f'{{"games": [{", ".join(rows)}, this is no JSON'.encode()
    with pytest.raises(
        BadRequestError, match=r'game 3: unknown column "hometeam".*; what follows game 3 was not looked'
    ):
        rows_from_json(body, FORMAT)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_as_many_games_as_allowed_are_read_with_all_columns_and_strange_names(end: str) -> None:
    columns = "date,home_team,away_team,neutral_site,playoff,season,game_id"
    line = '2025-03-20,SIM01,SIM02,false,false,2025,"a, {b}, [c], d"'
    table = end.join([columns, *[line] * FORMAT.most, ""]).encode()
    rows = rows_from_csv(table, FORMAT)
    assert len(rows) == FORMAT.most
    assert rows[-1]["game_id"] == "a, {b}, [c], d"
    assert rows_from_json(json.dumps({"games": list(rows)}).encode(), FORMAT) == rows
    for body, read in (
        (table + line.encode(), rows_from_csv),
        (json.dumps({"games": [*rows, rows[0]]}).encode(), rows_from_json),
    ):
        with pytest.raises(TooManyRowsError):
            read(body, FORMAT)


# --- a real server ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits")
    for path in sorted(write_sample(folder / "games", SAMPLE_AS_OF).glob("simulated_*.csv"))[:-3]:
        path.unlink()
    games = load_games(
        folder / "games", as_of=SAMPLE_AS_OF, today=SAMPLE_AS_OF, max_bad_row_share=0.01, min_rows=1_000
    ).games
    write_artifact(folder / "model", trained(games, SAMPLE_AS_OF))
    pack(folder / "model", folder / "model.tar.gz")
    return folder / "model.tar.gz"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(port: int, kind: str, body: bytes) -> tuple[int, float]:
    """Status and seconds."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/invocations", body=body, headers={"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
    return answer.status, time.monotonic() - began


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_eight_harmful_bodies_at_once_cost_little_memory_and_delay_nobody(root: Path, model: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "pipeline.serving.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([*command, "--model", str(model)], cwd=root, stderr=subprocess.DEVNULL)
    good = json.dumps({"games": [GAME]}).encode()
    try:
        wait_for(port, process)
        alone = sorted(post(port, "application/json", good)[1] for _ in range(50))
        delays: list[float] = []
        with multiprocessing.get_context("spawn").Pool(8) as clients:
            clients.starmap(post, [(port, "application/json", good)] * 8)  # they have started
            for kind, body in HARMFUL.values():
                harm = clients.starmap_async(post, [(port, kind, body)] * 8, chunksize=1)
                while not harm.ready():
                    status, seconds = post(port, "application/json", good)
                    assert status == 200
                    delays.append(seconds)
                assert {status for status, _ in harm.get()} <= {400, 413}
        peak = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmHWM" in line)
        assert int(peak.split()[1]) < 300 * 1024, peak
        # Beside what this machine itself makes a request wait just now.
        assert np.quantile(delays, 0.9) < 0.1 + alone[-1], (len(delays), alone[-1])
    finally:
        process.kill()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


# --- connections ------------------------------------------------------------------------------------------------------


class Quick(LimitedConnection):
    """Limits that a test can wait for."""

    receive_seconds = 0.6
    answer_seconds = 0.6


class Long:
    """A predictor whose answer is long."""

    requests = SimpleNamespace(format=FORMAT)

    def answer(self, rows: Any) -> Answer:
        many = [{**rows[0], "game_id": "x" * 100}] * 60_000
        return Answer(many, np.full(len(many), 0.5), "1", date(2025, 3, 1), 0, False)


@pytest.fixture(scope="module")
def quick() -> Iterator[int]:
    """The port of a server with short limits, in this process."""
    port = free_port()
    config = uvicorn.Config(
        make_app(Long()),  # type: ignore[arg-type] # all that is asked of it
        host="127.0.0.1", port=port, http=Quick, timeout_keep_alive=1, log_level="warning", access_log=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join(timeout=10)


REQUEST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
BODY = json.dumps({"games": [GAME]}).encode()


def until_closed(connection: socket.socket, seconds: float = 4) -> bytes:
    """What comes until the server closes; fails where it does not."""
    connection.settimeout(seconds)
    received = b""
    try:
        while part := connection.recv(1 << 16):
            received += part
    except ConnectionResetError:
        pass
    return received


def test_a_silent_connection_is_closed(quick: int) -> None:
    with socket.create_connection(("127.0.0.1", quick)) as connection:
        assert until_closed(connection) == b""


@pytest.mark.parametrize("sent", [b"G", REQUEST[:40], REQUEST % len(BODY), (REQUEST % len(BODY)) + BODY[:-1]])
def test_a_request_that_does_not_end_is_answered_with_408_and_closed(quick: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", quick)) as connection:
        connection.sendall(sent)
        answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith("the request came too slowly")


def test_a_request_byte_by_byte_has_no_more_time(quick: int) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", quick)) as connection:
        try:
            for byte in (REQUEST % len(BODY)) + BODY:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - began < 4


def test_an_answer_that_is_not_taken_is_given_up(quick: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", quick))
        connection.sendall((REQUEST % len(BODY)) + BODY)
        time.sleep(3)
        received = until_closed(connection)
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.rstrip().endswith(b"]}"), "the whole answer was kept for a client that does not read"


def test_requests_of_one_connection_are_answered_for_as_long_as_they_come(quick: int) -> None:
    """Longer than each limit, with pauses shorter than the time to keep alive."""
    with closing(http.client.HTTPConnection("127.0.0.1", quick, timeout=10)) as connection:
        for _ in range(4):
            connection.request("GET", "/ping")
            assert connection.getresponse().read() == b""
            time.sleep(0.7)


def test_two_requests_at_once_are_both_answered(quick: int) -> None:
    ping = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", quick)) as connection:
        connection.sendall(ping + ping + ping[:10])  # what a third began is closed with the idle connection
        time.sleep(0.2)
        answer = until_closed(connection)
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_slow_connections_do_not_keep_others_waiting(quick: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", quick)) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(REQUEST % (6 * MB))
        with closing(http.client.HTTPConnection("127.0.0.1", quick, timeout=5)) as good:
            good.request("GET", "/ping")
            assert good.getresponse().status == 200
        assert all(until_closed(connection).startswith(b"HTTP/1.1 408") for connection in slow)
    finally:
        for connection in slow:
            connection.close()
