"""Walk-forward predictions are out of sample, whole, and the same with any number of threads; leaks show in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leagues import random_league

from benchmarks.nba.canaries import missing_shift, post_game_ratings
from pipeline.contract import names as c
from pipeline.evaluation.metrics import score
from pipeline.training import walk_forward as module
from pipeline.training.model import Hyperparameters, fit, predict
from pipeline.training.training_sets import feature_matrix
from pipeline.training.walk_forward import constant, walk_forward
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.features import build_features, feature_table
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT

CONFIG = Hyperparameters(boosting_rounds=10, min_child_weight=10.0)
COLUMNS = [
    *(c.ROW_ID, c.TIME, c.TARGET),
    *(c.PREDICTION, c.P_CONSTANT, c.TRAINED_BEFORE),
]


def table_of(features: pd.DataFrame) -> pa.Table:
    return feature_table(features[features[c.TARGET].notna()])


@pytest.fixture(scope="module")
def games() -> pd.DataFrame:
    return random_league(11, teams=10, seasons=4, games=400)


@pytest.fixture(scope="module")
def features(games: pd.DataFrame) -> pa.Table:
    return table_of(build_features(games))


@pytest.fixture(scope="module")
def predicted(features: pa.Table) -> pa.Table:
    return walk_forward(features, CONFIG, 600)


def days(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy().astype("datetime64[D]")


def test_one_row_for_each_of_the_last_games(features: pa.Table, predicted: pa.Table) -> None:
    assert predicted.column_names == COLUMNS
    assert predicted[c.ROW_ID].to_pylist() == features[c.ROW_ID].to_pylist()[-600:]
    assert predicted[c.TARGET].to_pylist() == features[c.TARGET].to_pylist()[-600:]
    assert all(np.isfinite(predicted[name].to_numpy()).all() for name in COLUMNS[4:6])


def test_weights_are_older_than_the_game_and_of_the_same_month(predicted: pa.Table) -> None:
    trained, played = days(predicted, c.TRAINED_BEFORE), days(predicted, c.TIME)
    assert (trained <= played).all()
    assert (trained.astype("datetime64[M]") == played.astype("datetime64[M]")).all()


def test_each_month_equals_a_fit_on_the_games_before_it(features: pa.Table, predicted: pa.Table) -> None:
    first_day = days(predicted, c.TRAINED_BEFORE)[300]
    x, y = feature_matrix(features), features[c.TARGET].to_numpy().astype(np.float64)
    past = days(features, c.TIME) < first_day
    now = days(features, c.TIME).astype("datetime64[M]") == first_day.astype("datetime64[M]")
    rows = days(predicted, c.TRAINED_BEFORE) == first_day
    assert (predicted[c.PREDICTION].to_numpy()[rows] == predict(fit(x[past], y[past], CONFIG, LAYOUT), x[now])).all()
    assert (predicted[c.P_CONSTANT].to_numpy()[rows] == constant(y[past], "binary")).all()


def test_later_outcomes_change_no_earlier_prediction(games: pd.DataFrame, predicted: pa.Table) -> None:
    """Every result of a day and later is turned round: predictions for that day and before stay as they were."""
    day = games[n.DATE].iloc[-250]
    edited = games.copy()
    later = games[n.DATE] >= day
    edited.loc[later, [n.HOME_POINTS, n.AWAY_POINTS]] = games.loc[later, [n.AWAY_POINTS, n.HOME_POINTS]].to_numpy()
    other = walk_forward(table_of(build_features(edited)), CONFIG, 600)
    upto = days(predicted, c.TIME) <= day.to_numpy().astype("datetime64[D]")
    for name in (c.PREDICTION, c.P_CONSTANT):
        before, after = predicted[name].to_numpy(), other[name].to_numpy()
        assert (before[upto] == after[upto]).all(), name
        assert (before[~upto] != after[~upto]).any(), name


def test_the_number_of_threads_changes_nothing(features: pa.Table, predicted: pa.Table) -> None:
    for threads in (1, 5):
        assert walk_forward(features, CONFIG, 600, threads).equals(predicted)


def test_the_predictions_start_where_enough_games_came_before(features: pa.Table) -> None:
    predicted = walk_forward(features, CONFIG, 1_600)
    skipped = features.num_rows - predicted.num_rows
    assert skipped >= module.MIN_TRAINING_ROWS
    assert predicted[c.ROW_ID].to_pylist() == features[c.ROW_ID].to_pylist()[skipped:]
    assert walk_forward(features.slice(0, 300), CONFIG, 100).num_rows == 0


def test_games_out_of_order_or_unplayed_are_refused(features: pa.Table, games: pd.DataFrame) -> None:
    backwards = features.take(list(range(features.num_rows))[::-1])
    with pytest.raises(ValueError, match="order of time"):
        walk_forward(backwards, CONFIG, 100)
    to_come = games.copy()
    to_come.loc[to_come.index[-1], [n.HOME_POINTS, n.AWAY_POINTS]] = pd.NA
    with pytest.raises(ValueError, match="has no target"):
        walk_forward(feature_table(build_features(to_come)), CONFIG, 100)


def test_feature_matrix_follows_the_names(features: pa.Table) -> None:
    x = feature_matrix(features.select(list(reversed(features.column_names))))
    assert x.dtype == np.float32
    assert (x[:, 3] == features[FEATURES[3]].to_numpy()).all()


def accuracy(features: pd.DataFrame) -> float:
    predicted = walk_forward(table_of(features), Hyperparameters(), 1_200)
    return score(predicted[c.PREDICTION].to_numpy(), predicted[c.TARGET].to_numpy().astype(np.float64))["accuracy"]


def test_leaks_are_far_too_good_and_honest_features_are_not() -> None:
    games = random_league(12, teams=30, seasons=6, games=1_200)
    assert accuracy(build_features(games)) < 0.70
    assert accuracy(missing_shift(games)) > 0.85
    assert accuracy(post_game_ratings(games)) > 0.80


def test_the_base_rate_is_never_sure() -> None:
    assert constant(np.array([1.0, 1.0, 1.0, 0.0]), "binary") == pytest.approx(4 / 6)
    assert 0.0 < constant(np.ones(10), "binary") < 1.0
    assert constant(np.array([1.0, 4.0]), "regression") == 2.5


DAY = np.datetime64("2024-01-01")


@given(gaps=st.lists(st.integers(0, 40), min_size=1, max_size=60), delay=st.integers(0, 70), n_rows=st.integers(1, 60))
def test_no_row_is_predicted_from_a_label_that_was_not_known(gaps: list[int], delay: int, n_rows: int) -> None:
    """And from all that were: every one, on the first morning of the row's month."""
    days = DAY + np.cumsum(gaps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MIN_TRAINING_ROWS", 1)
        points = module.checkpoints(days, n_rows, delay)
    for point in points:
        morning = days[point.begin].astype("datetime64[M]").astype("datetime64[D]")
        assert (days[point.begin : point.end].astype("datetime64[M]") == morning.astype("datetime64[M]")).all()
        assert [bool(day + delay < morning) for day in days] == [row < point.fit_end for row in range(len(days))]
        assert (days[: point.fit_end] < point.trained_before).all()
    predicted = [row for point in points for row in range(point.begin, point.end)]
    assert predicted == list(range(len(days)))[len(days) - len(predicted) :]
    skipped = days[max(0, len(days) - n_rows) : len(days) - len(predicted)]
    assert not any((days + delay < day.astype("datetime64[M]").astype("datetime64[D]")).any() for day in skipped)


def test_labels_of_the_last_days_before_a_month_count_only_when_they_are_known(features: pa.Table) -> None:
    """Targets turned round that were known 40 days later change nothing; without the delay they would."""
    day = days(features, c.TIME)
    begin = day[-1].astype("datetime64[M]").astype("datetime64[D]")
    unknown = (day + 40 >= begin) & (day < begin)
    assert unknown.any()
    targets = features[c.TARGET].to_numpy()
    turned = features.set_column(
        features.column_names.index(c.TARGET), c.TARGET, pa.array(np.where(unknown, 1 - targets, targets))
    )
    last = int((day >= begin).sum())
    for delay, same in ((40, True), (0, False)):
        before, after = (walk_forward(table, CONFIG, last, delay_days=delay) for table in (features, turned))
        assert before.equals(after) is same
        assert before[c.TRAINED_BEFORE].to_numpy()[0] == begin - delay
