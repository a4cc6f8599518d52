"""What data files hold, as the spec of a workload: types, ranges, categories, task, time, sizes and margins.

The files are read by the readers of a run, and the spec that comes out has validated them by the rules of a run.
"""

from __future__ import annotations

import math
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.parameters import parameters_of
from pipeline.contract.reasons import hint
from pipeline.contract.rules.spec_rules import spec_problems
from pipeline.contract.spec import Column, MonitorSpec, Spec, Task, Unit
from pipeline.ingest import declared
from pipeline.ingest.files.data_folder import look_into
from pipeline.ingest.quarantine import BadData
from pipeline.ingest.read_rows import read_folder
from pipeline.ingest.validated import LoadRequest
from pipeline.jobs.train import MAX_WALK_FORWARD_ROWS
from pipeline.training.walk_forward import MIN_TRAINING_ROWS, checkpoints
from scripts.new_workload.columns import Refusal, Values, feature_column, target_column, time_column
from scripts.new_workload.univariate import UnivariateBaseline, find_baseline, find_leak

MIN_EVALUATED: Final = 100
FEWEST_BLOCKS: Final = 15  # days: an interval from fewer blocks says too little
WINDOW_DAYS: Final = 28
LEAST_CLAIMS: Final[Mapping[Unit, int]] = {"row": 50, "day": 14, "week": 10}  # that the monitor judges a champion on
EVALUATED_DAYS: Final = 92  # of many rows a day; of fewer, a third of all rows, and 5,000 at most
TREES: Final[Mapping[str, int | float]] = {
    "BoostingRounds": 150,
    "LearningRate": 0.1,
    "MaxDepth": 3,
    "MinChildWeight": 10.0,
    "Subsample": 1.0,
    "ColumnSample": 0.5,
    "RegLambda": 5.0,
}


@dataclass(frozen=True)
class Options:
    """What the command is told."""

    name: str
    data: Path
    time: str
    target: str
    id: str = ""
    task: Task | None = None
    label_delay: int | None = None
    group: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inferred:
    """The spec that fits the data, and what its other files need to know."""

    spec: Spec
    unused: Mapping[str, str]  # column -> why
    baseline: UnivariateBaseline
    mean: float
    spread: float
    rows: str  # in words: how many, from when to when, how many evaluated
    ended: str  # the morning on which the newest label is known, where that is long ago


def infer(options: Options, today: date) -> Inferred:
    """Raises Refusal, or BadData for files that cannot be read."""
    with _as_folder(options.data) as folder:
        headers = _headers(folder, options)
        everywhere = set.intersection(*map(set, headers))
        names = list(dict.fromkeys(name for header in headers for name in header))
        _check_names(options, names)
        names = [name for name in names if name not in options.without]
        required = {*everywhere, options.time, options.target, options.id or options.time}
        raw = read_folder(folder, [Column(name, name in required, type="text") for name in names]).rows
        values = {name: Values.of(name, raw[name]) for name in names}
        time, days = time_column(values[options.time])
        _check_ids(options, raw, values)
        labelled = values[options.target].given_rows
        announced, delay = _labels(options, days, labelled, np.datetime64(today))
        target, task = target_column(values[options.target], days, options.task)
        columns, unused = [time, target], dict.fromkeys(options.without, "left out, as you said")
        if options.id:
            columns.insert(0, Column(options.id, role="id", type="text"))
        for name in names:
            if name not in {options.id or options.time, options.time, options.target}:
                found = feature_column(values[name], days, required=name in everywhere)
                if isinstance(found, str) and name and name == options.group:
                    found = Column(name, role="group", type="text", missing=not values[name].given_rows.all())
                if isinstance(found, str):
                    unused[name] = found
                else:
                    columns.append(found)
        spec = _spec(options, tuple(columns), task, announced, delay)
        if not spec.of_role("feature"):
            why = "; ".join(f"{name}: {reason}" for name, reason in unused.items()) or "there is no other"
            raise Refusal(f"no column can be a feature ({why}): add columns of numbers, flags or categories")
        if problem := next(spec_problems(spec.name, spec, set()), ""):
            raise Refusal(problem)
        defaults = parameters_of(spec).defaults
        share, of_file = float(defaults["MaxBadRowShare"]), float(defaults["MaxBadRowShareOfFile"])
        request = LoadRequest(folder, today, today, share, of_file, min_rows=1, time_zone=spec.time_zone)
        rows = declared.load(spec, request).rows
    return _fitted(spec, rows[rows[c.TARGET].notna()].reset_index(drop=True), unused, today)


@contextmanager
def _as_folder(data: Path) -> Iterator[Path]:
    """The folder itself; of a file, one that holds it alone."""
    if data.is_dir():
        yield data
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / data.name).symlink_to(data.resolve())
        yield Path(folder)


def _headers(folder: Path, options: Options) -> list[list[str]]:
    """The columns of each file; raises BadData where no file can be read."""
    found = []
    for file in look_into(folder).files:
        with suppress(OSError, ValueError, EOFError):
            if file.name.lower().endswith(".parquet"):
                found.append([str(name) for name in pq.read_schema(file.path).names])
            elif file.is_data:
                first = pd.read_csv(file.path, header=None, nrows=1, dtype=str, na_filter=False, encoding="utf-8-sig")
                found.append(first.iloc[0].str.strip().tolist())
    if not found or any(len(header) < 2 or {options.time, options.target}.isdisjoint(header) for header in found):
        read_folder(folder, [Column(name, type="text") for name in (options.time, options.target)])
        raise BadData("the files have one column: a time, a target and features are needed")
    return found


def _check_names(options: Options, known: Sequence[str]) -> None:
    named = [("--time", options.time), ("--target", options.target), ("--id", options.id), ("--group", options.group)]
    named += [("--without", name) for name in options.without]
    for option, name in named:
        if name and name not in known:
            raise Refusal(
                f'{option}: there is no column "{name}"{hint(name, known) or ";"} there are {", ".join(known)}'
            )
    twice = [name for name in (options.id, options.time, options.target, *options.without) if name]
    if len(set(twice)) < len(twice):
        raise Refusal("--id, --time, --target and --without name one column twice: give each its own")


def _check_ids(options: Options, raw: pd.DataFrame, values: Mapping[str, Values]) -> None:
    """Rows that say the same are one; the label may be missing in one of them."""
    others = [name for name in values if name != options.target]
    distinct = raw.drop_duplicates(others).index
    key = options.id or options.time
    codes = pd.Series(values[key].codes[distinct])
    again = codes.duplicated(keep=False)
    if options.id and not values[key].given_rows.all():
        raise Refusal(f"--id {key}: {(~values[key].given_rows).sum():,} rows have none: give each row its own")
    if not again.any():
        return
    example, n = values[key].texts[codes[again].iloc[0]], int((codes == codes[again].iloc[0]).sum())
    measured = re.compile(r"-?\d+\.\d+")  # a number with decimals tells no row
    names = [
        name for name in others if name not in ("", key) and not measured.fullmatch((values[name].words or [""])[-1])
    ]
    unique = [f"--id {shlex.quote(name)} would do" for name in names if len(values[name].words) == len(raw)]
    pairs = [(len(values[name].words), name) for name in names if not raw.duplicated([key, name]).any()]
    made = f"{key} and {min(pairs)[1]}, which tell them apart together" if pairs else "its keys"
    hint = unique[0] if unique else f"add a column that is different in each row, made of {made}"
    rule = f"--id {key} names a row" if options.id else "without --id the time names a row"
    raise Refusal(f'{rule}, and {key} "{example}" is in {n:,} rows that differ: {hint}')


def _labels(
    options: Options, days: NDArray[np.datetime64], labelled: NDArray[np.bool_], today: np.datetime64
) -> tuple[bool, int]:
    """Whether rows are announced, and after how many days the newest label is there.

    Where each past row has its label, the rows to be predicted can only be those to come.
    """
    late = days > today
    if (late & labelled).any():
        raise Refusal(
            f"--time {options.time}: {(late & labelled).sum():,} rows with a label are in the future, up to "
            f"{days[late].max()}: is {options.time} the time at which a row's features are known?"
        )
    if not labelled.any():
        raise Refusal(f"--target {options.target}: no row has a value")
    newest = min(np.nanmax(days[~late]), today - 1)
    delay = max(0, int((newest - np.nanmax(days[labelled])).astype(int)))
    delay = delay if options.label_delay is None else options.label_delay
    return bool(late.any()) or delay == 0, delay


def _spec(options: Options, columns: tuple[Column, ...], task: Task, announced: bool, delay: int) -> Spec:
    """All but what depends on validated rows."""
    prediction = re.sub(r"\W|^(?=\d)", "_", f"{options.target}_{'probability' if task == 'binary' else 'forecast'}")
    while prediction in {column.name for column in columns}:
        prediction += "_"
    group = (options.group,) if options.group else ()
    return Spec(
        name=options.name,
        title=options.name.replace("_", " ").capitalize(),
        row="row",
        rows="rows",
        task=task,
        event=options.target if task == "binary" else f"the {options.target}",
        prediction=prediction,
        columns=columns,
        baseline="",
        baseline_meaning="",
        time_zone="UTC",
        data_prefix=options.name,
        unit="row",
        label_delay_days=delay,
        announced=announced,
        shown=group,
        monitor=MonitorSpec(groups=dict.fromkeys(group, 1.0), group_word=options.group or "group"),
    )


def _fitted(spec: Spec, rows: pd.DataFrame, unused: Mapping[str, str], today: date) -> Inferred:
    """Sizes, unit, baseline and margins, from the validated rows with a label, in order of time."""
    if leak := find_leak(rows, [column.name for column in spec.of_role("feature")]):
        raise Refusal(
            f"column {leak[0]} {leak[1]} {spec.name_of('target')}, as if it were made of it: if it is known later than "
            f"{spec.name_of('time')}, add --without {shlex.quote(leak[0])}"
        )
    days = rows[c.TIME].to_numpy().astype("datetime64[D]")
    recent = int(np.count_nonzero(days > days[-1] - EVALUATED_DAYS)) if len(rows) else 0
    wanted = _rounded(min(len(rows) // 3, max(recent, 5_000), MAX_WALK_FORWARD_ROWS))
    points = checkpoints(days, wanted, spec.label_delay_days)
    n = sum(point.end - point.begin for point in points)
    if n < MIN_EVALUATED:
        raise Refusal(
            f"{len(rows):,} rows with a known label from {days.min()} to {days.max()} are too few: "
            f"{MIN_TRAINING_ROWS} before the first of a month and {MIN_EVALUATED} after it are needed"
            if len(rows)
            else "no row has a label that is known by now"
        )
    groups = [column.name for column in spec.columns if column.role in ("feature", "group") and column.type != "number"]
    baseline = find_baseline(rows, points[0].fit_end, points[0].begin, groups, spec.task, spec.label_delay_days)
    by = f" by {baseline.by}" if baseline.by else ""
    of = "rate of" if spec.task == "binary" else "mean of"
    kind, when = ("newest", "on the row's morning") if baseline.newest else (of, "before the month")
    words = f"the {kind} {spec.name_of('target')}{by}"
    unit = _unit(days[points[0].begin :])
    fitted = replace(
        spec,
        baseline=words,
        baseline_meaning=f"{words}, in the labels known {when}",
        unit=unit,
        monitor=_monitor(spec.monitor, unit, days),
        defaults={
            "MinRows": min(_rounded(len(rows) // 2), 10_000),
            "WalkForwardRows": wanted,
            "MinEvaluatedRows": min(_rounded(n // 2), 2_000),
            **TREES,
            **_bias_limit(spec, baseline.shift),
            "NonInferiorityMargin": float(f"{0.005 * baseline.loss:.2g}"),
            "MinImprovement": float(f"{0.0025 * baseline.loss:.2g}"),
        },
    )
    y = rows[c.TARGET].to_numpy(dtype=np.float64)
    seen = f"{len(rows):,} rows with a label, {days.min()} to {days.max()}; {n:,} of them evaluated"
    known = days.max() + np.timedelta64(spec.label_delay_days + 1, "D")
    ended = str(known) if known < np.datetime64(today) - WINDOW_DAYS else ""
    return Inferred(fitted, unused, baseline, float(f"{y.mean():.3g}"), float(f"{y.std():.3g}"), seen, ended)


def _monitor(monitor: MonitorSpec, unit: Unit, days: NDArray[np.datetime64]) -> MonitorSpec:
    """Features of four weeks against those of a year, where there are so many rows: shorter ones see a cycle drift."""
    recent = int(np.count_nonzero(days > days[-1] - WINDOW_DAYS))
    window = max(monitor.window_rows, _rounded(min(recent, len(days) // 10)))
    return replace(
        monitor,
        claims=unit,
        min_rows=LEAST_CLAIMS[unit],
        window_rows=window,
        min_window_rows=max(monitor.min_window_rows, window // 2),
        max_periods=13,
    )


def _bias_limit(spec: Spec, shift: float) -> dict[str, float]:
    """Core's limit, unless the target's mean has moved further: then each candidate would fail by it."""
    name = "MaxCalibrationError" if spec.task == "binary" else "MaxRelativeBias"
    return {name: math.ceil(100 * shift) / 100} if shift > float(parameters_of(spec).defaults[name]) else {}


def _rounded(count: int) -> int:
    """Down to two digits."""
    step = int(10 ** max(0, len(str(count)) - 2))
    return count // step * step


def _unit(days: NDArray[np.datetime64]) -> Unit:
    """Rows of a day depend on each other, and days in a row do; of few days, whole ones say too little."""
    n_days = len(np.unique(days))
    if n_days < FEWEST_BLOCKS:
        return "row"
    return "day" if len(days) >= 2 * n_days else "week"
