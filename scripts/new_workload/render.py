"""The source of a workload's files, from what was inferred: templates, and values as Python writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, timedelta
from textwrap import wrap
from typing import Any, Final

from pipeline.contract.names import SAMPLE_AS_OF
from pipeline.contract.reasons import printable
from scripts.new_workload.infer import Inferred
from scripts.new_workload.univariate import PSEUDO_ROWS

_SAMPLE_DAYS: Final = 730  # that a sample spans
_PIECE: Final = 50  # characters of a text on a line
_OTHERS: Final = {"name", "title", "columns", "unit", "defaults"}

SPEC: Final = '''"""{spec.title}. Standard library only.

Written from {found.rows}.
"""

from typing import Final

from pipeline.contract.spec import Column, MonitorSpec, Spec

SPEC: Final = Spec(
    name={name},
    title={title},
    {words}
    columns=(
        {columns}
        {unused}
    ),
    unit={unit},  # rows of one depend on each other: they are drawn together for the interval
    defaults={{
        "MinRows": {MinRows},  # fewer, and a file is missing
        "WalkForwardRows": {WalkForwardRows},
        "MinEvaluatedRows": {MinEvaluatedRows},
        {trees}
        "NonInferiorityMargin": {NonInferiorityMargin},  # 0.5 % of the baseline's loss
        "MinImprovement": {MinImprovement},  # 0.25 % of it
    }},
)
'''

BASELINE: Final = '''"""What a candidate must beat: SPEC.baseline_meaning says what it is."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
{pandas}import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract.names import ROW_ID, TARGET, TIME
{known_on}from pipeline.workloads.{found.spec.name}.spec import SPEC

MEAN: Final = {found.mean}  # of the labels that this was written from
{constants}

def forecast(results: pa.Table, ids: Sequence[str], since: date) -> NDArray[np.float64]:
{forecast}


def fallback(upcoming: pa.Table) -> NDArray[np.float64]:
    """The mean, while no version is approved."""
    return np.full(upcoming.num_rows, MEAN)
'''
NEWEST: Final = '''    """The newest label known on the morning of each row's day; MEAN where none was."""
    rows = results.select([ROW_ID, TIME, {by}TARGET]).to_pandas()
    rows["day"] = rows[TIME].to_numpy().astype("datetime64[D]").astype(np.int64)
    known = rows.assign(day=rows["day"] + SPEC.label_delay_days + 1)  # as pipeline.ingest.known says
    found = pd.merge_asof(rows.drop(columns=TARGET), known[["day", {by}TARGET]], on="day"{by_})
    return np.asarray(found.set_index(ROW_ID).loc[list(ids), TARGET].fillna(MEAN), dtype=np.float64)'''
MEANS: Final = '''    """From labels known before each row's month; MEAN counts as one more: no rate is 0 or 1."""
    rows = results.select([ROW_ID, TIME, {by}TARGET]).to_pandas().set_index(ROW_ID)
    day = rows[TIME].to_numpy().astype("datetime64[D]")
    asked = rows.loc[list(ids)]
    month = asked[TIME].to_numpy().astype("datetime64[M]").astype("datetime64[D]")
    predicted = np.empty(len(asked))
    for first in np.unique(month):
        past = rows.loc[known_on(day, first, SPEC.label_delay_days), :]
        here = month == first
        mean = (past[TARGET].sum() + MEAN) / (len(past) + 1)
        {predict}
    return predicted'''
PSEUDO: Final = f"PSEUDO_ROWS: Final = {PSEUDO_ROWS}  # of the mean of all, in each group\n"
BY_GROUP: Final = """groups = past.groupby(BY)[TARGET].agg(["sum", "count"])
        means = (groups["sum"] + PSEUDO_ROWS * mean) / (groups["count"] + PSEUDO_ROWS)
        predicted[here] = asked.loc[here, BY].map(means).fillna(mean)"""

SAMPLE: Final = '''"""SIMULATED rows of the declared columns, for a run without data: no row is real."""

from datetime import date
from pathlib import Path

from pipeline.workloads import simulated
from pipeline.workloads.{found.spec.name}.spec import SPEC


def write(folder: Path, as_of: date, seed: int = 1) -> Path:
    """The target has the mean and the spread of the data that this was written from; nothing else is like it."""
    since = date({since.year}, {since.month}, 1)
    return simulated.simulate(
        SPEC, folder, as_of, seed, since=since, rows_a_day={rows_a_day}, mean={found.mean}, spread={found.spread}
    )
'''

TEST: Final = '''"""What each workload must keep."""

from contract_tests import contract_tests

TestContract = contract_tests("{name}")
'''


def sources(found: Inferred) -> dict[str, str]:
    spec = found.spec
    kept = [one for one in _given(spec) if one.partition("=")[0] not in _OTHERS]
    notes = {"time_zone": "  # in which a day of the rows begins", "label_delay_days": "  # until a label is known"}
    moved = dict.fromkeys(("MaxRelativeBias", "MaxCalibrationError"), "  # so far the target's mean has moved lately")
    trees = [f'"{name}": {value},{moved.get(name, "")}' for name, value in spec.defaults.items() if name not in SPEC]
    unused = [printable(f"# not used: {one or '(unnamed)'} ({why})") for one, why in found.unused.items()]
    texts = {
        "spec.py": SPEC.format(
            **spec.defaults,
            found=found,
            spec=spec,
            title=_source(spec.title),
            name=_source(spec.name),
            words="\n    ".join(f"{one},{notes.get(one.partition('=')[0], '')}" for one in kept),
            columns="\n        ".join(f"{_source(column)}," for column in spec.columns),
            unused="\n        ".join(line for text in unused for line in wrap(text, 110, subsequent_indent="#   ")),
            unit=_source(spec.unit),
            trees="\n        ".join(trees),
        ),
        "baseline.py": _baseline(found),
        "sample.py": _sample(found),
    }
    return {name: formatted(text) for name, text in texts.items()}


def _baseline(found: Inferred) -> str:
    newest, by = found.baseline.newest, found.baseline.by
    constants = f"BY: Final = {_source(by)}\n{'' if newest else PSEUDO}" if by else ""
    predict, by_ = (BY_GROUP, ", by=BY") if by else ("predicted[here] = mean", "")
    return BASELINE.format(
        found=found,
        pandas="import pandas as pd\n" if newest else "",
        known_on="" if newest else "from pipeline.ingest.known import known_on\n",
        constants=constants,
        forecast=(NEWEST if newest else MEANS).format(by="BY, " if by else "", by_=by_, predict=predict),
    )


def _sample(found: Inferred) -> str:
    """As many rows as the limits want, in two years; without an id, a day has one row where it is the time."""
    defaults, spec = found.spec.defaults, found.spec
    n_rows = 1.2 * max(int(defaults["MinRows"]), 2 * int(defaults["MinEvaluatedRows"]) + 1000)
    one_a_day = not spec.of_role("id") and spec.of_role("time")[0].type == "day"
    rows_a_day = 1 if one_a_day else max(1, round(n_rows / _SAMPLE_DAYS))
    days = max(_SAMPLE_DAYS, int(n_rows / rows_a_day)) + spec.label_delay_days
    return SAMPLE.format(found=found, rows_a_day=rows_a_day, since=date.fromisoformat(SAMPLE_AS_OF) - timedelta(days))


def _source(value: Any) -> str:  # noqa: ANN401 - any value of a spec
    """The value as Python writes it; of a dataclass what differs from its defaults."""
    if is_dataclass(value):
        return f"{type(value).__name__}({', '.join(_given(value)).removeprefix('name=')})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_source(key)}: {_source(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_source, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, str):  # in pieces, which the formatter joins where they fit on a line
        pieces = [value[begin : begin + _PIECE] for begin in range(0, len(value), _PIECE)] or [""]
        return " ".join(printable(json.dumps(piece, ensure_ascii=False)) for piece in pieces)
    return repr(value)


def _given(value: Any) -> list[str]:  # noqa: ANN401 - any dataclass
    """`name=source` of each field that differs from its default."""
    found = []
    for one in fields(value):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if getattr(value, one.name) != default:
            found.append(f"{one.name}={_source(getattr(value, one.name))}")
    return found


def formatted(text: str) -> str:
    """As `ruff format` leaves it; as it is where ruff is not installed."""
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else text
