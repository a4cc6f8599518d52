"""A label that is known late: no training, evaluation or alarm uses it before its day."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.backtest.candidates import ALL_PERIODS, build_calendar
from pipeline.backtest.judgements import Alarms
from pipeline.backtest.run import BacktestResult
from pipeline.backtest.world import BacktestError, World
from pipeline.contract.feature_layout import FeatureLayout, FeatureTables
from pipeline.contract.names import ROW_ID, TARGET, TIME
from pipeline.contract.spec import MonitorSpec, Spec
from pipeline.contract.workload import Workload, load_spec

DELAY = 40  # more than a month: a checkpoint of walk-forward predictions misses a whole one
FIRST = date(2022, 12, 1)
LAST = FIRST + timedelta(days=400)
PER_DAY = 3


def world(*, announced: bool) -> World:
    """Three rows a day for 400 days, and the run days of the last 100 of them."""
    days = np.datetime64(FIRST) + np.repeat(np.arange(400), PER_DAY)
    columns = {ROW_ID: [str(n) for n in range(len(days))], TIME: days, TARGET: np.arange(len(days)) % 2.0, "x": days}
    table = pa.table(columns).replace_schema_metadata(FeatureLayout(("x",)).as_metadata())
    spec = replace(load_spec("nba"), label_delay_days=DELAY, announced=announced, monitor=MonitorSpec())
    run_days = (np.datetime64(FIRST) + np.arange(300, 400)).astype(np.int64)
    return World(Workload(spec), {}, pd.DataFrame(), table, run_days)


def test_each_run_knows_the_labels_whose_delay_is_over() -> None:
    simulated = world(announced=False)
    for day, known in zip(simulated.run_days, simulated.known, strict=True):
        newest = simulated.day[known - 1]
        assert newest + DELAY < day <= newest + DELAY + 1
    assert simulated.period[0] == 2022
    assert simulated.period[-1] == 2024
    assert simulated.period_word == "year"


def test_no_fit_and_no_walk_forward_prediction_knows_a_label_before_its_time() -> None:
    simulated = world(announced=False)
    days = simulated.labels.days
    calendar = build_calendar(simulated, [ALL_PERIODS, 1], 600)
    for window, of_run in calendar.of_run.items():
        for day, number in zip(simulated.run_days.astype("datetime64[D]"), of_run, strict=True):
            candidate = calendar.candidates[number]
            assert days[candidate.end - 1] + DELAY < day
            assert candidate.walk_forward or window == 1
            for part in candidate.walk_forward:
                first_of_month = days[part.begin].astype("datetime64[M]").astype("datetime64[D]")
                assert days[part.fit.end - 1] + DELAY < first_of_month


@pytest.mark.parametrize(("announced", "lag"), [(True, 0), (False, 1)])
def test_a_row_is_predicted_by_the_first_run_that_sees_it(announced: bool, lag: int) -> None:
    simulated = world(announced=announced)
    served = simulated.row_run >= 0
    assert (simulated.day[~served] + lag < simulated.run_days[0]).all()
    expected = np.minimum(simulated.day + lag, simulated.run_days[-1])
    assert (simulated.run_days[simulated.row_run[served]] == expected[served]).all()


def test_an_alarm_waits_for_the_labels(done: BacktestResult) -> None:
    """Every result since the first champion turned round: the same alarm comes as many days later as labels do."""
    judgements, outcome = done.prepared.judgements, done.outcome
    champion = int(outcome.champion[1][outcome.champion[1] >= 0][0])
    upside_down = copy.copy(judgements.world.features)
    upside_down = upside_down.set_column(
        upside_down.column_names.index(TARGET), TARGET, pa.array(1 - judgements.world.target, pa.int8())
    )

    def first_alarm(delay: int) -> int:
        spec = replace(judgements.world.spec, label_delay_days=delay)
        hurt = copy.copy(judgements)
        hurt.world = replace(judgements.world, workload=Workload(spec), features=upside_down)
        alarms = Alarms(hurt)
        run_days = range(int(judgements.world.run_days[0]), int(judgements.world.run_days[-1]) + delay)
        return next(day for day in run_days if alarms.on(champion, day, None))

    assert first_alarm(7) == first_alarm(0) + 7


def with_sums(lag: int) -> World:
    """One feature: the sum of all labels of days that are `lag` days back or more, as far as they are known."""
    spec = replace(load_spec("nba"), label_delay_days=DELAY, label_columns=(), monitor=MonitorSpec())

    def features(spec: Spec, rows: pd.DataFrame, as_of: date, parameters: Mapping[str, str]) -> FeatureTables:
        of_day = rows.groupby(TIME)[TARGET].sum().cumsum().shift(lag, fill_value=0.0)
        made = pa.Table.from_pandas(rows.assign(x=rows[TIME].map(of_day)), preserve_index=False)
        table = made.replace_schema_metadata(FeatureLayout(("x",)).as_metadata())
        labelled = rows[TARGET].notna().to_numpy()
        return FeatureTables(table.filter(pa.array(labelled)), table.filter(pa.array(~labelled)))

    workload = Workload(spec)
    workload.__dict__["features"] = SimpleNamespace(features=features)  # in place of its module
    days = np.datetime64(FIRST, "s") + np.repeat(np.arange(400), PER_DAY).astype("timedelta64[D]")
    rows = pd.DataFrame({ROW_ID: [str(n) for n in range(len(days))], TIME: days, TARGET: np.arange(len(days)) % 2.0})
    run_days = (np.datetime64(FIRST) + np.arange(300, 400)).astype(np.int64)
    return World(workload, {}, rows, features(spec, rows, LAST, {}).labelled, run_days)


def test_a_feature_that_uses_labels_before_they_are_known_is_refused() -> None:
    with_sums(DELAY).check_features()
    with pytest.raises(BacktestError, match=r"x of game .* on the morning that predicts it"):
        with_sums(DELAY - 1).check_features()
