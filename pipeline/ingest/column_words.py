"""Names of columns compared as words, and what a header says of itself. Standard library only."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from pipeline.contract.reasons import counted

_LONGEST_LIST: Final = 300  # characters of a header in a message
_LONGEST_COMPOSED: Final = 1_000  # characters; no name, number, day or category has so many
# Cyrillic and Greek letters, and the Latin ones that they look like.
_TWINS: Final = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
    "ABEKMHOPCTYXSIJaeopcyxsijABEZHIKMNOPTYXo",
)
_INVISIBLE: Final = ("Cf", "Cc")  # zero-width spaces, byte-order marks, control characters


def composed(text: str) -> str:
    """The text in the usual form of its characters (NFKC), which of n accents in a row takes n * n steps: a long text
    stays as it is."""
    return unicodedata.normalize("NFKC", text) if len(text) <= _LONGEST_COMPOSED else text


@lru_cache(maxsize=4096)
def as_words(column: str) -> str:
    """`Unit Price`, `unitPrice` and `UNIT-PRICE` -> `unit_price`; invisible characters count for nothing."""
    text = "".join(mark for mark in composed(column) if unicodedata.category(mark) not in _INVISIBLE)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip())
    return re.sub(r"[\W_]+", "_", text.casefold()).strip("_")


def latin(text: str) -> str:
    """The text with Latin letters in place of those that look like them."""
    return text.translate(_TWINS)


def revealed(text: str) -> str:
    """A text that looks Latin and is not, with its other letters as `\\u0430`; any other text as it is."""
    if text.isascii() or not latin(text).isascii():
        return text
    return text.encode("ascii", "backslashreplace").decode()


def closest(column: str, others: Iterable[str], cutoff: float = 0.6) -> str:
    """The one of `others` that comes closest to a column's name, compared as words; empty where none does."""
    words = {as_words(latin(other)): other for other in others}
    close = difflib.get_close_matches(as_words(column), words, n=1, cutoff=cutoff)
    return words[close[0]] if close else ""


def listed(header: Sequence[str]) -> str:
    """The header in words; of a very wide one the first columns."""
    text = ", ".join(map(revealed, header[:_LONGEST_LIST]))
    if len(text) <= _LONGEST_LIST:
        return text
    return f"{text[:_LONGEST_LIST]}… ({counted(len(header), 'column')})"
