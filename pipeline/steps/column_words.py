"""Names of columns compared as words, and what a header says of itself. Standard library only."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

_LONGEST_LIST: Final = 300  # characters of a header in a message
_INVISIBLE: Final = ("Cf", "Cc")  # zero-width spaces, byte-order marks, control characters


@lru_cache(maxsize=4096)
def as_words(column: str) -> str:
    """`Home Team`, `homeTeam` and `HOME-TEAM` -> `home_team`; invisible characters count for nothing."""
    text = unicodedata.normalize("NFKC", column)
    text = "".join(mark for mark in text if unicodedata.category(mark) not in _INVISIBLE)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip())
    return re.sub(r"[\W_]+", "_", text.casefold()).strip("_")


def closest(column: str, others: Iterable[str], cutoff: float = 0.6) -> str:
    """The one of `others` that comes closest to a column's name, compared as words; empty where none does."""
    words = {as_words(other): other for other in others}
    close = difflib.get_close_matches(as_words(column), words, n=1, cutoff=cutoff)
    return words[close[0]] if close else ""


def listed(header: Sequence[str]) -> str:
    """The header in words; of a very wide one the first columns."""
    text = ", ".join(header[:_LONGEST_LIST])
    if len(text) <= _LONGEST_LIST:
        return text
    return f"{text[:_LONGEST_LIST]}… ({len(header):,} columns)"
