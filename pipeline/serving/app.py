"""GET /ping and POST /invocations, as SageMaker asks of a container.

docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.message import Message
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.contract.reasons import printable
from pipeline.serving.predictor import Predictor
from pipeline.serving.requests import BadRequestError
from pipeline.serving.serialization import JSON, READERS, WRITERS

# As much as SageMaker passes on to a serverless endpoint: 10,000 rows of 400 bytes.
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_MOST_READ_BYTES: Final = 10 * MAX_BODY_BYTES
# Requests computed at a time. They share one interpreter: of eight, each waits for the others (half the throughput);
# with one, a single row waits for whole batches. So large bodies wait for each other, and small ones never for them.
_THREADS: Final = 2
_LARGE_BYTES: Final = 64 * 1024
# Before each piece, so that a large request comes to its end beside small ones without a pause: 10,000 rows take up to
# 10 s then, instead of 0.2.
LONGEST_WAIT_SECONDS: Final = 0.001

Piece = TypeVar("Piece")


class Precedence:
    """Large requests do their work in short pieces, and let small ones pass before each.

    Within `with` a small request is answered; for the event loop's thread alone, where `letting_pass` is for any.
    """

    def __init__(self) -> None:
        self._small = 0
        self._none = threading.Event()

    def __enter__(self) -> None:
        self._none.clear()
        self._small += 1

    def __exit__(self, *_: object) -> None:
        self._small -= 1
        if not self._small:
            self._none.set()

    def letting_pass(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The pieces of a large request's work."""
        for piece in pieces:
            if self._small:
                self._none.wait(LONGEST_WAIT_SECONDS)
            yield piece


def make_app(predictor: Predictor) -> Starlette:
    """The two routes over a predictor. Every refusal is a JSON object with the reason under `error`."""
    format = predictor.requests.format
    small_first = Precedence()
    small, large = anyio.CapacityLimiter(_THREADS), anyio.CapacityLimiter(1)

    async def ping(request: Request) -> Response:
        return Response()

    async def invocations(request: Request) -> Response:
        kind = _media_type(request)
        answer_type = _answer_type(request, kind)
        body = await _body(request)

        def work(paced: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> bytes:
            rows = paced(READERS[kind](body, format))
            return b"".join(paced(WRITERS[answer_type](predictor.answer(rows), format)))

        if len(body) > _LARGE_BYTES:
            content = await anyio.to_thread.run_sync(work, small_first.letting_pass, limiter=large)
        else:  # in a thread, too: in the event loop they would queue up behind each other while a batch is computed
            with small_first:
                content = await anyio.to_thread.run_sync(work, limiter=small)
        return Response(content, media_type=answer_type)

    return Starlette(
        routes=[Route("/ping", ping, methods=["GET"]), Route("/invocations", invocations, methods=["POST"])],
        exception_handlers={
            **dict.fromkeys((HTTPException, BadRequestError, ClientDisconnect), _refusal),
            Exception: _defect,
        },
    )


def _media_type(request: Request) -> str:
    """The body's type; raises HTTPException for a type or an encoding that is not read."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    kind = header.get_content_type()
    if kind not in READERS:
        raise HTTPException(415, f"Content-Type should be one of {', '.join(READERS)}")
    if header.get_content_charset("utf-8") not in ("utf-8", "us-ascii"):
        raise HTTPException(415, "the body should be UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "the body should not be compressed")
    return kind


def _answer_type(request: Request, own: str) -> str:
    """The first type that the client accepts; of several that it leaves open, the body's own."""
    for part in (request.headers.get("accept") or "*/*").lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        for known in (own, *WRITERS):
            if fnmatchcase(known, kind) and not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters):
                return known
    raise HTTPException(406, f"Accept should be one of {', '.join(WRITERS)}")


async def _body(request: Request) -> bytearray:
    """The whole body; raises HTTPException for one that is too large.

    What is beyond the limit is read and dropped, up to a bound: a client that is still sending would not see why.
    """
    body, length = bytearray(), 0
    async for chunk in request.stream():
        length += len(chunk)
        if length <= MAX_BODY_BYTES:
            body += chunk
        elif length > _MOST_READ_BYTES:
            break
    if length > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES:,} bytes: ask in several requests")
    return body


async def _refusal(request: Request, error: Exception) -> Response:
    reason = getattr(error, "detail", str(error)) or "the body ended too early"
    if request.url.path not in ("/ping", "/invocations"):
        reason = "there are GET /ping and POST /invocations"
    return _answer(getattr(error, "status_code", 400), reason, getattr(error, "headers", None))


async def _defect(request: Request, error: Exception) -> Response:
    """Starlette raises the error again, so that the traceback is in the log; the client gets none of it."""
    return _answer(500, "an unexpected error; see the traceback in the server's log")


def _answer(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps({"error": printable(reason)})  # clients show it on terminals
    sys.stderr.write(f"refused with {status}: {content}\n")
    return Response(f"{content}\n", status, headers, JSON)
