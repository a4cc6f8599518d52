"""How a date, a whole number and a flag are written in game data. Standard library only."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

DATE_RULE: Final = "is not a real date written YYYY-MM-DD"
FLAG_RULE: Final = "is not true or false"

_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE: Final = re.compile(r"([0-9]{1,4})(\.0*)?")
_FLAGS: Final = {"": 0, "false": 0, "f": 0, "no": 0, "0": 0, "true": 1, "t": 1, "yes": 1, "1": 1}


def iso_date(text: str) -> date | None:
    """The date; None where the text is none."""
    try:
        # fromisoformat alone also takes 20210105 and 2021-W01-1.
        return date.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None


def whole_number(text: str) -> int | None:
    """The number of up to four digits; None where the text is none."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def flag_of(text: str) -> int | None:
    """1, or 0 which is also what nothing means; None where the text is no flag."""
    return _FLAGS.get(text.lower())
