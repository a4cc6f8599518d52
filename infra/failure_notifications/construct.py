"""Emails about failed steps and runs: the events, and the function that writes them.

An event has neither the reason of a processing step nor the trigger of the run, arrives late, twice or not at all, and
an input transformer can neither look anything up nor set a subject. So a function reads the run that an event names,
and each hour the runs of the last two days. It also keeps an entry of each run that has ended, for `scripts.runs`.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.foundation.foundation import Foundation
from infra.foundation.lambda_function import EventFunction
from infra.foundation.permissions import KEYS_HAVE_RUN_ID, allow, allow_outbox
from infra.lambda_shared import environment
from infra.training.construct import Training
from pipeline.contract.history.runs import EVALUATION_KEY, HISTORY_KEY, MONITOR_KEY, PREPARED_KEY

STEP_EVENT: Final = "SageMaker Model Building Pipeline Execution Step Status Change"
RUN_EVENT: Final = "SageMaker Model Building Pipeline Execution Status Change"


class FailureNotifications(Construct):
    """The function that writes the emails, and the rules that call it."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, training: Training) -> None:
        super().__init__(scope, construct_id)
        settings, bucket = foundation.settings, foundation.storage.artifacts
        function = EventFunction(
            self,
            foundation,
            queue_id="DeadLetters",
            undelivered="an event about a failed run",
            folder="failure_notifications",
            purpose="emails about failed steps and runs",
            role_purpose="reads runs, sends emails about failures, keeps the history",
            environment={
                environment.BUCKET_VARIABLE: bucket.bucket_name,
                environment.PIPELINE_VARIABLE: settings.pipeline_name,
                environment.ENVIRONMENT_VARIABLE: settings.environment,
                environment.ALERTS_VARIABLE: foundation.alerts.topic.topic_arn,
            },
        )
        training.allow_reading_runs(function.role)
        allow_outbox(function.role, bucket, foundation.key, environment.RUNS_OUTBOX_PREFIX)
        _allow_history(function.role, bucket)
        function.alarm_on_errors(
            "NotificationFailed",
            summary="An email about a failed or stopped run could not be sent yet, or the history not be written.",
            action=f"{foundation.alerts.command('show_execution')} shows the run's reason. The function's log, "
            f"{function.log}, has the error; it retries each hour.",
        )
        ended = ["Failed", "Stopped", "Succeeded"]
        function.on("StepFailed", _pattern(training, STEP_EVENT, currentStepStatus=["Failed"]))
        function.on("RunEnded", _pattern(training, RUN_EVENT, currentPipelineExecutionStatus=ended))
        function.every_hour("Checks the runs of the last two days, in case an event was lost")


def _pattern(training: Training, detail_type: str, **detail: list[str]) -> events.EventPattern:
    return events.EventPattern(
        source=["aws.sagemaker"],
        detail_type=[detail_type],
        detail={**detail, "pipelineArn": [training.pipeline_arn]},
    )


def _allow_history(role: iam.Role, bucket: s3.IBucket) -> None:
    """Read what a run has written about itself, and write the history of runs."""
    keys = [bucket.arn_for_objects(key.format(run_id="*")) for key in (PREPARED_KEY, EVALUATION_KEY)]
    allow(role, ["s3:GetObject"], keys, why=KEYS_HAVE_RUN_ID)
    allow(role, ["s3:GetObject"], [bucket.arn_for_objects(MONITOR_KEY)])
    allow(role, ["s3:GetObject", "s3:PutObject"], [bucket.arn_for_objects(HISTORY_KEY)])
