"""A label is known from the morning after its row's day and its delay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.workload import load_spec
from pipeline.ingest.known import hide_labels, known_on

DAYS = np.array(["2024-02-28", "2024-02-29", "2024-03-01"], dtype="datetime64[D]")


def test_a_result_is_known_the_morning_after() -> None:
    assert known_on(DAYS, np.datetime64("2024-03-01")).tolist() == [True, True, False]
    assert known_on(DAYS, DAYS).tolist() == [False, False, False]


def test_a_label_of_thirty_days_is_known_on_the_thirty_first_morning() -> None:
    assert known_on(DAYS, np.datetime64("2024-03-30"), 30).tolist() == [True, False, False]


@given(delay=st.integers(0, 400), later=st.integers(-500, 500))
def test_what_is_known_stays_known_and_a_longer_delay_hides_more(delay: int, later: int) -> None:
    morning = DAYS[1] + np.timedelta64(later, "D")
    now = known_on(DAYS, morning, delay)
    assert (now <= known_on(DAYS, morning + 1, delay)).all()
    assert (known_on(DAYS, morning, delay + 1) <= now).all()
    assert now[1] == (later > delay)


def test_a_column_that_tells_the_label_is_hidden_with_it() -> None:
    spec = replace(load_spec("nba"), label_delay_days=1, label_columns=("score",))
    rows = pd.DataFrame({"time": DAYS, "target": [1.0, 0.0, 1.0], "score": [9, 3, 8], "rain": [1, 2, 3]})
    known = hide_labels(spec, rows, np.datetime64("2024-03-01"))
    assert known["target"].notna().tolist() == [True, False, False]
    assert known["score"].notna().tolist() == [True, False, False]
    assert known["rain"].tolist() == [1, 2, 3]
    assert rows["target"].notna().all()
