"""Automatic triggers of a run: the schedule, a finished export, a request event, drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.alarms.alerts import FIVE_MINUTES
from infra.foundation.foundation import Foundation
from infra.foundation.kms_keys import ENCRYPT_MESSAGES
from infra.foundation.lambda_function import LambdaFunction
from infra.foundation.permissions import RUN_ID_LATER, acknowledge, allow, service_principal
from infra.foundation.storage import object_created
from infra.lambda_shared import environment
from infra.training.construct import Training
from infra.triggers.single_run_workflow import workflow_definition

REQUEST_EVENT: Final = "retraining.requested"
DELIVERY_ATTEMPTS: Final = 10
DELIVERY_SECONDS: Final = 3600
# EventBridge Scheduler fills it in; the same for each delivery attempt, unlike <aws.scheduler.execution-id>.
# docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
_SCHEDULED_TIME: Final = "<aws.scheduler.scheduled-time>"
_HISTORY: Final = (
    "A Standard workflow keeps input, output and error of each state for 90 days, which is what a log would hold; "
    "a handful of calls a day needs no tracing."
)


class Triggers(Construct):
    """A schedule, and rules for a finished export, a request and drift; all start `workflow`."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, training: Training) -> None:
        super().__init__(scope, construct_id)
        self._settings, self._alerts = foundation.settings, foundation.alerts
        self._manual_start = f"Then start the run manually: {self._alerts.command('start_execution')}."
        settings = foundation.settings
        self._dead_letters = self._alerts.dead_letters(
            self, "DeadLetters", content="a trigger, so a run may be missing"
        )
        self._make_workflow(foundation, training)
        self._alarm_on_schedule(self._make_schedule())
        self._rule(
            "Requested",
            events.EventPattern(
                account=[cdk.Aws.ACCOUNT_ID],
                detail_type=[REQUEST_EVENT],
                # With several pipelines in an account, the event may name one.
                detail={"reason": [{"exists": True}], "pipeline": [settings.pipeline_name, {"exists": False}]},
            ),
            # The whole object: EventBridge does not escape a text that it puts into a template, and with a quote in the
            # reason the workflow's input would be no JSON (UserGuide/eb-transform-target-input.html, common issues).
            events.EventField.from_path("$.detail"),
        )
        if settings.data_arrival:
            # The completion marker of an export, directly below the data prefix or in a folder below it.
            prefix, marker = settings.spec.data_prefix, settings.completion_marker
            below = {"wildcard": f"{prefix}/*/{marker}"}
            arrived = object_created(foundation.storage.data, f"{prefix}/{marker}", below)
            self._rule("DataArrived", arrived, {"reason": "data"})

    def _make_workflow(self, foundation: Foundation, training: Training) -> None:
        role = self._role("WorkflowRole", "states", f"Starts {self._settings.pipeline_name}, one run at a time")
        allow(role, ["sagemaker:ListPipelineExecutions", "sagemaker:StartPipelineExecution"], [training.pipeline_arn])
        asked = _cost_function(self, foundation, training) if self._settings.max_run_usd else None
        if asked:
            allow(role, ["lambda:InvokeFunction"], [asked])
        definition = json.dumps(workflow_definition(pipeline=training.pipeline.ref, cost_function=asked))
        self.workflow = stepfunctions.StateMachine(
            self, "Workflow", definition_body=stepfunctions.DefinitionBody.from_string(definition), role=role
        )
        for rule in ("AwsSolutions-SF1", "AwsSolutions-SF2"):
            acknowledge(self.workflow, rule, _HISTORY)
        events_role = self._role("EventsRole", "events", "Lets rules of EventBridge start the workflow")
        allow(events_role, ["states:StartExecution"], [self.workflow.state_machine_arn])
        self._events_role = events_role.without_policy_updates()  # CDK adds no statement to it
        failed, late = (
            metric(period=FIVE_MINUTES, statistic="Sum")
            for metric in (self.workflow.metric_failed, self.workflow.metric_timed_out)
        )
        self._alerts.alarm_on(
            "FailedStart",
            cloudwatch.MathExpression(
                expression="SUM([failed, late])", using_metrics={"failed": failed, "late": late}, period=FIVE_MINUTES
            ),
            summary="A trigger could not start a run, or waited six hours for another run to end"
            f"{', or the run would cost more than max_run_usd' if asked else ''}.",
            action=f"The last failed execution of {self.workflow.state_machine_arn} has the reason. "
            f"{self._manual_start}",
        )

    def _role(self, construct_id: str, service: str, description: str) -> iam.Role:
        return iam.Role(self, construct_id, assumed_by=service_principal(service), description=description)

    def _make_schedule(self) -> scheduler.CfnScheduleGroup:
        settings = self._settings
        group = scheduler.CfnScheduleGroup(self, "Group", name=settings.pipeline_name)
        role = self._role(
            "SchedulerRole", "scheduler", f"Lets the schedule of {settings.pipeline_name} start the workflow"
        )
        allow(role, ["states:StartExecution"], [self.workflow.state_machine_arn])
        allow(role, ["sqs:SendMessage"], [self._dead_letters.queue_arn])
        allow(role, ENCRYPT_MESSAGES, [self._alerts.key.key_arn])
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
                        "Input": json.dumps({"id": _SCHEDULED_TIME, "detail": {"reason": "schedule"}}),
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
        return group

    def _alarm_on_schedule(self, group: scheduler.CfnScheduleGroup) -> None:
        queue = self._dead_letters.queue_name
        message = f"When the last call has failed, a message in {queue} has the reason (permissions, throttling)."
        lost = "InvocationsFailedToBeSentToDeadLetterCount"
        reason = f"The end of the metric's name {lost}_... (AWS/Scheduler) is the reason."
        for name, metric, what, why in (
            (
                "ScheduleFailed",
                "TargetErrorCount",
                "A call of the schedule failed to start a run; it repeats it.",
                message,
            ),
            ("ScheduleDropped", "InvocationDroppedCount", "The schedule dropped a start after its retries.", message),
            ("ScheduleDlqFailed", lost, "A failed start could not be sent to the dead-letter queue.", reason),
        ):
            self._alerts.alarm_on(
                name,
                cloudwatch.Metric(
                    namespace="AWS/Scheduler",
                    metric_name=metric,
                    dimensions_map={"ScheduleGroup": group.ref},
                    period=FIVE_MINUTES,
                    statistic="Sum",
                ),
                summary=what,
                action=f"{why} {self._manual_start}",
            )

    def on_drift(self, alarms: Sequence[cloudwatch.IAlarm]) -> None:
        """A run that trains even if nothing is new, at most one a day, when one of the alarms goes off."""
        pattern = events.EventPattern(
            source=["aws.cloudwatch"],
            detail_type=["CloudWatch Alarm State Change"],
            resources=[alarm.alarm_arn for alarm in alarms],
            detail={"state": {"value": ["ALARM"]}},
        )
        self._rule("Drifted", pattern, {"reason": "drift"}, forced_on=events.EventField.time)

    def _rule(self, name: str, pattern: events.EventPattern, detail: object, **forced: str) -> None:
        request = events.RuleTargetInput.from_object({"id": events.EventField.event_id, "detail": detail, **forced})
        target = targets.SfnStateMachine(
            self.workflow,
            input=request,
            role=self._events_role,
            dead_letter_queue=self._dead_letters,
            retry_attempts=DELIVERY_ATTEMPTS,
            max_event_age=cdk.Duration.seconds(DELIVERY_SECONDS),
        )
        events.Rule(self, name, event_pattern=pattern, targets=[target])


def _cost_function(scope: Construct, foundation: Foundation, training: Training) -> str:
    """The ARN of the function that compares the estimate of a run with `max_run_usd`."""
    settings = foundation.settings
    made = LambdaFunction(
        Construct(scope, "RunCost"),
        foundation,
        folder="triggers",
        purpose="compares a run's estimated cost with max_run_usd",
        role_purpose="reads the definition, and how long jobs took",
        environment={
            environment.PIPELINE_VARIABLE: settings.pipeline_name,
            environment.LIMIT_VARIABLE: f"{settings.max_run_usd:.12g}",
        },
    )
    allow(made.role, ["sagemaker:DescribePipeline", "sagemaker:ListPipelineExecutions"], [training.pipeline_arn])
    allow(made.role, ["sagemaker:ListPipelineExecutionSteps"], [training.runs_arn], why=RUN_ID_LATER)
    return made.function.function_arn
