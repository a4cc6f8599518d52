"""Checks of the declaration: limits, metrics, monitor, columns and roles are what spec.py says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from contract_tests.subject import (
    Subject,
    ids_of,
    read_cells,
    write_cells,
)
from pipeline.contract import names as c
from pipeline.contract.container import StepError
from pipeline.contract.gates import PROMOTION_LIMITS, number_at, quality_limits
from pipeline.contract.metrics import metrics_of
from pipeline.contract.spec import Column
from pipeline.ingest.quarantine import BadData
from pipeline.jobs import predict as predict_job
from pipeline.training.training_sets import feature_layout

ROWS_OF_DAMAGE: Final = 80  # of a file whose cells are damaged


def limits_and_metrics_are_in_the_evaluation(s: Subject) -> None:
    """Each limit's number is in evaluation.json, and so is each metric of the report; a model is as good as itself."""
    try:
        found = s.evaluation
    except StepError as error:
        if isinstance(error.__cause__, KeyError):
            s.fail("spec.py", str(error))
        raise
    for limit in (*quality_limits(s.spec), *PROMOTION_LIMITS):
        number_at(found, limit.path)
    for metric in metrics_of(s.spec):
        if metric.key not in found["metrics"][c.CANDIDATE]:
            s.fail("spec.py", f"the report shows {metric.key}, which the candidate's metrics do not have")
    if found["comparison"]["champion_exists"] != c.YES or found["comparison"]["difference"]["mean"]:
        s.fail("features.py", f"a model compared with itself differs: {found['comparison']}")


def predictions_and_monitor_are_written(s: Subject) -> None:
    """Predict, with a champion of an earlier morning, writes a line for each upcoming row and a whole monitor."""
    champion = s.as_champion("earlier", s.trained("earlier-host", s.cut))
    made = s.made(c.UPCOMING_CHANNEL, c.FEATURES_CHANNEL, c.REPORT_CHANNEL)
    with s.job("predict", {**made, c.CHAMPION_CHANNEL: champion}) as outputs:
        predict_job.main([])
    header, *lines = read_cells(outputs / c.PREDICTIONS_CHANNEL / c.PREDICTIONS_FILE)
    models = {line[header.index(c.MODEL_USED)] for line in lines}
    if [line[0] for line in lines] != ids_of(s.tables.upcoming) or models != {c.CHAMPION}:
        s.fail("features.py", f"{len(lines)} predictions by {models} for {s.tables.upcoming.num_rows} upcoming rows")
    report = json.loads((outputs / c.MONITOR_CHANNEL / c.MONITOR_FILE).read_text(encoding="utf-8"))
    if "failure" in report:
        s.fail("spec.py", f"the monitor cannot be computed, and Predict goes on without it: {report['failure']}")
    if not report[c.LIVE].get(c.N_ROWS):
        s.fail("spec.py", f"the monitor judges no row since {s.cut}: {report['summary']}")


def damages(column: Column) -> Iterator[tuple[str, str]]:
    """What may be wrong with a cell of the column, and such a cell."""
    if column.type in ("number", "integer", "flag", "day", "moment"):
        yield "a wrong type", "%%"
    if column.type in ("day", "moment"):
        yield "a day that does not exist", "2024-02-30"
    if column.low is not None:
        yield "below its range", f"{column.low - max(1, abs(column.low)):.17g}"
    if column.high is not None:
        yield "above its range", f"{column.high + max(1, abs(column.high)):.17g}"
    if column.type == "integer":
        yield "no whole number", "1.5"
    if column.values:
        yield "a value that is not allowed", "%%"
    if column.required and not column.missing and column.role != "target":
        yield "missing", ""


def bad_columns_are_refused(s: Subject) -> None:
    """A missing column is refused by file and name, a bad cell by file, line, column, value and rule."""
    source = s.csv_files()[0]
    header, *lines = read_cells(source)
    here = [column for column in s.spec.columns if column.name in header]
    planned = [(column, kind, text) for column in here for kind, text in damages(column)]
    lines = lines[: max(ROWS_OF_DAMAGE, len(planned) + 1)]
    for column in here:
        if column.required:
            place, at = s.folder / "missing" / column.name, header.index(column.name)
            write_cells(place / source.name, [[*line[:at], *line[at + 1 :]] for line in (header, *lines[:2])])
            try:
                s.load(place)
                says = "nothing"
            except BadData as error:
                says = str(error)
            if source.name not in says or column.name not in says:
                s.fail("data.py", f"{source.name} without the column {column.name} is not refused by name, but: {says}")
    for line, (column, _, text) in zip(lines[1:], planned, strict=False):
        line[header.index(column.name)] = text
    write_cells(s.folder / "damaged" / source.name, [header, *lines])
    quarantine = s.load(s.folder / "damaged").quarantine
    named = set(zip(*(quarantine[name] for name in ("file", "line", "column", "value")), strict=True))
    for line_number, (column, kind, text) in enumerate(planned, 3):
        if (source.name, line_number, column.name, text) not in named:
            s.fail("data.py", f'{column.name} "{text}" ({kind}) in line {line_number} is not in quarantine.csv')
    assert quarantine["rule"].ne("").all()


def only_features_are_features(s: Subject) -> None:
    """No id, time, target or group is a feature, by name or under another."""
    table, roles = s.tables.labelled, {column.name: column.role for column in s.spec.columns}
    layout = feature_layout(table.schema)
    core = {c.ROW_ID: "id", c.TIME: "time", c.TARGET: "target"}
    for name in layout.features:
        if (role := core.get(name) or roles.get(name, "feature")) in ("id", "time", "target", "group"):
            s.fail("features.py", f"{name} has the role {role}, and is a feature")
    frame = table.to_pandas()
    rows = s.rows.set_index(c.ROW_ID, drop=False).loc[frame[c.ROW_ID]]
    never = {c.ROW_ID: pd.Series(range(len(rows))), c.TARGET: rows[c.TARGET]}
    never |= {column.name: rows[column.name] for column in s.spec.of_role("group") if column.name in rows}
    for name, values in never.items():
        codes = pd.factorize(values)[0]
        for feature in layout.features:
            same = codes.max() > 0 and np.array_equal(pd.factorize(frame[feature])[0], codes)
            # Where each row has a value of its own, as measurements have, only their order tells.
            if same and (codes.max() + 1 < len(codes) or same_order(frame[feature], values)):
                s.fail("features.py", f"the feature {feature} is {name} in other values")


def same_order(one: pd.Series[Any], other: pd.Series[Any]) -> bool:
    """Whether distinct values rise together, or one as the other falls."""
    return bool(abs(np.corrcoef(one.rank(), other.rank())[0, 1]) > 1 - 1e-9)
