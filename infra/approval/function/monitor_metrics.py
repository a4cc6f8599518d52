"""The monitor's numbers as CloudWatch metrics, from monitor.json when it is written.

A value is given the time at which the file was written: a notice that comes twice, or late, writes the same value to
the same moment. What the monitor says nothing about (few rows) is not published, and nothing is for a run of
another day, such as a backtest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from infra.approval.function.metrics import PIPELINE_NAME, metric_line
from pipeline.contract import names as c

KEY: Final = f"{c.MONITOR_CHANNEL}/{c.MONITOR_FILE}"
LIVE_LOSS: Final = "LivePrimaryLoss"
EXPECTED_LOSS: Final = "ExpectedPrimaryLoss"  # if the champion's own claim is right
LIVE_ROWS: Final = "LiveRows"
LOSS_EVIDENCE: Final = "LossEvidence"  # 1 is the limit
DRIFT_EVIDENCE: Final = "DriftEvidence"  # the greatest of all other kinds; 1 is the limit
DRIFTED_FEATURES: Final = "DriftedFeatures"
DAYS_SINCE_NEWEST: Final = "DaysSinceNewestRow"
LATE_LABELS: Final = "LateLabels"
DATA_FINDINGS: Final = "DataFindings"
MONITOR_FAILURES: Final = "MonitorFailures"
ALL: Final = (
    *(LIVE_LOSS, EXPECTED_LOSS, LIVE_ROWS, LOSS_EVIDENCE, DRIFT_EVIDENCE),
    *(DRIFTED_FEATURES, DAYS_SINCE_NEWEST, LATE_LABELS, DATA_FINDINGS, MONITOR_FAILURES),
)
LIMIT: Final = 1.0  # of the evidences
_COUNTS: Final = (LIVE_ROWS, DRIFTED_FEATURES, DAYS_SINCE_NEWEST, LATE_LABELS, DATA_FINDINGS, MONITOR_FAILURES)
_MOST_DAYS_APART: Final = 2  # of the as-of date and the day of writing: time zones, and a run past midnight


def monitor_lines(report: Mapping[str, Any], pipeline: str, written: float) -> Iterator[str]:
    """At most one line in the embedded metric format; `written` is the file's time in seconds since 1970."""
    as_of = date.fromisoformat(str(report["as_of_date"]))
    if abs((datetime.fromtimestamp(written, UTC).date() - as_of).days) > _MOST_DAYS_APART:
        return
    yield metric_line(values_of(report), {PIPELINE_NAME: pipeline}, int(written * 1000), counts=_COUNTS)


def values_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Metric name to value; only what the monitor speaks about."""
    if "failure" in report:
        return {MONITOR_FAILURES: 1.0}
    data = report[c.DATA]
    values = {
        MONITOR_FAILURES: 0.0,
        DAYS_SINCE_NEWEST: data["days_since_newest"],
        LATE_LABELS: data["overdue_rows"],
        DATA_FINDINGS: len(data["alarms"]),
        **_live(report),
    }
    others = {name: value for name, value in report[c.LIVE].get("evidence", {}).items() if name != "loss"}
    if evidence := [*others.values(), *(part["evidence"] for part in report["parts"].values())]:
        values[DRIFT_EVIDENCE] = max(evidence)
    if report[c.DRIFT]["enough"]:
        values[DRIFTED_FEATURES] = len(report[c.DRIFT]["drifted"])
    return values


def _live(report: Mapping[str, Any]) -> dict[str, float]:
    live = report[c.LIVE]
    if not live["enough"]:
        return {}
    loss = live["scores"][report["primary_metric"]]
    return {
        LIVE_LOSS: loss["value"],
        EXPECTED_LOSS: loss["expected"]["mean"],
        LIVE_ROWS: live["n_rows"],
        LOSS_EVIDENCE: live["evidence"]["loss"],
    }
