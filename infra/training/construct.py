"""The pipeline in SageMaker: the deployed definition, its role, its jobs' role, and the group it registers into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.foundation.foundation import Foundation
from infra.foundation.kms_keys import removal
from infra.foundation.permissions import (
    JOBS_NAMED_LATER,
    KEYS_HAVE_RUN_ID,
    NUMBERED_LATER,
    RUN_ID_LATER,
    allow,
    arn,
    service_principal,
)
from infra.foundation.storage import RUNS_PREFIX
from infra.settings.settings import Settings
from infra.settings.tag_rules import VERSION_TAGS
from infra.training.definition import bound_body, versions
from infra.training.image import step_image
from infra.training.job_role import allow_mlflow, job_role
from infra.training.spark import spark_cluster
from pipeline.cost.run_limit import LIMIT_TAG

PARALLEL_STEPS: Final = 2  # Predict beside Train


class Training(Construct):
    """`pipeline`, `group` (the model package group), `image` of the steps, and the ARNs of pipeline, runs, versions."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        settings, storage, key = foundation.settings, foundation.storage, foundation.key
        self.group = sagemaker.CfnModelPackageGroup(
            self,
            "Group",
            model_package_group_name=settings.group_name,
            model_package_group_description=f"Candidates of {settings.pipeline_name}; the approved one is the champion",
        )
        self.group.apply_removal_policy(removal(settings))
        self.versions_arn = arn("sagemaker", f"model-package/{settings.group_name}/*")
        self.image = step_image(self, settings)
        cluster = spark_cluster(self, settings)
        self.job_role = job_role(self, foundation, image=self.image, cluster=cluster)
        self.role = self._pipeline_role(foundation)
        deployed = versions(settings.workload)
        constants = {
            "ExecutionRoleArn": self.job_role.role_arn,
            "ImageUri": self.image.uri,
            "DataBucket": storage.data.bucket_name,
            "ArtifactBucket": storage.artifacts.bucket_name,
            "KmsKeyId": key.key_arn,
            "ModelPackageGroupName": settings.group_name,
            **(cluster.constants if cluster else {}),
            **deployed,
        }
        self.pipeline = sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=settings.pipeline_name,
            pipeline_description=(
                f"Retrains, compares, registers. Definition {deployed['DefinitionHash'][:12]}, "
                f"code {deployed['CodeVersion'][:12]}, git {deployed['GitRevision']}."
            ),
            pipeline_definition={"PipelineDefinitionBody": bound_body(settings, constants)},
            role_arn=self.role.role_arn,
            parallelism_configuration={"MaxParallelExecutionSteps": PARALLEL_STEPS},
            tags=[cdk.CfnTag(key=tag, value=value) for tag, value in _own_tags(settings, deployed).items()],
        )
        self.pipeline.node.add_dependency(self.role, self.job_role, self.group)
        self.pipeline_arn = arn("sagemaker", f"pipeline/{self.pipeline.ref}")
        self.runs_arn = f"{self.pipeline_arn}/execution/*"

    def allow_reading_versions(self, role: iam.Role | iam.ManagedPolicy) -> None:
        """Read the group's versions."""
        read = ["sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"]
        allow(role, read, [self.versions_arn], why=NUMBERED_LATER)

    def allow_reading_runs(self, role: iam.Role | iam.ManagedPolicy) -> None:
        """Read runs, their steps and parameters, and the processing jobs of all pipelines."""
        of_run = ("DescribePipelineExecution", "ListPipelineExecutionSteps", "ListPipelineParametersForExecution")
        allow(role, ["sagemaker:ListPipelineExecutions"], [self.pipeline_arn])
        allow(role, [f"sagemaker:{name}" for name in of_run], [self.runs_arn], why=RUN_ID_LATER)
        jobs = arn("sagemaker", "processing-job/pipelines-*")
        allow(role, ["sagemaker:DescribeProcessingJob"], [jobs], why=JOBS_NAMED_LATER)

    def _pipeline_role(self, foundation: Foundation) -> iam.Role:
        """The pipeline's role: starts jobs with the jobs' role, reads property files, registers. It cannot approve."""
        settings, artifacts = foundation.settings, foundation.storage.artifacts
        role = iam.Role(
            self,
            "PipelineRole",
            assumed_by=service_principal("sagemaker"),
            description=f"{settings.pipeline_name} itself: starts its jobs and registers candidates",
        )
        for resource, kind in (("processing-job", "Processing"), ("training-job", "Training")):
            allow(
                role,
                [f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")] + ["sagemaker:AddTags"],
                [arn("sagemaker", f"{resource}/pipelines-*")],
                why=JOBS_NAMED_LATER,
            )
        allow(
            role,
            ["iam:PassRole"],
            [self.job_role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )
        self._allow_registration(role, settings)
        allow(role, ["s3:ListBucket"], [artifacts.bucket_arn])
        allow(role, ["s3:GetObject"], [artifacts.arn_for_objects(f"{RUNS_PREFIX}*")], why=KEYS_HAVE_RUN_ID)
        # It writes nothing, and the jobs' own role makes the grants for their volumes.
        allow(role, ["kms:Decrypt"], [foundation.key.key_arn])
        allow_mlflow(role, settings.mlflow_arn)
        return role

    def _allow_registration(self, role: iam.Role, settings: Settings) -> None:
        """Register versions as pending: the start of a run can set ApprovalStatus, and must not approve."""
        group = self.group.attr_model_package_group_arn
        statuses = ["PendingManualApproval", *(["Approved"] if settings.approval == "automatic" else [])]
        pending = {"StringEquals": {"sagemaker:ModelApprovalStatus": statuses}}
        create, describe = "sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"
        allow(role, [create], [group, self.versions_arn], why=NUMBERED_LATER, conditions=pending)
        allow(role, [describe, "sagemaker:AddTags"], [self.versions_arn], why=NUMBERED_LATER)
        # The step calls the first even where the group exists.
        allow(role, ["sagemaker:CreateModelPackageGroup", "sagemaker:DescribeModelPackageGroup"], [group])
        # The registry looks up the image in the caller's name (AmazonSageMakerModelRegistryFullAccess has both).
        allow(role, ["ecr:BatchGetImage", "ecr:DescribeImages"], [self.image.repository_arn])


def _own_tags(settings: Settings, deployed: Mapping[str, str]) -> dict[str, str]:
    """Tags of the pipeline alone. The limit is one, because a roll-back of the definition leaves tags as they are."""
    limit = {LIMIT_TAG: f"{settings.max_run_usd:.12g}"} if settings.max_run_usd else {}
    return {**dict(zip(VERSION_TAGS, deployed.values(), strict=True)), **limit}
