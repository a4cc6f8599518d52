"""The rules that decide about a candidate, as data: the definition renders them as conditions, the steps as sentences.

Standard library only. A limit compares one number of evaluation.json with one pipeline parameter; all limits of a gate
must hold. There is no second copy: `pipeline.definition.compile` builds the ConditionSteps from these tuples,
Evaluate words the decision with `failed_limits` and `judge_promotion`, and a test proves on shared cases that both
agree.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pipeline.contract.metrics import primary_metric, short, signed
from pipeline.contract.names import CHAMPION_KEPT, FAILED, NO, REGISTERED
from pipeline.contract.reasons import counted
from pipeline.contract.spec import Limit, Spec

COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {"<=": operator.le, ">=": operator.ge}  # arrays, too
Truth = TypeVar("Truth", bound=Any)
_LEAK: Final = "suspected leakage: look for a feature that sees the target before you raise this limit"


def holds(limit: Limit, value: float, bound: float) -> bool:
    """Whether `value` keeps the limit; a NaN never does."""
    return bool(COMPARE[limit.operator](value, bound))


def describe(limit: Limit, value: float, bound: float) -> str:
    """The failing limit in words, e.g. `log loss 0.7012 is above the limit 0.68 (MaxLogLoss): ...`.

    Where a number of four digits would keep the limit, they say how far it is from it: `log loss is 4e-06 above ...`.
    """
    side = "above" if limit.operator == "<=" else "below"
    shown = f"{limit.words} {short(value)} is"
    if math.isfinite(value) and holds(limit, float(short(value).replace(",", "")), bound):
        shown = f"{limit.words} is {abs(value - bound):.1g}"
    return f"{shown} {side} the limit {_number(bound)} ({limit.parameter}): {limit.why}"


def quality_limits(spec: Spec) -> tuple[Limit, ...]:
    """What every candidate of the workload is held to: its own limits, and those of its task."""
    loss = primary_metric(spec)
    return (
        *spec.limits,
        *_CALIBRATION[spec.task][: 2 if spec.quantiles else 1],
        Limit(
            f"{loss.label} above that of {spec.baseline}",
            "quality.loss_above_baseline",
            "<=",
            "MaxLossAboveBaseline",
            f"{spec.baseline} predicts the same {spec.rows} better",
        ),
        Limit("skill", "quality.skill", ">=", "MinSkill", f"too little is gained over {spec.baseline}"),
        # The baseline is made of validated rows alone, so a leak in the features cannot hide here.
        Limit("skill", "quality.skill", "<=", "MaxSkill", _LEAK),
        Limit(
            f"{spec.rows} evaluated",
            "metrics.candidate.n_rows",
            ">=",
            "MinEvaluatedRows",
            f"too few {spec.rows} to judge a model",
        ),
    )


_CALIBRATION: Final[Mapping[str, tuple[Limit, ...]]] = {
    "binary": (
        Limit(
            "calibration error",
            "metrics.candidate.calibration_error",
            "<=",
            "MaxCalibrationError",
            "the probabilities do not match the share that then came true",
        ),
    ),
    "regression": (
        Limit(
            "relative bias",
            "quality.relative_bias",
            "<=",
            "MaxRelativeBias",
            "predictions are too high or too low on average",
        ),
        Limit(
            "coverage error",
            "metrics.candidate.coverage_error",
            "<=",
            "MaxCoverageError",
            "targets are not below the predicted quantiles as often as they should be",
        ),
    ),
}

NON_INFERIOR: Final = Limit(
    "upper bound of the loss difference to the incumbent",
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


def gate_parameters(spec: Spec) -> tuple[str, ...]:
    return tuple(limit.parameter for limit in (*quality_limits(spec), *PROMOTION_LIMITS))


def number_at(evaluation: Mapping[str, Any], path: str) -> float:
    """The number at a dotted path; raises KeyError that names the path when it is missing or no number."""
    node: Any = evaluation
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise KeyError(f"evaluation.json has no {path}")
        node = node[part]
    if node is None:
        raise KeyError(f"evaluation.json: {path} is null, as of rows that all have one outcome: raise WalkForwardRows")
    if isinstance(node, bool) or not isinstance(node, int | float):
        raise KeyError(f"evaluation.json: {path} is {node!r}, not a number")
    return float(node)


def failed_limits(spec: Spec, evaluation: Mapping[str, Any], limits: Mapping[str, float]) -> tuple[str, ...]:
    """The quality limits that do not hold, each in words; empty when the candidate passes."""
    return tuple(
        describe(limit, number_at(evaluation, limit.path), limits[limit.parameter])
        for limit in quality_limits(spec)
        if not holds(limit, number_at(evaluation, limit.path), limits[limit.parameter])
    )


@dataclass(frozen=True)
class Promotion:
    """Whether the candidate is put forward for approval, and why (one sentence)."""

    promote: bool
    reason: str


def replaces(keeps: Callable[[Limit], Truth]) -> Truth:
    """Non-inferior, and better by a minimum or the champion is old; `keeps` may answer with an array of truths."""
    truth: Truth = keeps(NON_INFERIOR) & (keeps(BETTER) | keeps(OLD))
    return truth


def judge_promotion(spec: Spec, evaluation: Mapping[str, Any], limits: Mapping[str, float]) -> Promotion:
    """Non-inferior, and better by a minimum or the champion is old or there is none."""
    comparison = evaluation["comparison"]
    if comparison["champion_exists"] == NO:
        version = comparison.get("champion_version", "none")
        who = f"champion {version} predicted none of these {spec.rows}"
        if version == "none":
            who = "there is no champion yet"
        return Promotion(True, f"{who}, and the candidate keeps every limit")

    def keeps(limit: Limit) -> bool:
        return holds(limit, number_at(evaluation, limit.path), limits[limit.parameter])

    upper, improvement, age = (number_at(evaluation, limit.path) for limit in PROMOTION_LIMITS)
    margin, minimum, max_age = (_number(limits[limit.parameter]) for limit in PROMOTION_LIMITS)
    if not keeps(NON_INFERIOR):
        why = f", margin {margin}): it may be worse, so the champion stays"
    elif keeps(BETTER):
        why = f"): better by at least {minimum}"
    elif keeps(OLD):
        why = f"): not worse, and the champion is {counted(round(age), 'day')} old (limit {max_age})"
    elif age < 0:
        late = f"the champion was trained {counted(round(-age), 'day')} after the as-of date"
        why = f"): not better by {minimum}, and {late}, so the champion stays"
    else:
        young = f"the champion is only {counted(round(age), 'day')} old (limit {max_age})"
        why = f"): not worse, but not better by {minimum} either, and {young}, so the champion stays"
    difference = f"{primary_metric(spec).label} {signed(-improvement)} against the champion"
    return Promotion(replaces(keeps), f"{difference} (95 % upper bound {signed(upper)}{why}")


def decide(spec: Spec, evaluation: Mapping[str, Any], limits: Mapping[str, float]) -> str:
    """What becomes of a candidate under these limits: failed, registered or champion-kept."""
    if failed_limits(spec, evaluation, limits):
        return FAILED
    return REGISTERED if judge_promotion(spec, evaluation, limits).promote else CHAMPION_KEPT


def _number(value: float) -> str:
    """A limit as it was set."""
    return f"{value:,.0f}" if value.is_integer() or abs(value) >= 100_000 else f"{value:.6g}"
