"""Validation of settings: for each kind of setting, a reader from a value of cdk.json or `-c key=value`.

A reader raises SettingError with the allowed values; `infra.settings.settings` adds the key and the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar
from zoneinfo import available_timezones

from infra.settings.schedule_expression import EXAMPLE, ScheduleError, longest_gap_hours
from infra.settings.tag_rules import wrong_tags
from pipeline.contract.gates import gate_parameters
from pipeline.contract.names import MAX_INSTANCES
from pipeline.contract.parameters import parameters_of, prefix_conflict
from pipeline.contract.spec import Spec, Value
from pipeline.contract.workload import workload_names
from pipeline.definition.service_rules.instances import is_arm64
from pipeline.definition.service_rules.shapes import shape

T = TypeVar("T")
Reader = Callable[[object], T]

# An alarm with hourly periods looks back 7 days at most (docs: PutMetricAlarm); a run may take some hours of them.
RUN_HOURS: Final = 6
LONGEST_GAP_HOURS: Final = 7 * 24 - RUN_HOURS
# docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
# docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html
SERVERLESS_MEMORY_MB: Final = (1024, 2048, 3072, 4096, 5120, 6144)
# An address with a name and a password would be a secret in the template.
ENDPOINT: Final = r"https://[\w.-]+(:\d{1,5})?(/[^\s@]*)?|arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:[\w-]{1,80}"
ENDPOINTS: Final = "an address such as https://events.example.com/alerts, or arn:aws:sqs:us-east-1:111122223333:alerts"
# Of the service's model of chatbot; each with an example.
_UUID: Final = (
    "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "an id such as 1a2b3c4d-1111-2222-3333-1a2b3c4d5e6f",
)
SLACK: Final = {
    "workspace": ("T[0-9A-Z]{1,254}", "the id of a workspace such as T0123ABCD"),
    "channel": ("[CG][A-Z0-9]{1,254}", "the id of a channel such as C0123ABCD, not its name"),
}
MICROSOFT_TEAMS: Final = {
    "tenant": _UUID,
    "group": _UUID,
    "channel": (
        "[A-Za-z0-9_=+/.,-]*%3[aA][A-Za-z0-9_=+/.,-]*%40[A-Za-z0-9_=+/.,-]*",
        "the id in the channel's link, such as 19%3Aab12cd34%40thread.tacv2",
    ),
}
_TYPE: Final = "InstanceType"
_COUNT: Final = "InstanceCount"
_DATA_LIMITS: Final = ("MaxBadRowShare", "MaxBadRowShareOfFile", "MinRows")


def limit_defaults(spec: Spec) -> dict[str, Value]:
    """The limits that a deployment may change, with the workload's defaults."""
    defaults = parameters_of(spec).defaults
    return {name: defaults[name] for name in (*gate_parameters(spec), *_DATA_LIMITS)}


def steps_with(spec: Spec, ending: str) -> tuple[str, ...]:
    """The steps that have a parameter of this ending: InstanceType or InstanceCount."""
    names = parameters_of(spec).defaults
    return tuple(name.removesuffix(ending) for name in names if name.endswith(ending))


UTC: Final = ("UTC", "Etc/UTC")
_NOT_GEOGRAPHIC: Final = ("Etc/", "SystemV/", "posix/", "right/")
_SHARES: Final = ("MaxBadRowShare", "MaxBadRowShareOfFile", "MaxAccuracy", "MaxCalibrationError")


class SettingError(ValueError):
    """A value that a setting cannot have; the message says what is allowed."""


def suggestion(word: str, known: Sequence[str]) -> str:
    """` (did you mean x?)`, or nothing."""
    close = get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def one_of(*choices: str) -> Reader[str]:
    """One of the choices."""

    def read(value: object) -> str:
        if value not in choices:
            raise SettingError(f"one of {', '.join(choices)}{suggestion(str(value), choices)}")
        return str(value)

    return read


def matching(pattern: str, allowed: str) -> Reader[str]:
    """Text that matches a pattern in full."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise SettingError(allowed)
        return value

    return read


def workload(value: object) -> str:
    """A folder of pipeline/workloads."""
    return one_of(*workload_names())(value)


def events_prefix(spec: Spec) -> Reader[str]:
    """A folder of the data bucket, beside that of the rows, for a workload that reads such files."""

    def read(value: object) -> str:
        if not spec.inputs:
            raise SettingError(f"nothing: the workload {spec.name} reads no other files than its {spec.rows}")
        folder = matching(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", "a folder below the data bucket such as events")(value)
        if prefix_conflict(spec.data_prefix, folder):
            raise SettingError(f'a folder such as events beside "{spec.data_prefix}", which holds the {spec.rows}')
        return folder

    return read


def boolean(value: object) -> bool:
    """true or false."""
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise SettingError("true or false")
    return str(value).lower() == "true"


def whole_number(lowest: int, highest: int) -> Reader[int]:
    """A whole number of a range."""

    def read(value: object) -> int:
        if (
            isinstance(value, bool)
            or not re.fullmatch("[0-9]{1,9}", str(value))
            or not lowest <= int(str(value)) <= highest
        ):
            raise SettingError(f"a whole number from {lowest} to {highest}")
        return int(str(value))

    return read


def dollars(highest: int) -> Reader[float]:
    """An amount of US dollars; a run costs some cents."""

    def read(value: object) -> float:
        if (
            isinstance(value, bool)
            or not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,4})?", str(value))
            or float(str(value)) > highest
        ):
            raise SettingError(f"dollars from 0 to {highest}, such as 2.50")
        return float(str(value))

    return read


def number_among(*choices: int) -> Reader[int]:
    """One of some whole numbers."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not re.fullmatch("[0-9]{1,5}", str(value)) or int(str(value)) not in choices:
            raise SettingError(f"one of {', '.join(map(str, choices))}")
        return int(str(value))

    return read


def endpoint_instance_type(value: object) -> str:
    """An instance type of an endpoint, with a processor that the image runs on.

    docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html (the list is the service model's).
    """
    if not isinstance(value, str) or not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9]+", value):
        raise SettingError("an instance type such as ml.m5.large")
    if value not in shape("ProductionVariantInstanceType")["enum"] or is_arm64(value):
        known = [name for name in shape("ProductionVariantInstanceType")["enum"] if not is_arm64(name)]
        raise SettingError(
            f"an instance type that endpoints have, not arm64, such as ml.m5.large{suggestion(value, known)}"
        )
    return value


retention_days: Final = number_among(*LOG_RETENTION_DAYS)


def schedule(value: object) -> str:
    """A schedule expression with gaps that the alarm run-overdue can cover."""
    try:
        gap = longest_gap_hours(str(value))
    except ScheduleError as error:
        raise SettingError(f"{EXAMPLE} ({error})") from error
    if gap > LONGEST_GAP_HOURS:
        raise SettingError(
            f"a schedule with at most {LONGEST_GAP_HOURS} hours between two runs, such as {EXAMPLE}; this one has "
            f"{gap:.0f}, and a CloudWatch alarm cannot look back further"
        )
    return str(value)


def time_zone(value: object) -> str:
    """An IANA time zone of a region and city, or UTC.

    Not that of the host (localtime, posixrules, Factory), not an offset, whose sign is the opposite of what people
    expect (Etc/GMT+5), and not an abbreviation, which has today's rules only (EST, CET).
    """
    name = str(value)
    if name not in UTC and (name not in available_timezones() or "/" not in name or name.startswith(_NOT_GEOGRAPHIC)):
        hint = suggestion(name, [zone for zone in sorted(available_timezones()) if "/" in zone])
        raise SettingError(f"an IANA time zone of a region and city, such as America/New_York, or UTC{hint}")
    return name


def list_of(read_one: Reader[str], most: int | None = None) -> Reader[tuple[str, ...]]:
    """A list, or text with commas, without duplicates, of at most `most` items."""

    def read(value: object) -> tuple[str, ...]:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise SettingError("a list, or text with commas")
        found = tuple(read_one(item.strip() if isinstance(item, str) else item) for item in items if item != "")
        lower = [item.lower() for item in found]
        if twice := next((item for item in found if lower.count(item.lower()) > 1), None):
            raise SettingError(f"each of them once, not {twice} twice")
        if most is not None and len(found) > most:
            raise SettingError(f"at most {most} of them, not {len(found)}")
        return found

    return read


def mapping(value: object) -> dict[str, Any]:
    """An object, or text such as `a=1,b=2`."""
    if isinstance(value, Mapping):
        return dict(value)
    parts = [part.partition("=") for part in str(value).split(",") if part]
    if not all(name.strip() and equals for name, equals, _ in parts):
        raise SettingError("an object in cdk.json, or name=value,name=value with -c")
    names = [name.strip() for name, _, _ in parts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingError(f"each name once, not {twice} twice")
    return {name.strip(): item.strip() for name, _, item in parts}


def ids(patterns: Mapping[str, tuple[str, str]]) -> Reader[dict[str, str]]:
    """All of some ids, each of which matches its pattern in full; or none."""

    def read(value: object) -> dict[str, str]:
        found = {name: str(item) for name, item in mapping(value).items()}
        if found and found.keys() != patterns.keys():
            raise SettingError(f"all of {', '.join(patterns)} and nothing else")
        for name, item in found.items():
            pattern, example = patterns[name]
            if not re.fullmatch(pattern, item):
                raise SettingError(f"{example} for {name}, not {item!r}")
        return found

    return read


def tags(value: object) -> dict[str, str]:
    """Tags for every resource."""
    found = {str(name): str(item) for name, item in mapping(value).items()}
    if allowed := wrong_tags(found):
        raise SettingError(allowed)
    return found


def instance_types(spec: Spec) -> Reader[dict[str, str]]:
    """An instance type for some of the steps."""
    steps = steps_with(spec, _TYPE)

    def read(value: object) -> dict[str, str]:
        found = mapping(value)
        for step, kind in found.items():
            if step not in steps:
                raise SettingError(f"instance types of {', '.join(steps)}, not of {step}{suggestion(step, steps)}")
            if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9]+", str(kind)):
                raise SettingError(f"an instance type such as ml.m5.large for {step}, not {kind!r}")
        return {step: str(kind) for step, kind in found.items()}

    return read


def instance_counts(spec: Spec) -> Reader[dict[str, int]]:
    """The instance count of some of the steps."""
    steps = steps_with(spec, _COUNT)

    def read(value: object) -> dict[str, int]:
        counts: dict[str, int] = {}
        for step, count in mapping(value).items():
            if step not in steps:
                raise SettingError(f"counts of {', '.join(steps)}, not of {step}{suggestion(step, steps)}")
            try:
                counts[step] = whole_number(1, MAX_INSTANCES)(count)
            except SettingError as error:
                raise SettingError(f"{error} for {step}, not {count!r}") from error
        return counts

    return read


def limits(spec: Spec) -> Reader[dict[str, int | float]]:
    """Limits that override the workload's defaults."""
    known = limit_defaults(spec)

    def read(value: object) -> dict[str, int | float]:
        return {name: _limit(known, name, item) for name, item in mapping(value).items()}

    return read


def _limit(known: Mapping[str, Value], name: str, value: object) -> int | float:
    if name not in known:
        raise SettingError(f"limits among {', '.join(known)}, not {name}{suggestion(name, tuple(known))}")
    try:
        number = float("nan" if isinstance(value, bool) else str(value))
    except ValueError:
        number = math.nan
    whole = isinstance(known[name], int)
    if not math.isfinite(number) or (whole and (number != int(number) or number < 0)):
        raise SettingError(f"{'a whole number from 0' if whole else 'a number'} for {name}, not {value!r}")
    if name == "MaxLogLoss" and number <= 0:
        raise SettingError(f"a number above 0 for {name}, which no log loss is below, not {value!r}")
    if name in _SHARES and not 0 <= number <= 1:
        raise SettingError(f"a number from 0 to 1 for {name}, not {value!r}")
    return int(number) if whole else number
