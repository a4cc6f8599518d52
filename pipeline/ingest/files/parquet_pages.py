"""Whether the pages of a Parquet file carry checksums: no library says so, and a page without one can change unseen.

Standard library only. A file starts with its magic number and then its first page, whose header is in Thrift's compact
protocol: page type, unpacked and packed size, and the checksum as the fourth field if there is one
(github.com/apache/parquet-format, parquet.thrift, PageHeader). A writer gives a checksum to all pages or to none.
"""

from __future__ import annotations

from typing import Final

_FIRST_PAGE: Final = 4
_NEXT_FIELD_I32: Final = 0x15  # the number of the last field and one; a 32-bit integer
_LONGEST_VARINT: Final = 5


def has_checksums(data: bytes) -> bool:
    """Whether the first page of a Parquet file has a checksum; `data`: its first bytes, 32 at least."""
    place = _FIRST_PAGE
    for _ in range(3):
        if data[place : place + 1] != bytes([_NEXT_FIELD_I32]):
            return False
        place += 1
        end = next((at for at in range(place, place + _LONGEST_VARINT) if data[at : at + 1] < b"\x80"), place)
        place = end + 1
    return data[place : place + 1] == bytes([_NEXT_FIELD_I32])
