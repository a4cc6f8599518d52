"""The alarm on missing runs: none succeeded for too long."""

from __future__ import annotations

import math

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.approval.construct import ModelApproval
from infra.lambda_shared.clock import CLOCK, NOW
from infra.settings.schedule_expression import longest_gap_hours
from infra.settings.settings import Settings
from infra.settings.settings_validation import RUN_HOURS

NAMESPACE = "AWS/Sagemaker/ModelBuildingPipeline"
HOUR = cdk.Duration.hours(1)


class RunAlarms(Construct):
    """`overdue`, if the schedule is enabled."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        pipeline_name: str,
        alerts: Alerts,
        approval: ModelApproval,
    ) -> None:
        super().__init__(scope, construct_id)
        if settings.enabled:
            self.overdue = self._alarm_on_overdue(settings, pipeline_name, alerts, approval.function)

    def _alarm_on_overdue(
        self, settings: Settings, pipeline_name: str, alerts: Alerts, function: lambda_.IFunction
    ) -> cloudwatch.Alarm:
        """No successful run for the longest time between two, and six hours for the run itself; missing data breaches.

        CloudWatch evaluates an alarm as soon as it is created, when no run can have succeeded yet. So hours before the
        schedule was created, changed or enabled count as good: CloudFormation asks a function for that time,
        and the alarm compares it with the time of each hour. As documented, TIME_SERIES of a number and EPOCH of a time
        series have a value for every hour, and IF has none where the metric that it chooses has none (it breaches):
        docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
        """
        hours = math.ceil(longest_gap_hours(settings.schedule)) + RUN_HOURS
        began = cdk.CustomResource(
            self,
            "WatchBegan",
            resource_type=CLOCK,
            service_token=function.function_arn,
            service_timeout=cdk.Duration.minutes(5),
            # Where one of these changes, CloudFormation asks again.
            properties={"Schedule": settings.schedule, "TimeZone": settings.time_zone},
        )
        since = began.get_att_string(NOW)
        succeeded = cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name="ExecutionSucceeded",
            dimensions_map={"PipelineName": pipeline_name},
            period=HOUR,
            statistic="Sum",
        )
        watched = cloudwatch.MathExpression(
            expression=f"IF(EPOCH(TIME_SERIES(1)) < {since}, 1, succeeded)",
            using_metrics={"succeeded": succeeded},
            period=HOUR,
        )
        return alerts.alarm_on(
            "RunOverdue",
            watched,
            summary=f"No run has succeeded for {hours} hours.",
            action="Is the schedule enabled, and did it fire (EventBridge Scheduler console)? Was one stopped, or did "
            "it fail (its email has the reason)? `python -m scripts.show_execution` shows the last run. "
            "Start one: python -m scripts.start_execution.",
            below=True,
            periods=hours,
            missing_breaches=True,
        )
