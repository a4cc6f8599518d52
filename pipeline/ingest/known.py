"""When a label is known: the one rule by which training, evaluation and monitoring hide what was not known yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.datetime64]


def known_on(day: Days, morning: Days | np.datetime64, delay_days: int = 0) -> NDArray[np.bool_]:
    """Whether the label of a row of `day` is known on `morning`: day + delay < morning. Days; the shapes broadcast.

    Without a delay a label is known on the morning after its row's day; a label that needs 30 days
    of behaviour (churn) is known 31 mornings after it.
    """
    return np.asarray(day + np.timedelta64(delay_days, "D") < morning)
