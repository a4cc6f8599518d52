"""The numbers of candidate, champion and baseline as CloudWatch metrics, by log lines in the embedded metric format.

Format: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

from pipeline.contract import names as c

NAMESPACE: Final = "ModelRetraining"
PIPELINE_NAME: Final = "PipelineName"
ROLE: Final = "Role"  # candidate, champion or baseline
PRIMARY_LOSS: Final = "PrimaryLoss"  # of the workload's primary metric
SKILL: Final = "Skill"  # share of the baseline's loss that the candidate removes
CALIBRATION_ERROR: Final = "CalibrationError"
EVALUATED_ROWS: Final = "EvaluatedRows"
METRICS: Final = {CALIBRATION_ERROR: "calibration_error", EVALUATED_ROWS: c.N_ROWS}
DAILY_HOUR: Final = "12"  # UTC
NEW_SECONDS: Final = 3900  # an hour, and some minutes in which the hourly event may be late
ROLES: Final = (c.CANDIDATE, c.CHAMPION, c.BASELINE)


def is_due(event: Mapping[str, Any], written: float | None, now: float) -> bool:
    """Whether to publish now: when something changed, when the last-evaluated record is new, and once a day.

    CloudWatch charges a custom metric for each hour in which it gets a value, and the function runs every hour.
    `written` and `now` are seconds since 1970.
    """
    hourly = event.get("detail-type") == "Scheduled Event"
    daily = str(event.get("time"))[11:13] == DAILY_HOUR
    return not hourly or daily or (written is not None and now - written < NEW_SECONDS)


def metric_lines(evaluated: Mapping[str, Any], pipeline: str, milliseconds: int) -> Iterator[str]:
    """A line for the candidate, the champion and the baseline, from the last-evaluated record.

    None before the first evaluation; no line for a champion that does not exist. `milliseconds` is the time of the
    values since 1970.
    """
    scores = evaluated.get("metrics") or {}
    keys = {PRIMARY_LOSS: str(evaluated.get("primary_metric")), **METRICS}
    for role in ROLES:
        known = {name: (scores.get(role) or {}).get(key) for name, key in keys.items()}
        if role == c.CANDIDATE:
            known[SKILL] = (evaluated.get("quality") or {}).get("skill")
        values = {name: value for name, value in known.items() if value is not None}
        if values:
            yield metric_line(values, {PIPELINE_NAME: pipeline, ROLE: role}, milliseconds, counts=(EVALUATED_ROWS,))


def metric_line(
    values: Mapping[str, float], dimensions: Mapping[str, str], milliseconds: int, *, counts: Container[str]
) -> str:
    """Values by metric at one time as a line of the log; `counts` are the metrics of that unit, others have none."""
    metrics = [{"Name": name, "Unit": "Count" if name in counts else "None"} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [list(dimensions)], "Metrics": metrics}
    what = {"Timestamp": milliseconds, "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": what, **dimensions, **values})
