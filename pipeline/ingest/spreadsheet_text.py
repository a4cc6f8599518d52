"""Text of CSV files that people open in a spreadsheet, which would run a foreign feed's cell such as `=HYPERLINK(...)`.

A text that a spreadsheet takes for a formula gets an apostrophe in front, and so does one that begins with an
apostrophe: without its first apostrophe such a text is what it was. Plain numbers stay as they are.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

# OWASP's list (CSV injection): also the full-width signs that some spreadsheets take for the others.
_STARTS: Final = "[=+\\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]"
_NUMBER: Final = r"[+-]?[0-9]+([.][0-9]*)?"


def safe_columns(table: pa.Table) -> pa.Table:
    """The table with its text columns (pyarrow's string) as they are safe to open."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = table.set_column(place, field, _safe(table.column(place)))
    return table


def _safe(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    live = pc.and_(
        pc.match_substring_regex(texts, f"^{_STARTS}"), pc.invert(pc.match_substring_regex(texts, f"^{_NUMBER}$"))
    )
    mark, nothing = pa.scalar("'", texts.type), pa.scalar("", texts.type)
    return pc.if_else(live, pc.binary_join_element_wise(mark, texts, nothing), texts)
