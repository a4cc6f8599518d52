"""Game files to core's rows (docs/data.md)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.contract.names import TARGET
from pipeline.contract.spec import Spec
from pipeline.ingest.validated import LoadRequest, ValidatedRows
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.games import load_games
from pipeline.workloads.nba.play_by_play.event_features import join_events as join_inputs

__all__ = ["join_inputs", "load", "results", "summary"]


def load(spec: Spec, request: LoadRequest) -> ValidatedRows:
    """Every game as known on the as-of morning; raises BadData."""
    return load_games(**vars(request))


def results(games: pd.DataFrame) -> pa.Table:
    """Who beat whom when: RESULT_COLUMNS of the played games with core's names for id and time, and the target."""
    played = games.loc[games[n.HOME_POINTS].notna(), list(n.RESULT_COLUMNS)].rename(columns=n.ROLES)
    won = (played[n.HOME_POINTS] > played[n.AWAY_POINTS]).astype("int8")
    return pa.Table.from_pandas(played.assign(**{TARGET: won}), preserve_index=False).replace_schema_metadata(None)


def summary(rows: pd.DataFrame, labelled: pa.Table) -> dict[str, Any]:
    """The seasons that are modelled; simulated games carry the codes of no team."""
    seasons = labelled.select([n.SEASON, TARGET]).to_pandas().groupby(n.SEASON)[TARGET]
    lines = [[str(season), len(won), f"{won.mean():.1%}"] for season, won in seasons]
    return {
        "simulated": bool(rows[n.HOME_TEAM].str.startswith("SIM").any()),
        "tables": [{"title": "Seasons", "columns": ["season", "games", "home wins"], "rows": lines}],
    }
