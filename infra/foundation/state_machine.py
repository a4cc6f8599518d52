"""A Step Functions state machine from its definition, with its own role and an alarm on failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.alarms.alerts import FIVE_MINUTES, Alerts
from infra.foundation.permissions import acknowledge, allow, service_principal

States = Mapping[str, Any]
_HISTORY = (
    "A Standard workflow keeps input, output and error of each state for 90 days, which is what a log would hold; "
    "a handful of calls a day needs no tracing."
)


def state_machine(
    scope: Construct, construct_id: str, *, definition: States, role: iam.IRole
) -> stepfunctions.StateMachine:
    """A Standard workflow."""
    machine = stepfunctions.StateMachine(
        scope,
        construct_id,
        definition_body=stepfunctions.DefinitionBody.from_string(json.dumps(definition)),
        role=role,
    )
    for rule in ("AwsSolutions-SF1", "AwsSolutions-SF2"):
        acknowledge(machine, rule, _HISTORY)
    return machine


def service_call(api: str) -> str:
    """The resource of a task that calls a service (`sns:publish`, `aws-sdk:sagemaker:...`), in any partition."""
    return f"arn:{cdk.Aws.PARTITION}:states:::{api}"


def starting_role(scope: Construct, machine: stepfunctions.StateMachine) -> iam.IRole:
    """The role with which EventBridge rules start the workflow; CDK adds no statement to it."""
    role = iam.Role(
        scope,
        "EventsRole",
        assumed_by=service_principal("events"),
        description="Lets rules of EventBridge start the workflow",
    )
    allow(role, ["states:StartExecution"], [machine.state_machine_arn])
    return role.without_policy_updates()


def alarm_on_failure(
    alerts: Alerts, construct_id: str, machine: stepfunctions.StateMachine, *, summary: str, action: str
) -> cloudwatch.Alarm:
    """Email when the workflow fails or times out."""
    both = cloudwatch.MathExpression(
        expression="SUM([failed, late])",
        using_metrics={
            "failed": machine.metric_failed(period=FIVE_MINUTES, statistic="Sum"),
            "late": machine.metric_timed_out(period=FIVE_MINUTES, statistic="Sum"),
        },
        period=FIVE_MINUTES,
    )
    return alerts.alarm_on(construct_id, both, summary=summary, action=action)
