"""Numbers, sentences and headlines as the reports print them, and the templates of their pages."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

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
    return text[:1].upper() + text[1:]


@dataclass(frozen=True)
class Headline:
    """A verdict and what follows from it, in words; `tone` names a style of the page."""

    text: str
    tone: str
    meaning: str


@cache
def page_template(file: Path, **filters: Callable[..., object]) -> Template:
    """A page's template, with the style of all reports, and filters beside those of this module."""
    environment = Environment(
        loader=FileSystemLoader([file.parent, Path(__file__).parent]),
        autoescape=True,  # file names, cell values, reasons and names come from data and people
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "sentence": sentence, "capitalized": capitalized}
    environment.filters |= filters
    return environment.get_template(file.name)
