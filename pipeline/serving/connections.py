"""Connections that end: of a client that says nothing, sends its request too slowly, or does not take its answer.

uvicorn itself closes only a connection that is idle after an answer. Each open connection costs a file and some memory
of a server that must go on answering, so here each phase of one has a limit.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From the first byte of a request to its last: 6 MB at a megabyte a second, and some patience.
RECEIVE_SECONDS: Final = 10.0
# SageMaker gives a container 60 s to answer; ours needs milliseconds, the rest is for a slow reader.
ANSWER_SECONDS: Final = 60.0
# Longer than a client waits between two requests, or it would find its connection closed.
KEEP_ALIVE_SECONDS: Final = 75


class LimitedConnection(H11Protocol):
    """uvicorn's HTTP/1.1 connection with a limit on each phase."""

    receive_seconds = RECEIVE_SECONDS
    answer_seconds = ANSWER_SECONDS
    _timer: asyncio.TimerHandle | None = None
    _receiving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """A client that then says nothing waits as one between two requests."""
        super().connection_made(transport)
        self._limit(self.timeout_keep_alive, "no request came")

    def data_received(self, data: bytes) -> None:
        """The first bytes of a request start its time, its last ones that of the answer."""
        if not self._receiving and self._answered:
            self._receive()
        super().data_received(data)
        self._arrived()

    def on_response_complete(self) -> None:
        """A next request may have come with the one that was answered."""
        self._limit(None)
        self._receiving = False
        super().on_response_complete()
        if not self._answered:
            self._receive()
            self._arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to limit."""
        self._limit(None)
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Also where the last answer was not taken: to close would wait for that."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    @property
    def _answered(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _receive(self) -> None:
        self._receiving = True
        self._limit(self.receive_seconds, "the request came too slowly")

    def _arrived(self) -> None:
        if self._receiving and not self._answered and not self.cycle.more_body:
            self._receiving = False
            self._limit(self.answer_seconds, "the answer was not taken")

    def _limit(self, seconds: float | None, reason: str = "") -> None:
        """Starts the time of a phase; None: it has no limit here."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._end, reason)

    def _end(self, reason: str) -> None:
        """Closes the connection; says why where the client may still read that."""
        sys.stderr.write(f"closed a connection: {reason}\n")
        if self._receiving and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": f"{reason}: it has {self.receive_seconds:g} seconds"}).encode() + b"\n"
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            events: tuple[Any, ...] = (h11.Response(status_code=408, headers=headers), h11.Data(data=body))
            for event in (*events, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()
        if self.transport.get_write_buffer_size() or not self.transport.is_closing():
            self.transport.abort()
