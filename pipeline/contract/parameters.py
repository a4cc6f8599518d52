"""The pipeline's parameters: what may be changed at the start of a run, with type, default and meaning.

Standard library only: the definition declares them, help texts and docs/reference.md are made from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.contract.container import StepError
from pipeline.contract.gates import gate_parameters
from pipeline.contract.names import MAX_INSTANCES, NO, NO_FOLDER, YES
from pipeline.contract.service_text import argument
from pipeline.contract.spec import Parameter, Spec


@dataclass(frozen=True)
class Parameters:
    """A workload's parameters by subject."""

    data: tuple[Parameter, ...]
    run: tuple[Parameter, ...]
    instances: tuple[Parameter, ...]
    hyperparameters: tuple[Parameter, ...]
    evaluation: tuple[Parameter, ...]
    own: tuple[Parameter, ...]  # of the workload

    @property
    def all(self) -> tuple[Parameter, ...]:
        return (*self.data, *self.run, *self.instances, *self.hyperparameters, *self.evaluation, *self.own)

    @property
    def defaults(self) -> dict[str, str | int | float]:
        return {parameter.name: parameter.default for parameter in self.all}


def parameters_of(spec: Spec) -> Parameters:
    """Core's parameters with the workload's defaults, and its own."""
    limits = {*gate_parameters(spec), "WalkForwardRows"}

    def with_defaults(group: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
        return tuple(replace(p, default=spec.defaults.get(p.name, p.default)) for p in group)

    return Parameters(
        data=with_defaults(_data(spec)),
        run=with_defaults(_RUN),
        instances=with_defaults(_INSTANCES),
        hyperparameters=with_defaults(HYPERPARAMETERS),
        evaluation=tuple(p for p in with_defaults(_evaluation(spec)) if p.name in limits),
        own=spec.parameters,
    )


def _data(spec: Spec) -> tuple[Parameter, ...]:
    return (
        Parameter("DataPrefix", spec.data_prefix, f"folder of the files with {spec.rows} below the data bucket"),
        Parameter("AsOfDate", "today", "run as if it were the morning of this day (YYYY-MM-DD, or today in TimeZone)"),
        Parameter("TimeZone", spec.time_zone, f"time zone of the days of {spec.rows} (IANA name)"),
        Parameter("MaxBadRowShare", 0.01, "share of bad rows above which the data is refused (0 to 1)"),
        Parameter(
            "MaxBadRowShareOfFile",
            0.2,
            "share of bad rows of one file above which the data is refused, however many good rows other files have "
            "(0 to 1)",
        ),
        Parameter("MinRows", 1000, f"fewer {spec.rows} with a known label than this are refused"),
    )


_RUN: Final = (
    Parameter("ForceTraining", NO, "train even when nothing is new", choices=(NO, YES)),
    Parameter(
        "MinDaysBetweenTrainings",
        30,
        "a run that a schedule or new data started trains on new rows only so many days after the last training; "
        "nothing else waits (drift, a manual start, new code or training config, no champion)",
    ),
    Parameter(
        "TriggerReason",
        "manual",
        "what started the run: schedule, data, drift, manual, ...; any words on one line, at most 256 characters",
    ),
    Parameter(
        "ApprovalStatus",
        "PendingManualApproval",
        "approval status of a registered model",
        choices=("PendingManualApproval", "Approved"),
    ),
)
_INSTANCES: Final = (
    *(
        Parameter(f"{step}InstanceType", kind, f"instance type of {step}")
        for step, kind in (
            ("Prepare", "ml.t3.medium"),
            ("Predict", "ml.t3.medium"),
            ("Train", "ml.m5.large"),
            ("Evaluate", "ml.t3.medium"),
        )
    ),
    Parameter(
        "TrainInstanceCount", 1, f"how many instances Train has (1 to {MAX_INSTANCES}); above 1 they train one model"
    ),
)
HYPERPARAMETERS: Final = (
    Parameter("BoostingRounds", 40, "number of trees"),
    Parameter("LearningRate", 0.03, "shrinkage of each tree"),
    Parameter("MaxDepth", 2, "depth of a tree"),
    Parameter("MinChildWeight", 100.0, "least sum of hessians in a leaf"),
    Parameter("Subsample", 0.7, "share of rows drawn for each tree"),
    Parameter("ColumnSample", 0.3, "share of features drawn for each tree"),
    Parameter("RegLambda", 20.0, "L2 penalty of leaf weights"),
)


def _evaluation(spec: Spec) -> tuple[Parameter, ...]:
    gate, baseline = "quality gate:", spec.baseline
    return (
        Parameter("WalkForwardRows", 1000, f"newest {spec.rows} that walk-forward predictions are made of"),
        *(Parameter(limit.parameter, 0.0, f"{gate} {limit.words} is {limit.operator} this") for limit in spec.limits),
        Parameter("MaxCalibrationError", 0.06, f"{gate} highest expected calibration error"),
        Parameter("MaxRelativeBias", 0.1, f"{gate} largest mean error as a share of the targets' standard deviation"),
        Parameter("MaxCoverageError", 0.1, f"{gate} largest gap between a quantile and the share of targets below it"),
        Parameter("MaxLossAboveBaseline", 0.0, f"{gate} highest loss above that of {baseline} on the same {spec.rows}"),
        Parameter("MinSkill", -1.0, f"{gate} least share of the loss of {baseline} that is removed (-1: no limit)"),
        Parameter("MaxSkill", 0.9, f"{gate} largest share of that loss that is removed; above it: leakage"),
        Parameter("MinEvaluatedRows", 500, f"{gate} fewest {spec.rows} evaluated"),
        Parameter("NonInferiorityMargin", 0.002, "promotion: highest upper bound of the loss difference to champion"),
        Parameter("MinImprovement", 0.001, "promotion: least improvement of the loss over a young champion"),
        Parameter("MaxChampionAgeDays", 30, "promotion: from this age on an equal candidate replaces the champion"),
    )


def default_limits(spec: Spec) -> dict[str, float]:
    """The limits of the workload's gates by parameter."""
    defaults = parameters_of(spec).defaults
    return {name: float(defaults[name]) for name in gate_parameters(spec)}


def parse_limits(spec: Spec, items: Sequence[str]) -> dict[str, float]:
    """The limits as a step is given them (`MaxSkill=0.9`), defaults filled in; raises StepError for a wrong one."""
    limits = default_limits(spec)
    for item in items:
        name, _, value = item.partition("=")
        if name not in limits:
            raise StepError(f"there is no limit {name}: known are {', '.join(sorted(limits))}")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = math.nan
        if not math.isfinite(limits[name]):
            raise StepError(f'limit {name}: "{value}" is not a number')
    return limits


def with_any_reason(given: Mapping[str, str]) -> dict[str, str]:
    """The chosen values, TriggerReason as one line that a job takes: people and events may give any text."""
    return {name: argument(value) if name == "TriggerReason" else value for name, value in given.items()}


def prefix_conflict(data: str, other: str) -> str | None:
    """What is wrong with two folders of the data bucket, or None: in each other, files would be read as both kinds."""
    rows, extra = (f"{prefix.strip('/')}/".lstrip("/") for prefix in (data, other))
    if other == NO_FOLDER or not (rows.startswith(extra) or extra.startswith(rows)):
        return None
    return f'EventsPrefix "{other}" and DataPrefix "{data}" overlap: give each kind of file a folder beside the other'


def snake_case(name: str) -> str:
    """`MaxLogLoss` -> `max_log_loss`."""
    return "".join(f"_{ch.lower()}" if ch.isupper() and i else ch.lower() for i, ch in enumerate(name))
