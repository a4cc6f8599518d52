"""Rate by segment: the share that cancelled of each plan and channel, from labels known before the month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract.container import StepError
from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.ingest.known import known_on
from pipeline.workloads.churn.spec import SPEC

FloatArray = NDArray[np.float64]

PRIOR_ROWS: Final = 50.0  # customers of the overall rate that each segment starts with: a small one proves little
USUAL_RATE: Final = 0.25  # while no version is approved


def forecast(results: pa.Table, ids: Sequence[str], since: date) -> FloatArray:
    """Cancellation probabilities of the shape (ids,); raises StepError for an id without a label known before it."""
    rows = results.select([ROW_ID, TIME, TARGET, "plan", "channel"]).to_pandas().set_index(ROW_ID)
    rows["segment"] = rows["plan"] + " " + rows["channel"]
    day = rows[TIME].to_numpy().astype("datetime64[D]")
    asked = rows.loc[list(ids)]
    month = asked[TIME].to_numpy().astype("datetime64[M]").astype("datetime64[D]")
    predicted = np.empty(len(asked))
    for first in np.unique(month):
        past = rows[known_on(day, first, SPEC.label_delay_days)]
        if past.empty:
            raise StepError(f"no cancellation was known before {first}: there is nothing to compare the candidate with")
        rate, segments = past[TARGET].mean(), past.groupby("segment")[TARGET].agg(["sum", "count"])
        rates = (segments["sum"] + PRIOR_ROWS * rate) / (segments["count"] + PRIOR_ROWS)
        here = month == first
        predicted[here] = asked.loc[here, "segment"].map(rates).fillna(rate)
    return predicted


def fallback(upcoming: pa.Table) -> FloatArray:
    """The usual rate of cancellations."""
    return np.full(upcoming.num_rows, USUAL_RATE)
