"""Emails to approvers about versions that wait, and the function that makes champion/ follow the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.alarms.alerts import FIVE_MINUTES, Alerts
from infra.approval.function import monitor_metrics
from infra.foundation.lambda_function import lambda_function
from infra.foundation.permissions import allow, allow_outbox, sagemaker_arn
from infra.foundation.storage import RUNS_PREFIX
from infra.lambda_shared import environment
from infra.settings.settings import Settings
from pipeline.contract.history.versions import HISTORY_KEY
from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY, REGISTERED_KEY

HANDLER: Final = "infra.approval.function.handler.handler"
TIMEOUT: Final = cdk.Duration.minutes(2)
_NUMBERED_LATER: Final = "The registry numbers a version when it is registered."
_NAMED_LATER: Final = "Keys contain the id of a run or the number of a version, which are assigned later."


class ModelApproval(Construct):
    """`approvers_topic` notifies of versions that wait; `function` copies the approved one to champion/."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        group_name: str,
        group: sagemaker.CfnModelPackageGroup,
        artifact_bucket: s3.IBucket,
        key: kms.IKey,
        alerts: Alerts,
    ) -> None:
        super().__init__(scope, construct_id)
        self.approvers_topic = alerts.encrypted_topic(
            self, "Approvers", f"{settings.pipeline_name}: a version waits for approval"
        )
        for address in settings.approver_emails:
            self.approvers_topic.add_subscription(subscriptions.EmailSubscription(address))
        undelivered = self.undelivered = alerts.dead_letters(
            self,
            "Undelivered",
            content="an event that a model package changed, so champion/ may differ from the registry, or that the "
            "monitor report was written, so its metrics are missing",
        )
        made = lambda_function(
            self,
            settings=settings,
            key=key,
            handler=HANDLER,
            description=f"{settings.pipeline_name}: champion/ follows the registry, approvers get an email",
            role_description=f"{settings.pipeline_name}: copies the approved version's artifact, notifies approvers",
            timeout=TIMEOUT,
            environment={
                environment.GROUP_VARIABLE: group_name,
                environment.BUCKET_VARIABLE: artifact_bucket.bucket_name,
                environment.PIPELINE_VARIABLE: settings.pipeline_name,
                environment.ALERTS_VARIABLE: alerts.topic.topic_arn,
                environment.APPROVERS_VARIABLE: self.approvers_topic.topic_arn,
                environment.CONTACT_VARIABLE: settings.model_contact,
                environment.SEEDS_VARIABLE: json.dumps(dict(settings.spec.seed_objects), sort_keys=True),
            },
            retry_attempts=2,
            on_failure=destinations.SqsDestination(undelivered),
        )
        self.function, self.role, log = made.function, made.role, made.log_group.log_group_name
        allow_registry(self.role, group_name)
        allow_cards(self.role, group_name)
        seeds = settings.spec.all_seed_objects
        allow_objects(self.role, artifact_bucket, key, seeds)
        for topic in (alerts.topic, self.approvers_topic):
            alerts.allow_publish(self.role, topic)
        allow(self.role, ["sqs:SendMessage"], [undelivered.queue_arn])
        self._follow_registry(group_name, undelivered)
        self._seed_at_deploy(group_name, group, artifact_bucket, seeds)
        alerts.alarm_on(
            "ApprovalFailed",
            self.function.metric_errors(period=FIVE_MINUTES, statistic="Sum"),
            summary="An approval or a rejection has not taken effect: the function that updates champion/ failed.",
            action=f"Read its log, {log}: the error says what to fix; it retries each hour.",
        )

    def _follow_registry(self, group_name: str, undelivered: sqs.Queue) -> None:
        """On each change of a package of the group, and every hour in case an event is lost or a package deleted."""
        changed = events.EventPattern(
            source=["aws.sagemaker"],
            detail_type=["SageMaker Model Package State Change"],
            detail={"ModelPackageGroupName": [group_name], "ModelPackageStatus": ["Completed"]},
        )
        target = targets.LambdaFunction(self.function, dead_letter_queue=undelivered)
        events.Rule(
            self, "PackageChanged", description="A version was registered, approved or rejected", event_pattern=changed
        ).add_target(target)
        events.Rule(
            self,
            "EveryHour",
            description="champion/ is compared with the registry",
            schedule=events.Schedule.rate(cdk.Duration.hours(1)),
        ).add_target(target)

    def _seed_at_deploy(
        self,
        group_name: str,
        group: sagemaker.CfnModelPackageGroup,
        artifact_bucket: s3.IBucket,
        seeds: Mapping[str, str],
    ) -> None:
        """The function is also the custom resource: it writes seed objects and an existing champion."""
        self.seeds = cdk.CustomResource(
            self,
            "Champion",
            resource_type="Custom::Champion",
            service_token=self.function.function_arn,
            service_timeout=cdk.Duration.minutes(5),
            properties={
                # CloudFormation calls the function again where one of these changes.
                "Group": group_name,
                "Bucket": artifact_bucket.bucket_name,
                "Seeds": json.dumps(seeds, sort_keys=True),
            },
        )
        self.seeds.node.add_dependency(group, self.role)


def allow_registry(role: iam.Role, group_name: str) -> None:
    """Read the group's packages."""
    packages = sagemaker_arn(role, "model-package", f"{group_name}/*")
    allow(role, ["sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"], [packages], why=_NUMBERED_LATER)


def allow_cards(role: iam.Role, group_name: str) -> None:
    """Write model cards, with a request that names no approval status: only people approve."""
    packages = sagemaker_arn(role, "model-package", f"{group_name}/*")
    undecided = {"Null": {"sagemaker:ModelApprovalStatus": "true"}}
    allow(role, ["sagemaker:UpdateModelPackage"], [packages], why=_NUMBERED_LATER, conditions=undecided)


def allow_objects(role: iam.Role, bucket: s3.IBucket, key: kms.IKey, seeds: Mapping[str, str]) -> None:
    """Read runs, the last-evaluated record, monitor; write champion/, outbox, approvals, history, all seeds, ..."""
    runs, champion, approvals, history, last_evaluated, registered, monitor = (
        bucket.arn_for_objects(key)
        for key in (
            f"{RUNS_PREFIX}*",
            f"{environment.CHAMPION_PREFIX}*",
            environment.APPROVALS_KEY,
            HISTORY_KEY,
            LAST_EVALUATED_KEY,
            REGISTERED_KEY,
            monitor_metrics.KEY,
        )
    )
    others = sorted(key for key in seeds if not key.startswith(environment.CHAMPION_PREFIX))
    allow(role, ["s3:GetObject"], [runs], why=_NAMED_LATER)
    allow(role, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [champion], why=_NAMED_LATER)
    allow_outbox(role, bucket, key, environment.OUTBOX_PREFIX)
    allow(role, ["s3:PutObject"], [bucket.arn_for_objects(key) for key in others])
    allow(role, ["s3:GetObject", "s3:PutObject"], [approvals, history, registered])
    allow(role, ["s3:GetObject"], [last_evaluated, monitor])
