"""The stack: keys, buckets, the pipeline, notifications, triggers, approval, monitoring, the endpoint, a dashboard."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.alarms.budget import Budget
from infra.alarms.chat_channels import ChatChannels
from infra.alarms.dashboard import Dashboard
from infra.alarms.monitor import MonitorAlarms
from infra.alarms.run_alarms import RunAlarms
from infra.approval.construct import ModelApproval
from infra.endpoint.construct import Endpoint
from infra.failure_notifications.construct import FailureNotifications
from infra.foundation.kms_keys import KmsKeys
from infra.foundation.promotion import Promoter, trust_promoters
from infra.foundation.storage import Storage
from infra.foundation.user_policies import UserPolicies
from infra.settings.settings import Settings
from infra.teardown.construct import Teardown
from infra.training.construct import Training
from infra.triggers.construct import Triggers


class RetrainingStack(cdk.Stack):
    """Everything of one environment."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            description="Retrains a model on a schedule, and emails the reason when a run fails",
            permissions_boundary=_boundary(settings),
            tags=settings.all_tags,
        )
        keys = KmsKeys(self, "Keys", settings=settings)
        storage = Storage(self, "Storage", settings=settings, key=keys.data)
        training = Training(self, "Training", settings=settings, storage=storage, key=keys.data)
        name = training.pipeline.ref

        alerts = Alerts(self, "Alerts", settings=settings, key=keys.messages)
        FailureNotifications(
            self,
            "FailureNotifications",
            settings=settings,
            training=training,
            artifact_bucket=storage.artifacts,
            key=keys.data,
            alerts=alerts,
        )
        triggers = Triggers(
            self, "Triggers", settings=settings, training=training, storage=storage, key=keys.data, alerts=alerts
        )
        if settings.monthly_budget_usd:
            Budget(self, "Budget", settings=settings, alerts=alerts)
        approval = ModelApproval(
            self,
            "Approval",
            settings=settings,
            group_name=settings.group_name,
            group=training.group,
            artifact_bucket=storage.artifacts,
            key=keys.data,
            alerts=alerts,
        )
        RunAlarms(self, "RunAlarms", settings=settings, pipeline_name=name, alerts=alerts, approval=approval)
        MonitorAlarms(
            self,
            "Monitor",
            settings=settings,
            pipeline_name=name,
            storage=storage,
            alerts=alerts,
            approval=approval,
            triggers=triggers,
        )
        ChatChannels(self, "ChatChannels", settings=settings, topics=[alerts.topic, approval.approvers_topic])
        serving = None
        if settings.serving != "off":
            serving = Endpoint(
                self,
                "Serving",
                settings=settings,
                image=training.image,
                artifact_bucket=storage.artifacts,
                key=keys.data,
                alerts=alerts,
                after=approval,
            )
        if not settings.retain:
            teardown = Teardown(self, "Teardown", settings=settings, storage=storage, training=training, key=keys.data)
            teardown.delete_after(triggers, approval, *([serving] if serving else []))
        Dashboard(
            self,
            "Dashboard",
            settings=settings,
            pipeline_name=name,
            storage=storage,
            alerts=alerts,
            endpoint_name=serving.endpoint_name if serving else None,
        )

        if settings.trusted_accounts:
            trust_promoters(self, settings=settings, storage=storage, training=training, key=keys.data)
        promoter = None
        if settings.promotes_from:
            promoter = Promoter(self, "Promoter", settings=settings, storage=storage, training=training, key=keys.data)
        user_policies = UserPolicies(
            self,
            "People",
            settings=settings,
            training=training,
            storage=storage,
            key=keys.data,
            alerts=alerts,
            workflows=[triggers.workflow],
        )
        # Last, because a bucket that holds an object cannot be deleted when a first deployment is rolled back.
        approval.seeds.node.add_dependency(*(part for part in self.node.children if part not in (approval, serving)))

        for output, value in {
            "PipelineName": name,
            "DataBucket": storage.data.bucket_name,
            "ArtifactBucket": storage.artifacts.bucket_name,
            "ModelPackageGroup": settings.group_name,
            "AlertsTopic": alerts.topic.topic_arn,
            "ApproversTopic": approval.approvers_topic.topic_arn,
            "ApproverPolicy": user_policies.approver.managed_policy_arn,
            "OperatorPolicy": user_policies.operator.managed_policy_arn,
            **({"EndpointName": serving.endpoint_name} if serving else {}),
            **({"PromoterRole": promoter.role.role_arn} if promoter else {}),
        }.items():
            cdk.CfnOutput(self, output, value=value)


def _boundary(settings: Settings) -> cdk.PermissionsBoundary | None:
    return cdk.PermissionsBoundary.from_arn(settings.permissions_boundary) if settings.permissions_boundary else None
