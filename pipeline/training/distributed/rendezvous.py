"""How the hosts of a training job find each other, and notice that one is gone. Standard library only.

XGBoost's tracker neither says who is missing nor names who died. So the first host listens on a port that all know, and
the others connect to it and give their names. The connections stay open: each end sends a heartbeat every few seconds,
and a host that ends, or sends none for too long, is named. A message is one line of JSON:

    to the first host     {"host": "algo-2", "hosts": [all]}  then {"alive": true}, {"failed": why}, {"finished": true}
    from the first host   {"welcome": "algo-1"}               then the same, {"start": how}, and {"lost": who and why}

A connection without the name of an expected host is closed. Nothing that arrives is executed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.training.distributed.hosts import Hosts, number_from

WAIT_SECONDS: Final = 45.0  # instances of a job start within seconds of each other; a failure should show in a minute
HEARTBEAT_TIMEOUT_SECONDS: Final = 25.0  # a host that swaps or copies may be late, but not by so much
_HEARTBEATS: Final = 6  # sent in that time
_RETRY_SECONDS: Final = 0.25
_LONGEST_MESSAGE: Final = 65_536
_NEXT: Final = "its own log says more; start the run again, or with TrainInstanceCount 1"

Message = dict[str, Any]


class Connection:
    """A connection to another host: messages as lines of JSON."""

    def __init__(self, peer: socket.socket, heartbeat_timeout: float) -> None:
        peer.settimeout(heartbeat_timeout)
        self._socket = peer
        self._file = peer.makefile("rb")
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send; the receiving thread notices a lost connection."""
        with self._lock, suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Message | None:
        """The next message; None at the end. Raises TimeoutError without one in time, ValueError for an invalid one."""
        line = self._file.readline(_LONGEST_MESSAGE)
        if not line:
            return None
        try:
            message = json.loads(line)
        except RecursionError as error:
            raise ValueError("not a message") from error
        if not line.endswith(b"\n") or not isinstance(message, dict):
            raise ValueError("not a message")
        return message

    def local_address(self) -> str:
        """The address by which the other side reached this one."""
        return str(self._socket.getsockname()[0])

    def close(self) -> None:
        """Close, so that the other side receives the end."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._socket.close()


@dataclass
class Rendezvous:
    """One host's part. `on_loss` is called once, from a thread, with the reason why the job cannot go on."""

    hosts: Hosts
    on_loss: Callable[[str], None]
    port: int = field(
        default_factory=lambda: int(number_from(c.CLUSTER_PORT_VARIABLE, c.DEFAULT_CLUSTER_PORT, 1, 65_535))
    )
    wait: float = field(default_factory=lambda: number_from(c.CLUSTER_WAIT_VARIABLE, WAIT_SECONDS))
    heartbeat_timeout: float = field(
        default_factory=lambda: number_from(c.CLUSTER_HEARTBEAT_VARIABLE, HEARTBEAT_TIMEOUT_SECONDS)
    )
    _connections: dict[str, Connection] = field(default_factory=dict)  # by the other host's name
    _finished: set[str] = field(default_factory=set)
    _start: Message | None = None
    _over: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_peers(self) -> str:
        """On the first host: wait for all others; returns the address by which they reach it.

        Raises StepError that names the missing hosts, after telling the others.
        """
        began = time.monotonic()
        with self._listener() as listener:
            _thread(self._send_heartbeats)
            _thread(lambda: self._accept(listener))
            with self._changed:
                self._changed.wait_for(lambda: len(self._connections) == len(self.hosts.others), self.wait)
                missing = [name for name in self.hosts.others if name not in self._connections]
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        if missing:
            reason = self._missing(missing)
            self.end({"lost": reason})
            raise StepError(reason)
        sys.stderr.write(f"{len(self.hosts.names)} hosts are there, after {time.monotonic() - began:.1f} s\n")
        return next(iter(self._connections.values())).local_address()

    def join(self) -> Message:
        """On any other host: connect to the first one and wait for its start message. Raises StepError."""
        connection = self._connect()
        with self._changed:
            self._connections[self.hosts.first] = connection
        _thread(self._send_heartbeats)
        _thread(lambda: self._listen(self.hosts.first, connection))
        with self._changed:
            self._changed.wait_for(lambda: self._start is not None, self.wait + 2 * self.heartbeat_timeout)
            if self._start is None:
                raise StepError(f"host {self.hosts.first} did not say how to start: {_NEXT}")
            return self._start

    def wait_for_all(self) -> None:
        """Until all others have finished; on the others: until the first host says that all is done."""
        if self.hosts.current == self.hosts.first:
            awaited = set(self.hosts.others)
        else:
            self.tell({"finished": True})
            awaited = {self.hosts.first}
        with self._changed:
            self._changed.wait_for(lambda: awaited <= self._finished)

    def end(self, message: Message) -> bool:
        """Tell the others that all is done, or why this host cannot go on, and close; False where that was done."""
        with self._changed:
            if self._over:
                return False
            self._over = True
            connections = list(self._connections.values())
        for connection in connections:
            connection.send(message)
        for connection in connections:
            connection.close()
        return True

    def _listener(self) -> socket.socket:
        address = self.hosts.address(self.hosts.first) if self.hosts.local else ""  # all interfaces of a container
        try:
            return socket.create_server((address, self.port), backlog=len(self.hosts.names))
        except OSError as error:
            raise StepError(
                f"port {self.port}, on which the hosts meet, cannot be opened ({os.strerror(error.errno or 0)}): set "
                f"{c.CLUSTER_PORT_VARIABLE} to a free one, the same for all hosts of the job"
            ) from error

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed when all are there or time is up
            while True:
                peer, _ = listener.accept()
                _thread(partial(self._welcome, Connection(peer, self.heartbeat_timeout)))

    def _welcome(self, connection: Connection) -> None:
        try:
            hello = connection.receive() or {}
        except (OSError, ValueError):
            hello = {}
        name = str(hello.get("host"))
        with self._changed:
            awaited = name in self.hosts.others and name not in self._connections and not self._over
            if not awaited or hello.get("hosts") != list(self.hosts.names):
                connection.close()
                return
            connection.send({"welcome": self.hosts.current})
            self._connections[name] = connection
            self._changed.notify_all()
        self._listen(name, connection)

    def _connect(self) -> Connection:
        deadline, problem = time.monotonic() + self.wait, "no answer"
        while time.monotonic() < deadline:
            try:
                where = (self.hosts.address(self.hosts.first), self.port)
                connection = Connection(
                    socket.create_connection(where, timeout=self.heartbeat_timeout), self.heartbeat_timeout
                )
                connection.send({"host": self.hosts.current, "hosts": list(self.hosts.names)})
                if (connection.receive() or {}).get("welcome") == self.hosts.first:
                    return connection
                problem = "it knows no host of this name and job"
                connection.close()
            except ValueError:
                problem = "another program answers there"
            except OSError as error:
                problem = error.strerror or str(error)
            time.sleep(_RETRY_SECONDS)
        raise StepError(
            f"host {self.hosts.first} did not answer on port {self.port} within {self.wait:g} s ({problem}), and the "
            f"others meet there: {_NEXT}"
        )

    def _listen(self, name: str, connection: Connection) -> None:
        """Receive messages until the host has finished or is lost."""
        try:
            while (message := connection.receive()) is not None:
                if "lost" in message:
                    return self._lose(str(message["lost"]))
                if "failed" in message:
                    return self._lose(f"host {name} failed: {message['failed']}")
                with self._changed:
                    if "start" in message:
                        self._start = message["start"]
                    if "finished" in message:
                        self._finished.add(name)
                    self._changed.notify_all()
            lost = f"host {name} died: its connection ended without a message (out of memory, or the instance is lost)"
        except TimeoutError:
            lost = f"host {name} has sent no heartbeat for {self.heartbeat_timeout:g} s"
        except (OSError, ValueError) as error:
            lost = f"host {name} died: {error}"
        return self._lose(f"{lost}; {_NEXT}", name)

    def _lose(self, reason: str, name: str = "") -> None:
        with self._changed:
            if name == self.hosts.first and name in self._finished:  # it may go when it has said that all is done
                return
        if self.end({"lost": reason}):
            self.on_loss(reason)

    def _missing(self, missing: list[str]) -> str:
        there = [name for name in self.hosts.names if name not in missing]
        hosts = "host" if len(missing) == 1 else "hosts"
        return (
            f"{hosts} {', '.join(missing)} did not come within {self.wait:g} s: {len(there)} of "
            f"{len(self.hosts.names)} hosts are there ({', '.join(there)}). The missing host's log says whether it "
            "started; start the run again, or with TrainInstanceCount 1"
        )

    def tell(self, message: Message) -> None:
        """Send to all others, as the module's docstring has it."""
        with self._changed:
            connections = list(self._connections.values())
        for connection in connections:
            connection.send(message)

    def _send_heartbeats(self) -> None:
        while not self._over:
            self.tell({"alive": True})
            time.sleep(self.heartbeat_timeout / _HEARTBEATS)


def _thread(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()
