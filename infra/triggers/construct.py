"""Automatic triggers of a run: the schedule, a finished export, a request event, drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from infra.alarms.alerts import FIVE_MINUTES, Alerts
from infra.foundation.kms_keys import ENCRYPT_MESSAGES
from infra.foundation.lambda_function import lambda_function
from infra.foundation.permissions import allow, service_principal
from infra.foundation.state_machine import alarm_on_failure, starting_role, state_machine
from infra.foundation.storage import Storage
from infra.lambda_shared import environment
from infra.settings.settings import Settings
from infra.training.construct import Training
from infra.triggers.single_run_workflow import workflow_definition

REQUEST_EVENT: Final = "retraining.requested"
DELIVERY_ATTEMPTS: Final = 10
DELIVERY_SECONDS: Final = 3600
HANDLER: Final = "infra.triggers.function.handler.handler"
# EventBridge Scheduler fills it in; the same for each delivery attempt, unlike <aws.scheduler.execution-id>.
# docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
_SCHEDULED_TIME: Final = "<aws.scheduler.scheduled-time>"
_MANUAL_START: Final = "Then start the run manually: python -m scripts.start_execution."


class Triggers(Construct):
    """`schedule`, the rules `data_arrived`, `requested` and `drifted`; all start `workflow`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        training: Training,
        storage: Storage,
        key: kms.IKey,
        alerts: Alerts,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings, self._alerts = settings, alerts
        self._dead_letters = alerts.dead_letters(self, "DeadLetters", content="a trigger of a run")
        self._make_workflow(training, key)
        self.group, self.schedule = self._make_schedule()
        self._alarm_on_schedule()
        self.requested = self._rule(
            "Requested",
            events.EventPattern(
                account=[cdk.Aws.ACCOUNT_ID],
                detail_type=[REQUEST_EVENT],
                # With several pipelines in an account, the event may name one.
                detail={"reason": [{"exists": True}], "pipeline": [settings.pipeline_name, {"exists": False}]},
            ),
            events.EventField.from_path("$.detail.reason"),
        )
        if settings.data_arrival:
            self.data_arrived = self._rule("DataArrived", _marker_pattern(settings, storage), "data")

    def _make_workflow(self, training: Training, key: kms.IKey) -> None:
        role = iam.Role(
            self,
            "WorkflowRole",
            assumed_by=service_principal("states"),
            description=f"Starts {self._settings.pipeline_name}, one run at a time",
        )
        allow(role, ["sagemaker:ListPipelineExecutions", "sagemaker:StartPipelineExecution"], [training.pipeline_arn])
        asked = _cost_function(self, self._settings, training, key).function_arn if self._settings.max_run_usd else None
        if asked:
            allow(role, ["lambda:InvokeFunction"], [asked])
        definition = workflow_definition(pipeline=training.pipeline.ref, cost_function=asked)
        self.workflow = state_machine(self, "Workflow", definition=definition, role=role)
        self._events_role = starting_role(self, self.workflow)
        alarm_on_failure(
            self._alerts,
            "FailedStart",
            self.workflow,
            summary="A trigger could not start a run, or waited six hours for another run to end"
            f"{', or the run would cost more than max_run_usd' if asked else ''}.",
            action=f"The last execution of {self.workflow.state_machine_arn} has the reason. {_MANUAL_START}",
        )

    def _make_schedule(self) -> tuple[scheduler.CfnScheduleGroup, scheduler.CfnSchedule]:
        settings = self._settings
        group = scheduler.CfnScheduleGroup(self, "Group", name=settings.pipeline_name)
        role = iam.Role(
            self,
            "SchedulerRole",
            assumed_by=service_principal("scheduler"),
            description=f"Lets the schedule of {settings.pipeline_name} start the workflow",
        )
        allow(role, ["states:StartExecution"], [self.workflow.state_machine_arn])
        allow(role, ["sqs:SendMessage"], [self._dead_letters.queue_arn])
        allow(role, list(ENCRYPT_MESSAGES), [self._alerts.key.key_arn])
        schedule = scheduler.CfnSchedule(
            self,
            "Schedule",
            name=settings.pipeline_name,
            group_name=group.ref,
            description=f"Starts {settings.pipeline_name}",
            schedule_expression=settings.schedule,
            schedule_expression_timezone=settings.time_zone,
            state="ENABLED" if settings.enabled else "DISABLED",
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": f"arn:{cdk.Aws.PARTITION}:scheduler:::aws-sdk:sfn:startExecution",
                "roleArn": role.role_arn,
                # No name for the execution: a repeated delivery must start the workflow, which recognises it.
                "input": json.dumps(
                    {
                        "StateMachineArn": self.workflow.state_machine_arn,
                        "Input": json.dumps({"id": _SCHEDULED_TIME, "reason": "schedule"}),
                    }
                ),
                "retryPolicy": {
                    "maximumRetryAttempts": DELIVERY_ATTEMPTS,
                    "maximumEventAgeInSeconds": DELIVERY_SECONDS,
                },
                "deadLetterConfig": {"arn": self._dead_letters.queue_arn},
            },
        )
        schedule.node.add_dependency(role)
        return group, schedule

    def _alarm_on_schedule(self) -> None:
        for name, metric, what in (
            ("ScheduleFailed", "TargetErrorCount", "The schedule could not start a run."),
            ("ScheduleDropped", "InvocationDroppedCount", "The schedule dropped a start after its retries."),
            (
                "ScheduleDlqFailed",
                "InvocationsFailedToBeSentToDeadLetterCount",
                "A failed start could not be sent to the dead-letter queue.",
            ),
        ):
            self._alerts.alarm_on(
                name,
                cdk.aws_cloudwatch.Metric(
                    namespace="AWS/Scheduler",
                    metric_name=metric,
                    dimensions_map={"ScheduleGroup": self.group.ref},
                    period=FIVE_MINUTES,
                    statistic="Sum",
                ),
                summary=what,
                action=f"A message in {self._dead_letters.queue_name} has the reason (permissions, throttling). "
                f"{_MANUAL_START}",
            )

    def on_drift(self, alarms: Sequence[cloudwatch.IAlarm]) -> None:
        """A run that trains even if nothing is new, at most one a day, when one of the alarms goes off."""
        pattern = events.EventPattern(
            source=["aws.cloudwatch"],
            detail_type=["CloudWatch Alarm State Change"],
            resources=[alarm.alarm_arn for alarm in alarms],
            detail={"state": {"value": ["ALARM"]}},
        )
        self.drifted = self._rule("Drifted", pattern, "drift", forced_on=events.EventField.time)

    def _rule(self, name: str, pattern: events.EventPattern, reason: str, forced_on: str | None = None) -> events.Rule:
        forced = {"forced_on": forced_on} if forced_on else {}
        request = events.RuleTargetInput.from_object({"id": events.EventField.event_id, "reason": reason, **forced})
        target = targets.SfnStateMachine(
            self.workflow,
            input=request,
            role=self._events_role,
            dead_letter_queue=self._dead_letters,
            retry_attempts=DELIVERY_ATTEMPTS,
            max_event_age=cdk.Duration.seconds(DELIVERY_SECONDS),
        )
        return events.Rule(self, name, event_pattern=pattern, targets=[target])


def _cost_function(scope: Construct, settings: Settings, training: Training, key: kms.IKey) -> lambda_.Function:
    """The function that compares the estimate of a run with `max_run_usd`."""
    made = lambda_function(
        Construct(scope, "RunCost"),
        settings=settings,
        key=key,
        handler=HANDLER,
        description=f"{settings.pipeline_name}: compares a run's estimated cost with max_run_usd",
        role_description=f"{settings.pipeline_name}: reads the definition, and how long jobs took",
        timeout=cdk.Duration.minutes(2),
        environment={
            environment.PIPELINE_VARIABLE: settings.pipeline_name,
            environment.LIMIT_VARIABLE: f"{settings.max_run_usd:.12g}",
        },
    )
    allow(made.role, ["sagemaker:DescribePipeline", "sagemaker:ListPipelineExecutions"], [training.pipeline_arn])
    allow(
        made.role,
        ["sagemaker:ListPipelineExecutionSteps"],
        [f"{training.pipeline_arn}/execution/*"],
        why="SageMaker generates the id of an execution when it starts.",
    )
    return made.function


def _marker_pattern(settings: Settings, storage: Storage) -> events.EventPattern:
    """The completion marker of an export, directly below the data prefix or in a folder below it."""
    prefix = settings.spec.data_prefix
    keys: list[Any] = [
        f"{prefix}/{settings.completion_marker}",
        {"wildcard": f"{prefix}/*/{settings.completion_marker}"},
    ]
    return events.EventPattern(
        source=["aws.s3"],
        detail_type=["Object Created"],
        detail={"bucket": {"name": [storage.data.bucket_name]}, "object": {"key": keys}},
    )
