"""Emails about failed steps and runs: the events, and the function that writes them.

An event has neither the reason of a processing step nor the trigger of the run, arrives late, twice or not at all, and
an input transformer can neither look anything up nor set a subject. So a function reads the run that an event names,
and each hour the runs of the last two days. It also keeps an entry of each run that has ended, for `scripts.runs`.
"""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.alarms.alerts import FIVE_MINUTES, Alerts
from infra.foundation.lambda_function import lambda_function
from infra.foundation.permissions import allow, allow_outbox, sagemaker_arn
from infra.lambda_shared import environment
from infra.settings.settings import Settings
from infra.training.construct import Training
from pipeline.contract.history.runs import EVALUATION_KEY, HISTORY_KEY, MONITOR_KEY, PREPARED_KEY

STEP_EVENT: Final = "SageMaker Model Building Pipeline Execution Step Status Change"
RUN_EVENT: Final = "SageMaker Model Building Pipeline Execution Status Change"
HANDLER: Final = "infra.failure_notifications.function.handler.handler"
TIMEOUT: Final = cdk.Duration.minutes(2)


class FailureNotifications(Construct):
    """`function` writes the emails; `step_failed`, `run_ended` and `every_hour` are the rules that call it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        training: Training,
        artifact_bucket: s3.IBucket,
        key: kms.IKey,
        alerts: Alerts,
    ) -> None:
        super().__init__(scope, construct_id)
        undelivered = alerts.dead_letters(self, "DeadLetters", content="an event about a failed run")
        made = lambda_function(
            self,
            settings=settings,
            key=key,
            handler=HANDLER,
            description=f"{settings.pipeline_name}: emails about failed steps and runs",
            role_description=f"{settings.pipeline_name}: reads runs, sends emails about failures, keeps the history",
            timeout=TIMEOUT,
            environment={
                environment.BUCKET_VARIABLE: artifact_bucket.bucket_name,
                environment.PIPELINE_VARIABLE: settings.pipeline_name,
                environment.ENVIRONMENT_VARIABLE: settings.environment,
                environment.ALERTS_VARIABLE: alerts.topic.topic_arn,
            },
            retry_attempts=2,
            on_failure=destinations.SqsDestination(undelivered),
        )
        self.function, self.role, log = made.function, made.role, made.log_group.log_group_name
        allow_reading_runs(self.role, training)
        allow_outbox(self.role, artifact_bucket, key, environment.RUNS_OUTBOX_PREFIX)
        allow_history(self.role, artifact_bucket)
        alerts.allow_publish(self.role)
        allow(self.role, ["sqs:SendMessage"], [undelivered.queue_arn])
        alerts.alarm_on(
            "NotificationFailed",
            self.function.metric_errors(period=FIVE_MINUTES, statistic="Sum"),
            summary="An email about a failed or stopped run could not be sent yet, or the history not be written.",
            action=f"Run `python -m scripts.show_execution` for the run's reason. The function's log, {log}, has the "
            "error; it retries each hour.",
        )
        target = targets.LambdaFunction(self.function, dead_letter_queue=undelivered)
        arn = [training.pipeline_arn]
        self.step_failed = self._rule("StepFailed", STEP_EVENT, {"currentStepStatus": ["Failed"], "pipelineArn": arn})
        self.run_ended = self._rule(
            "RunEnded",
            RUN_EVENT,
            {"currentPipelineExecutionStatus": ["Failed", "Stopped", "Succeeded"], "pipelineArn": arn},
        )
        self.every_hour = events.Rule(
            self,
            "EveryHour",
            description="Checks the runs of the last two days, in case an event was lost",
            schedule=events.Schedule.rate(cdk.Duration.hours(1)),
        )
        for rule in (self.step_failed, self.run_ended, self.every_hour):
            rule.add_target(target)

    def _rule(self, name: str, detail_type: str, detail: dict[str, Any]) -> events.Rule:
        pattern = events.EventPattern(source=["aws.sagemaker"], detail_type=[detail_type], detail=detail)
        return events.Rule(self, name, event_pattern=pattern)


def allow_reading_runs(role: iam.Role, training: Training) -> None:
    """Runs of this pipeline, their steps and parameters, and the processing jobs of pipelines."""
    allow(role, ["sagemaker:ListPipelineExecutions"], [training.pipeline_arn])
    allow(
        role,
        [
            "sagemaker:DescribePipelineExecution",
            "sagemaker:ListPipelineExecutionSteps",
            "sagemaker:ListPipelineParametersForExecution",
        ],
        [f"{training.pipeline_arn}/execution/*"],
        why="SageMaker generates the id of an execution when it starts.",
    )
    allow(
        role,
        ["sagemaker:DescribeProcessingJob"],
        [sagemaker_arn(role, "processing-job", "pipelines-*")],
        why="SageMaker generates the names of a run's jobs, with the prefix pipelines-.",
    )


def allow_history(role: iam.Role, bucket: s3.IBucket) -> None:
    """Read what a run has written about itself, and write the history of runs."""
    keys = [bucket.arn_for_objects(key.format(run_id="*")) for key in (PREPARED_KEY, EVALUATION_KEY)]
    allow(role, ["s3:GetObject"], keys, why="Keys contain the id of a run, which is generated when it starts.")
    allow(role, ["s3:GetObject"], [bucket.arn_for_objects(MONITOR_KEY)])
    allow(role, ["s3:GetObject", "s3:PutObject"], [bucket.arn_for_objects(HISTORY_KEY)])
