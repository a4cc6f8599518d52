"""A model that answers requests with the features that the workload makes of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.container import StepError
from pipeline.contract.workload import Workload, current_workload
from pipeline.serving.requests import RequestRows, Row, checked_rows
from pipeline.training.artifact import Artifact, read_artifact


@dataclass(frozen=True)
class Answer:
    """Predictions in the order of the request, and what they rest on."""

    rows: Sequence[Row]  # as they were asked
    predictions: NDArray[np.float64]
    model_version: str
    state_date: date
    state_age_days: int
    stale: bool
    quantiles: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # by column


@dataclass(frozen=True)
class Predictor:
    """Answers requests; has no state that an answer would change, so any number of threads may ask at once."""

    artifact: Artifact
    version: str
    stale_after_days: int
    now: Callable[[ZoneInfo], datetime] = datetime.now
    workload: Workload = field(default_factory=current_workload)
    time_zone: ZoneInfo = field(init=False)
    requests: RequestRows = field(init=False)

    def __post_init__(self) -> None:
        """Raises StepError for a model that this code cannot serve."""
        requests = self.workload.serving.open_model(self.workload.spec, self.artifact, self.version)
        # A few rows at a time: threads would only wait for each other.
        for booster in filter(None, (self.artifact.booster, self.artifact.quantile_booster)):
            booster.set_param({"nthread": 1})
        object.__setattr__(self, "time_zone", ZoneInfo(self.artifact.card.time_zone))
        object.__setattr__(self, "requests", requests)

    def answer(self, rows: Iterable[Row]) -> Answer:
        """Check and predict; raises BadRequestError with the reason."""
        asked, checked = checked_rows(self.requests, rows)
        predictions, quantiles = self.artifact.predict(self.requests.matrix(checked))
        # In the days of the rows: on an American evening UTC is a day ahead.
        state_date = self.requests.state_date
        age = (self.now(self.time_zone).date() - state_date).days
        return Answer(asked, predictions, self.version, state_date, age, age > self.stale_after_days, quantiles)

    def warm_up(self) -> None:
        """Answer once before the first request does: what is wrong shows at the start."""
        self.answer(self.requests.warm_up())


def load_predictor(model: Path, version: str, stale_after_days: int) -> Predictor:
    """From a folder with an unpacked model, or from model.tar.gz; raises StepError for one that cannot be served."""
    if not model.exists():
        raise StepError(f"there is no model at {model}: give --model FOLDER, or the path of a model.tar.gz")
    return Predictor(read_artifact(model), version, stale_after_days)
