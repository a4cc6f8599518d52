"""The pipeline's parameters: what whoever starts a run may change, with type, default and meaning.

Standard library only: the definition declares them, the help texts and the README's table are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.contract.names import MAX_INSTANCES, NO, NO_EVENTS, YES
from pipeline.contract.service_text import argument

TIME_ZONE: Final = "America/New_York"  # in which the league schedules its games

Value = str | int | float


@dataclass(frozen=True)
class Parameter:
    """One pipeline parameter; its type is that of its default."""

    name: str
    default: Value
    meaning: str
    choices: tuple[str, ...] = ()


DATA: Final = (
    Parameter("DataPrefix", "games", "folder of the game files below the data bucket"),
    Parameter("EventsPrefix", "none", "folder of the play-by-play files below the data bucket; none: there are none"),
    Parameter("AsOfDate", "today", "run as if it were the morning of this day (YYYY-MM-DD, or today in TimeZone)"),
    Parameter("TimeZone", TIME_ZONE, "time zone of the games' days (IANA name): tonight's games are today's there"),
    Parameter("FirstSeason", 2004, "first season to model; older games only warm up the ratings"),
    Parameter("MaxBadRowShare", 0.01, "share of bad rows above which the data is refused (0 to 1)"),
    Parameter(
        "MaxBadRowShareOfFile",
        0.2,
        "share of bad rows of one file above which the data is refused, however many good rows other files have "
        "(0 to 1; a day's file may have one bad game of five)",
    ),
    Parameter("MinRows", 1000, "fewer played games than this are refused"),
)
RUN: Final = (
    Parameter("ForceTraining", NO, "train even when nothing is new", choices=(NO, YES)),
    Parameter(
        "MinDaysBetweenTrainings",
        30,
        "a run that a schedule or new data started trains on new games only so many days after the last training; "
        "nothing else waits (drift, a start by hand, new code or training config, no champion)",
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
MACHINES: Final = (
    Parameter("PrepareInstanceType", "ml.t3.medium", "machine of Prepare"),
    Parameter("AggregateInstanceType", "ml.t3.medium", "machine of Aggregate (only with EventsPrefix)"),
    Parameter(
        "AggregateInstanceCount",
        1,
        "machines for the play-by-play; 1: Aggregate, with DuckDB; more: AggregateOnSpark, on a Spark cluster of them",
    ),
    Parameter(
        "AggregateOnSparkInstanceType",
        "ml.m5.xlarge",
        "machines of AggregateOnSpark (Spark and YARN need 8 GB or more)",
    ),
    Parameter("PredictInstanceType", "ml.t3.medium", "machine of Predict"),
    Parameter("TrainInstanceType", "ml.m5.large", "machine of Train"),
    Parameter(
        "TrainInstanceCount", 1, f"how many machines Train has (1 to {MAX_INSTANCES}); above 1 they train one model"
    ),
    Parameter("EvaluateInstanceType", "ml.t3.medium", "machine of Evaluate"),
)
HYPERPARAMETERS: Final = (
    Parameter("BoostingRounds", 40, "number of trees"),
    Parameter("LearningRate", 0.03, "shrinkage of each tree"),
    Parameter("MaxDepth", 2, "depth of a tree"),
    Parameter("MinChildWeight", 100.0, "least sum of hessians in a leaf"),
    Parameter("Subsample", 0.7, "share of games drawn for each tree"),
    Parameter("ColumnSample", 0.3, "share of features drawn for each tree"),
    Parameter("RegLambda", 20.0, "L2 penalty of leaf weights"),
)
EVALUATION: Final = (
    Parameter("WalkForwardRows", 1312, "games predicted walk-forward (1,312: one season)"),
    Parameter("MaxLogLoss", 0.68, "quality gate: highest log loss"),
    Parameter("MaxCalibrationError", 0.06, "quality gate: highest expected calibration error"),
    Parameter("MaxLossAboveBaseline", 0.0, "quality gate: highest log loss above Elo-logistic's on the same games"),
    Parameter("MinEvaluatedRows", 1000, "quality gate: fewest games evaluated"),
    Parameter("MaxAccuracy", 0.73, "quality gate: highest accuracy; above it there is a leak until someone has looked"),
    Parameter(
        "MaxSkill",
        0.02,
        "quality gate: highest log-loss gain over Elo-logistic (from results alone); above it, a leak likewise",
    ),
    Parameter("NonInferiorityMargin", 0.002, "promotion: highest upper bound of the log-loss difference to champion"),
    Parameter("MinImprovement", 0.001, "promotion: least log-loss improvement over a young champion"),
    Parameter("MaxChampionAgeDays", 30, "promotion: from this age on an equal candidate replaces the champion"),
)
ALL: Final = (*DATA, *RUN, *MACHINES, *HYPERPARAMETERS, *EVALUATION)


def with_any_reason(given: Mapping[str, str]) -> dict[str, str]:
    """The chosen values, TriggerReason as one line that a job takes: people and events may give any text."""
    return {name: argument(value) if name == "TriggerReason" else value for name, value in given.items()}


def prefix_conflict(data: str, events: str) -> str | None:
    """What is wrong with the two data prefixes, or None: of one inside the other, files would be read as both."""
    games, plays = (f"{prefix.strip('/')}/".lstrip("/") for prefix in (data, events))
    if events == NO_EVENTS or not (games.startswith(plays) or plays.startswith(games)):
        return None
    return (
        f'EventsPrefix "{events}" and DataPrefix "{data}" overlap: give play-by-play a folder beside that of the games'
    )


def snake_case(name: str) -> str:
    """`MaxLogLoss` -> `max_log_loss`."""
    return "".join(f"_{ch.lower()}" if ch.isupper() and i else ch.lower() for i, ch in enumerate(name))
