"""Bytes for Arrow's readers, in memory that Arrow owns.

Arrow's threads may drop a buffer after the read that they served has returned. Of a Python object they need the
interpreter for that; if it is just ending, the process aborts instead ("terminate called without an active exception",
exit code 134, a third of the times that a program ended right after such a read; apache/arrow#34314, #49942).
"""

from __future__ import annotations

import pyarrow as pa


def arrow_reader(*parts: bytes | bytearray | memoryview) -> pa.BufferReader:
    """A reader of a copy of the parts, one after another; nothing that Arrow's threads hold belongs to Python."""
    copy = pa.BufferOutputStream()
    for part in parts:
        copy.write(part)
    return pa.BufferReader(copy.getvalue())
