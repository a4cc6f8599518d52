"""What a workload declares about itself. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a workload's files."""

    name: str
    required: bool = True
    near_names: tuple[str, ...] = ()  # other words that mean it, where it may be left out
    telling_names: tuple[str, ...] = ()  # columns that say the same in values of their own, which are not read
    is_day: bool = False  # a local day: a time in UTC is none
