"""When a label is known: the one rule by which training, evaluation and monitoring hide what was not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.names import TARGET, TIME
from pipeline.contract.spec import Spec

if TYPE_CHECKING:
    import pandas as pd

Days = NDArray[np.datetime64]


def known_on(day: Days, morning: Days | np.datetime64, delay_days: int = 0) -> NDArray[np.bool_]:
    """Whether the label of a row of `day` is known on `morning`: day + delay < morning. Days; the shapes broadcast.

    Without a delay a label is known on the morning after its row's day; a label that needs 30 days
    of behaviour (churn) is known 31 mornings after it.
    """
    return np.asarray(day + np.timedelta64(delay_days, "D") < morning)


def hide_labels(spec: Spec, rows: pd.DataFrame, morning: np.datetime64) -> pd.DataFrame:
    """The rows as known on that morning: without labels, and other columns that tell them, that were not known."""
    hidden = ~known_on(rows[TIME].to_numpy().astype("datetime64[D]"), morning, spec.label_delay_days)
    return rows.assign(**{name: rows[name].mask(hidden) for name in (TARGET, *spec.label_columns)})
