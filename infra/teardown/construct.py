"""What CloudFormation does not do at a deletion: stop runs, empty buckets, delete model versions."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.foundation.foundation import Foundation
from infra.foundation.lambda_function import LambdaFunction
from infra.foundation.permissions import RUN_ID_LATER, allow, arn
from infra.training.construct import Training


class Teardown(Construct):
    """`emptied` is the custom resource whose deletion does that; only with removal_policy=destroy.

    A separate function, because the approval function, which runs every hour, should not be able to delete data.
    """

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, training: Training) -> None:
        super().__init__(scope, construct_id)
        made = LambdaFunction(
            self,
            foundation,
            folder="teardown",
            purpose="empties the buckets when the stack is deleted",
            role_purpose="deletes all data when the stack is deleted",
            minutes=14,
            retry_attempts=0,  # CloudFormation has its answer by then
        )
        buckets, role = foundation.storage.all, made.role
        everything = "All objects and versions go with the stack: removal_policy is destroy."
        of_bucket = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:ListBucketVersions"]
        of_group = ["sagemaker:ListModelPackages", "sagemaker:DeleteModelPackage"]
        allow(role, ["cloudformation:DescribeStacks"], [cdk.Stack.of(self).stack_id])
        allow(role, of_bucket, [bucket.bucket_arn for bucket in buckets])
        allow(role, ["s3:DeleteObjectVersion"], [bucket.arn_for_objects("*") for bucket in buckets], why=everything)
        allow(role, ["sagemaker:ListPipelineExecutions"], [training.pipeline_arn])
        runs = arn("sagemaker", f"pipeline/{foundation.settings.pipeline_name}/execution/*")
        allow(role, ["sagemaker:StopPipelineExecution"], [runs], why=RUN_ID_LATER)
        allow(role, of_group, [training.versions_arn], why=everything)
        self.emptied = cdk.CustomResource(
            self,
            "Emptied",
            resource_type="Custom::EmptiedAtRemoval",
            service_token=made.function.function_arn,
            service_timeout=cdk.Duration.minutes(15),
            properties={
                "Buckets": [bucket.bucket_name for bucket in buckets],
                "Group": foundation.settings.group_name,
                "Pipeline": training.pipeline.ref,
            },
        )
        self.emptied.node.add_dependency(role, training.group, training.pipeline, foundation.storage)
