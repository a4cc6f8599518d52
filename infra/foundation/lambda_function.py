"""A Lambda function with its own role and log group, and one that follows events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.alarms.alerts import FIVE_MINUTES
from infra.foundation.foundation import Foundation
from infra.foundation.kms_keys import removal
from infra.foundation.permissions import acknowledge, allow, service_principal

ROOT: Final = Path(__file__).resolve().parents[2]
SHARED_FOLDERS: Final = ("infra/lambda_shared", "pipeline/contract", "pipeline/cost")  # what every function may import


class LambdaFunction:
    """`function`, `role`, which may only write the function's log (grant it the rest), and `log`, its group's name."""

    def __init__(
        self,
        scope: Construct,
        foundation: Foundation,
        *,
        folder: str,
        purpose: str,
        role_purpose: str,
        minutes: int = 2,
        environment: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - what lambda_.Function takes
    ) -> None:
        """`folder` is that of infra which has the code; it may run for so many minutes."""
        settings = foundation.settings
        log_group = logs.LogGroup(scope, "Log", encryption_key=foundation.key, removal_policy=removal(settings))
        cfn: logs.CfnLogGroup = log_group.node.default_child  # type: ignore[assignment]
        cfn.retention_in_days = settings.log_retention_days  # CDK's enumeration cannot be made from a number
        self.log = log_group.log_group_name
        self.role = iam.Role(
            scope,
            "Role",
            assumed_by=service_principal("lambda"),
            description=f"{settings.pipeline_name}: {role_purpose}",
        )
        allow(
            self.role,
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [log_group.log_group_arn],  # it ends in :*, its streams
            why="Lambda generates the names of log streams.",
        )
        self.function = lambda_.Function(
            scope,
            "Function",
            description=f"{settings.pipeline_name}: {purpose}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"infra.{folder}.function.handler.handler",
            # The handlers with the shared rules that they use, and nothing else; boto3 comes with the runtime.
            code=lambda_.Code.from_asset(str(ROOT), exclude=asset_patterns(), ignore_mode=cdk.IgnoreMode.DOCKER),
            environment=dict(environment or {}),
            role=self.role.without_policy_updates(),  # CDK adds no statement to it
            timeout=cdk.Duration.minutes(minutes),
            memory_size=256,
            log_group=log_group,
            **options,
        )
        acknowledge(self.function, "AwsSolutions-L1", "Python 3.13 is the newest version that the project supports.")


class EventFunction(LambdaFunction):
    """A function that events call, and that publishes to the alert topic.

    An event that does not reach it, or that it fails at three times, goes to a dead-letter queue, which has an alarm.
    """

    def __init__(
        self,
        scope: Construct,
        foundation: Foundation,
        *,
        queue_id: str,
        undelivered: str,
        **function: Any,  # noqa: ANN401 - what LambdaFunction takes
    ) -> None:
        """`undelivered` describes the messages of the queue."""
        self._scope, self._alerts = scope, foundation.alerts
        queue = foundation.alerts.dead_letters(scope, queue_id, content=undelivered)
        on_failure = destinations.SqsDestination(queue)
        super().__init__(scope, foundation, retry_attempts=2, on_failure=on_failure, **function)
        self._target = targets.LambdaFunction(self.function, dead_letter_queue=queue)
        foundation.alerts.allow_publish(self.role)
        allow(self.role, ["sqs:SendMessage"], [queue.queue_arn])

    def on(
        self,
        rule_id: str,
        pattern: events.EventPattern,
        description: str | None = None,
        *,
        scope: Construct | None = None,
    ) -> events.Rule:
        """A rule that calls the function for each event of a pattern."""
        return events.Rule(
            scope or self._scope, rule_id, description=description, event_pattern=pattern, targets=[self._target]
        )

    def every_hour(self, description: str) -> events.Rule:
        """A rule that calls the function each hour, in case an event is lost."""
        hourly = events.Schedule.rate(cdk.Duration.hours(1))
        return events.Rule(self._scope, "EveryHour", description=description, schedule=hourly, targets=[self._target])

    def alarm_on_errors(self, name: str, summary: str, action: str) -> None:
        errors = self.function.metric_errors(period=FIVE_MINUTES, statistic="Sum")
        self._alerts.alarm_on(name, errors, summary=summary, action=action)


def asset_patterns() -> list[str]:
    """Exclusions in the syntax of .dockerignore: everything but the folders `function` and the shared ones."""
    functions = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("infra/*/function"))
    patterns = ["*"]
    for package in ("infra", "pipeline", *(str(Path(folder).parent) for folder in functions)):
        patterns += [f"!{package}", f"{package}/*", f"!{package}/__init__.py"]
    return [*patterns, *(f"!{folder}" for folder in (*SHARED_FOLDERS, *functions)), "**/__pycache__", "**/*.pyc"]
