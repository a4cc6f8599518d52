"""The role of the jobs: reads data and champion, writes the artifacts of the run. No access to the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.foundation.foundation import Foundation
from infra.foundation.permissions import allow, arn, service_principal
from infra.training.image import Image
from infra.training.spark import SparkCluster
from pipeline.contract import names as c
from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY

RUNS: Final = "runs"
READ: Final = (RUNS, c.CHAMPION_CHANNEL, c.EVALUATED_CHANNEL)
WRITTEN: Final = (RUNS, c.PREDICTIONS_CHANNEL, c.MONITOR_CHANNEL)
# Not evaluated/registered.json: the approval function writes it, which reads the registry.
EVALUATED: Final = (LAST_EVALUATED_KEY, f"{c.EVALUATED_CHANNEL}/{c.REPORT_FILE}")
WRITE_LOGS: Final = (
    *("logs:CreateLogGroup", "logs:CreateLogStream"),
    *("logs:DescribeLogStreams", "logs:PutLogEvents"),
)
# The two groups that SageMaker writes the logs of all the account's jobs to.
JOB_LOGS: Final = tuple(arn("logs", f"log-group:/aws/sagemaker/{kind}Jobs:*") for kind in ("Processing", "Training"))
# Of AWS's managed policy AmazonSageMakerJobFullAccess, without those for traces; it allows them on apps too (the
# Service Authorization Reference lists tracking servers only).
MLFLOW_RUNS: Final = (
    *("CreateExperiment", "CreateRun", "GetExperimentByName", "GetMetricHistory", "GetRun"),
    *("ListArtifacts", "LogBatch", "UpdateRun"),
)
_KEYS_ARE_DATA: Final = "The keys below the prefix are not known in advance: data files, files of a run."


def job_role(scope: Construct, foundation: Foundation, *, image: Image, cluster: SparkCluster | None) -> iam.Role:
    """The role that containers run with."""
    settings, storage, key = foundation.settings, foundation.storage, foundation.key
    role = iam.Role(
        scope,
        "JobRole",
        assumed_by=service_principal("sagemaker"),
        description=f"Jobs of {settings.pipeline_name}: read data and the champion, write their own artifacts",
    )
    extra = settings.spec.prepare_channels
    data, artifacts = storage.data.bucket_arn, storage.artifacts.bucket_arn
    allow(role, ["s3:ListBucket", "s3:GetBucketLocation"], [data, artifacts])
    allow(role, ["s3:GetObject"], [f"{data}/*", *(f"{artifacts}/{p}/*" for p in (*READ, *extra))], why=_KEYS_ARE_DATA)
    allow(
        role,
        ["s3:PutObject", "s3:AbortMultipartUpload"],
        [*(f"{artifacts}/{prefix}/*" for prefix in (*WRITTEN, *extra)), *(f"{artifacts}/{key}" for key in EVALUATED)],
        why=_KEYS_ARE_DATA,
    )
    allow(role, ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"], [key.key_arn])
    allow_volume_grants(role, key)
    allow_image(role, image, *([cluster.image] if cluster else []))
    if cluster:
        cluster.allow_code(role)
    allow_logs(role, JOB_LOGS, "ProcessingJobs", "TrainingJobs")
    if settings.subnet_ids:
        allow_network_interfaces(role)
    allow_mlflow(role, settings.mlflow_arn)
    return role


def allow_volume_grants(role: iam.Role, key: kms.IKey) -> None:
    """Let SageMaker use the key for the volumes of instances that it starts in this role's name."""
    allow(role, ["kms:CreateGrant"], [key.key_arn], conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}})


def allow_image(role: iam.Role, *images: Image) -> None:
    """Let SageMaker pull the images in this role's name."""
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    allow(role, pull, [image.repository_arn for image in images])
    allow(
        role,
        ["ecr:GetAuthorizationToken"],
        ["*"],
        why="The action supports no resource-level permissions: a token is for the registry.",
    )


def allow_logs(role: iam.Role, logs: Sequence[str], *kinds: str) -> None:
    """Let SageMaker write the logs and metrics (CPU, memory, disk) of its instances in this role's name."""
    why = "Log streams are named after jobs and instances, whose names are generated when they start."
    allow(role, WRITE_LOGS, logs, why=why)
    why = "The action supports no resource-level permissions; the condition names those of instance metrics."
    namespaces = {"StringEquals": {"cloudwatch:namespace": [f"/aws/sagemaker/{kind}" for kind in kinds]}}
    allow(role, ["cloudwatch:PutMetricData"], ["*"], why=why, conditions=namespaces)


def allow_network_interfaces(role: iam.Role) -> None:
    """docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html: jobs in a VPC."""
    allow(
        role,
        [
            *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission"),
            *("ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"),
            *("ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups"),
            *("ec2:DescribeSubnets", "ec2:DescribeVpcs"),
        ],
        ["*"],
        why="SageMaker creates the network interface when the job starts; the Describe actions support no resources.",
    )


def allow_mlflow(role: iam.Role, mlflow: str) -> None:
    """Let it find the MLflow server or app of an ARN, and write runs; nothing where there is none (an empty ARN)."""
    if not mlflow:
        return
    app = ":mlflow-app/" in mlflow
    found = ["DescribeMlflowApp", "CallMlflowAppApi"] if app else ["DescribeMlflowTrackingServer"]
    write = [f"sagemaker-mlflow:{name}" for name in MLFLOW_RUNS]
    allow(role, [*(f"sagemaker:{name}" for name in found), *write], [mlflow])
