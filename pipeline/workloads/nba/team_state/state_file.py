"""state.parquet: a LeagueState as a file. One row a game; ratings and morning are in the file's metadata."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.workloads.nba.team_state.league import KnownGames
from pipeline.workloads.nba.team_state.league_state import LeagueState

_KEY: Final = b"league_state"


def write_state(target: Path | IO[bytes], state: LeagueState) -> None:
    """Write the state; what is read back equals it to the last bit."""
    known = state.past.followed_by(state.upcoming)
    facts = {
        "as_of": str(state.as_of),
        "franchises": state.franchises,
        "elo": state.elo,  # JSON writes a float so that it is read back as it was
        "margin": state.margin,
        "home_edge": state.home_edge,
        "n_past": len(state.past),
    }
    table = pa.table(vars(known)).replace_schema_metadata({_KEY: json.dumps(facts).encode()})
    pq.write_table(table, target)


def read_state(source: Path | pa.BufferReader) -> LeagueState:
    """Read what `write_state` wrote; raises ValueError, KeyError or TypeError where it is none."""
    table = pq.read_table(source)
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        raise ValueError("it holds no league's state")
    facts: dict[str, Any] = json.loads(metadata[_KEY])
    known = KnownGames(**{name: table[name].to_numpy() for name in table.column_names})
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
