"""What CloudFormation does not do at a deletion: stop runs, empty buckets, delete model versions."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct, IConstruct

from infra.foundation.lambda_function import lambda_function
from infra.foundation.permissions import allow, sagemaker_arn
from infra.foundation.storage import Storage
from infra.settings.settings import Settings
from infra.training.construct import Training

HANDLER: Final = "infra.teardown.function.handler.handler"
TIMEOUT: Final = cdk.Duration.minutes(14)
ANSWER_TIMEOUT: Final = cdk.Duration.minutes(15)


class Teardown(Construct):
    """`emptied` is the custom resource whose deletion does that; only with removal_policy=destroy.

    A separate function, because the approval function, which runs every hour, should not be able to delete data.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        storage: Storage,
        training: Training,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        made = lambda_function(
            self,
            settings=settings,
            key=key,
            handler=HANDLER,
            description=f"{settings.pipeline_name}: empties the buckets when the stack is deleted",
            role_description=f"{settings.pipeline_name}: deletes all data when the stack is deleted",
            timeout=TIMEOUT,
            retry_attempts=0,  # CloudFormation has its answer by then
        )
        buckets = storage.all
        stack = cdk.Stack.of(self)
        group_name = settings.group_name
        packages = sagemaker_arn(self, "model-package", f"{group_name}/*")
        executions = sagemaker_arn(self, "pipeline", f"{settings.pipeline_name}/execution/*")
        everything = "All objects go with the stack: removal_policy is destroy."
        role = made.role
        allow(role, ["cloudformation:DescribeStacks"], [stack.stack_id])
        allow(
            role,
            ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:ListBucketVersions"],
            [bucket.bucket_arn for bucket in buckets],
        )
        allow(
            role,
            ["s3:DeleteObjectVersion"],
            [bucket.arn_for_objects("*") for bucket in buckets],
            why=everything,
        )
        allow(role, ["sagemaker:ListPipelineExecutions"], [training.pipeline_arn])
        allow(
            role, ["sagemaker:StopPipelineExecution"], [executions], why="The id of a run is generated when it starts."
        )
        allow(
            role,
            ["sagemaker:ListModelPackages", "sagemaker:DeleteModelPackage"],
            [packages],
            why="All versions of the group go with the stack: removal_policy is destroy.",
        )
        self.emptied = cdk.CustomResource(
            self,
            "Emptied",
            resource_type="Custom::EmptiedAtRemoval",
            service_token=made.function.function_arn,
            service_timeout=ANSWER_TIMEOUT,
            properties={
                "Buckets": [bucket.bucket_name for bucket in buckets],
                "Group": group_name,
                "Pipeline": training.pipeline.ref,
            },
        )
        self.emptied.node.add_dependency(role, training.group, training.pipeline, storage)

    def delete_after(self, *parts: IConstruct) -> None:
        """Let these be deleted first: they would start runs or write again."""
        for part in parts:
            part.node.add_dependency(self.emptied)
