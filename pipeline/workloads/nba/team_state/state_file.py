"""state.parquet: a LeagueState as a file. One row a game; ratings and morning are in the file's metadata."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.workloads.nba.team_state.elo import Schedule
from pipeline.workloads.nba.team_state.league_state import KnownGames, LeagueState

_KEY: Final = b"league_state"
_SCHEDULE: Final = tuple(field.name for field in fields(Schedule))


def write_state(target: Path | IO[bytes], state: LeagueState) -> None:
    """Write the state; what is read back equals it to the last bit."""
    known = state.past.followed_by(state.upcoming)
    columns = {**vars(known.schedule), "playoff": known.playoff, "points": known.points, "surprise": known.surprise}
    facts = {
        "as_of": str(state.as_of),
        "franchises": state.franchises,
        "elo": state.elo,  # JSON writes a float so that it is read back as it was
        "margin": state.margin,
        "home_edge": state.home_edge,
        "n_past": len(state.past.schedule),
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(facts).encode()})
    pq.write_table(table, target)


def read_state(source: Path | pa.BufferReader) -> LeagueState:
    """Read what `write_state` wrote; raises ValueError, KeyError or TypeError where it is none."""
    table = pq.read_table(source)
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        raise ValueError("it holds no league's state")
    facts: dict[str, Any] = json.loads(metadata[_KEY])
    known = _games(table)
    played, to_come = np.split(np.arange(table.num_rows), [int(facts["n_past"])])
    return LeagueState(
        as_of=date.fromisoformat(facts["as_of"]),
        franchises=tuple(facts["franchises"]),
        elo=tuple(facts["elo"]),
        margin=tuple(facts["margin"]),
        home_edge=facts["home_edge"],
        past=known.rows(played),
        upcoming=known.rows(to_come),
    )


def _games(table: pa.Table) -> KnownGames:
    columns = {name: table[name].to_numpy() for name in table.column_names}
    schedule = Schedule(**{name: columns.pop(name) for name in _SCHEDULE})
    return KnownGames(schedule, **columns)
