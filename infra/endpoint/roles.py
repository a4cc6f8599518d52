"""Roles of the endpoint: that of its containers, and that of the function that updates it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.endpoint.function.desired_endpoint import INSTANCE, PREFIX, EndpointSettings, endpoint_log
from infra.foundation.foundation import Foundation
from infra.foundation.permissions import allow, allow_outbox, arn, service_principal
from infra.lambda_shared.environment import CHAMPION_PREFIX, SERVING_OUTBOX_PREFIX
from infra.training.image import Image
from infra.training.job_role import allow_image, allow_logs, allow_network_interfaces, allow_volume_grants

_NUMBERED_LATER: Final = "Models and configurations are named after versions, which are numbered later."
# On the alarms of an update: docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
_ROLL_BACK: Final = ("cloudwatch:DescribeAlarms",)


def endpoint_role(
    scope: Construct, foundation: Foundation, *, image: Image, alarms: Sequence[cloudwatch.IAlarm]
) -> iam.Role:
    """The role that serving containers run with: read the champion's copy, pull the image, write the log."""
    settings = foundation.settings
    role = iam.Role(
        scope,
        "EndpointRole",
        assumed_by=service_principal("sagemaker"),
        description=f"Endpoint of {settings.pipeline_name}: reads the artifact that it serves",
    )
    copies = foundation.storage.artifacts.arn_for_objects(f"{PREFIX}*")
    allow(role, ["s3:GetObject"], [copies], why=_NUMBERED_LATER)
    allow(role, ["kms:Decrypt", "kms:DescribeKey"], [foundation.key.key_arn])
    allow_image(role, image)
    allow_logs(role, [arn("logs", f"log-group:{endpoint_log(settings.pipeline_name)}:*")], "Endpoints")
    if settings.serving == INSTANCE:
        allow_volume_grants(role, foundation.key)
        allow(role, _ROLL_BACK, [alarm.alarm_arn for alarm in alarms])
        if settings.subnet_ids:
            allow_network_interfaces(role)
    return role


def allow_endpoint_changes(
    role: iam.Role,
    plan: EndpointSettings,
    foundation: Foundation,
    *,
    endpoint: iam.Role,
    alarms: Sequence[cloudwatch.IAlarm],
) -> None:
    """Create, update and delete this endpoint with its models and configurations, and copy artifacts."""
    bucket, this = foundation.storage.artifacts, arn("sagemaker", f"endpoint/{plan.name}")
    configs = arn("sagemaker", f"endpoint-config/{plan.own}*")
    for actions, resources in (
        (["CreateModel", "DeleteModel", "AddTags"], [arn("sagemaker", f"model/{plan.own}*")]),
        (["CreateEndpointConfig", "DeleteEndpointConfig", "AddTags"], [configs]),
        (["CreateEndpoint", "UpdateEndpoint"], [this, configs]),  # the actions ask for both
        (["DescribeEndpoint", "DeleteEndpoint", "AddTags"], [this]),
    ):
        allow(role, [f"sagemaker:{action}" for action in actions], resources, why=_NUMBERED_LATER)
    allow(
        role,
        ["sagemaker:ListModels", "sagemaker:ListEndpointConfigs"],
        ["*"],
        why="The actions support no resource-level permissions; the list is filtered by the endpoint's name.",
    )
    passed = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    allow(role, ["iam:PassRole"], [endpoint.role_arn], conditions=passed)
    champion, copies = (bucket.arn_for_objects(f"{prefix}*") for prefix in (CHAMPION_PREFIX, PREFIX))
    allow(role, ["s3:GetObject"], [champion], why=_NUMBERED_LATER)
    allow(role, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [copies], why=_NUMBERED_LATER)
    allow_outbox(role, bucket, foundation.key, SERVING_OUTBOX_PREFIX)
    if plan.kind == INSTANCE:  # SageMaker checks, in the caller's name, that it may use the key for the volumes
        allow_volume_grants(role, foundation.key)
        allow(role, _ROLL_BACK, [alarm.alarm_arn for alarm in alarms])
