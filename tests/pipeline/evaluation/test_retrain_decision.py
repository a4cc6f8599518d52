"""Who waits for the next training, and which last candidate counts."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract.container import StepError, read_record
from pipeline.contract.names import EVALUATED_FILE
from pipeline.contract.parameters import default_limits, parse_limits
from pipeline.contract.workload import load_spec
from pipeline.evaluation.retrain_decision import (
    RetrainInputs,
    read_last_registered,
    should_retrain,
)

NBA = load_spec("nba")
FACTS = {"fingerprint": "new", "training_config_fingerprint": "training_config", "as_of_date": "2025-03-01"}
LIMITS = default_limits(NBA)
GOOD: dict[str, Any] = {
    "metrics": {"candidate": {"log_loss": 0.62, "calibration_error": 0.02, "accuracy": 0.65, "n_rows": 1312}},
    "quality": {"loss_above_baseline": -0.004, "skill": 0.004},
    "comparison": {
        "champion_exists": "yes",
        "champion_version": "7",
        "champion_age_days": 10,
        "improvement": 0.0,
        "difference": {"upper": 0.0005},
    },
}
LAST = GOOD | {
    "fingerprint": "old",
    "training_config_fingerprint": "training_config",
    "as_of_date": "2025-02-10",
    "decision": "champion-kept",
    "reason": "not better",
}
SAME = LAST | {"fingerprint": "new"}
REGISTERED = {"decision": "registered", "reason": "better"}
FAILED = {"decision": "failed", "reason": "log loss 0.62 is above the limit 0.6 (MaxLogLoss)"}
LOST = "was to be registered, but the registry does not have it"


def tonight(**changed: Any) -> RetrainInputs:
    return RetrainInputs(
        **{
            "facts": FACTS,
            "champion": 7,
            "trigger": "schedule",
            "min_days": 30,
            "limits": LIMITS,
            "spec": NBA,
            **changed,
        }
    )


@pytest.mark.parametrize(
    ("last_evaluated", "champion", "trigger", "train", "reason"),
    [
        (LAST, True, "schedule", False, "the last training was 19 days ago, and a run started by schedule waits 30"),
        (LAST, True, "data", False, "(MinDaysBetweenTrainings)"),
        (LAST | {"as_of_date": "2025-01-30"}, True, "schedule", True, "games are new"),
        (LAST, False, "schedule", True, "games are new"),  # without a champion nothing waits
        (LAST, True, "drift", True, "games are new"),
        (LAST, True, "manual", True, "games are new"),
        (LAST | {"training_config_fingerprint": "other"}, True, "schedule", True, "training config or code is new"),
        # the first run, or an older last_evaluated.json
        ({"fingerprint": None}, True, "schedule", True, "training config or code is new"),
        (SAME, True, "manual", False, "are those of the last evaluated candidate"),
    ],
)
def test_who_waits_for_the_next_training(
    last_evaluated: dict[str, Any], champion: bool, trigger: str, train: bool, reason: str
) -> None:
    decision = should_retrain(last_evaluated, None, tonight(champion=7 if champion else None, trigger=trigger))
    assert decision.train is train
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("last_evaluated", "registered", "train", "reason"),
    [
        (SAME | REGISTERED, None, True, LOST),
        (SAME | REGISTERED, {"fingerprint": "another"}, True, LOST),
        (SAME | REGISTERED, {"fingerprint": "new"}, False, "are those of the last evaluated candidate"),
        (LAST | REGISTERED, None, True, LOST),  # other games by now: it must not wait 30 days for what never happened
        (LAST | REGISTERED, {"fingerprint": "old"}, False, "waits 30"),
    ],
)
def test_a_candidate_whose_registration_failed_does_not_count(
    last_evaluated: dict[str, Any], registered: dict[str, Any] | None, train: bool, reason: str
) -> None:
    decision = should_retrain(last_evaluated, registered, tonight())
    assert decision.train is train
    assert reason in decision.reason


def test_a_candidate_below_the_limits_is_not_trained_again_but_not_hidden_either() -> None:
    strict = LIMITS | {"MaxLogLoss": 0.6}
    for last_evaluated, words in ((SAME | FAILED, "of the last evaluated candidate"), (LAST | FAILED, "waits 30")):
        decision = should_retrain(last_evaluated, None, tonight(limits=strict))
        assert decision.train is False
        assert words in decision.reason
        assert decision.reason.endswith(
            "; that one, of 2025-02-10, was below the quality limits: log loss 0.62 is above the limit 0.6 (MaxLogLoss)"
        )


@pytest.mark.parametrize(
    ("last_evaluated", "changed"),
    [
        (
            SAME | FAILED | {"comparison": GOOD["comparison"] | {"champion_exists": "no"}},
            {},
        ),  # failed by MaxLogLoss 0.6
        (SAME, {"limits": LIMITS | {"MaxChampionAgeDays": 9.0}}),
        (SAME, {"champion": None}),  # it was rejected since
    ],
)
def test_a_candidate_that_would_pass_today_is_trained_again(
    last_evaluated: dict[str, Any], changed: dict[str, Any]
) -> None:
    decision = should_retrain(last_evaluated, None, tonight(**changed))
    assert decision.train is True
    assert decision.reason == f"the last candidate was not registered ({last_evaluated['reason']}), but would be today"


def test_a_candidate_that_lost_to_another_champion_is_compared_again() -> None:
    """The champion that it lost to was rejected, so that an earlier version is in use."""
    decision = should_retrain(SAME, None, tonight(champion=6))
    assert (decision.train, decision.reason) == (
        True,
        "the last candidate did not replace version 7, but version 6 is in use",
    )
    for stays in (SAME | FAILED, SAME | REGISTERED):  # by its own limits, or as a version that may be the champion now
        assert not should_retrain(
            stays, {"fingerprint": "new"}, tonight(champion=6, limits=LIMITS | {"MaxLogLoss": 0.6})
        ).train


@pytest.mark.parametrize(("days", "train"), [(29, False), (30, True)])
def test_a_day_makes_the_difference(days: int, train: bool) -> None:
    same = SAME | {"comparison": GOOD["comparison"] | {"champion_age_days": days}}
    assert should_retrain(same, None, tonight()).train is train, "old enough to be replaced by an equal"
    last = LAST | {"as_of_date": str(date(2025, 3, 1) - timedelta(days))}
    assert should_retrain(last, None, tonight()).train is train, "long enough ago"


def test_reasons_in_full() -> None:
    assert (
        should_retrain(SAME, None, tonight()).reason
        == "games, training config and code are those of the last evaluated candidate"
    )
    assert should_retrain(LAST, None, tonight()).reason == (
        "games are new, but the last training was 19 days ago, and a run started by schedule waits "
        "30 (MinDaysBetweenTrainings)"
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "last_evaluated.json").write_bytes('{"fingerprint": null, "reason": "é"}'.encode())
    (tmp_path / "registered.json").write_text('{"fingerprint": "f"}')
    assert read_record(tmp_path, EVALUATED_FILE) == {"fingerprint": None, "reason": "é"}
    assert read_last_registered(tmp_path) == {"fingerprint": "f"}


DEEP = "[" * 100_000
OF_ANOTHER_SHAPE = ('{"fingerprint": "f", "as_of_date": 5}', '{"fingerprint": "f", "as_of_date": "soon"}')


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", "{}", '"fingerprint"', DEEP, *OF_ANOTHER_SHAPE])
def test_a_marker_that_cannot_be_read_is_refused_with_what_to_write(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "last_evaluated.json").write_text(text)
    remedy = (
        r'evaluated/last_evaluated\.json is missing or unreadable \(.+\): write {"fingerprint": null} there to train'
    )
    with pytest.raises(StepError, match=remedy):
        read_record(tmp_path, EVALUATED_FILE)


@pytest.mark.parametrize("text", [None, "", "{", "[]", DEEP])
def test_a_registration_that_cannot_be_read_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "registered.json").write_text(text)
    assert read_last_registered(tmp_path) is None


@pytest.mark.parametrize("value", ["", "much", "nan", "inf", "-1e999"])
def test_a_limit_that_is_no_number_is_refused_by_name(value: str) -> None:
    with pytest.raises(StepError, match=f'limit MinSkill: "{value}" is not a number'):
        parse_limits(NBA, [f"MinSkill={value}"])
