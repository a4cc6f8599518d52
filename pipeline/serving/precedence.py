"""Small requests go first: large ones do their work in short pieces, and let small ones pass before each."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

Piece = TypeVar("Piece")

# Before each piece, so that a large request comes to its end beside small ones without a pause: 10,000 rows take up to
# 10 s then, instead of 0.2.
LONGEST_WAIT_SECONDS: Final = 0.001


class Precedence:
    """Within `with` a small request is answered; for the event loop's thread alone, where `letting_pass` is for any."""

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
