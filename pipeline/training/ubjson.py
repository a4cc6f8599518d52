"""A look through a model in UBJSON before XGBoost parses it: a few bytes can ask for any memory.

XGBoost keeps each value outside a typed array as an object (58 bytes for a null that takes one in the file), makes room
for as many values as an array says to hold, and calls itself for each container in another. Format: ubjson.org, of
which XGBoost writes and reads a part (src/common/json.cc, UBJReader).
"""

from __future__ import annotations

import struct
from typing import Final

from pipeline.training.model_files import Content

MAX_VALUES: Final = 1_000_000  # keys too; the 5,000 trees that the hyperparameters allow have 250,000
MAX_DEPTH: Final = 64  # containers in each other; a model has 6
_SIZES: Final = {
    ord(kind): size for kinds, size in (("ZTF", 0), ("iUC", 1), ("I", 2), ("ld", 4), ("LD", 8)) for kind in kinds
}
_OBJECT: Final = -1
_LIST: Final = -2  # an array that says only at its end how many values it holds


def check_ubjson(data: Content) -> None:
    """Raises ValueError for a document that is cut, is none, or holds more than a model can."""
    try:
        _check(data)
    except (IndexError, struct.error) as error:
        raise ValueError("it ends too early") from error


def _check(data: Content) -> None:
    place = n_values = 0
    inside = [1]  # each open container: _OBJECT, _LIST, or how many values are to come
    while inside:
        if inside[-1] == 0 or (inside[-1] < 0 and data[place] == ord("}" if inside[-1] == _OBJECT else "]")):
            place += inside.pop() < 0
            continue
        if inside[-1] == _OBJECT:
            place, n_values = _after_text(data, place), n_values + 1
        elif inside[-1] > 0:
            inside[-1] -= 1
        kind, place, n_values = data[place], place + 1, n_values + 1
        if kind == ord("{"):
            inside.append(_OBJECT)
        elif kind == ord("["):
            place, n = _array(data, place)
            inside.append(n)
        elif kind == ord("S"):
            place = _after_text(data, place)
        else:
            place += _size(kind, place)
        if n_values > MAX_VALUES or inside[-1] > MAX_VALUES:
            raise ValueError(f"it has more than {MAX_VALUES:,} values outside typed arrays")
        if len(inside) > MAX_DEPTH:
            raise ValueError(f"it has more than {MAX_DEPTH} containers in each other")


def _array(data: Content, place: int) -> tuple[int, int]:
    """Where the values of an array begin, and how many are to come; a typed array is passed over."""
    if data[place] == ord("$"):
        size, n = _size(data[place + 1], place + 2), _length(data, place + 3)
        if size * n > len(data) - place:
            raise ValueError(f"byte {place:,} says that {n:,} values follow, and it ends before")
        return place + 12 + size * n, 0
    return (place + 10, _length(data, place + 1)) if data[place] == ord("#") else (place, _LIST)


def _after_text(data: Content, place: int) -> int:
    return place + 9 + _length(data, place)


def _length(data: Content, place: int) -> int:
    """The length at `place`, which XGBoost writes in eight bytes."""
    kind, n = struct.unpack_from(">cq", data, place)
    if kind != b"L" or n < 0:
        raise ValueError(f"byte {place:,} is no length")
    return int(n)


def _size(kind: int, place: int) -> int:
    if kind not in _SIZES:
        raise ValueError(f"byte {place - 1:,} is the mark of no value")
    return _SIZES[kind]
