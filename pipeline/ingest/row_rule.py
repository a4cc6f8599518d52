"""A rule that each row of data must meet by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class RowRule:
    """A rule: the column that is blamed, what is wrong with it in words, and which rows are right."""

    column: str
    text: str
    holds: Callable[[pd.DataFrame], pd.Series[bool]]
    remedy: Callable[[str], str] | None = None  # what to do about a value, in words

    def of(self, values: pd.Series[str]) -> str | list[str]:
        """The text for each bad value; remedies of the first hundred only, as some are slow to find."""
        if self.remedy is None:
            return self.text
        remedies = {value: self.remedy(value) for value in values.drop_duplicates().head(100)}
        texts = {value: f"{self.text}: {remedy}" for value, remedy in remedies.items() if remedy}
        return [texts.get(value, self.text) for value in values]
