"""Policies of retraining: when to train, what to let through, who approves, how fresh the features' state is.

A file of policies is YAML: a list of blocks, each field a value or a list of values; the product of a block's lists are
its policies. `pipeline/backtest/policies.yaml` is the default, and explains the fields.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.backtest.candidates import ALL_PERIODS
from pipeline.contract.parameters import parameters_of
from pipeline.contract.spec import Spec

NEVER: Final = math.inf
DEFAULT_FILE: Final = Path(__file__).with_name("policies.yaml")

STANDARD, OFF, NON_INFERIOR, SUPERIOR = "standard", "off", "non-inferior", "superior"
GATES: Final = (STANDARD, OFF, NON_INFERIOR, SUPERIOR)
IMMEDIATE, STRICT = "immediate", "strict"
NIGHTLY_STATE, STATE_OF_MODEL = "nightly", "with-model"
STATES: Final = (NIGHTLY_STATE, STATE_OF_MODEL)
ON_DRIFT, ON_LOSS, EACH_PERIOD = "on-drift", "on-loss", "each-period"
_DAYS: Final = {"nightly": 1.0, "weekly": 7.0, "monthly": 30.0, "never": NEVER}


class PolicyError(ValueError):
    """A policy that cannot be; the text names field, value and what is possible."""


@dataclass(frozen=True)
class RetrainSchedule:
    """When new rows are trained on: the first of these that holds, or without a champion always."""

    min_days: float = NEVER  # days since the last training
    min_rows: float = NEVER  # labels since the last training
    each_period: bool = False  # the first labels of a period are known
    on_drift: bool = False  # the monitor's evidence against the champion is beyond its limit
    on_loss: bool = False  # the same, of its family `loss` only


def parse_schedule(text: str) -> RetrainSchedule:
    """`monthly`, `every 200 rows`, `each-period + on-drift`, ...; raises PolicyError."""
    schedule = RetrainSchedule()
    for part in (piece.strip() for piece in text.split("+")):
        every = re.fullmatch(r"every (\d{1,9}) (days|rows)", part)
        if part in _DAYS:
            schedule = replace(schedule, min_days=min(schedule.min_days, _DAYS[part]))
        elif every and every[2] == "days":
            schedule = replace(schedule, min_days=min(schedule.min_days, float(every[1])))
        elif every:
            schedule = replace(schedule, min_rows=min(schedule.min_rows, float(every[1])))
        elif part in (EACH_PERIOD, ON_DRIFT, ON_LOSS):
            schedule = replace(schedule, **{part.replace("-", "_"): True})
        else:
            known = [*_DAYS, "every N days", "every N rows", EACH_PERIOD, ON_DRIFT, ON_LOSS]
            raise PolicyError(f'train "{text}": "{part}" is none of {", ".join(known)} (join several with +)')
    return schedule


@dataclass(frozen=True)
class Policy:
    """One policy; raises PolicyError for a value that is not possible. Gate numbers left out are the parameters'."""

    train: str = "nightly"
    window: int = ALL_PERIODS  # the last so many periods; 0: all
    gate: str = STANDARD
    margin: float | None = None  # so many times NonInferiorityMargin
    improvement: float | None = None  # so many times MinImprovement
    max_age: float | None = None  # MaxChampionAgeDays
    approver: str = IMMEDIATE
    state: str = NIGHTLY_STATE

    def __post_init__(self) -> None:
        for name in ("train", "gate", "approver", "state"):
            if not isinstance(value := getattr(self, name), str):
                raise PolicyError(f'{name} "{value}" is not text: write it in quotation marks')
        parse_schedule(self.train)
        _choice("gate", self.gate, GATES)
        _choice("state", self.state, STATES)
        _ = self.delay_days
        if isinstance(self.window, bool) or not isinstance(self.window, int) or not 0 <= self.window < 10**9:
            raise PolicyError(f'window "{self.window}" is not a whole number of periods (0: all)')
        for name in ("margin", "improvement", "max_age"):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
            ):
                raise PolicyError(f'{name} "{value}" is not a number')

    @property
    def schedule(self) -> RetrainSchedule:
        return parse_schedule(self.train)

    @property
    def delay_days(self) -> int:
        """Days between a registration and its approval."""
        if self.approver in (IMMEDIATE, STRICT):
            return 0
        found = re.fullmatch(r"after (\d{1,9}) days", self.approver)
        if not found:
            raise PolicyError(f'approver "{self.approver}" is none of {IMMEDIATE}, {STRICT}, after N days')
        return int(found[1])

    @property
    def name(self) -> str:
        """What is special about it, in words."""
        parts = [self.train]
        if self.window:
            parts.append(f"last {self.window} periods")
        if self.gate != STANDARD:
            parts.append(f"gate {self.gate}")
        parts += [
            f"{word}{getattr(self, field):g}"
            for field, word in (("margin", "margin x"), ("improvement", "improvement x"), ("max_age", "max age "))
            if getattr(self, field) is not None
        ]
        if self.approver != IMMEDIATE:
            parts.append(f"approved {self.approver}" if self.approver != STRICT else "strict approver")
        if self.state != NIGHTLY_STATE:
            parts.append("state with the model")
        return ", ".join(parts)

    def limits(self, defaults: Mapping[str, float]) -> dict[str, float]:
        limits = dict(defaults)
        if self.gate in (OFF, NON_INFERIOR):
            limits |= {"MinImprovement": -math.inf}
        if self.gate == OFF:
            limits |= {"NonInferiorityMargin": math.inf}
        if self.gate == SUPERIOR:
            limits |= {"NonInferiorityMargin": 0.0, "MaxChampionAgeDays": math.inf}
        if self.margin is not None:
            limits["NonInferiorityMargin"] = self.margin * defaults["NonInferiorityMargin"]
        if self.improvement is not None:
            limits["MinImprovement"] = self.improvement * defaults["MinImprovement"]
        if self.max_age is not None:
            limits["MaxChampionAgeDays"] = self.max_age
        return limits


def _choice(field: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise PolicyError(f'{field} "{value}" is none of {", ".join(choices)}')


REFERENCE: Final = Policy(train="never")


def default_policy(spec: Spec) -> Policy:
    """What the pipeline's own parameters and schedule come to."""
    days = float(parameters_of(spec).defaults["MinDaysBetweenTrainings"])
    names = {length: name for name, length in _DAYS.items()}
    return Policy(train=names.get(max(days, 1.0), f"every {days:.0f} days"))


def read_policies(spec: Spec, file: Path = DEFAULT_FILE) -> tuple[Policy, ...]:
    """The policies of a file in its order, each once, after `never` (everything is compared with it) and the default.

    Raises PolicyError that names the file and the block.
    """
    try:
        blocks = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{file}: cannot be read as YAML ({error})") from error
    if not isinstance(blocks, list) or not blocks:
        raise PolicyError(f"{file}: not a list of policies, such as `- train: [weekly, monthly]`")
    found = [REFERENCE, default_policy(spec)]
    for number, block in enumerate(blocks, start=1):
        try:
            found += _product(block)
        except PolicyError as error:
            raise PolicyError(f"{file}, block {number}: {error}") from error
    return tuple(dict.fromkeys(found))


def _product(block: Any) -> list[Policy]:  # noqa: ANN401 - whatever the file holds
    names = [field.name for field in fields(Policy)]
    if not isinstance(block, Mapping):
        raise PolicyError(f"{block!r} is not a mapping of fields ({', '.join(names)})")
    unknown = [str(name) for name in block if name not in names]
    if unknown:
        raise PolicyError(f'there is no field "{unknown[0]}": there are {", ".join(names)}')
    lists = [value if isinstance(value, list) else [value] for value in block.values()]
    return [Policy(**dict(zip(block, values, strict=True))) for values in itertools.product(*lists)]
