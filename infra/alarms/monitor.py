"""Alarms on the monitor's metrics; drift starts a run."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.approval.construct import ModelApproval
from infra.approval.function import metrics
from infra.approval.function import monitor_metrics as names
from infra.foundation.storage import Storage
from infra.settings.settings import Settings
from infra.triggers.construct import Triggers
from pipeline.contract import names as c

# Longer than the minutes by which a value may be late: an alarm sees a value that arrives within its hour.
PERIOD: Final = cdk.Duration.hours(1)
_PAGE: Final = f"{c.MONITOR_CHANNEL}/{c.MONITOR_REPORT_FILE} in the artifact bucket shows the numbers"


class MonitorAlarms(Construct):
    """`live_loss`, `forecast_drift` and `feature_drift` start a run; `stale_data` and `monitor_failed` only email."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        pipeline_name: str,
        storage: Storage,
        alerts: Alerts,
        approval: ModelApproval,
        triggers: Triggers,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alerts, self._pipeline_name = alerts, pipeline_name
        self._publish(storage, approval)
        consequence = (
            "A run that trains was requested, at most one a day; its candidate must pass every limit as usual."
            if settings.drift_trigger
            else "No run is started, because the setting drift_trigger is false."
        )
        self.live_loss = self._alarm(
            "LiveLoss",
            names.LOSS_EVIDENCE,
            f"The champion's live loss is higher than its own predictions allow for. {consequence}",
            f"{_PAGE}: is the baseline worse too (then the process has changed, not the model)? Is the data correct?",
        )
        self.forecast_drift = self._alarm(
            "ForecastDrift",
            names.DRIFT_EVIDENCE,
            f"The mean of the target, or one group, is not as predicted, or leakage is suspected. {consequence}",
            f"{_PAGE}. Check the data first (columns swapped, one group wrong): training on wrong data does not help.",
        )
        self.feature_drift = self._alarm(
            "FeatureDrift",
            names.DRIFTED_FEATURES,
            f"The distribution of features differs from that in training. {consequence}",
            f"{_PAGE} and names them. A constant feature is an error of the feed or of the code, not of the model.",
        )
        self.stale_data = self._alarm(
            "StaleData",
            names.DATA_FINDINGS,
            "Rows are missing that are due, or past rows have changed.",
            f"{_PAGE}. Fix the export, then python -m scripts.start_execution.",
        )
        self.monitor_failed = self._alarm(
            "MonitorFailed",
            names.MONITOR_FAILURES,
            "The monitor report could not be computed; predictions were written.",
            "The log of step Predict has the traceback: python -m scripts.show_execution.",
        )
        if settings.drift_trigger:
            triggers.on_drift([self.live_loss, self.forecast_drift, self.feature_drift])

    def _publish(self, storage: Storage, approval: ModelApproval) -> None:
        written = events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={"bucket": {"name": [storage.artifacts.bucket_name]}, "object": {"key": [names.KEY]}},
        )
        events.Rule(
            self,
            "Written",
            description="The monitor report was written: its numbers become metrics",
            event_pattern=written,
            targets=[targets.LambdaFunction(approval.function, dead_letter_queue=approval.undelivered)],
        )

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
            missing_keeps=True,
        )
