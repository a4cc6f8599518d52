"""GET /ping and POST /invocations, as SageMaker asks of a container.

docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Final

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.contract.reasons import printable
from pipeline.serving.predictor import Predictor
from pipeline.serving.requests import BadRequestError, TooManyRowsError
from pipeline.serving.serialization import CSV, JSON, READERS, WRITERS

# SageMaker passes no more on to a real-time endpoint, and 4 MB to a serverless one.
MAX_BODY_BYTES: Final = 6 * 1024 * 1024
MOST_READ_BYTES: Final = 10 * MAX_BODY_BYTES
# Requests computed at a time. They share one interpreter: of eight, each waits for the others (half the throughput);
# with one, a single row waits for whole batches. So large bodies wait for each other, and small ones never for them.
_THREADS: Final = 2
_LARGE_BYTES: Final = 64 * 1024


def make_app(predictor: Predictor, *, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """The two routes over a predictor. Every refusal is a JSON object with the reason under `error`."""
    format = predictor.requests.format
    small, large = anyio.CapacityLimiter(_THREADS), anyio.CapacityLimiter(1)

    async def ping(request: Request) -> Response:
        return Response()

    async def invocations(request: Request) -> Response:
        read = READERS.get(_media_type(request))
        if read is None:
            raise HTTPException(415, f"Content-Type should be one of {', '.join(READERS)}")
        answer_type = _answer_type(request)
        body = await _body(request, max_body_bytes)

        def work() -> bytes:
            return WRITERS[answer_type](predictor.answer(read(body, format)), format)

        # Small ones too: computed in the event loop, they would queue up behind each other while a batch is computed.
        threads = large if len(body) > _LARGE_BYTES else small
        return Response(await anyio.to_thread.run_sync(work, limiter=threads), media_type=answer_type)

    return Starlette(
        routes=[Route("/ping", ping, methods=["GET"]), Route("/invocations", invocations, methods=["POST"])],
        exception_handlers={
            HTTPException: _refusal,
            BadRequestError: _bad_request,
            ClientDisconnect: _bad_request,
            Exception: _defect,
        },
    )


def _media_type(request: Request) -> str:
    """The body's type; raises HTTPException for an encoding that is not read."""
    kind, *parameters = [part.strip() for part in request.headers.get("content-type", "").lower().split(";")]
    charset = next((part for part in parameters if part.startswith("charset=")), "charset=utf-8")
    if charset.replace('"', "") not in ("charset=utf-8", "charset=us-ascii"):
        raise HTTPException(415, "the body should be UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "the body should not be compressed")
    return kind


def _answer_type(request: Request) -> str:
    """The best of the types that the client accepts; the body's own type where it accepts any."""
    own = _media_type(request)
    wanted: list[tuple[float, str]] = []
    for part in (request.headers.get("accept") or "*/*").lower().split(","):
        kind, *parameters = [piece.strip() for piece in part.split(";")]
        quality = next((_number(piece[2:]) for piece in parameters if piece.startswith("q=")), 1.0)
        if quality > 0:
            wanted.append((-quality, kind))
    for _, kind in sorted(wanted, key=lambda pair: pair[0]):
        if kind in WRITERS:
            return kind
        if kind == "*/*" or (kind.endswith("/*") and own.startswith(kind[:-1])):
            return own
        for known in WRITERS:
            if kind.endswith("/*") and known.startswith(kind[:-1]):
                return known
    raise HTTPException(406, f"Accept should be one of {', '.join(WRITERS)}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


async def _body(request: Request, limit: int) -> bytearray:
    """The whole body; raises HTTPException for one that is too large.

    What is beyond the limit is read and dropped, up to a bound: a client that is still sending would not see why.
    """
    told = request.headers.get("content-length", "")
    body = bytearray(min(int(told), limit) if told.isdigit() else 0)  # in place: what grows is copied, and takes more
    length = 0
    async for chunk in request.stream():
        if length + len(chunk) <= limit:
            body[length : length + len(chunk)] = chunk
        elif length > MOST_READ_BYTES:
            break
        length += len(chunk)
    if length > limit:
        raise HTTPException(413, f"the body is larger than {limit:,} bytes: ask in several requests")
    return body


async def _refusal(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    reason = error.detail if isinstance(error, HTTPException) else str(error)
    headers = error.headers if isinstance(error, HTTPException) else None
    if request.url.path not in ("/ping", "/invocations"):
        reason = "there are GET /ping and POST /invocations"
    return _answer(status, reason, headers)


async def _bad_request(request: Request, error: Exception) -> Response:
    return _answer(413 if isinstance(error, TooManyRowsError) else 400, str(error) or "the body ended too early")


async def _defect(request: Request, error: Exception) -> Response:
    """Starlette raises the error again, so that the traceback is in the log; the client gets none of it."""
    return _answer(500, "an unexpected error; see the traceback in the server's log")


def _answer(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps({"error": printable(reason)})  # clients show it on terminals
    sys.stderr.write(f"refused with {status}: {content}\n")
    return Response(f"{content}\n", status, headers, JSON)


__all__ = ["CSV", "JSON", "MAX_BODY_BYTES", "make_app"]
