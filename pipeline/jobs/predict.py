"""Predict: the champion's prediction for each upcoming row, and whether the champion is still right.

in   processing/input/upcoming/upcoming.parquet   features of the upcoming rows (Prepare)
     processing/input/features/                   features and results of the labelled rows (Prepare)
     processing/input/report/prepared.json        data report (Prepare)
     processing/input/champion/                   champion.json and, where a version is in use, its model.tar.gz
out  processing/output/predictions/predictions.csv    the newest predictions
     processing/output/predictions/<as-of date>.csv   the same, kept
     processing/output/monitor/monitor.json, .html    live performance, feature drift, freshness of the data

Where no champion can score (none yet, trained on other features than today's, or trained after the morning that an
`AsOfDate` in the past means), the workload's fallback predicts and the column `model` says `fallback`: a run without
predictions would be worse, and failing would also keep the candidate that repairs it from being trained.
For the same reason the predictions are written first, and a monitor that cannot be computed is written down as such and
fails nothing.

python -m pipeline.jobs.predict
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.container import json_text, processing_input, processing_output, run_step
from pipeline.contract.spec import Spec
from pipeline.contract.workload import Workload, current_workload
from pipeline.ingest.spreadsheet_text import safe_columns
from pipeline.monitoring.monitor import PreparedTables, monitor
from pipeline.monitoring.monitor_report import render_monitor
from pipeline.training.champion import Champion, as_of_skip_reason, features_skip_reason, load_champion
from pipeline.training.training_sets import feature_layout, feature_matrix


@dataclass(frozen=True)
class Forecast:
    """Predictions of the shape (rows,), who made them, and a sentence about it."""

    predictions: NDArray[np.float64]
    model: str
    version: str
    note: str
    skip_reason: str = ""  # why the champion could not predict
    quantiles: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # by column


def forecast(
    workload: Workload, upcoming: pa.Table, champion: Champion | None, feature_signature: str, as_of: str
) -> Forecast:
    """The champion's predictions, or the fallback's where it cannot score or knows what came after `as_of`."""
    reason = "no version is approved yet"
    if champion:
        layout = feature_layout(upcoming.schema)
        reason = as_of_skip_reason(champion, as_of) or features_skip_reason(champion, feature_signature, layout) or ""
    if champion and not reason:
        predictions, quantiles = champion.artifact.predict(feature_matrix(upcoming))
        return Forecast(predictions, c.CHAMPION, champion.version, f"version {champion.version}", quantiles=quantiles)
    who = workload.spec.fallback or workload.spec.baseline
    predictions = workload.baseline.fallback(upcoming)
    return Forecast(predictions, c.FALLBACK, "none", f"{who}, because {reason}", skip_reason=reason)


def predictions_table(spec: Spec, upcoming: pa.Table, made: Forecast, as_of: str) -> pa.Table:
    """One line a row: id, time, the workload's own columns, prediction, model, champion version, as-of date.

    And the quantiles of the workload, which a fallback does not predict: the same columns each time.
    """
    n = upcoming.num_rows
    digits = {"binary": 4}.get(spec.task)
    predictions = np.round(made.predictions, digits) if digits else [float(f"{p:.6g}") for p in made.predictions]
    unit = "s" if spec.of_role("time")[0].type == "moment" else "D"
    return pa.table(
        {
            spec.name_of("id"): upcoming[c.ROW_ID],
            spec.name_of("time"): pa.array(
                np.datetime_as_string(upcoming[c.TIME].to_numpy().astype(f"datetime64[{unit}]"))
            ),
            **{name: upcoming[name] for name in spec.shown},
            spec.prediction: pa.array(predictions, pa.float64()),
            **{
                name: pa.array([float(f"{q:.6g}") for q in made.quantiles[name]])
                if name in made.quantiles
                else pa.nulls(n, pa.float64())
                for name in feature_layout(upcoming.schema).quantile_columns
            },
            c.MODEL_USED: pa.array([made.model] * n, pa.string()),
            c.CHAMPION_VERSION: pa.array([made.version] * n, pa.string()),
            c.AS_OF_DATE: pa.array([as_of] * n, pa.string()),
        }
    )


def write_predictions(folder: Path, table: pa.Table, as_of: str) -> None:
    """The newest predictions, and the same by their morning; no cell is a formula."""
    for name in (c.PREDICTIONS_FILE, f"{as_of}.csv"):
        pyarrow.csv.write_csv(safe_columns(table), folder / name, pyarrow.csv.WriteOptions(quoting_style="needed"))


def watch(workload: Workload, upcoming: pa.Table, champion: Champion | None, why_silent: str, as_of: str) -> None:
    """Write monitor.json and monitor.html; where they cannot be computed, they say only why."""
    folder = processing_output(c.MONITOR_CHANNEL)
    try:
        prepared = json.loads((processing_input(c.REPORT_CHANNEL) / c.PREPARED_FILE).read_text(encoding="utf-8"))
        features = processing_input(c.FEATURES_CHANNEL)
        tables = PreparedTables(
            pq.read_table(features / c.FEATURES_FILE), upcoming, pq.read_table(features / c.RESULTS_FILE)
        )
        text = json_text(monitor(workload, tables, champion, why_silent, prepared))
        report = json.loads(text)
        page = render_monitor(report)
    except Exception as error:  # whatever it is, the predictions are valid
        traceback.print_exc()
        report = {"as_of_date": as_of, "failure": f"{type(error).__name__}: {error}"}
        report["summary"] = f"the monitor could not be computed ({report['failure']})"
        text = json_text(report)
        page = Markup("<!doctype html><title>Monitor</title><p>{}: {}</p>\n").format(as_of, report["summary"])
    (folder / c.MONITOR_FILE).write_text(text, encoding="utf-8")
    (folder / c.MONITOR_REPORT_FILE).write_text(page, encoding="utf-8")
    sys.stderr.write(f"monitor: {report['summary']}\n")


def main(argv: Sequence[str]) -> None:
    if argv:
        raise SystemExit("usage: python -m pipeline.jobs.predict (no arguments)")
    upcoming = pq.read_table(processing_input(c.UPCOMING_CHANNEL) / c.UPCOMING_FILE)
    facts = {key.decode(): value.decode() for key, value in (upcoming.schema.metadata or {}).items()}
    champion = load_champion(processing_input(c.CHAMPION_CHANNEL))
    workload = current_workload()
    made = forecast(workload, upcoming, champion, facts["feature_signature"], facts["as_of_date"])
    table = predictions_table(workload.spec, upcoming, made, facts["as_of_date"])
    write_predictions(processing_output(c.PREDICTIONS_CHANNEL), table, facts["as_of_date"])
    sys.stderr.write(f"{table.num_rows:,} upcoming {workload.spec.rows} predicted by {made.note}\n")
    if champion and as_of_skip_reason(champion, facts["as_of_date"]):
        champion = None  # on that morning it was not there to be watched
    watch(workload, upcoming, champion, made.skip_reason, facts["as_of_date"])


if __name__ == "__main__":
    sys.exit(run_step(main, sys.argv[1:]))
