"""What a backtest knows: rows and features, loaded once, and how many labels each nightly run knew.

A feature of a row uses what was known before it, so the features that a run computes for its labelled rows are the
first ones of the features of all rows, and those of the rows that it predicts are among those that follow.
`tests/scripts/test_backtest.py` and `tests/test_new_workload.py` hold this against real runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.feature_layout import FeatureLayout
from pipeline.contract.reasons import counted
from pipeline.contract.spec import Spec
from pipeline.contract.workload import Workload
from pipeline.evaluation.evaluation import rows_of
from pipeline.ingest.known import hide_labels, known_on
from pipeline.ingest.validated import LoadRequest
from pipeline.training.training_rows import Labels
from pipeline.training.training_sets import FeatureMatrix, feature_layout, feature_matrix

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

EPOCH = date(1970, 1, 1)
_CHECKED_RUNS = 3


class BacktestError(Exception):
    """A span or data that cannot be used; the text says what to do."""


@dataclass(frozen=True)
class World:
    """The labelled rows of a workload in order of time; arrays of the shape (rows, ...)."""

    workload: Workload
    parameters: Mapping[str, str]  # the workload's own, which its features are told
    rows: pd.DataFrame  # every validated row, without a label too
    features: pa.Table  # of the labelled rows
    run_days: IntArray  # mornings of the nightly runs, ascending, in days since 1970-01-01

    @property
    def spec(self) -> Spec:
        return self.workload.spec

    @cached_property
    def labels(self) -> Labels:
        """Days and targets; raises ValueError where the rows are not in order of time."""
        return Labels.of(self.features)

    @property
    def target(self) -> FloatArray:
        return self.labels.targets

    @cached_property
    def X(self) -> FeatureMatrix:  # noqa: N802
        return feature_matrix(self.features)

    @cached_property
    def layout(self) -> FeatureLayout:
        return feature_layout(self.features.schema)

    @cached_property
    def ids(self) -> list[str]:
        return list(self.features[c.ROW_ID].to_pylist())

    @cached_property
    def day(self) -> IntArray:
        """Days since 1970-01-01."""
        return self.labels.days.astype(np.int64)

    @cached_property
    def period(self) -> IntArray:
        """The period that the workload's monitor declares, or the calendar year; ascending."""
        name = self.spec.monitor.period
        if name:
            return np.asarray(self.features[name].to_numpy().astype(np.int64))
        return self.labels.days.astype("datetime64[Y]").astype(np.int64) + 1970

    @property
    def period_word(self) -> str:
        return self.spec.monitor.period or "year"

    @cached_property
    def known(self) -> IntArray:
        """How many labels each run knew."""
        days, delay = self.labels.days, self.spec.label_delay_days
        return np.array([np.count_nonzero(known_on(days, t, delay)) for t in self.run_days.astype("datetime64[D]")])

    @cached_property
    def first_run(self) -> IntArray:
        """Day of the first run that predicts each row."""
        return self.day + prediction_lag(self.spec)

    @cached_property
    def row_run(self) -> IntArray:
        """Position of the run that predicts each row: the latest up to its first run; -1 before the first."""
        return np.searchsorted(self.run_days, self.first_run, side="right") - 1

    @cached_property
    def fallback(self) -> FloatArray:
        """What Predict says without a champion, which is not told the target."""
        place, target = self.features.column_names.index(c.TARGET), self.features[c.TARGET]
        unlabelled = self.features.set_column(place, c.TARGET, pa.nulls(len(target), target.type))
        return self.workload.baseline.fallback(unlabelled)

    @cached_property
    def results(self) -> pa.Table:
        """What has happened, older rows too, as Prepare hands it to Evaluate."""
        return self.workload.data.results(self.rows)

    @cached_property
    def results_of_rows(self) -> pa.Table:
        return rows_of(self.results, self.ids)

    def baseline_from(self, first: int, begin: int, end: int) -> FloatArray:
        """The baseline for the rows [begin, end), fitted on rows from `first` on: NaN in months without a label yet."""
        days = self.labels.days
        month = days.astype("datetime64[M]").astype("datetime64[D]")
        start = max(begin, int(np.searchsorted(known_on(days[first], month, self.spec.label_delay_days), True)))
        forecast = np.full(len(days), np.nan)
        if start < end:
            since = days[first].astype(object)
            forecast[start:end] = self.workload.baseline.forecast(self.results, self.ids[start:end], since)
        return forecast

    @cached_property
    def baseline(self) -> FloatArray:
        return self.baseline_from(0, 0, len(self.day))

    def features_on(self, morning: int) -> FeatureMatrix:
        """The features of all rows as a run on that morning (a day) would compute them, later rows as upcoming ones.

        NaN for a row of which the workload makes none then.
        """
        known = hide_labels(self.spec, self.rows, np.datetime64(morning, "D"))
        found = self.workload.features.features(self.spec, known, EPOCH + timedelta(morning), self.parameters)
        made, place = np.full_like(self.X, np.nan), {row: n for n, row in enumerate(self.ids)}
        for table in (found.labelled, found.upcoming):
            rows = np.array([place.get(row, -1) for row in table[c.ROW_ID].to_pylist()], dtype=np.int64)
            made[rows[rows >= 0]] = feature_matrix(table)[rows >= 0]
        return made

    def check_features(self) -> None:
        """Raises BacktestError where a feature of training is another on the morning that predicts its row.

        Looks at the rows of a few runs: the features of one take as long as Prepare.
        """
        days = np.unique(self.first_run[np.isin(self.first_run, self.run_days)])
        for day in days[np.linspace(0, len(days) - 1, min(len(days), _CHECKED_RUNS)).astype(np.int64)]:
            rows, found = self.first_run == day, self.features_on(int(day))
            other = (self.X[rows] != found[rows]) & ~(np.isnan(self.X[rows]) & np.isnan(found[rows]))
            if other.any():
                row, feature = (int(n[0]) for n in np.nonzero(other))
                at = np.flatnonzero(rows)[row]
                raise BacktestError(
                    f"{self.layout.features[feature]} of {self.spec.row} {self.ids[at]} is {self.X[at, feature]:g} in "
                    f"training, but {found[at, feature]:g} on the morning that predicts it: let no feature use a label "
                    f"before it is known ({self.spec.label_delay_days} day(s) after its row; see label_columns)"
                )


def prediction_lag(spec: Spec) -> int:
    """Days between a row's day and the first run that predicts it.

    One where a row exists only when its day is over and still has no label; none where rows are announced, or where
    only requests to the endpoint can come before the label.
    """
    return int(spec.label_delay_days > 0 and not spec.announced)


def load_world(
    workload: Workload,
    data: Path,
    *,
    first: date,
    last: date,
    parameters: Mapping[str, str],
    max_bad_row_share: float,
    min_rows: int,
    run_days: tuple[date, ...] | None = None,
) -> World:
    """Load and validate `data` with the production code and compute its features.

    Runs are on every day from `first` to `last`, or the given ones. Raises BadData where production refuses the data,
    BacktestError where the span is empty or starts before production would have anything to train on, or a feature
    uses labels before they are known.
    """
    spec = workload.spec
    if last < first:
        raise BacktestError(f"--to {last} is before --from {first}")
    # the morning on which the label of the last row that the span predicts is known
    as_of = last + timedelta(days=1 + spec.label_delay_days - prediction_lag(spec))
    request = LoadRequest(
        data,
        as_of=as_of,
        today=datetime.now(UTC).date(),
        time_zone=spec.time_zone,
        max_bad_row_share=max_bad_row_share,
        min_rows=min_rows,
    )
    rows = workload.data.load(spec, request).rows
    features = workload.features.features(spec, rows, as_of, parameters).labelled
    span = np.arange((first - EPOCH).days, (last - EPOCH).days + 1)
    chosen = np.array([(day - EPOCH).days for day in run_days]) if run_days else span
    world = World(workload, parameters, rows, features, chosen)
    n_known = int(hide_labels(spec, rows, np.datetime64(first))[c.TARGET].notna().sum())
    if n_known < min_rows:
        raise BacktestError(
            f"only {counted(n_known, spec.row, spec.rows)} had a label before --from {first}, "
            f"fewer than MinRows {min_rows:,}: start later"
        )
    if not world.known[0]:
        own = "".join(f", or change {name} (--param {name}=...)" for name in parameters)
        raise BacktestError(f"no {spec.row} to train on had a label before --from {first}: start later{own}")
    if not (world.first_run >= span[0]).any():
        raise BacktestError(f"no {spec.row} from {first} to {last} has a label: choose a span with {spec.rows}")
    if (np.diff(world.period) < 0).any():
        raise BacktestError(
            f"the column {spec.monitor.period} falls from one {spec.row} to a later one: it is no period"
        )
    world.check_features()
    return world
