"""The alarm on missing runs: none succeeded for too long."""

from __future__ import annotations

import math

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.approval.construct import ModelApproval
from infra.foundation.foundation import Foundation
from infra.lambda_shared.environment import CLOCK, NOW
from infra.settings.schedule_expression import longest_gap_hours
from infra.settings.settings_validation import RUN_HOURS
from infra.training.construct import Training

NAMESPACE = "AWS/Sagemaker/ModelBuildingPipeline"
HOUR = cdk.Duration.hours(1)


class RunAlarms(Construct):
    """The alarm run-overdue, if the schedule is enabled.

    No successful run for the longest time between two, and six hours for the run itself.

    CloudWatch evaluates an alarm as soon as it is created, when no run can have succeeded yet. So hours before the
    schedule was created, changed or enabled count as good: CloudFormation asks a function for that time, and the alarm
    compares it with the time of each hour. Every hour has a value, as TIME_SERIES of a number, EPOCH of a time series
    and FILL are documented: where values are missing, CloudWatch looks back further than the alarm's periods, and a
    success of before them would keep it quiet for hours.
    docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html, alarms-and-missing-data.html
    """

    def __init__(
        self, scope: Construct, construct_id: str, foundation: Foundation, training: Training, approval: ModelApproval
    ) -> None:
        super().__init__(scope, construct_id)
        settings = foundation.settings
        if not settings.enabled:
            return
        hours = math.ceil(longest_gap_hours(settings.schedule)) + RUN_HOURS
        began = cdk.CustomResource(
            self,
            "WatchBegan",
            resource_type=CLOCK,
            service_token=approval.function.function.function_arn,
            service_timeout=cdk.Duration.minutes(5),
            # Where one of these changes, CloudFormation asks again.
            properties={"Schedule": settings.schedule, "TimeZone": settings.time_zone},
        )
        succeeded = cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name="ExecutionSucceeded",
            dimensions_map={"PipelineName": training.pipeline.ref},
            period=HOUR,
            statistic="Sum",
        )
        show, start = (foundation.alerts.command(name) for name in ("show_execution", "start_execution"))
        foundation.alerts.alarm_on(
            "RunOverdue",
            cloudwatch.MathExpression(
                expression=f"IF(EPOCH(TIME_SERIES(1)) < {began.get_att_string(NOW)}, 1, FILL(succeeded, 0))",
                using_metrics={"succeeded": succeeded},
                period=HOUR,
            ),
            summary=f"No run has succeeded for {hours} hours.",
            action="Is the schedule enabled, and did it fire (EventBridge Scheduler console)? Was one stopped, or did "
            f"it fail (its email has the reason)? {show} shows the last run. Start one: {start}.",
            below=True,
            periods=hours,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )
