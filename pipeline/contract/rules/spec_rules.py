"""The rules of a SPEC: its values have their declared types, its names exist, its columns and parameters fit together.

Standard library only. Each rule yields the sentence that names what breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints
from zoneinfo import available_timezones

from pipeline.contract import names as c
from pipeline.contract.metrics import metrics_of
from pipeline.contract.parameters import parameters_of, prefix_conflict
from pipeline.contract.reasons import hint
from pipeline.contract.service_text import one_line
from pipeline.contract.spec import USE_CHARACTERS, Column, Spec

# With -prod, version and digest an endpoint's names still have the 63 characters that SageMaker allows:
# docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
LONGEST_NAME: Final = 37
_CORE_COLUMNS: Final = {c.ROW_ID: "id", c.TIME: "time", c.TARGET: "target"}
_OF_PREDICTIONS: Final = (c.MODEL_USED, c.CHAMPION_VERSION, c.AS_OF_DATE)  # columns of predictions.csv
_CORE_CHANNELS: Final = (c.DATA_CHANNEL, c.CHAMPION_CHANNEL, c.EVALUATED_CHANNEL)
_CORE_FOLDERS: Final = (c.NO_FOLDER, *(key.split("/")[0] for key in c.SEED_OBJECTS))
_time_zones, _type_hints = cache(available_timezones), cache(get_type_hints)
_FOLDER: Final = r"(?!.*\.\.)[\w.-]+(/[\w.-]+)*"


def spec_problems(folder: str, spec: Spec, modules: set[str]) -> Iterator[str]:
    """Each rule that the SPEC of a folder with these modules breaks; the types are right before others are asked."""
    wrong = [*_types(spec, Spec, "SPEC")]
    yield from wrong or _rules(folder, spec, modules)


def _types(value: Any, kind: Any, where: str) -> Iterator[str]:  # noqa: ANN401 - any field of a spec
    """What is of another type than its field is declared with."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, kind):
        hints = _type_hints(kind)
        for field in fields(kind):
            yield from _types(getattr(value, field.name), hints[field.name], f"{where}.{field.name}")
    elif origin is Literal and value not in inner:
        yield f'{where} "{value}" is none of {", ".join(inner)}{hint(value, inner)}'
    elif origin is tuple and isinstance(value, tuple):
        for item in value:
            name = f'{type(item).__name__}("{getattr(item, fields(item)[0].name)}")' if is_dataclass(item) else where
            yield from _types(item, inner[0], name)
    elif origin is Mapping and isinstance(value, Mapping):
        for key, item in value.items():
            yield from (*_types(key, inner[0], where), *_types(item, inner[1], f'{where}["{key}"]'))
    elif origin in (tuple, Mapping):
        wanted = "tuple: a comma makes one of a single value" if origin is tuple else "dict"
        yield f"{where} is {value!r}, not a {wanted}"
    elif origin is not Literal:
        kinds = inner or (kind,)
        if type(value) not in kinds and not (float in kinds and type(value) is int):
            yield f"{where} is {value!r}, not of the type {' or '.join(k.__name__ for k in kinds)}"


def _twice(names: Iterable[str]) -> list[str]:
    seen = [*names]
    return [name for name in dict.fromkeys(seen) if seen.count(name) > 1]


def _rules(folder: str, spec: Spec, modules: set[str]) -> Iterator[str]:
    reads, makes = "data" not in modules, "features" not in modules  # core, by the declared columns
    if spec.name != folder:
        yield f'SPEC.name "{spec.name}" is not the folder\'s name "{folder}"'
    # Lower case: SageMaker writes the ARNs of pipelines, endpoints and groups so, and IAM compares them by case.
    for named, setting in ((spec.deployment, "deployed_as"), (spec.group, "model_group")):
        if not re.fullmatch("[a-z](-?[a-z0-9])*", named) or len(named) > LONGEST_NAME:
            rule = f"lower-case letters, digits and single hyphens, at most {LONGEST_NAME}: "
            remedy = f"rename the folder, or set {setting}"
            yield f'it would be deployed as "{named}", which AWS does not allow: {rule}{remedy}'
    if spec.time_zone not in _time_zones():
        yield f'SPEC.time_zone "{spec.time_zone}" is no IANA time zone{hint(spec.time_zone, _time_zones())}'
    if spec.label_delay_days < 0:
        yield f"SPEC.label_delay_days {spec.label_delay_days} is below 0: no label is known before its row"
    if spec.quantiles and spec.task == "binary":
        yield "SPEC.quantiles are for a regression: a binary target has none"
    if not all(low < high for low, high in pairwise((0, *spec.quantiles, 1))):
        yield f"SPEC.quantiles {spec.quantiles} do not ascend between 0 and 1"
    if not re.fullmatch(_FOLDER, spec.data_prefix, re.ASCII) or spec.data_prefix.split("/")[0] in _CORE_FOLDERS:
        core = ", ".join(_CORE_FOLDERS)
        yield f'SPEC.data_prefix "{spec.data_prefix}" is not a folder such as "rows" ({core} are core\'s)'
    yield from _use_rules(spec)
    yield from _column_rules(spec, reads, makes)
    yield from _parameter_rules(spec)


def _use_rules(spec: Spec) -> Iterator[str]:
    for field, text in asdict(spec.use).items():
        if text != one_line(text, USE_CHARACTERS):
            yield f"SPEC.use.{field} is not one line of at most {USE_CHARACTERS:,} printable characters"
    if (spec.use.risk == "Unknown") == bool(spec.use.risk_reason):
        needs = "has a reason, and no rating" if spec.use.risk_reason else "needs a risk_reason: who is hurt, and how?"
        yield f'SPEC.use.risk "{spec.use.risk}" {needs}'


def _column_rules(spec: Spec, reads: bool, makes: bool) -> Iterator[str]:
    columns, monitor = [column.name for column in spec.columns], spec.monitor
    yield from (f'column "{name}" is declared twice' for name in _twice(columns))
    roles: list[str] = [column.role for column in spec.columns]
    for role, least, rule in (("id", 0, "at most 1"), ("time", 1, "1"), ("target", int(reads), "1")):
        if not least <= roles.count(role) <= 1:
            yield f"there are {roles.count(role)} columns of the role {role}, and there must be {rule}"
    for column in spec.columns:
        yield from (f'Column("{column.name}") {rule}' for broken, rule in _column(spec, column, reads, makes) if broken)
    if makes and "feature" not in roles:
        yield "there is no column of the role feature: declare one, or make features in features.py"
    for name in {spec.name_of("id"), spec.name_of("time"), *spec.shown}.intersection(_OF_PREDICTIONS):
        yield f'"{name}" would be in predictions.csv twice, where core has a column of that name: rename it'
    if spec.prediction in (*columns, *_CORE_COLUMNS, *_OF_PREDICTIONS) or not spec.prediction.isidentifier():
        yield f'SPEC.prediction "{spec.prediction}" is not a name for a new column: it would be one of the rows\' own'
    for field, applies, names in (
        ("shown", makes, spec.shown),
        ("monitor.groups", reads and makes, monitor.groups),
        ("monitor.period", makes, filter(None, [monitor.period])),
        ("monitor.left_out", makes, filter(None, [monitor.left_out])),
    ):
        for name in [name for name in names if applies and name not in columns]:
            yield f'SPEC.{field} names "{name}", which is no declared column{hint(name, columns)}'


def _column(spec: Spec, column: Column, reads: bool, makes: bool) -> Iterator[tuple[object, str]]:
    """Whether the column breaks a rule, and the rule; `reads`, `makes`: core reads the rows and makes the features."""
    number, kind, role = column.type in ("number", "integer"), column.type, column.role
    feature, core = role == "feature" and makes, _CORE_COLUMNS.get(column.name, role)
    yield core != role, f"has the name of core's {core}, and the role {role}: rename it"
    yield role == "id" and kind != "text", f'is the id, and of the type {kind}: an id is "text"'
    yield (
        role == "time" and kind not in ("day", "moment"),
        f'is the time, and of the type {kind}, not "day" or "moment"',
    )
    flag = kind == "flag" or (number and (column.low, column.high) == (0, 1))
    what = {"binary": '"flag", or a number from low=0 to high=1', "regression": '"number" or "integer"'}[spec.task]
    yield role == "target" and not (flag if spec.task == "binary" else number), f"is a {spec.task} target, not {what}"
    yield (
        column.values and kind not in ("category", "text"),
        f"has values, and the type {kind}: only a category has any",
    )
    yield feature and kind == "category" and not column.values, "is a category without values: list the allowed ones"
    yield _twice(column.values), f"lists a value twice: {', '.join(_twice(column.values))}"
    yield (column.low, column.high) != (None, None) and not number, f"has a range, and the type {kind}: only numbers do"
    low, high = (column.low, column.high) if None not in (column.low, column.high) else (0, 0)
    yield (low or 0) > (high or 0), f"has low {column.low} above high {column.high}"
    yield feature and kind in ("text", "day", "moment"), f"is a feature of the type {kind}: make numbers in features.py"
    yield column.made and (feature or role != "feature"), "is made of other rows: a feature that features.py makes"
    yield feature and reads and not column.required and not column.missing, "may be left out: set missing=True, too"


def _parameter_rules(spec: Spec) -> Iterator[str]:
    names = [parameter.name for parameter in spec.parameters]
    core = {p.name: p for p in parameters_of(replace(spec, parameters=(), defaults={})).all}
    known = parameters_of(replace(spec, parameters=(), defaults={}, limits=())).defaults
    yield from (f'Parameter("{name}") is declared twice' for name in _twice(names))
    yield from (f'Parameter("{name}") is one of core\'s: rename it' for name in names if name in core)
    for name in names:
        if not re.fullmatch("[A-Z][A-Za-z0-9]*", name):
            yield f'Parameter("{name}") is not a name such as MinRows'
    for limit in spec.limits:
        if limit.parameter not in known and limit.parameter not in spec.defaults:
            meant = hint(limit.parameter, (*spec.defaults, *known))
            yield f'Limit("{limit.words}") is held against {limit.parameter}, which SPEC.defaults do not give{meant}'
        who, _, key = limit.path.rpartition(".")
        keys = [metric.key for metric in metrics_of(spec)]
        if who == f"metrics.{c.CANDIDATE}" and key not in keys:
            yield f'Limit("{limit.words}") looks at {limit.path}; the metrics are {", ".join(keys)}{hint(key, keys)}'
    for name, value in spec.defaults.items():
        if name not in core:
            yield f'SPEC.defaults give "{name}", which is no parameter of core or of a limit{hint(name, core)}'
        elif type(value) is not type(core[name].default) or value not in (core[name].choices or (value,)):
            wanted = (
                f"one of {', '.join(core[name].choices)}" if core[name].choices else type(core[name].default).__name__
            )
            yield f'SPEC.defaults["{name}"] is {value!r}, not {wanted} as {core[name].default!r} is'
    for extra in spec.inputs:
        folders = [str(parameter.default) for parameter in spec.parameters if parameter.name == extra.parameter]
        if not folders:
            yield f'ExtraInput("{extra.channel}") names "{extra.parameter}", no parameter{hint(extra.parameter, names)}'
        elif prefix_conflict(spec.data_prefix, folders[0]):
            yield f'SPEC.data_prefix "{spec.data_prefix}" and {extra.parameter} "{folders[0]}" overlap'
    for field, given, taken in (
        ("prepare_channels", spec.prepare_channels, _CORE_CHANNELS),
        ("seed_objects", spec.seed_objects, c.SEED_OBJECTS),
    ):
        yield from (f'SPEC.{field} has "{name}", which is core\'s: rename it' for name in given if name in taken)
