"""Tables that core reads: rows, features and results under core's names of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.contract.names import TARGET
from pipeline.workloads.nba.columns import AWAY_POINTS, HOME_POINTS, RESULT_COLUMNS, ROLES
from pipeline.workloads.nba.team_state.feature_names import LAYOUT

if TYPE_CHECKING:  # the server starts half a second sooner without pandas
    import pandas as pd


def feature_table(features: pd.DataFrame) -> pa.Table:
    """Features as `build_features` returns them, with the names of the model's columns in the metadata."""
    table = pa.Table.from_pandas(features, preserve_index=False)
    return table.replace_schema_metadata(LAYOUT.as_metadata())


def result_table(games: pd.DataFrame) -> pa.Table:
    """Who beat whom when: RESULT_COLUMNS of the played games with core's names for id and time, and the target."""
    played = games.loc[games[HOME_POINTS].notna(), list(RESULT_COLUMNS)].rename(columns=ROLES)
    won = (played[HOME_POINTS] > played[AWAY_POINTS]).astype("int8")
    return pa.Table.from_pandas(played.assign(**{TARGET: won}), preserve_index=False).replace_schema_metadata(None)
