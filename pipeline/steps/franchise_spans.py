"""The rows of franchises.csv: which code means which franchise in which seasons. Standard library only."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FRANCHISES_FILE: Final = Path(__file__).with_name("franchises.csv")
FIRST_SEASON: Final = 1900
LAST_SEASON: Final = 2200


@dataclass(frozen=True)
class CodeSpan:
    """One code of a franchise, and the first and last season (both included) in which it means that franchise."""

    code: str
    franchise: str
    league: str
    first_season: int
    last_season: int
    name: str


def read_spans(path: Path = FRANCHISES_FILE) -> tuple[CodeSpan, ...]:
    """Read the spans of `franchises.csv`; an empty last season means that the code is still in use."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            CodeSpan(
                code=row["code"],
                franchise=row["franchise"],
                league=row["league"],
                first_season=int(row["first_season"]),
                last_season=int(row["last_season"] or LAST_SEASON),
                name=row["name"],
            )
            for row in csv.DictReader(file)
        )
