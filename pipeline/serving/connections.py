"""Connections that end: of a client that says nothing, sends its request too slowly, or does not take its answer.

uvicorn itself closes only a connection that is idle after an answer. Each open connection costs a file and some memory
of a server that must go on answering, so here each phase of one has a limit.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From the first byte of a request to its last: 4 MB at a megabyte a second, and some patience.
RECEIVE_SECONDS: Final = 10.0
# SageMaker gives a container 60 s to answer; ours needs milliseconds, the rest is for a slow reader.
ANSWER_SECONDS: Final = 60.0
# Longer than a client waits between two requests, or it would find its connection closed.
KEEP_ALIVE_SECONDS: Final = 75
# At a time, of a connection: with 256 kB, as asyncio has it, a small request waits for 2 MB of eight large ones.
READ_BYTES: Final = 64 * 1024

_SLOW: Final = "the request came too slowly"


class LimitedConnection(H11Protocol):
    """uvicorn's HTTP/1.1 connection with a limit on each phase."""

    receive_seconds = RECEIVE_SECONDS
    answer_seconds = ANSWER_SECONDS
    _watched: tuple[float, str] | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """A client that then says nothing waits as one between two requests."""
        transport.max_size = READ_BYTES  # type: ignore[attr-defined] # of asyncio's sockets
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """The first bytes of a request start its time, its last ones that of the answer."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """A next request may have come with the one that was answered: it has its own time."""
        self._watched = None
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _phase(self) -> tuple[float, str]:
        """Seconds that it may take, and what is wrong with a longer one."""
        cycle = self.cycle
        asked = cycle is not None and not cycle.response_complete
        if (asked and not cycle.more_body) or self.transport.get_write_buffer_size():
            return self.answer_seconds, "the answer was not taken"
        if asked or self.conn.trailing_data[0]:
            return self.receive_seconds, _SLOW
        return self.timeout_keep_alive, "no request came"

    def _watch(self) -> None:
        """Starts the time of a phase, where it is a new one."""
        phase = self._phase()
        if phase != self._watched:
            if self._timer is not None:
                self._timer.cancel()
            self._watched, self._timer = phase, self.loop.call_later(phase[0], self._end)

    def _end(self) -> None:
        """Closes the connection; says why where the client may still read that."""
        if self._phase() != self._watched:  # the answer was taken meanwhile
            self._watch()
            return
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            return
        reason = self._watched[1]
        sys.stderr.write(f"closed a connection: {reason}\n")
        if reason == _SLOW and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": f"{reason}: it has {self.receive_seconds:g} seconds"}).encode() + b"\n"
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (h11.Response(status_code=408, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()
