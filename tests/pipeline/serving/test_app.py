"""What no client should see: a defect of the server answers with 500 and without a traceback."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.serving.app import make_app
from pipeline.workloads.nba.serving.requested_games import FORMAT

BODY = b'{"games": [{"date": "2025-03-05", "home_team": "BOS", "away_team": "NYK"}]}'


class Broken:
    """A predictor with a defect."""

    requests = SimpleNamespace(format=FORMAT)

    def answer(self, rows: Any) -> Any:
        raise RuntimeError("secret detail")


async def invoke() -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/invocations",
        "headers": [(b"content-type", b"application/json")],
        "query_string": b"",
    }
    with pytest.raises(RuntimeError, match="secret detail"):  # the server's log gets it
        await make_app(Broken())(scope, receive, send)  # type: ignore[arg-type]
    return sent


def test_a_defect_is_answered_without_its_details() -> None:
    with ThreadPoolExecutor(1) as apart:  # a browser of another test may keep an event loop in this thread
        start, body = apart.submit(lambda: asyncio.run(invoke())).result()
    assert start["status"] == 500
    assert json.loads(body["body"]) == {"error": "an unexpected error; see the traceback in the server's log"}
