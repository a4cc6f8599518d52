"""What a workload declares about itself: `pipeline/workloads/<name>/spec.py` holds one `SPEC`. Standard library only.

The definition, the stack, the Lambda functions, the local run and the steps read it; none of them knows a domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Union

from pipeline.contract.names import SEED_OBJECTS

Task = Literal["binary", "regression"]
Role = Literal["id", "time", "target", "group", "feature", "other"]
ColumnType = Literal["number", "integer", "flag", "category", "text", "day", "moment"]
Unit = Literal["row", "day", "week"]
Risk = Literal["Unknown", "Low", "Medium", "High"]
Value = Union[str, int, float]  # noqa: UP007 - Python 3.9 of a Spark image reads this file

USE_CHARACTERS: Final = 2048  # of a text of the model card


@dataclass(frozen=True)
class Column:
    """A column of the workload's files, and of requests to its endpoint.

    Only a column of the role `feature` ever becomes a feature. `values` are the allowed ones of a category, `low` and
    `high` the ends of a number's range, both included.
    """

    name: str
    required: bool = True
    near_names: tuple[str, ...] = ()  # other words that mean it, where it may be left out
    telling_names: tuple[str, ...] = ()  # columns that say the same in values of their own, which are not read
    role: Role = "feature"
    type: ColumnType = "number"
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    missing: bool = False  # whether a row may have no value
    made: bool = False  # by the workload, of other rows: in requests, and not in files


@dataclass(frozen=True)
class Parameter:
    """One pipeline parameter; its type is that of its default."""

    name: str
    default: Value
    meaning: str
    choices: tuple[str, ...] = ()
    for_prepare: bool = False  # one of the workload's that its features are told


@dataclass(frozen=True)
class Metric:
    """How people read a number of evaluation.json; `better` is empty where neither direction is."""

    key: str
    label: str
    better: Literal["lower", "higher", ""]
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Limit:
    """One number of evaluation.json (`path`, dotted) held against one pipeline parameter."""

    words: str
    path: str
    operator: Literal["<=", ">="]
    parameter: str
    why: str


@dataclass(frozen=True)
class ExtraInput:
    """Files that the workload's extra steps read besides its rows."""

    channel: str
    parameter: str  # of its folder below the data bucket


@dataclass(frozen=True)
class Span:
    """A span of days whose cost is estimated, and how many of them have new rows."""

    name: str
    days: int
    days_with_new_data: float


@dataclass(frozen=True)
class MonitorSpec:
    """What the monitor tolerates and compares with (docs/monitor.md)."""

    min_rows: int = 50  # fewer claims (of rows, days or weeks: see `claims`) say nothing
    window_rows: int = 100  # the newest, whose features are compared
    min_window_rows: int = 60
    period: str = ""  # column of the features whose earlier values are compared with; empty: windows
    max_periods: int = 10  # compared with: windows that cover a year know its ups and downs
    left_out: str = ""  # flag of the features: rows that are not compared
    groups: Mapping[str, float] = field(default_factory=dict)  # column of the results -> 1, or -1 if against
    group_word: str = "group"
    claims: Unit = "row"  # one claim for each: outcomes within a unit that depend on each other count once
    yearly: bool = False  # whether the number of rows to expect follows the calendar of earlier years, or of weeks
    tolerated_shift: float = 0.1  # of log-odds: a predictor that is off by less is as good as right
    tolerated_slope: float = 0.15


@dataclass(frozen=True)
class UseSpec:
    """What the model card says of the use (docs/model-card.md); each text is one line."""

    intended: str = ""  # the decisions that the predictions support
    excluded: str = ""  # what they are not for
    risk: Risk = "Unknown"  # of a wrong decision, as the company rates it
    risk_reason: str = ""
    contact: str = ""  # who answers for the model; the setting model_contact of a deployment precedes it


@dataclass(frozen=True)
class Spec:
    """A workload. Words are English, in the middle of a sentence: "customers", "a cancellation"."""

    name: str
    title: str
    row: str
    rows: str
    task: Task
    event: str  # what a binary target's 1 means, or what a regression's target counts
    prediction: str  # column of the predictions
    columns: tuple[Column, ...]
    baseline: str
    baseline_meaning: str
    time_zone: str
    data_prefix: str
    unit: Unit  # of independence: the bootstrap draws whole ones
    deployed_as: str = ""  # how names of a deployment begin; empty: retraining-<name>
    model_group: str = ""  # how that of its model package group begins; empty: the name
    fallback: str = ""  # who predicts while no version is approved; empty: the baseline
    target_unit: str = ""
    quantiles: tuple[float, ...] = ()
    label_delay_days: int = 0
    label_columns: tuple[str, ...] = ()  # besides the target: other columns of the rows that tell it
    announced: bool = False  # whether rows of the as-of day and later are known before they happen
    shown: tuple[str, ...] = ()  # columns of the features that the predictions repeat, besides id and time
    parameters: tuple[Parameter, ...] = ()
    defaults: Mapping[str, Value] = field(default_factory=dict)  # of core's parameters
    limits: tuple[Limit, ...] = ()  # besides core's
    monitor: MonitorSpec = MonitorSpec()
    use: UseSpec = UseSpec()
    inputs: tuple[ExtraInput, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)  # of the image: command -> module
    prepare_channels: tuple[str, ...] = ()  # folders of the artifact bucket that Prepare reads besides core's
    seed_objects: Mapping[str, str] = field(default_factory=dict)  # which must exist before the first run
    constants: tuple[str, ...] = ()  # deployment constants of the extra steps
    spans: tuple[Span, ...] = (Span("month", 30, 30), Span("year", 365, 365))  # of the cost estimate

    @property
    def deployment(self) -> str:
        return self.deployed_as or f"retraining-{self.name.replace('_', '-')}"

    @property
    def group(self) -> str:
        return self.model_group or self.name.replace("_", "-")

    @property
    def all_seed_objects(self) -> dict[str, str]:
        """Core's and the workload's: key in the artifact bucket -> content."""
        return {**SEED_OBJECTS, **self.seed_objects}

    def of_role(self, role: Role) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == role)

    def name_of(self, role: Role) -> str:
        """The name of the one column of a role; core's own name where the workload makes it."""
        found = self.of_role(role)
        return found[0].name if found else {"id": "row_id"}.get(role, role)
