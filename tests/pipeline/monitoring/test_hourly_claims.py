"""Hours of a day go together: a claim for each of them raises false alarms, one a day does not (docs/monitor.md)."""

from __future__ import annotations

from benchmarks.hourly_claims import CorrelatedHours, first_alarms

N = 8


def test_a_right_predictor_is_accused_by_the_hour_and_not_by_the_day() -> None:
    right = CorrelatedHours(day_share=0.75)
    assert None not in first_alarms(right, "row", N)
    assert first_alarms(right, "day", N) == [None] * N


def test_a_wrong_one_is_found_by_one_claim_a_day() -> None:
    assert None not in first_alarms(CorrelatedHours(day_share=0.75, shift=1.0), "day", N)
