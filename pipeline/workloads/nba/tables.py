"""Tables that core reads: features and results under core's names of columns."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from pipeline.workloads.nba.columns import HOME_POINTS, RESULT_COLUMNS, ROLES
from pipeline.workloads.nba.feature_names import LAYOUT


def feature_table(features: pd.DataFrame) -> pa.Table:
    """Features as `build_features` returns them, with the names of the model's columns in the metadata."""
    table = pa.Table.from_pandas(features, preserve_index=False)
    return table.replace_schema_metadata(LAYOUT.as_metadata())


def result_table(games: pd.DataFrame) -> pa.Table:
    """Who beat whom when: contract.RESULT_COLUMNS of the played games, with core's names for id and time."""
    played = games.loc[games[HOME_POINTS].notna(), list(RESULT_COLUMNS)].rename(columns=ROLES)
    return pa.Table.from_pandas(played, preserve_index=False).replace_schema_metadata(None)
