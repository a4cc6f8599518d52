"""Files of past hours to validated rows; the hours of the day that begins, which no file holds, are added to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from pipeline.contract.names import ROW_ID, TIME
from pipeline.contract.spec import Spec
from pipeline.ingest import declared
from pipeline.ingest.declared import join_inputs, results
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
    zone = ZoneInfo(request.time_zone)
    hours = hours_of(request.as_of, zone)
    made = pd.DataFrame({ROW_ID: map(id_of, hours), TIME: [hour.replace(tzinfo=None) for hour in hours]})
    rows = pd.concat([read.rows, made.astype(read.rows.dtypes[made.columns])], ignore_index=True)
    notes = [*read.notes, f"the {len(hours)} hours of {request.as_of} are to be predicted, and are in no file"]
    first = read.rows[TIME].min().date()
    n_days = (request.as_of - first).days
    there = set(read.rows[ROW_ID])
    missing = [h for n in range(n_days) for h in hours_of(first + timedelta(n), zone) if id_of(h) not in there]
    if missing:
        notes.append(
            f"hours since {first} that no good row is of: {len(missing):,}, the newest {missing[-1]:%Y-%m-%d %H:%M}"
        )
    return replace(read, rows=rows, notes=tuple(notes))


def summary(rows: pd.DataFrame, labelled: pa.Table) -> dict[str, Any]:
    """Simulated hours say so in their column `source`."""
    return {"simulated": bool((rows["source"] == "simulated").any()), "tables": []}
