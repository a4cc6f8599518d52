"""The queries of events.sql by name, and how an engine runs them.

Standard library only: on a Spark cluster this runs in an image that has neither pandas nor pyarrow of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Protocol

from pipeline.workloads.nba.play_by_play.event_files import EventFiles

EVENTS_SQL: Final = "events.sql"
_NAME = re.compile(r"^-- (query|table): (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Query:
    """A named query; `kept`: its rows are wanted several times, so the engine computes them once."""

    name: str
    sql: str
    kept: bool


class Engine(Protocol):
    """What runs SQL: DuckDB on one instance, Spark on a cluster. `raw_events` is defined from the start."""

    @property
    def files(self) -> EventFiles:
        """The files that are read, and what of the folder is not."""

    def define(self, query: Query) -> None:
        """Make the query's rows known by its name."""

    def columns(self, name: str) -> list[str]:
        """The column names of a defined query."""

    def rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, as Python values."""


def read_queries() -> tuple[Query, ...]:
    """All queries of events.sql, each after those that it reads."""
    # From the package, not from a path: a Spark cluster imports these modules out of an archive.
    text = resources.files(__package__).joinpath(EVENTS_SQL).read_text(encoding="utf-8")
    found = list(_NAME.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return tuple(
        Query(match[2], text[match.end() : end].strip(), kept=match[1] == "table")
        for match, end in zip(found, ends)  # noqa: B905 (strict= came with Python 3.10; a cluster may have 3.9)
    )
