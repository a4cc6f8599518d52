"""An endpoint that serves the champion: off by default, serverless or on instances.

The endpoint, its model and its configuration are not resources of the stack, because a promotion changes them and not a
deployment: a function creates them, follows champion/, and deletes them when the setting is off.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.endpoint.function.desired_endpoint import SETTINGS_VARIABLE, VARIANT, EndpointSettings, endpoint_log
from infra.endpoint.roles import allow_endpoint_changes, endpoint_role
from infra.foundation.foundation import Foundation
from infra.foundation.lambda_function import EventFunction
from infra.foundation.storage import object_created
from infra.lambda_shared.environment import CHAMPION_PREFIX
from infra.training.image import Image
from pipeline.contract import names as c
from pipeline.definition.service_rules.instances import has_local_storage

# The alarms that roll an update back. A request takes milliseconds: a second means an overloaded instance.
MAX_LATENCY_MICROSECONDS: Final = 1_000_000
MAX_ERRORS: Final = 5


class Endpoint(Construct):
    """`endpoint_name`, which a function makes follow champion/."""

    def __init__(
        self, scope: Construct, construct_id: str, foundation: Foundation, *, image: Image, after: Construct
    ) -> None:
        """`after` must exist first: it writes champion.json."""
        super().__init__(scope, construct_id)
        settings, bucket = foundation.settings, foundation.storage.artifacts
        self.endpoint_name = settings.pipeline_name
        alarms = self._alarms(foundation.alerts)
        role = endpoint_role(self, foundation, image=image, alarms=alarms)
        plan = EndpointSettings(
            name=self.endpoint_name,
            bucket=bucket.bucket_name,
            alerts_topic=foundation.alerts.topic.topic_arn,
            role=role.role_arn,
            kind=settings.serving,
            memory_mb=settings.serving_memory_mb,
            max_concurrency=settings.serving_max_concurrency,
            instance_type=settings.serving_instance_type,
            instance_count=settings.serving_instance_count,
            stale_after_days=settings.serving_stale_after_days,
            # Hardware encrypts local storage, and SageMaker refuses a key for it: API_CreateEndpointConfig, KmsKeyId.
            kms_key="" if has_local_storage(settings.serving_instance_type) else foundation.key.key_arn,
            rollback_alarms=tuple(alarm.alarm_name for alarm in alarms),
            subnets=settings.subnet_ids,
            security_groups=settings.security_group_ids,
            tags=settings.all_tags,
        )
        function = EventFunction(
            self,
            foundation,
            queue_id="Undelivered",
            undelivered="an event that champion or endpoint changed, so the endpoint may be out of date",
            folder="endpoint",
            purpose="the endpoint follows champion/",
            role_purpose="creates, updates and deletes the endpoint",
            minutes=14,  # a call takes seconds, but a deletion waits until the endpoint is gone
            environment={SETTINGS_VARIABLE: plan.as_text()},
        )
        allow_endpoint_changes(function.role, plan, foundation, endpoint=role, alarms=alarms)
        function.alarm_on_errors(
            "ServingFailed",
            summary="The endpoint may not serve the champion: the function that updates it failed.",
            action=f"Read its log, {function.log}: the error says what to fix; it retries each hour.",
        )
        promoted = object_created(bucket, CHAMPION_PREFIX + c.CHAMPION_FILE)
        changed = events.EventPattern(
            source=["aws.sagemaker"],
            detail_type=["SageMaker Endpoint State Change"],
            detail={"EndpointName": [self.endpoint_name]},
        )
        rules = (
            function.on("Promoted", promoted, "champion.json was written: the endpoint follows"),
            function.on("EndpointChanged", changed, "It was created, updated, rolled back, deleted, or failed"),
            function.every_hour("The endpoint is compared with champion/"),
        )
        # The function is also the custom resource: it applies changed settings, and deletes the endpoint.
        endpoint = cdk.CustomResource(
            self,
            "Endpoint",
            resource_type="Custom::Endpoint",
            service_token=function.function.function_arn,
            service_timeout=cdk.Duration.minutes(15),
            # CloudFormation calls the function again where it changes.
            properties={"Settings": plan.as_text()},
        )
        endpoint.node.add_dependency(after, function.role, role)
        for rule in rules:  # deleted before the endpoint: the event of its deletion would have it created again
            rule.node.add_dependency(endpoint)

    def _alarms(self, alerts: Alerts) -> list[cloudwatch.Alarm]:
        look = f"Read the container's log, {endpoint_log(self.endpoint_name)}."
        return [
            alerts.alarm_on(
                "EndpointErrors",
                self._metric("Invocation5XXErrors", "Sum"),
                threshold=MAX_ERRORS,
                summary=f"The endpoint fails: {MAX_ERRORS} or more requests in a minute were answered with 5XX.",
                action=f"{look} A running update of instances is rolled back automatically.",
            ),
            alerts.alarm_on(
                "EndpointSlow",
                self._metric("ModelLatency", "p99"),
                threshold=MAX_LATENCY_MICROSECONDS,
                periods=3,
                summary="The endpoint is slow: for three minutes, its p99 latency was a second or more.",
                action=f"{look} Then give it more memory or instances (settings serving_*).",
            ),
        ]

    def _metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map={"EndpointName": self.endpoint_name, "VariantName": VARIANT},
            statistic=statistic,
            period=cdk.Duration.minutes(1),
        )
