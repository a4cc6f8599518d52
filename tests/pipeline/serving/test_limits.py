"""What clients may cost: bodies that are large only when they are parsed, silent and slow connections."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import uvicorn
from served_model import GAME, Client, free_port, started
from trained_models import write_good_model

from pipeline.serving import app
from pipeline.serving.app import make_app
from pipeline.serving.connections import READ_BYTES, LimitedConnection
from pipeline.serving.predictor import Answer
from pipeline.serving.requests import BadRequestError, TooManyRowsError, checked_rows, text_of
from pipeline.serving.serialization import CSV, JSON, READERS
from pipeline.workloads.nba.serving.requested_games import FORMAT

HEADER = b"date,home_team,away_team\n"
MB = 1_000_000

# Bodies of at most 4 MB that are no request, each as large as it may be.
HARMFUL: dict[str, tuple[str, bytes]] = {
    "short lines": (CSV, b"a\n" * 2_000_000),
    "many games": (CSV, HEADER + b"2025-03-20,SIM01,SIM02\n" * 170_000),
    "many columns": (CSV, b"," * 4 * MB),
    "empty lines": (CSV, b"\n" * 4 * MB),
    "old line ends": (CSV, b"\r" * 4 * MB),
    "quotation marks": (CSV, b'"' * 4 * MB),
    "one value": (CSV, HEADER + b"x" * 4 * MB),
    "objects": (JSON, b'{"games":[' + b"{}," * 1_300_000 + b"{}]}"),
    "as many objects as may be": (JSON, b'{"games":[' + b'{"":0},' * 79_000 + b"{}]}" + b" " * 3 * MB),
    "lists in lists": (JSON, b"[" * 4 * MB),
    "numbers": (JSON, b'{"games":[' + b"1," * 1_900_000 + b"1]}"),
    "digits": (JSON, b'{"games":[1.' + b"1" * 4 * MB + b"]}"),
    "escapes": (JSON, b'{"games":["' + b"\\u0041" * 650_000 + b'"]}'),
    "blanks": (JSON, b" " * 4 * MB),
}


class Anything:
    """Requests whose values are not looked at."""

    format = FORMAT

    def check(self, row: Any) -> Any:
        return row


def rows(kind: str, body: bytes) -> list[Any]:
    return checked_rows(Anything(), READERS[kind](body, FORMAT))[0]  # type: ignore[arg-type] # all that is asked of it


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_no_request_is_refused_in_a_short_sentence(name: str) -> None:
    began = time.process_time()
    with pytest.raises(BadRequestError) as refused:
        rows(*HARMFUL[name])
    assert len(str(refused.value)) < 400
    assert time.process_time() - began < 1


def test_of_thousands_with_a_wrong_column_the_first_are_parsed_alone() -> None:
    wrong = [json.dumps({**GAME, "hometeam": 1})] * 3
    body = f'{{"games": [{", ".join(wrong)}, this is no JSON'.encode()
    with pytest.raises(
        BadRequestError, match=r'game 3: unknown column "hometeam".*; what follows game 3 was not looked'
    ):
        rows(JSON, body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [(JSON, b'{"games":[' + json.dumps(GAME).encode() + b', {"date": "' + b" " * 9_000), (CSV, HEADER + b"x" * 9_000)],
)
def test_a_parser_is_given_no_more_than_a_short_row(kind: str, body: bytes) -> None:
    """Other requests wait for each call of one."""
    with pytest.raises(BadRequestError, match="more than 8,192 characters"):
        rows(kind, body)


def test_a_value_is_measured_before_it_is_read() -> None:
    """Blanks around it count, or 10,000 games might have many megabytes."""
    with pytest.raises(BadRequestError, match=r'game_id ".*" has more than 100 characters'):
        text_of({"game_id": "x" + " " * 100}, "game_id")
    assert text_of({"game_id": "x" + " " * 99}, "game_id") == "x"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_as_many_games_as_allowed_are_read_with_all_columns_and_strange_names(end: str) -> None:
    columns = "date,home_team,away_team,neutral_site,playoff,season,game_id"
    line = '2025-03-20,SIM01,SIM02,false,false,2025,"a, {b}, [c], d"'
    table = end.join([columns, *[line] * FORMAT.most, ""]).encode()
    found = rows(CSV, table)
    assert len(found) == FORMAT.most
    assert found[-1]["game_id"] == "a, {b}, [c], d"
    assert rows(JSON, json.dumps({"games": found}).encode()) == found
    for kind, body in ((CSV, table + line.encode()), (JSON, json.dumps({"games": [*found, found[0]]}).encode())):
        with pytest.raises(TooManyRowsError):
            rows(kind, body)


# --- a real server ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good_model(tmp_path_factory.mktemp("limits")) / "good.tar.gz"


def post(port: int, kind: str, body: bytes) -> tuple[int, float]:
    """Status and seconds."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/invocations", body=body, headers={"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
    return answer.status, time.monotonic() - began


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_eight_harmful_bodies_at_once_cost_little_memory_and_delay_nobody(
    root: Path, model: Path, tmp_path: Path
) -> None:
    good = json.dumps({"games": [GAME]}).encode()
    with started(root, tmp_path / "log", "--host", "127.0.0.1", "--model", str(model)) as server:
        alone = sorted(post(server.port, JSON, good)[1] for _ in range(50))
        delays: list[float] = []
        with ThreadPoolExecutor(8) as clients:
            for kind, body in HARMFUL.values():
                harm = [clients.submit(post, server.port, kind, body) for _ in range(8)]
                while not all(one.done() for one in harm):
                    status, seconds = post(server.port, JSON, good)
                    assert status == 200
                    delays.append(seconds)
                assert {one.result()[0] for one in harm} <= {400, 408, 413}  # slow, where the machine is
        status_file = Path(f"/proc/{server.process.pid}/status").read_text()
        peak = next(line for line in status_file.splitlines() if "VmHWM" in line)
        assert int(peak.split()[1]) < 300 * 1024, peak
        # Beside what this machine itself makes a request wait just now.
        assert np.quantile(delays, 0.9) < 0.1 + alone[-1], (len(delays), alone[-1])


@pytest.mark.parametrize("kind", [JSON, CSV])
def test_a_batch_waits_between_its_rows_while_a_small_request_is_answered(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(app, "LONGEST_WAIT_SECONDS", 30)
    games = [{**GAME, "game_id": str(number)} for number in range(4_000)]
    table = [",".join(games[0]), *(",".join(map(str, game.values())) for game in games)]
    batch = "\n".join(table).encode() if kind == CSV else json.dumps({"games": games}).encode()
    predictor = Waiting()
    with serving(predictor) as port, ThreadPoolExecutor(2) as clients:
        small = clients.submit(post, port, JSON, BODY)
        assert predictor.asked.wait(10)
        large = clients.submit(post, port, kind, batch)
        time.sleep(0.5)
        assert predictor.read < len(games)
        assert not large.done()
        predictor.go.set()
        assert (small.result()[0], large.result()[0], predictor.read) == (200, 200, len(games))


def test_a_batch_comes_to_its_end_beside_small_requests_without_a_pause() -> None:
    first = app.Precedence()
    with first:
        assert list(first.letting_pass(range(50))) == list(range(50))


# --- connections ------------------------------------------------------------------------------------------------------


class Quick(LimitedConnection):
    """Limits that a test can wait for."""

    receive_seconds = 0.6
    answer_seconds = 1.5
    longest = 0  # bytes that were read at a time

    def data_received(self, data: bytes) -> None:
        Quick.longest = max(Quick.longest, len(data))
        super().data_received(data)


class Long:
    """A predictor whose answer is long, with a defect."""

    requests = SimpleNamespace(format=FORMAT)

    def answer(self, rows: Any) -> Answer:
        many = [{**next(rows), "game_id": "x" * 10_000}] * 600
        if many[0]["home_team"] == "defect":
            raise RuntimeError("secret detail")
        return Answer(many, np.full(len(many), 0.5), "1", date(2025, 3, 1), 0, False)


class Waiting:
    """A predictor whose small answers wait until `go`, and whose large ones count the rows that they have got."""

    requests = SimpleNamespace(format=FORMAT)

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.read = 0

    def answer(self, rows: Any) -> Answer:
        kept = [next(rows)]
        for row in rows:
            kept.append(row)
            self.read = len(kept)
        if len(kept) == 1:
            self.asked.set()
            assert self.go.wait(30)
        return Answer(kept, np.full(len(kept), 0.5), "1", date(2025, 3, 1), 0, False)


@contextmanager
def serving(predictor: Any) -> Iterator[int]:
    """The port of a server with short limits, in this process."""
    port = free_port()
    config = uvicorn.Config(
        make_app(predictor),
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


@pytest.fixture(scope="module")
def quick() -> Iterator[int]:
    with serving(Long()) as port:
        yield port


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


def test_a_defect_is_answered_without_its_details(
    quick: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    answer = Client(quick).ask({**GAME, "home_team": "defect"})
    assert (answer.status, answer.reason) == (500, "an unexpected error; see the traceback in the server's log")
    until = time.monotonic() + 10  # the server logs it after the answer
    while "secret detail" not in caplog.text:
        assert time.monotonic() < until
        time.sleep(0.01)


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


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"])
def test_an_answer_that_is_not_taken_is_given_up(quick: int, header: bytes) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", quick))
        connection.sendall((REQUEST % len(BODY)).replace(b"Host", header + b"Host") + BODY)
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


def test_a_large_body_is_read_in_small_pieces(quick: int) -> None:
    """Other requests wait for each."""
    status, _ = post(quick, JSON, b" " * 10 * READ_BYTES)
    assert status == 400
    assert 0 < Quick.longest <= READ_BYTES


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
