"""A label is known from the morning after its row's day and its delay."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.known import known_on

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
