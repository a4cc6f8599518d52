"""Numbers and sentences as the reports print them."""

from __future__ import annotations

import math

from pipeline.contract import metrics
from pipeline.contract.metrics import decimal


def number(value: float | None) -> str:
    """A count as `1,312`, any other number as `0.6262`, in print's minus; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    whole = isinstance(value, int) or (value.is_integer() and abs(value) >= 10)
    return (f"{value:,.0f}" if whole else decimal(value)).replace("-", "−")


def signed(value: float) -> str:
    """A number with its sign, in print's minus: `−0.0045`, `+0.0020`, `−596.7`; zero has none."""
    return metrics.signed(float(value)).replace("-", "−")


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def capitalized(text: str) -> str:
    """The text with a capital."""
    return text[:1].upper() + text[1:]
