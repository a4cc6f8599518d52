"""The nightly monitor in the account: its numbers become metrics, its findings alarms, and drift starts a run."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.approval.construct import Approval
from infra.approval.function import metrics
from infra.approval.function import monitor_metrics as names
from infra.foundation.storage import Storage
from infra.settings.settings import Settings
from infra.triggers.construct import Triggers
from pipeline.contract import names as c

# Longer than the minutes by which a value may be late: alarms see one that comes within its hour.
PERIOD: Final = cdk.Duration.hours(1)
_PAGE: Final = f"{c.MONITOR_CHANNEL}/{c.MONITOR_REPORT_FILE} in the artifact bucket shows the numbers"


class Monitor(Construct):
    """`live_loss`, `forecast_drift` and `feature_drift` start a run; `stale_data` and `monitor_failed` only mail."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        pipeline_name: str,
        storage: Storage,
        alerts: Alerts,
        approval: Approval,
        triggers: Triggers,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alerts, self._pipeline_name = alerts, pipeline_name
        self._publish(storage, approval)
        consequence = (
            "A run that trains anew has been asked for, at most one a day; its candidate meets every limit as usual."
            if settings.drift_trigger
            else "No run is started, because the setting drift_trigger is off."
        )
        self.live_loss = self._alarm(
            "LiveLoss",
            names.LOSS_EVIDENCE,
            f"The champion is surprised by results more often than its own probabilities allow for. {consequence}",
            f"{_PAGE}: is the baseline worse too (then the world has changed, not the model)? Is the data right?",
        )
        self.forecast_drift = self._alarm(
            "ForecastDrift",
            names.DRIFT_EVIDENCE,
            f"The rate of the event, or one group, is not as predicted, or leakage is suspected. {consequence}",
            f"{_PAGE}. First look at the data (columns swapped, one group wrong): training on it is no help.",
        )
        self.feature_drift = self._alarm(
            "FeatureDrift",
            names.DRIFTED_FEATURES,
            f"Features do not look as they did in training. {consequence}",
            f"{_PAGE} and names them. A frozen feature is a fault of the feed or of our code, not of the model.",
        )
        self.stale_data = self._alarm(
            "StaleData",
            names.DATA_FINDINGS,
            "Rows are missing that should be there by now, or the past has been rewritten.",
            f"{_PAGE}. Fix the export, then python -m scripts.start_execution.",
        )
        self.monitor_failed = self._alarm(
            "MonitorFailed",
            names.MONITOR_FAILURES,
            "The nightly monitor could not be computed; predictions were written.",
            "The log of step Predict has the traceback: python -m scripts.show_execution.",
        )
        if settings.drift_trigger:
            triggers.on_drift([self.live_loss, self.forecast_drift, self.feature_drift])

    def _publish(self, storage: Storage, approval: Approval) -> None:
        written = events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={"bucket": {"name": [storage.artifacts.bucket_name]}, "object": {"key": [names.KEY]}},
        )
        events.Rule(
            self,
            "Written",
            description="The monitor has spoken: its numbers become metrics",
            event_pattern=written,
            targets=[targets.LambdaFunction(approval.function, dead_letter_queue=approval.undelivered)],
        )

    def _alarm(self, construct_id: str, metric: str, what: str, todo: str) -> cloudwatch.Alarm:
        """The limit is 1 for all: of evidence, and of things found."""
        return self._alerts.alarm_on(
            construct_id,
            cloudwatch.Metric(
                namespace=metrics.NAMESPACE,
                metric_name=metric,
                dimensions_map={metrics.PIPELINE_NAME: self._pipeline_name},
                period=PERIOD,
                statistic="Maximum",
            ),
            what=what,
            todo=todo,
            threshold=names.LIMIT,
            missing_keeps=True,
        )
