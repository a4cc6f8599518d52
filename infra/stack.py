"""The stack: keys, buckets, the pipeline, notifications, triggers, approval, monitoring, the endpoint, a dashboard."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.alarms.budget import Budget
from infra.alarms.chat_channels import ChatChannels
from infra.alarms.dashboard import Dashboard
from infra.alarms.monitor import MonitorAlarms
from infra.alarms.run_alarms import RunAlarms
from infra.approval.construct import ModelApproval
from infra.endpoint.construct import Endpoint
from infra.failure_notifications.construct import FailureNotifications
from infra.foundation.foundation import Foundation
from infra.foundation.promotion import Promoter, trust_promoters
from infra.foundation.user_policies import UserPolicies
from infra.settings.settings import Settings
from infra.teardown.construct import Teardown
from infra.training.construct import Training
from infra.triggers.construct import Triggers


class RetrainingStack(cdk.Stack):
    """Everything of one environment."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        boundary = settings.permissions_boundary
        super().__init__(
            scope,
            construct_id,
            description="Retrains a model on a schedule, and emails the reason when a run fails",
            permissions_boundary=cdk.PermissionsBoundary.from_arn(boundary) if boundary else None,
            tags=settings.all_tags,
        )
        foundation = Foundation(self, settings)
        training = Training(self, "Training", foundation)
        FailureNotifications(self, "FailureNotifications", foundation, training)
        triggers = Triggers(self, "Triggers", foundation, training)
        if settings.monthly_budget_usd:
            Budget(self, "Budget", foundation)
        approval = ModelApproval(self, "Approval", foundation, training)
        RunAlarms(self, "RunAlarms", foundation, training, approval)
        MonitorAlarms(self, "Monitor", foundation, training, approval, triggers)
        topics = [foundation.alerts.topic, approval.approvers_topic]
        ChatChannels(self, "ChatChannels", settings, topics)
        serving = None
        if settings.serving != "off":
            serving = Endpoint(self, "Serving", foundation, image=training.image, after=approval)
        if not settings.retain:
            teardown = Teardown(self, "Teardown", foundation, training)
            for part in (triggers, approval, serving):  # deleted first: they would start runs or write again
                if part:
                    part.node.add_dependency(teardown.emptied)
        Dashboard(self, "Dashboard", foundation, training)
        if settings.trusted_accounts:
            trust_promoters(foundation, training)
        promoter = Promoter(self, "Promoter", foundation, training) if settings.promotes_from else None
        user_policies = UserPolicies(self, "People", foundation, training, triggers.workflow)
        # Last, because a bucket that holds an object cannot be deleted when a first deployment is rolled back.
        approval.seeds.node.add_dependency(*(part for part in self.node.children if part not in (approval, serving)))

        for output, value in {
            "PipelineName": training.pipeline.ref,
            "DataBucket": foundation.storage.data.bucket_name,
            "ArtifactBucket": foundation.storage.artifacts.bucket_name,
            "ModelPackageGroup": settings.group_name,
            "AlertsTopic": foundation.alerts.topic.topic_arn,
            "ApproversTopic": approval.approvers_topic.topic_arn,
            "ApproverPolicy": user_policies.approver.managed_policy_arn,
            "OperatorPolicy": user_policies.operator.managed_policy_arn,
            **({"EndpointName": serving.endpoint_name} if serving else {}),
            **({"PromoterRole": promoter.role.role_arn} if promoter else {}),
        }.items():
            cdk.CfnOutput(self, output, value=value)
