"""A client of AWS that keeps each request and answers as it is told: for tests of the requests themselves."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


def refusal(code: str, message: str = "") -> ClientError:
    """As a service refuses."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "call")


class RecordingClient:
    """`answers` has for each operation what it returns or raises: a list of pages for one that a paginator calls."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=lambda **request: self._answer(operation, request))

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **request: self._answer(operation, request)

    def _answer(self, operation: str, request: dict[str, Any]) -> Any:
        self.requests.append((operation, request))
        answer = self.answers.get(operation, {})
        if isinstance(answer, Exception):
            raise answer
        return answer(**request) if callable(answer) else answer
