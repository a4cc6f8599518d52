"""The rules that decide about a candidate, as data: the definition renders them as conditions, the steps as sentences.

Standard library only. A limit compares one number of evaluation.json with one pipeline parameter; all limits of a gate
must hold. There is no second copy: `pipeline.definition.compile` builds the ConditionSteps from these tuples,
Evaluate words the decision with `failed_limits` and `judge_promotion`, and a test proves on shared cases that both
agree.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from pipeline.contract.names import CHAMPION_KEPT, FAILED, NO, REGISTERED

Operator = Literal["<=", ">="]
COMPARE: Final[Mapping[Operator, Callable[[Any, Any], Any]]] = {"<=": operator.le, ">=": operator.ge}  # arrays, too
Truth = TypeVar("Truth", bound=Any)


@dataclass(frozen=True)
class Limit:
    """One number of evaluation.json (`path`, dotted) held against one pipeline parameter."""

    words: str
    path: str
    operator: Operator
    parameter: str
    why: str

    def holds(self, value: float, limit: float) -> bool:
        """Whether `value` keeps the limit; a NaN never does."""
        return bool(COMPARE[self.operator](value, limit))

    def describe(self, value: float, limit: float) -> str:
        """The failing limit in words, e.g. `log loss 0.7012 is above the limit 0.68 (MaxLogLoss): ...`."""
        side = "above" if self.operator == "<=" else "below"
        return f"{self.words} {_number(value)} is {side} the limit {_number(limit)} ({self.parameter}): {self.why}"


_TOO_GOOD: Final = (
    "too good to be true, so look for a feature that sees the result (a leak) before you raise this limit"
)
QUALITY_LIMITS: Final = (
    Limit(
        "log loss",
        "metrics.candidate.log_loss",
        "<=",
        "MaxLogLoss",
        "the probabilities say little more than always the base rate",
    ),
    Limit(
        "calibration error",
        "metrics.candidate.calibration_error",
        "<=",
        "MaxCalibrationError",
        "the probabilities do not match how often home teams win",
    ),
    Limit(
        "log loss above Elo-logistic",
        "quality.loss_above_baseline",
        "<=",
        "MaxLossAboveBaseline",
        "two numbers fitted to Elo predict the same games better",
    ),
    Limit(
        "games evaluated",
        "metrics.candidate.n_rows",
        ">=",
        "MinEvaluatedRows",
        "too few games to judge a model",
    ),
    Limit(
        "accuracy",
        "metrics.candidate.accuracy",
        "<=",
        "MaxAccuracy",
        _TOO_GOOD,
    ),
    # Elo-logistic is made of results alone, so a leak that its ratings shared with the candidate cannot hide here.
    Limit("gain over Elo-logistic", "quality.skill", "<=", "MaxSkill", _TOO_GOOD),
)

NON_INFERIOR: Final = Limit(
    "upper bound of the log-loss difference to the incumbent",
    "comparison.difference.upper",
    "<=",
    "NonInferiorityMargin",
    "the candidate may be worse than what is in use",
)
BETTER: Final = Limit(
    "improvement over the champion",
    "comparison.improvement",
    ">=",
    "MinImprovement",
    "not better by enough to trouble an approver",
)
OLD: Final = Limit(
    "age of the champion in days",
    "comparison.champion_age_days",
    ">=",
    "MaxChampionAgeDays",
    "the champion is not old enough to be replaced by an equal",
)
PROMOTION_LIMITS: Final = (NON_INFERIOR, BETTER, OLD)  # the first, and one of the other two
CHAMPION_EXISTS_PATH: Final = "comparison.champion_exists"
GATE_PARAMETERS: Final = tuple(limit.parameter for limit in (*QUALITY_LIMITS, *PROMOTION_LIMITS))


def number_at(evaluation: Mapping[str, Any], path: str) -> float:
    """The number at a dotted path; raises KeyError that names the path when it is missing or no number."""
    node: Any = evaluation
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise KeyError(f"evaluation.json has no {path}")
        node = node[part]
    if isinstance(node, bool) or not isinstance(node, int | float):
        raise KeyError(f"evaluation.json: {path} is {node!r}, not a number")
    return float(node)


def failed_limits(evaluation: Mapping[str, Any], limits: Mapping[str, float]) -> tuple[str, ...]:
    """The quality limits that do not hold, each in words; empty when the candidate passes."""
    return tuple(
        limit.describe(number_at(evaluation, limit.path), limits[limit.parameter])
        for limit in QUALITY_LIMITS
        if not limit.holds(number_at(evaluation, limit.path), limits[limit.parameter])
    )


@dataclass(frozen=True)
class Promotion:
    """Whether the candidate is put forward for approval, and why (one sentence)."""

    promote: bool
    reason: str


def replaces(holds: Callable[[Limit], Truth]) -> Truth:
    """Non-inferior, and better by a minimum or the champion is old; `holds` may answer with an array of truths."""
    truth: Truth = holds(NON_INFERIOR) & (holds(BETTER) | holds(OLD))
    return truth


def judge_promotion(evaluation: Mapping[str, Any], limits: Mapping[str, float]) -> Promotion:
    """Non-inferior, and better by a minimum or the champion is old or there is none."""
    if evaluation["comparison"]["champion_exists"] == NO:
        version = evaluation["comparison"].get("champion_version", "none")
        who = "there is no champion yet" if version == "none" else f"champion {version} predicted none of these games"
        return Promotion(True, f"{who}, and the candidate keeps every limit")

    def check(limit: Limit) -> tuple[bool, float, float]:
        value, bound = number_at(evaluation, limit.path), limits[limit.parameter]
        return limit.holds(value, bound), value, bound

    not_worse, upper, margin = check(NON_INFERIOR)
    better, improvement, minimum = check(BETTER)
    _, age, max_age = check(OLD)
    promote = replaces(lambda limit: check(limit)[0])
    difference = f"log loss {_signed(-improvement)} against the champion (95 % upper bound {_signed(upper)}"
    if not promote and not not_worse:
        return Promotion(False, f"{difference}, margin {_number(margin)}): it may be worse, so the champion stays")
    if promote and better:
        return Promotion(True, f"{difference}): better by at least {_number(minimum)}")
    if promote:
        return Promotion(True, f"{difference}): not worse, and the champion is {_days(age)} old (limit {max_age:.0f})")
    if age < 0:
        return Promotion(
            False,
            f"{difference}): not better by {_number(minimum)}, and the champion was trained {_days(-age)} after the "
            "as-of date, so the champion stays",
        )
    return Promotion(
        False,
        f"{difference}): not worse, but not better by {_number(minimum)} either, and the champion is only "
        f"{_days(age)} old (limit {max_age:.0f}), so the champion stays",
    )


def decide(evaluation: Mapping[str, Any], limits: Mapping[str, float]) -> str:
    """What becomes of a candidate under these limits: failed, registered or champion-kept."""
    if failed_limits(evaluation, limits):
        return FAILED
    return REGISTERED if judge_promotion(evaluation, limits).promote else CHAMPION_KEPT


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:.6g}"  # six digits: 0.680004 is above 0.68


def _days(age: float) -> str:
    return "1 day" if age == 1 else f"{age:,.0f} days"


def _signed(value: float) -> str:
    return f"{value:+.4f}"
