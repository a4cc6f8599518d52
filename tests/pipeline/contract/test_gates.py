"""The gates: each limit can fail, the sentences name what failed, and the definition decides by the same rules."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import gates, parameters
from pipeline.contract.parameters import default_limits
from pipeline.contract.workload import load_spec
from pipeline.local.plan.expressions import Value, all_hold

NBA = load_spec("nba")
LIMITS = default_limits(NBA)
GOOD: dict[str, Any] = {
    "metrics": {
        "candidate": {"log_loss": 0.62, "calibration_error": 0.02, "accuracy": 0.65, "n_rows": 1312},
    },
    "quality": {"loss_above_baseline": -0.004, "skill": 0.004},
    "comparison": {
        "champion_exists": "yes",
        "champion_age_days": 10,
        "improvement": 0.0,
        "difference": {"upper": 0.0005},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    evaluation = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    node = evaluation
    for part in parents:
        node = node[part]
    node[last] = value
    return evaluation


def test_a_good_candidate_keeps_every_limit() -> None:
    assert gates.failed_limits(NBA, GOOD, LIMITS) == ()


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("metrics.candidate.log_loss", 0.69, "log loss 0.69 is above the limit 0.68 (MaxLogLoss)"),
        ("metrics.candidate.log_loss", 0.6931523, "log loss 0.6932 is above the limit 0.68 (MaxLogLoss)"),
        ("metrics.candidate.log_loss", 0.680004, "log loss is 4e-06 above the limit 0.68 (MaxLogLoss)"),
        ("metrics.candidate.calibration_error", 0.2, "calibration error 0.2 is above"),
        ("quality.loss_above_baseline", 0.0001, "log loss above that of Elo-logistic 0.0001 is above the limit 0"),
        ("metrics.candidate.n_rows", 999, "games evaluated 999 is below the limit 1,000 (MinEvaluatedRows)"),
        ("metrics.candidate.accuracy", 0.88, "accuracy 0.88 is above the limit 0.73 (MaxAccuracy): suspected leakage"),
        (
            "quality.skill",
            0.031,
            "skill 0.031 is above the limit 0.03 (MaxSkill): suspected leakage",
        ),
        ("metrics.candidate.log_loss", float("nan"), "log loss nan is above"),
    ],
)
def test_each_limit_fails_and_names_metric_value_and_limit(path: str, value: float, sentence: str) -> None:
    (reason,) = gates.failed_limits(NBA, changed(path, value), LIMITS)
    assert reason.startswith(sentence)


@pytest.mark.parametrize(
    ("workload", "calibration", "words"),
    [
        ("nba", ["MaxCalibrationError"], ("log loss", "Elo-logistic", "games")),
        ("churn", ["MaxCalibrationError"], ("log loss", "rate by segment", "customers")),
        ("bike_demand", ["MaxRelativeBias", "MaxCoverageError"], ("squared error", "seasonal naive", "hours")),
    ],
)
def test_the_limits_of_each_task_in_words(workload: str, calibration: list[str], words: tuple[str, str, str]) -> None:
    spec, (loss, baseline, rows) = load_spec(workload), words
    limits = gates.quality_limits(spec)[len(spec.limits) :]
    assert [limit.parameter for limit in limits[:-4]] == calibration
    assert [(limit.words, limit.operator, limit.parameter, limit.why.partition(":")[0]) for limit in limits[-4:]] == [
        (
            f"{loss} above that of {baseline}",
            "<=",
            "MaxLossAboveBaseline",
            f"{baseline} predicts the same {rows} better",
        ),
        ("skill", ">=", "MinSkill", f"too little is gained over {baseline}"),
        ("skill", "<=", "MaxSkill", "suspected leakage"),
        (f"{rows} evaluated", ">=", "MinEvaluatedRows", f"too few {rows} to judge a model"),
    ]
    own = [limit.parameter for limit in (*spec.limits, *limits)]
    promotion = ["NonInferiorityMargin", "MinImprovement", "MaxChampionAgeDays"]
    assert list(gates.gate_parameters(spec)) == own + promotion


def test_a_rate_without_quantiles_has_no_coverage() -> None:
    spec = replace(load_spec("bike_demand"), quantiles=())
    assert [limit.parameter for limit in gates.quality_limits(spec)[:-4]] == ["MaxRelativeBias"]


@pytest.mark.parametrize(
    ("value", "bound", "sentence"),
    [
        (1311.9, 1312.0, "games evaluated is 0.1 below the limit 1,312 (MinEvaluatedRows): too few games"),
        (1.0, 100_000.5, "games evaluated 1 is below the limit 100,000 (MinEvaluatedRows)"),
        (1.0, 99_999.5, "games evaluated 1 is below the limit 99999.5 (MinEvaluatedRows)"),
    ],
)
def test_numbers_of_thousands_are_written_as_people_write_them(value: float, bound: float, sentence: str) -> None:
    assert gates.describe(gates.quality_limits(NBA)[-1], value, bound).startswith(sentence)


@pytest.mark.parametrize("value", [None, "0.6", True])
def test_a_value_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(KeyError, match=r"metrics\.candidate\.log_loss"):
        gates.failed_limits(NBA, changed("metrics.candidate.log_loss", value), LIMITS)


def test_a_missing_value_is_refused() -> None:
    with pytest.raises(KeyError, match=r"has no metrics\.candidate\.log_loss"):
        gates.failed_limits(NBA, {**GOOD, "metrics": {"candidate": {}}}, LIMITS)


BETTER = "log loss -0.0010 against the champion (95 % upper bound +0.0019): better by at least 0.001"
NOT_BETTER = "log loss -0.0009 against the champion (95 % upper bound +0.0020): not "


@pytest.mark.parametrize(
    ("upper", "improvement", "age", "promote", "reason"),
    [
        (0.0019, 0.0010, 0, True, BETTER),
        (0.0019, 0.0010, 30, True, BETTER),
        (0.0020, 0.0009, 30, True, f"{NOT_BETTER}worse, and the champion is 30 days old (limit 30)"),
        *(
            (
                0.0020,
                0.0009,
                age,
                False,
                f"{NOT_BETTER}worse, but not better by 0.001 either, and the champion is only {words} old (limit 30), "
                "so the champion stays",
            )
            for age, words in ((29, "29 days"), (2, "2 days"), (1, "1 day"), (0, "0 days"))
        ),
        *(
            (
                0.0020,
                0.0009,
                -age,
                False,
                f"{NOT_BETTER}better by 0.001, and the champion was trained {words} after the as-of date, "
                "so the champion stays",
            )
            for age, words in ((1, "1 day"), (29, "29 days"))
        ),
        (
            0.0021,
            0.01,
            99,
            False,
            "log loss -0.0100 against the champion (95 % upper bound +0.0021, margin 0.002): it may be worse, "
            "so the champion stays",
        ),
    ],
)
def test_promotion(upper: float, improvement: float, age: int, promote: bool, reason: str) -> None:
    comparison = {"champion_exists": "yes", "champion_version": "7", "champion_age_days": age}
    evaluation = GOOD | {"comparison": {**comparison, "improvement": improvement, "difference": {"upper": upper}}}
    assert gates.judge_promotion(NBA, evaluation, LIMITS) == gates.Promotion(promote, reason)
    assert gates.decide(NBA, evaluation, LIMITS) == ("registered" if promote else "champion-kept")
    assert gates.decide(NBA, evaluation, LIMITS | {"MaxLogLoss": 0.6}) == "failed"


@pytest.mark.parametrize(
    ("version", "who"),
    [
        ({}, "there is no champion yet"),
        ({"champion_version": "none"}, "there is no champion yet"),
        ({"champion_version": "7"}, "champion 7 predicted none of these games"),
    ],
)
def test_without_a_champion_to_compare_with_the_candidate_is_put_forward(version: dict[str, str], who: str) -> None:
    evaluation = GOOD | {"comparison": {"champion_exists": "no", **version}}
    promotion = gates.Promotion(True, f"{who}, and the candidate keeps every limit")
    assert gates.judge_promotion(NBA, evaluation, LIMITS) == promotion
    assert gates.decide(NBA, evaluation, LIMITS) == "registered"


class EvaluationScope:
    """What the conditions see: the parameters' defaults and one evaluation.json."""

    parameters: Mapping[str, Value] = {p.name: p.default for p in parameters.parameters_of(NBA).all}

    def __init__(self, evaluation: Mapping[str, Any]) -> None:
        self.evaluation = evaluation

    def execution(self, name: str) -> str | None:
        raise AssertionError(f"a gate asks for {name}")

    def properties(self, step: str) -> Mapping[str, Any]:
        raise AssertionError(f"a gate asks for properties of {step}")

    def property_file(self, step: str, name: str) -> str:
        assert (step, name) == ("Evaluate", "Evaluation")
        return "evaluation"

    def read_json(self, uri: str) -> object:
        return self.evaluation


near = st.sampled_from([-0.01, -0.0001, 0.0, 0.0001, 0.01])


@given(
    offsets=st.tuples(*[near for _ in gates.quality_limits(NBA)]),
    exists=st.booleans(),
    upper=near,
    improvement=near,
    age=st.integers(28, 32),
)
def test_conditions_and_sentences_agree(
    definition: dict[str, Any],
    offsets: tuple[float, ...],
    exists: bool,
    upper: float,
    improvement: float,
    age: int,
) -> None:
    """The compiled conditions, evaluated as the runner does, decide as pipeline.contract.gates says near each limit."""
    evaluation = copy.deepcopy(GOOD)
    for limit, offset in zip(gates.quality_limits(NBA), offsets, strict=True):  # skill has two: the later one's value
        *parents, last = limit.path.split(".")
        node = evaluation
        for part in parents:
            node = node[part]
        node[last] = LIMITS[limit.parameter] + offset
    evaluation["comparison"] = {
        "champion_exists": "yes" if exists else "no",
        "champion_age_days": age,
        "improvement": LIMITS["MinImprovement"] + improvement,
        "difference": {"upper": LIMITS["NonInferiorityMargin"] + upper},
    }
    conditions = {step["Name"]: step["Arguments"].get("Conditions") for step in definition["Steps"]}
    scope = EvaluationScope(evaluation)
    passes = gates.failed_limits(NBA, evaluation, LIMITS) == ()
    assert all_hold(conditions["QualityGate"], scope) is passes
    better = gates.judge_promotion(NBA, evaluation, LIMITS).promote
    assert all_hold(conditions["BeatsChampion"], scope) is (passes and better), "nothing below a limit is registered"
