"""monitor.json: what a run's look at champion, features and data came to, and the parts that a workload adds.

Everything here is a pure function of the champion, the run's features and Prepare's data report; Predict writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.contract import names as c
from pipeline.contract.metrics import metric_words, short
from pipeline.contract.spec import Spec
from pipeline.contract.workload import Workload
from pipeline.evaluation.evaluation import days_of, floats_of, rows_of
from pipeline.ingest.known import known_on
from pipeline.monitoring.claims import claims_of, residual_quantiles
from pipeline.monitoring.monitor_data import DataDays, DataReport, look_at_data
from pipeline.monitoring.monitor_evidence import (
    GROUP,
    LEAKAGE,
    LOSS,
    RATE,
    Forecasts,
    Groups,
    evidence_by_day,
    likeliest_group,
)
from pipeline.monitoring.monitor_features import LabelledRows, compare_features
from pipeline.monitoring.monitor_live import Approved, Decided, live_performance
from pipeline.training.champion import Champion
from pipeline.training.training_sets import feature_layout, feature_matrix

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True)
class PreparedTables:
    """What Prepare knows in this run; tables in order of time."""

    labelled: pa.Table  # features of the labelled rows
    upcoming: pa.Table  # features of the rows to come
    results: pa.Table  # what has happened, as the workload's data hook gives it


def failure_modes(spec: Spec, group: str | None) -> dict[str, str]:
    """The ways in which a champion can be wrong, in words; `group` is the likeliest, None where rows have none."""
    claim = f"{spec.event} comes" if spec.task == "binary" else f"{spec.event} is above its predicted quantiles"
    modes = {
        LOSS: "the champion is surprised more often than it claims",
        LEAKAGE: "the champion is surprised less often than can be: suspected leakage",
        RATE: f"{claim} at another rate than the champion claims",
        GROUP: f"for one {spec.monitor.group_word} ({group}) {claim} at another rate than the champion claims",
    }
    return {name: words for name, words in modes.items() if name != GROUP or group is not None}


def monitor(
    workload: Workload, tables: PreparedTables, champion: Champion | None, why_silent: str, prepared: Mapping[str, Any]
) -> dict[str, Any]:
    """monitor.json's content, JSON types only.

    `why_silent` says why the champion cannot be judged ("" if it can); `prepared` is prepared.json.
    """
    spec = workload.spec
    as_of = _number_of(prepared["as_of_date"])
    judged = champion if champion and not why_silent else None
    live = _live(workload, tables, judged, why_silent)
    features = _features(spec, tables.labelled, judged, why_silent)
    parts = _parts(workload, tables, judged)
    data = _data(spec, tables, champion, prepared, as_of)
    found = [(c.LIVE, live.pop("found")), (c.DRIFT, features.pop("found"))]
    found += [*((name, part["alarms"]) for name, part in parts.items()), (c.DATA, data.alarms)]
    report: dict[str, Any] = {
        **metric_words(spec),
        "as_of_date": prepared["as_of_date"],
        "simulated": prepared["simulated"],
        "champion_version": champion.version if champion else None,
        "trained_before": champion.artifact.card.trained_before if champion else None,
        "alarms": [{"part": part, "what": what} for part, alarms in found for what in alarms],
        c.LIVE: live,
        c.DRIFT: features,
        "parts": parts,
        c.DATA: {**asdict(data), "alarms": list(data.alarms)},
    }
    return {**report, "summary": summarise(report)}


def summarise(report: Mapping[str, Any]) -> str:
    """One sentence for logs, terminals and emails."""
    label = f"simulated {report['rows']}: " if report["simulated"] else ""
    if report["alarms"]:
        return label + "; ".join(alarm["what"] for alarm in report["alarms"])
    live = report[c.LIVE]
    if not live["enough"]:
        return f"{label}no alarm; {live['skip_reason']}"
    key = report["primary_metric"]
    loss = live["scores"][key]
    return (
        f"{label}no alarm; champion {report['champion_version']}: {report['metric_words'][key]['label']} "
        f"{short(loss['value'])} on {live['n_rows']:,} {report['rows']} since {report['trained_before']} "
        f"({short(loss['expected']['mean'])} expected of it)"
    )


def _live_rows(workload: Workload, tables: PreparedTables, champion: Champion) -> tuple[Decided, Forecasts]:
    """The champion's shipped weights on the rows decided since its cut-off: beside the baseline, and as claims."""
    spec = workload.spec
    days, card = days_of(tables.labelled), champion.artifact.card
    since = tables.labelled.slice(int(np.searchsorted(days, champion.artifact.cut_off)))
    ids, day = since[c.ROW_ID].to_pylist(), days_of(since)
    target = floats_of(since, c.TARGET)
    prediction, by_column = champion.artifact.predict(feature_matrix(since))
    baseline = workload.baseline.forecast(tables.results, ids, date.fromisoformat(card.trained_from)) if ids else target
    record = champion.artifact.walk_forward
    own = [floats_of(record, name) for name in (c.PREDICTION, c.TARGET)]
    approved = None if spec.task == "binary" else Approved(own[0], own[1], days_of(record))
    decided = Decided(spec.task, spec.unit, day, prediction, target, baseline, approved)
    groups = groups_of(spec, rows_of(tables.results, ids))
    quantiles = dict(zip(card.layout.quantiles, by_column.values(), strict=True))
    if not quantiles and spec.task == "regression":
        quantiles = residual_quantiles(prediction, own[1] - own[0])
    claims = claims_of(spec, ids, day, prediction, target, groups, baseline=baseline, quantiles=quantiles)
    return decided, claims


def groups_of(spec: Spec, results: pa.Table) -> Groups:
    """The groups whose events are watched, of each row."""
    return tuple(
        (np.array(results[column].to_pylist(), dtype=str), sign) for column, sign in spec.monitor.groups.items()
    )


def _live(workload: Workload, tables: PreparedTables, champion: Champion | None, why_silent: str) -> dict[str, Any]:
    spec = workload.spec
    if champion is None:
        return {"enough": False, "skip_reason": why_silent, "n_rows": 0, "found": []}
    decided, claims = _live_rows(workload, tables, champion)
    n_rows = len(decided.target)
    if len(claims) < spec.monitor.min_rows:
        units = spec.rows if spec.monitor.claims == "row" else f"{spec.monitor.claims}s"
        skip_reason = (
            f"{len(claims)} {units} since its cut-off are too few to judge version {champion.version} "
            f"(at least {spec.monitor.min_rows})"
        )
        return {"enough": False, "skip_reason": skip_reason, "n_rows": n_rows, "found": []}
    path, group = evidence_by_day(claims, spec.monitor), likeliest_group(claims)
    words = failure_modes(spec, group)
    return {
        "enough": True,
        "skip_reason": "",
        "n_rows": n_rows,
        "n_claims": len(claims),
        "claims": spec.monitor.claims,
        "evidence": {name: float(values[-1]) for name, values in path.by_family.items()},
        "failure_modes": words,
        "group": group,
        **asdict(live_performance(decided)),
        "path": [
            {"date": str(day), "n_rows": int(n), **{name: float(v[i]) for name, v in path.by_family.items()}}
            for i, (day, n) in enumerate(zip(path.day.astype("datetime64[D]"), path.n_rows, strict=True))
        ],
        "found": [words[name] for name in path.alarms],
    }


def _features(spec: Spec, labelled: pa.Table, champion: Champion | None, why_silent: str) -> dict[str, Any]:
    if champion is None:
        return {"enough": False, "skip_reason": why_silent, "found": []}
    by = spec.monitor
    rows = LabelledRows(
        X=feature_matrix(labelled),
        day=days_of(labelled),
        period=labelled[by.period].to_numpy().astype(np.int64) if by.period else None,
        left_out=labelled[by.left_out].to_numpy().astype(np.bool_) if by.left_out else None,
    )
    layout = feature_layout(labelled.schema)
    report = compare_features(rows, layout.features, champion.artifact.cut_off, by)
    drifted = report.drifted
    what = f"features do not look like those of earlier periods: {', '.join(drifted)}"
    return {
        **asdict(report),
        "rows": [
            asdict(row) | ({"mean": None, "baseline_mean": None} if row.feature in layout.categories else {})
            for row in report.rows
        ],
        "enough": not report.skip_reason,
        "drifted": list(drifted),
        "found": [what] if drifted else [],
    }


def _parts(workload: Workload, tables: PreparedTables, champion: Champion | None) -> dict[str, Any]:
    if champion is None or workload.monitor is None:
        return {}
    return {
        name: dict(part) for name, part in workload.monitor.parts(tables.results, champion.artifact.cut_off).items()
    }


def _data(
    spec: Spec, tables: PreparedTables, champion: Champion | None, prepared: Mapping[str, Any], as_of: int
) -> DataReport:
    changed, recorded = _changed(spec, tables.results, champion, as_of) if champion else (0, 0)
    late = np.array([_number_of(day) for day in prepared["data"].get("late_labels", [])], dtype=np.int64)
    days = DataDays(days_of(tables.results), days_of(tables.upcoming), late)
    return look_at_data(spec, days, as_of=as_of, changed=changed, recorded=recorded)


def _changed(spec: Spec, results: pa.Table, champion: Champion, as_of: int) -> tuple[int, int]:
    """How many of the champion's walk-forward rows are gone, or have another label now; and how many it has.

    Rows whose label is not known on day `as_of` do not count: a run as of an earlier day cannot have it.
    """
    now = dict(zip(results[c.ROW_ID].to_pylist(), results[c.TARGET].to_pylist(), strict=True))
    record = champion.artifact.walk_forward
    days = record[c.TIME].to_numpy().astype("datetime64[D]")
    record = record.filter(pa.array(known_on(days, np.datetime64(as_of, "D"), spec.label_delay_days)))
    then = zip(record[c.ROW_ID].to_pylist(), record[c.TARGET].to_pylist(), strict=True)
    return sum(now.get(row) != label for row, label in then), record.num_rows


def _number_of(day: str) -> int:
    return (date.fromisoformat(day) - _EPOCH).days
