"""Files of past hours to validated rows; the hours of the day that begins, which no file holds, are added to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from pipeline.contract.names import ROW_ID, TIME
from pipeline.contract.spec import Spec
from pipeline.ingest import declared
from pipeline.ingest.declared import join_inputs, results, summary
from pipeline.ingest.moments import hours_of, id_of
from pipeline.ingest.quarantine import RowRule
from pipeline.ingest.validated import LoadRequest, ValidatedRows

WHOLE_HOURS = RowRule(
    "hour", "is not the beginning of an hour", lambda rows: rows[TIME].isna() | (rows[TIME] == rows[TIME].dt.floor("h"))
)

__all__ = ["join_inputs", "load", "results", "summary"]


def load(spec: Spec, request: LoadRequest) -> ValidatedRows:
    """The hours of the files, and those of the as-of day: 24, or 23 or 25 where the clocks change."""
    read = declared.load(spec, request, [WHOLE_HOURS])
    first, zone, morning = read.rows[TIME].min().date(), ZoneInfo(request.time_zone), pd.Timestamp(request.as_of)
    hours = [hour for n in range((request.as_of - first).days + 1) for hour in hours_of(first + timedelta(n), zone)]
    every = pd.DataFrame({ROW_ID: map(id_of, hours), TIME: [hour.replace(tzinfo=None) for hour in hours]})
    made = every[every[TIME] >= morning].astype(read.rows.dtypes[[ROW_ID, TIME]])
    missing = every.loc[(every[TIME] < morning) & ~every[ROW_ID].isin(read.rows[ROW_ID]), TIME]
    notes = [f"the {len(made)} hours of {request.as_of} are to be predicted, and are in no file"]
    if len(missing):
        newest = f"{len(missing):,}, the newest {missing.iloc[-1]:%Y-%m-%d %H:%M}"
        notes.append(f"hours since {first} that no good row is of: {newest}")
    return replace(read, rows=pd.concat([read.rows, made], ignore_index=True), notes=(*read.notes, *notes))
