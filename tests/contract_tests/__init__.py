"""The conformance suite of a workload: what core promises of every one of them, on the workload's own sample.

One line in a workload's tests runs it, as scikit-learn's check_estimator does for an estimator:

    TestContract = contract_tests("nba")

Each check raises AssertionError with a sentence that names what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from contract_tests.declaration_checks import (
    bad_columns_are_refused,
    limits_and_metrics_are_in_the_evaluation,
    only_features_are_features,
    predictions_and_monitor_are_written,
)
from contract_tests.sameness_checks import (
    features_are_deterministic,
    order_does_not_matter,
    saved_models_predict_the_same,
    served_predictions_equal_the_batch,
    training_is_deterministic,
    two_hosts_train_as_one,
)
from contract_tests.subject import Subject
from contract_tests.time_checks import (
    a_later_sample_only_adds,
    baseline_does_not_see_the_future,
    features_do_not_see_the_future,
    labels_wait_for_their_delay,
    permuted_labels_lose_the_skill,
)

CHECKS: Final[tuple[Callable[[Subject], None], ...]] = (
    features_do_not_see_the_future,
    baseline_does_not_see_the_future,
    permuted_labels_lose_the_skill,
    features_are_deterministic,
    training_is_deterministic,
    order_does_not_matter,
    two_hosts_train_as_one,
    saved_models_predict_the_same,
    served_predictions_equal_the_batch,
    a_later_sample_only_adds,
    limits_and_metrics_are_in_the_evaluation,
    predictions_and_monitor_are_written,
    bad_columns_are_refused,
    only_features_are_features,
    labels_wait_for_their_delay,
)


def contract_tests(name: str) -> type:
    """A class of tests: the checks above of the workload `name`, on one sample and one model."""

    class TestContract:
        @pytest.fixture(scope="class")
        @classmethod
        def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
            return Subject(name, tmp_path_factory.mktemp(name))

        @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
        def test_that(self, subject: Subject, check: Callable[[Subject], None]) -> None:
            check(subject)

    return TestContract
