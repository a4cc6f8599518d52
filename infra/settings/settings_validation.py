"""Validation of settings: for each kind of setting, a reader from a value of cdk.json or `-c key=value`.

A reader raises SettingError with the allowed values; `infra.settings.settings` adds the key and the value.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar
from zoneinfo import available_timezones

from infra.settings.schedule_expression import EXAMPLE, ScheduleError, longest_gap_hours
from infra.settings.tag_rules import wrong_tags
from pipeline.contract.gates import gate_parameters
from pipeline.contract.names import MAX_INSTANCES
from pipeline.contract.parameters import parameters_of, prefix_conflict
from pipeline.contract.spec import Spec
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
_DECIMAL: Final = r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]{1,2})?"
_DATA_LIMITS: Final = ("MaxBadRowShare", "MaxBadRowShareOfFile", "MinRows")


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

    def read(value: object) -> str:
        if value not in choices:
            raise SettingError(f"one of {', '.join(choices)}{suggestion(str(value), choices)}")
        return str(value)

    return read


def matching(pattern: str, allowed: str) -> Reader[str]:

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise SettingError(allowed)
        return value

    return read


_INSTANCE_TYPE: Final = matching(r"ml\.[a-z0-9-]+\.[a-z0-9]+", "an instance type such as ml.m5.large")


def workload(value: object) -> str:
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
    if str(value).lower() not in ("true", "false"):
        raise SettingError("true or false")
    return str(value).lower() == "true"


def number(
    allowed: str, lowest: float = -math.inf, highest: float = math.inf, pattern: str = _DECIMAL
) -> Reader[float]:
    """A number of a range, written as `pattern` says."""

    def read(value: object) -> float:
        if not re.fullmatch(pattern, str(value)) or not lowest <= float(str(value)) <= highest:
            raise SettingError(allowed)
        return float(str(value))

    return read


def whole_number(lowest: int, highest: int, allowed: str = "a whole number from {} to {}") -> Reader[int]:
    read = number(allowed.format(lowest, highest), lowest, highest, "[0-9]{1,9}")
    return lambda value: int(read(value))


def dollars(highest: int) -> Reader[float]:
    """An amount of US dollars; a run costs some cents."""
    return number(f"dollars from 0 to {highest}, such as 2.50", 0, highest, r"[0-9]{1,7}(\.[0-9]{1,4})?")


def number_among(*choices: int) -> Reader[int]:
    read = one_of(*map(str, choices))
    return lambda value: int(read(str(value)))


def endpoint_instance_type(value: object) -> str:
    """An instance type of an endpoint, with a processor that the image runs on.

    docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariant.html (the list is the service model's).
    """
    known = [name for name in shape("ProductionVariantInstanceType")["enum"] if not is_arm64(name)]
    if value not in known:
        hint = suggestion(str(value), known)
        raise SettingError(f"an instance type that endpoints have, not arm64, such as ml.m5.large{hint}")
    return str(value)


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


def each(what: str, known: Sequence[str], reader_of: Callable[[str], Reader[T]]) -> Reader[dict[str, T]]:
    """An object that gives some of the known names a value, as the reader of each name reads it."""

    def read(value: object) -> dict[str, T]:
        found = {}
        for name, item in mapping(value).items():
            if name not in known:
                raise SettingError(f"{what} {', '.join(known)}, not {name}{suggestion(name, known)}")
            try:
                found[name] = reader_of(name)(item)
            except SettingError as error:
                raise SettingError(f"{error} for {name}, not {item!r}") from error
        return found

    return read


def ids(patterns: Mapping[str, tuple[str, str]]) -> Reader[dict[str, str]]:
    """All of some ids, each of which matches its pattern in full; or none."""

    def read(value: object) -> dict[str, str]:
        if (given := mapping(value)) and given.keys() != patterns.keys():
            raise SettingError(f"all of {', '.join(patterns)} and nothing else")
        return each("the ids", tuple(patterns), lambda name: matching(*patterns[name]))(given)

    return read


def tags(value: object) -> dict[str, str]:
    found = {str(name): str(item) for name, item in mapping(value).items()}
    if allowed := wrong_tags(found):
        raise SettingError(allowed)
    return found


def instance_types(spec: Spec) -> Reader[dict[str, str]]:
    return each("instance types of", steps_with(spec, "InstanceType"), lambda step: _INSTANCE_TYPE)


def instance_counts(spec: Spec) -> Reader[dict[str, int]]:
    return each("counts of", steps_with(spec, "InstanceCount"), lambda step: whole_number(1, MAX_INSTANCES))


def limits(spec: Spec) -> Reader[dict[str, int | float]]:
    """Limits that override the workload's defaults."""
    defaults = parameters_of(spec).defaults
    known = {name: defaults[name] for name in (*gate_parameters(spec), *_DATA_LIMITS)}

    def reader_of(name: str) -> Reader[int | float]:
        if isinstance(known[name], int):
            return whole_number(0, 10**9, "a whole number from 0")
        if name == "MaxLogLoss":
            return number("a number above 0", sys.float_info.min)
        return number("a number from 0 to 1", 0, 1) if name in _SHARES else number("a number")

    return each("limits among", tuple(known), reader_of)
