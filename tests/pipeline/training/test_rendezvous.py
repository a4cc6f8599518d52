"""Hosts find each other on one port, whatever else connects to it; a host that is gone is named once."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from training_hosts import free_port

from pipeline.contract.container import StepError
from pipeline.training.distributed.hosts import Hosts
from pipeline.training.distributed.rendezvous import Rendezvous

NAMES = ("algo-1", "algo-2", "algo-3")


class Job:
    """A job's hosts as threads of this process, and the losses that each was told of."""

    def __init__(self, wait: float = 5.0, heartbeat_timeout: float = 5.0) -> None:
        self.port = free_port()
        self.wait, self.heartbeat_timeout = wait, heartbeat_timeout
        self.losses: dict[str, queue.Queue[str]] = {name: queue.Queue() for name in NAMES}
        self.hosts: dict[str, Rendezvous] = {}

    def host(self, name: str) -> Rendezvous:
        hosts = Hosts(NAMES, name, "lo")
        self.hosts[name] = Rendezvous(hosts, self.losses[name].put, self.port, self.wait, self.heartbeat_timeout)
        return self.hosts[name]

    def run(self, *names: str) -> dict[str, Any]:
        """What `wait_for_peers` or `join` returned or raised on each host."""
        found: dict[str, Any] = {}
        threads = [threading.Thread(target=self.one, args=(name, found)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return found

    def one(self, name: str, found: dict[str, Any]) -> None:
        rendezvous = self.host(name)
        try:
            if name == NAMES[0]:
                found[name] = rendezvous.wait_for_peers()
                rendezvous.tell({"start": {"tracker_port": 7}})
            else:
                found[name] = rendezvous.join()
        except StepError as error:
            found[name] = str(error)

    def connect(self, *lines: bytes) -> socket.socket:
        """A stranger who says these lines, as soon as somebody listens."""
        deadline = time.monotonic() + self.wait
        while True:
            try:
                stranger = socket.create_connection(("127.0.0.1", self.port), 5)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        stranger.sendall(b"".join(lines))
        return stranger


@pytest.fixture
def job() -> Iterator[Callable[..., Job]]:
    jobs: list[Job] = []

    def make(**limits: float) -> Job:
        jobs.append(Job(**limits))
        return jobs[-1]

    yield make
    for made in jobs:
        for rendezvous in made.hosts.values():
            rendezvous.end({"finished": True})


def test_all_come_start_and_finish_together(job: Callable[..., Job]) -> None:
    these = job()
    assert these.run(*NAMES) == {"algo-1": "127.0.0.1", "algo-2": {"tracker_port": 7}, "algo-3": {"tracker_port": 7}}
    others = [threading.Thread(target=these.hosts[name].wait_for_all) for name in NAMES[1:]]
    for thread in others:
        thread.start()
    these.hosts["algo-1"].wait_for_all()
    assert all(thread.is_alive() for thread in others)  # until the first host has written the model
    these.hosts["algo-1"].end({"finished": True})
    for thread in others:
        thread.join(5)
    assert not any(thread.is_alive() for thread in others)
    assert all(losses.empty() for losses in these.losses.values())


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x04\x95\x00\xff\n",
        b"[" * 70_000,
        b'{"host": "algo-2", "hosts": ["algo-1", "algo-2"]}\n',
        b'{"host": "algo-1", "hosts": ["algo-1", "algo-2", "algo-3"]}\n',
        b'{"host": ["algo-2"]}\n',
        b"{}\n",
        b"7\n",
        b"",
    ],
)
def test_strangers_are_disconnected_and_change_nothing(job: Callable[..., Job], line: bytes) -> None:
    these = job()
    found: dict[str, Any] = {}
    first = threading.Thread(target=these.one, args=("algo-1", found))
    first.start()
    strangers = [these.connect(line) for _ in range(3)]
    found |= these.run(*NAMES[1:])
    first.join(5)
    assert found["algo-1"] == "127.0.0.1"
    assert found["algo-2"] == found["algo-3"] == {"tracker_port": 7}
    for stranger in strangers:
        stranger.close()
    assert all(losses.empty() for losses in these.losses.values())


def test_who_claims_a_name_that_is_taken_does_not_get_it(job: Callable[..., Job]) -> None:
    these = job(wait=2.0)
    hello = json.dumps({"host": "algo-2", "hosts": list(NAMES)}).encode() + b"\n"
    claims: list[bytes] = []

    def claim() -> None:
        first, second = these.connect(hello), these.connect(hello)
        claims.extend([first.makefile("rb").readline(), second.makefile("rb").readline()])
        first.close()

    talking = threading.Thread(target=claim)
    talking.start()
    found = these.run("algo-1")
    talking.join(5)
    assert sorted(claims) == [b"", b'{"welcome": "algo-1"}\n']
    assert "algo-3 did not come within 2 s" in found["algo-1"]


def test_another_program_on_the_port_is_not_the_first_host(job: Callable[..., Job]) -> None:
    these = job(wait=1.0)
    with socket.create_server(("127.0.0.1", these.port)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.sendall(b"220 mail.example.org ready\r\n")
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        found = these.run("algo-2")
    assert "host algo-1 did not answer" in found["algo-2"]
    assert "another program answers there" in found["algo-2"]


def test_two_jobs_on_one_port_do_not_meet(job: Callable[..., Job]) -> None:
    these = job(wait=1.0)
    with socket.create_server(("127.0.0.1", these.port)):
        found = these.run("algo-1")
    assert f"port {these.port}, on which the hosts meet, cannot be opened (Address already in use)" in found["algo-1"]


def test_the_first_loss_is_told_to_all_and_once(job: Callable[..., Job]) -> None:
    these = job()
    these.run(*NAMES)
    these.hosts["algo-3"].end({"failed": "the disk is full"})
    for name in NAMES[:2]:
        assert these.losses[name].get(timeout=5) == "host algo-3 failed: the disk is full"
        assert these.losses[name].empty()
    assert these.losses["algo-3"].empty()
