"""Roles of the endpoint: that of its containers, and that of the function that updates it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.endpoint.function.desired_endpoint import INSTANCE, PREFIX, EndpointSettings
from infra.foundation.permissions import allow, allow_outbox, sagemaker_arn, service_principal
from infra.lambda_shared.environment import CHAMPION_PREFIX, SERVING_OUTBOX_PREFIX
from infra.settings.settings import Settings
from infra.training.image import Image
from infra.training.job_role import allow_image, allow_network_interfaces, allow_volume_grants

_NUMBERED_LATER: Final = "Models and configurations are named after versions, which are numbered later."


def endpoint_role(
    scope: Construct,
    *,
    settings: Settings,
    image: Image,
    artifact_bucket: s3.IBucket,
    key: kms.IKey,
    alarms: Sequence[cloudwatch.IAlarm],
) -> iam.Role:
    """The role that serving containers run with: read the champion's copy, pull the image, write the log."""
    role = iam.Role(
        scope,
        "EndpointRole",
        assumed_by=service_principal("sagemaker"),
        description=f"Endpoint of {settings.pipeline_name}: reads the artifact that it serves",
    )
    allow(role, ["s3:GetObject"], [artifact_bucket.arn_for_objects(f"{PREFIX}*")], why=_NUMBERED_LATER)
    allow(role, ["kms:Decrypt", "kms:DescribeKey"], [key.key_arn])
    allow_image(role, image)
    logs = cdk.Stack.of(role).format_arn(
        service="logs",
        resource="log-group",
        resource_name=f"/aws/sagemaker/Endpoints/{settings.endpoint_name}:*",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    allow(
        role,
        ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        [logs],
        why="SageMaker generates the names of log streams.",
    )
    if settings.serving == INSTANCE:
        allow_volume_grants(role, key)
        _allow_rollback(role, alarms)
        if settings.subnet_ids:
            allow_network_interfaces(role)
    return role


def _allow_rollback(role: iam.Role, alarms: Sequence[cloudwatch.IAlarm]) -> None:
    """docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html: the alarms that roll back."""
    allow(role, ["cloudwatch:DescribeAlarms"], [alarm.alarm_arn for alarm in alarms])


def allow_endpoint_changes(
    role: iam.Role,
    plan: EndpointSettings,
    *,
    endpoint: iam.Role,
    artifact_bucket: s3.IBucket,
    key: kms.IKey,
    alarms: Sequence[cloudwatch.IAlarm],
) -> None:
    """Create, update and delete this endpoint with its models and configurations, and copy artifacts."""
    models, configs, this = (
        sagemaker_arn(role, "model", f"{plan.own}*"),
        sagemaker_arn(role, "endpoint-config", f"{plan.own}*"),
        sagemaker_arn(role, "endpoint", plan.name),
    )
    allow(role, ["sagemaker:CreateModel", "sagemaker:DeleteModel", "sagemaker:AddTags"], [models], why=_NUMBERED_LATER)
    allow(
        role,
        [f"sagemaker:{verb}EndpointConfig" for verb in ("Create", "Delete")] + ["sagemaker:AddTags"],
        [configs],
        why=_NUMBERED_LATER,
    )
    allow(
        role,
        ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
        [this, configs],  # the actions ask for both
        why=_NUMBERED_LATER,
    )
    allow(role, ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint", "sagemaker:AddTags"], [this])
    allow(
        role,
        ["sagemaker:ListModels", "sagemaker:ListEndpointConfigs"],
        ["*"],
        why="The actions support no resource-level permissions; the list is filtered by the endpoint's name.",
    )
    passed = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    allow(role, ["iam:PassRole"], [endpoint.role_arn], conditions=passed)
    champion, copies = (artifact_bucket.arn_for_objects(f"{prefix}*") for prefix in (CHAMPION_PREFIX, PREFIX))
    allow(role, ["s3:GetObject"], [champion], why=_NUMBERED_LATER)
    allow(role, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [copies], why=_NUMBERED_LATER)
    allow_outbox(role, artifact_bucket, key, SERVING_OUTBOX_PREFIX)
    if plan.kind == INSTANCE:  # SageMaker checks, in the caller's name, that it may use the key for the volumes
        allow_volume_grants(role, key)
        _allow_rollback(role, alarms)
