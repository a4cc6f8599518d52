"""Alarms on the monitor's metrics; drift starts a run."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.approval.construct import ModelApproval
from infra.approval.function import metrics
from infra.approval.function import monitor_metrics as names
from infra.foundation.foundation import Foundation
from infra.foundation.storage import object_created
from infra.training.construct import Training
from infra.triggers.construct import Triggers
from pipeline.contract import names as c

# Longer than the minutes by which a value may be late: an alarm sees a value that arrives within its hour.
PERIOD: Final = cdk.Duration.hours(1)
_PAGE: Final = f"{c.MONITOR_CHANNEL}/{c.MONITOR_REPORT_FILE} in the artifact bucket shows the numbers"


class MonitorAlarms(Construct):
    """Live loss, forecast drift and feature drift start a run; stale data and a monitor that failed only email."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        training: Training,
        approval: ModelApproval,
        triggers: Triggers,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alerts, self._pipeline_name = foundation.alerts, training.pipeline.ref
        approval.function.on(
            "Written",
            object_created(foundation.storage.artifacts, names.KEY),
            "The monitor report was written: its numbers become metrics",
            scope=self,
        )
        drift_trigger = foundation.settings.drift_trigger
        consequence = (
            "A run that trains was requested, at most one a day; its candidate must pass every limit as usual."
            if drift_trigger
            else "No run is started, because the setting drift_trigger is false."
        )
        live_loss = self._alarm(
            "LiveLoss",
            names.LOSS_EVIDENCE,
            f"The champion's live loss is higher than its own predictions allow for. {consequence}",
            f"{_PAGE}: is the baseline worse too (then the process has changed, not the model)? Is the data correct?",
        )
        forecast_drift = self._alarm(
            "ForecastDrift",
            names.DRIFT_EVIDENCE,
            f"The mean of the target, or one group, is not as predicted, or leakage is suspected. {consequence}",
            f"{_PAGE}. Check the data first (columns swapped, one group wrong): training on wrong data does not help.",
        )
        feature_drift = self._alarm(
            "FeatureDrift",
            names.DRIFTED_FEATURES,
            f"The distribution of features differs from that in training. {consequence}",
            f"{_PAGE} and names them. A constant feature is an error of the feed or of the code, not of the model.",
        )
        self._alarm(
            "StaleData",
            names.DATA_FINDINGS,
            "Rows are missing that are due, or past rows have changed.",
            f"{_PAGE}. Fix the export, then {self._alerts.command('start_execution')}.",
        )
        self._alarm(
            "MonitorFailed",
            names.MONITOR_FAILURES,
            "The monitor report could not be computed; predictions were written.",
            f"The log of step Predict has the traceback: {self._alerts.command('show_execution')}.",
        )
        if drift_trigger:
            triggers.on_drift([live_loss, forecast_drift, feature_drift])

    def _alarm(self, construct_id: str, metric: str, summary: str, action: str) -> cloudwatch.Alarm:
        """The limit of all is 1: of evidence, and of findings."""
        return self._alerts.alarm_on(
            construct_id,
            cloudwatch.Metric(
                namespace=metrics.NAMESPACE,
                metric_name=metric,
                dimensions_map={metrics.PIPELINE_NAME: self._pipeline_name},
                period=PERIOD,
                statistic="Maximum",
            ),
            summary=summary,
            action=action,
            threshold=names.LIMIT,
            missing=cloudwatch.TreatMissingData.IGNORE,
        )
