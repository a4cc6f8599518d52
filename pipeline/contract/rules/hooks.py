"""What core calls of a workload, by module of its folder (docs/workloads.md), and INTERFACES: which module has which.

Only spec.py and baseline.py must be there; core's own modules serve as data, features and serving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray
    from sagemaker.mlops.workflow.condition_step import ConditionStep

    from pipeline.contract.feature_layout import FeatureLayout, FeatureTables
    from pipeline.contract.spec import Spec
    from pipeline.definition.job_requests import Variables
    from pipeline.ingest.validated import LoadRequest, ValidatedRows
    from pipeline.serving.requests import RequestRows
    from pipeline.training.artifact import Artifact

    FloatArray = NDArray[np.float64]
    FeatureMatrix = NDArray[np.float32]


class Data(Protocol):
    """data.py: raw files to validated rows. Without it, the declared columns are read."""

    def load(self, spec: Spec, request: LoadRequest) -> ValidatedRows:
        """Raises BadData for data that must not be used."""

    def results(self, rows: pd.DataFrame) -> pa.Table:
        """What has happened, in order of time: core's columns and whatever the baseline and the monitor read."""

    def summary(self, rows: pd.DataFrame, labelled: pa.Table) -> dict[str, Any]:
        """What the data report says besides core's counts: `simulated`, `tables` (title, columns, rows)."""

    def join_inputs(self, rows: pd.DataFrame) -> list[str]:
        """Use what extra steps of the run before left, and say so in notes."""


class Features(Protocol):
    """features.py: validated rows to features of the past only. Without it, the declared features as they are."""

    def features(self, spec: Spec, rows: pd.DataFrame, as_of: date, parameters: Mapping[str, str]) -> FeatureTables:
        """Raises StepError where there is nothing to train on."""

    def signature(self, spec: Spec) -> str:
        """Changes when a feature is computed otherwise: weights fit the signature that they were trained on."""


class Baseline(Protocol):
    """baseline.py: what a candidate must beat, from validated rows and never from features."""

    def forecast(self, results: pa.Table, ids: Sequence[str], since: date) -> FloatArray:
        """One prediction for each id, each from labels known on the morning of its day.

        Numbers fitted to labels are fitted to those known before the row's month, of rows from `since` on.
        """

    def fallback(self, upcoming: pa.Table) -> FloatArray:
        """One prediction for each upcoming row, while no version is approved."""


class Monitor(Protocol):
    """monitor.py: parts of the monitor besides core's."""

    def parts(self, results: pa.Table, cut_off: int) -> Mapping[str, Mapping[str, Any]]:
        """By name: `evidence` on the scale whose limit is 1, and `alarms` (sentences)."""


class Backtest(Protocol):
    """backtest.py: a fault of the workload's own kind. Without it, the first number leaks the target."""

    def leak(self, features: FeatureMatrix, layout: FeatureLayout, results: pa.Table) -> FeatureMatrix:
        """The model's input with each row's own outcome in it; `results` are of the same rows."""


class Serving(Protocol):
    """serving.py: requests to rows of features, where they need more than the request's own columns."""

    def open_model(self, spec: Spec, artifact: Artifact, version: str) -> RequestRows:
        """Raises StepError for a model that cannot be served."""


class SparkArchive(Protocol):
    """spark/archive.py: the code of a workload's Spark step as one file."""

    ARCHIVE_FILE: str

    def write_archive(self, path: Path) -> None:
        """The same bytes for the same code."""


class Sample(Protocol):
    """sample.py: simulated files, of which a later `as_of` only adds to the past."""

    def write(self, folder: Path, as_of: date, seed: int = ...) -> Path:
        """The folder."""


class Steps(Protocol):
    """steps.py: more steps of the pipeline."""

    def extra_steps(self, v: Variables) -> Sequence[ConditionStep]:
        """They follow Prepare, and no condition is inside another."""


INTERFACES: Final[dict[str, type]] = {
    kind.__name__.lower(): kind for kind in (Backtest, Baseline, Data, Features, Monitor, Sample, Serving, Steps)
}
