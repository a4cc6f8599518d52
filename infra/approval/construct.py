"""Emails to approvers about versions that wait, and the function that makes champion/ follow the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.approval.function import monitor_metrics
from infra.foundation.foundation import Foundation
from infra.foundation.lambda_function import EventFunction
from infra.foundation.permissions import NUMBERED_LATER, allow, allow_outbox
from infra.foundation.storage import RUNS_PREFIX
from infra.lambda_shared import environment
from infra.training.construct import Training
from pipeline.contract.history.versions import HISTORY_KEY
from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY, REGISTERED_KEY

_NAMED_LATER: Final = "Keys contain the id of a run or the number of a version, which are assigned later."


class ModelApproval(Construct):
    """`approvers_topic` notifies of versions that wait; `function` copies the approved one to champion/."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, training: Training) -> None:
        super().__init__(scope, construct_id)
        settings, alerts, bucket = foundation.settings, foundation.alerts, foundation.storage.artifacts
        self.approvers_topic = alerts.email_topic(
            self, "Approvers", "a version waits for approval", settings.approver_emails
        )
        self.function = EventFunction(
            self,
            foundation,
            queue_id="Undelivered",
            undelivered="an event that a model package changed, so champion/ may differ from the registry, or that the "
            "monitor report was written, so its metrics are missing",
            folder="approval",
            purpose="champion/ follows the registry, approvers get an email",
            role_purpose="copies the approved version's artifact, notifies approvers",
            environment={
                environment.GROUP_VARIABLE: settings.group_name,
                environment.BUCKET_VARIABLE: bucket.bucket_name,
                environment.PIPELINE_VARIABLE: settings.pipeline_name,
                environment.ALERTS_VARIABLE: alerts.topic.topic_arn,
                environment.APPROVERS_VARIABLE: self.approvers_topic.topic_arn,
                environment.CONTACT_VARIABLE: settings.model_contact,
                environment.SEEDS_VARIABLE: json.dumps(dict(settings.spec.seed_objects), sort_keys=True),
            },
        )
        role, seeds = self.function.role, settings.spec.all_seed_objects
        training.allow_reading_versions(role)
        # To write model cards, with a request that names no approval status: only people approve.
        undecided = {"Null": {"sagemaker:ModelApprovalStatus": "true"}}
        update = ["sagemaker:UpdateModelPackage"]
        allow(role, update, [training.versions_arn], why=NUMBERED_LATER, conditions=undecided)
        _allow_objects(role, bucket, foundation.key, seeds)
        alerts.allow_publish(role, self.approvers_topic)
        # On each change of a package of the group, and every hour in case an event is lost or a package deleted.
        changed = events.EventPattern(
            source=["aws.sagemaker"],
            detail_type=["SageMaker Model Package State Change"],
            detail={"ModelPackageGroupName": [settings.group_name], "ModelPackageStatus": ["Completed"]},
        )
        self.function.on("PackageChanged", changed, "A version was registered, approved or rejected")
        self.function.every_hour("champion/ is compared with the registry")
        self.function.alarm_on_errors(
            "ApprovalFailed",
            summary="The function that updates champion/ failed: an approval or a rejection may not have taken effect.",
            action=f"Read its log, {self.function.log}: the error says what to fix; it retries each hour.",
        )
        # The function is also the custom resource: it writes seed objects and an existing champion.
        self.seeds = cdk.CustomResource(
            self,
            "Champion",
            resource_type="Custom::Champion",
            service_token=self.function.function.function_arn,
            service_timeout=cdk.Duration.minutes(5),
            properties={
                # CloudFormation calls the function again where one of these changes.
                "Group": settings.group_name,
                "Bucket": bucket.bucket_name,
                "Seeds": json.dumps(seeds, sort_keys=True),
            },
        )
        self.seeds.node.add_dependency(training.group, role)


def _allow_objects(role: iam.Role, bucket: s3.IBucket, key: kms.IKey, seeds: Mapping[str, str]) -> None:
    """Read runs, the last-evaluated record, monitor; write champion/, outbox, approvals, history, all seeds, ..."""

    def objects(*keys: str) -> list[str]:
        return [bucket.arn_for_objects(key) for key in keys]

    champion = environment.CHAMPION_PREFIX
    read, write = "s3:GetObject", "s3:PutObject"
    allow(role, [read], objects(f"{RUNS_PREFIX}*"), why=_NAMED_LATER)
    allow(role, [read, write, "s3:DeleteObject"], objects(f"{champion}*"), why=_NAMED_LATER)
    allow_outbox(role, bucket, key, environment.OUTBOX_PREFIX)
    allow(role, [write], objects(*sorted(key for key in seeds if not key.startswith(champion))))
    allow(role, [read, write], objects(environment.APPROVALS_KEY, HISTORY_KEY, REGISTERED_KEY))
    allow(role, [read], objects(LAST_EVALUATED_KEY, monitor_metrics.KEY))
