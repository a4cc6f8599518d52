"""An endpoint that serves the champion: off by default, serverless or on instances.

The endpoint, its model and its configuration are not resources of the stack, because a promotion changes them and not a
deployment: a function creates them, follows champion/, and deletes them when the setting is off.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.endpoint.function.desired_endpoint import SETTINGS_VARIABLE, VARIANT, EndpointSettings
from infra.endpoint.roles import allow_endpoint_changes, endpoint_role
from infra.foundation.lambda_function import lambda_function
from infra.foundation.permissions import allow
from infra.lambda_shared.environment import CHAMPION_PREFIX
from infra.settings.settings import Settings
from infra.training.image import Image
from pipeline.contract import names as c
from pipeline.definition.service_rules.instances import has_local_storage

HANDLER: Final = "infra.endpoint.function.handler.handler"
# The alarms that roll an update back. A request takes milliseconds: a second means an overloaded instance.
MAX_LATENCY_MICROSECONDS: Final = 1_000_000
MAX_ERRORS: Final = 5
# A call takes seconds, but a deletion waits until the endpoint is gone.
TIMEOUT: Final = cdk.Duration.minutes(14)
ANSWER_TIMEOUT: Final = cdk.Duration.minutes(15)
ONE_MINUTE: Final = cdk.Duration.minutes(1)


class Endpoint(Construct):
    """`endpoint_name`, and `function`, which makes the endpoint follow champion/."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        image: Image,
        artifact_bucket: s3.IBucket,
        key: kms.IKey,
        alerts: Alerts,
        after: Construct,
    ) -> None:
        """`after` must exist first: it writes champion.json."""
        super().__init__(scope, construct_id)
        self.endpoint_name = settings.endpoint_name
        self.metrics = self._metrics()
        alarms = self._alarms(alerts)
        undelivered = alerts.dead_letters(
            self,
            "Undelivered",
            content="an event that champion or endpoint changed, so the endpoint may be out of date",
        )
        role = endpoint_role(
            self, settings=settings, image=image, artifact_bucket=artifact_bucket, key=key, alarms=alarms
        )
        plan = EndpointSettings(
            name=self.endpoint_name,
            pipeline=settings.pipeline_name,
            bucket=artifact_bucket.bucket_name,
            alerts_topic=alerts.topic.topic_arn,
            role=role.role_arn,
            kind=settings.serving,
            memory_mb=settings.serving_memory_mb,
            max_concurrency=settings.serving_max_concurrency,
            instance_type=settings.serving_instance_type,
            instance_count=settings.serving_instance_count,
            stale_after_days=settings.serving_stale_after_days,
            # Hardware encrypts local storage, and SageMaker refuses a key for it: API_CreateEndpointConfig, KmsKeyId.
            kms_key="" if has_local_storage(settings.serving_instance_type) else key.key_arn,
            rollback_alarms=tuple(alarm.alarm_name for alarm in alarms),
            subnets=settings.subnet_ids,
            security_groups=settings.security_group_ids,
            tags=settings.all_tags,
        )
        self._function(settings, plan, key, alerts, undelivered)
        allow_endpoint_changes(self.role, plan, endpoint=role, artifact_bucket=artifact_bucket, key=key, alarms=alarms)
        self._follow(artifact_bucket, undelivered)
        self._at_deploy(plan, after, role)

    def _metrics(self) -> dict[str, cloudwatch.Metric]:
        dimensions = {"EndpointName": self.endpoint_name, "VariantName": VARIANT}
        return {
            name: cloudwatch.Metric(
                namespace="AWS/SageMaker",
                metric_name=name,
                dimensions_map=dimensions,
                statistic=statistic,
                period=ONE_MINUTE,
            )
            for name, statistic in {"Invocation5XXErrors": "Sum", "ModelLatency": "p99"}.items()
        }

    def _alarms(self, alerts: Alerts) -> list[cloudwatch.Alarm]:
        look = f"Read the container's log, /aws/sagemaker/Endpoints/{self.endpoint_name}."
        return [
            alerts.alarm_on(
                "EndpointErrors",
                self.metrics["Invocation5XXErrors"],
                threshold=MAX_ERRORS,
                summary=f"The endpoint fails: {MAX_ERRORS} or more requests in a minute were answered with 5XX.",
                action=f"{look} A running update of instances is rolled back automatically.",
            ),
            alerts.alarm_on(
                "EndpointSlow",
                self.metrics["ModelLatency"],
                threshold=MAX_LATENCY_MICROSECONDS,
                periods=3,
                summary="The endpoint is slow: for three minutes, its p99 latency was a second or more.",
                action=f"{look} Then give it more memory or instances (settings serving_*).",
            ),
        ]

    def _function(
        self,
        settings: Settings,
        plan: EndpointSettings,
        key: kms.IKey,
        alerts: Alerts,
        undelivered: sqs.Queue,
    ) -> None:
        made = lambda_function(
            self,
            settings=settings,
            key=key,
            handler=HANDLER,
            description=f"{settings.pipeline_name}: the endpoint follows champion/",
            role_description=f"{settings.pipeline_name}: creates, updates and deletes the endpoint",
            timeout=TIMEOUT,
            environment={SETTINGS_VARIABLE: plan.as_text()},
            retry_attempts=2,
            on_failure=destinations.SqsDestination(undelivered),
        )
        self.function, self.role = made.function, made.role
        alerts.allow_publish(self.role)
        allow(self.role, ["sqs:SendMessage"], [undelivered.queue_arn])
        log = made.log_group.log_group_name
        alerts.alarm_on(
            "ServingFailed",
            self.function.metric_errors(period=cdk.Duration.minutes(5), statistic="Sum"),
            summary="The endpoint may not serve the champion: the function that updates it failed.",
            action=f"Read its log, {log}: the error says what to fix; it retries each hour.",
        )

    def _follow(self, artifact_bucket: s3.IBucket, undelivered: sqs.Queue) -> None:
        """On champion.json, the endpoint's state changes and, in case an event is lost, every hour."""
        promoted = events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={
                "bucket": {"name": [artifact_bucket.bucket_name]},
                "object": {"key": [CHAMPION_PREFIX + c.CHAMPION_FILE]},
            },
        )
        changed = events.EventPattern(
            source=["aws.sagemaker"],
            detail_type=["SageMaker Endpoint State Change"],
            detail={"EndpointName": [self.endpoint_name]},
        )
        target = targets.LambdaFunction(self.function, dead_letter_queue=undelivered)
        for name, pattern, description in (
            ("Promoted", promoted, "champion.json was written: the endpoint follows"),
            ("EndpointChanged", changed, "The endpoint was created, updated, rolled back, deleted, or failed"),
        ):
            events.Rule(self, name, description=description, event_pattern=pattern).add_target(target)
        events.Rule(
            self,
            "EveryHour",
            description="The endpoint is compared with champion/",
            schedule=events.Schedule.rate(cdk.Duration.hours(1)),
        ).add_target(target)

    def _at_deploy(self, plan: EndpointSettings, after: Construct, endpoint: iam.Role) -> None:
        """The function is also the custom resource: it applies changed settings, and deletes the endpoint."""
        version = cdk.CustomResource(
            self,
            "Endpoint",
            resource_type="Custom::Endpoint",
            service_token=self.function.function_arn,
            service_timeout=ANSWER_TIMEOUT,
            # CloudFormation calls the function again where it changes.
            properties={"Settings": plan.as_text()},
        )
        version.node.add_dependency(after, self.role, endpoint)
