"""The teardown function: stops runs, empties buckets and deletes model versions, so that `cdk destroy` succeeds.

Only with removal_policy=destroy. CloudFormation calls it as a custom resource, which it deletes before those resources.
It acts only while the stack itself is deleted, or rolled back from its first creation: a deploy that changes to
removal_policy=retain deletes the custom resource too, and must delete nothing else.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.lambda_shared import cloudformation
from infra.lambda_shared.environment import Boto3Client, LambdaContext

DELETING: Final = ("DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
NO_WRITES: Final = "NoWritesWhileItGoes"
_SPARE_MS: Final = 20_000  # to answer CloudFormation before Lambda ends the function
_POLL_SECONDS: Final = 2.0
_GONE: Final = ("NoSuchBucket", "ResourceNotFound", "ValidationException", "ValidationError")
_MAX_ATTEMPTS: Final = 10


class OutOfTimeError(Exception):
    """More to delete than one invocation can."""


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    return cloudformation.respond(event, on_delete=lambda: remove(event, context))


def remove(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Delete what keeps CloudFormation from deleting the stack's pipeline, buckets and group."""
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"]
    if stack["StackStatus"] not in DELETING:
        _log(everything="kept", stack=stack["StackStatus"])
        return
    contents = event["ResourceProperties"]
    buckets, group, pipeline = contents["Buckets"], contents["Group"], contents["Pipeline"]  # that of access logs last
    partition = context.invoked_function_arn.split(":")[1]
    retrying = Config(retries={"mode": "standard", "max_attempts": _MAX_ATTEMPTS})  # a client changes its config
    s3: Boto3Client = boto3.client("s3", config=retrying)
    sagemaker: Boto3Client = boto3.client("sagemaker", config=retrying)
    repeat(context, partial(stop_runs, sagemaker, pipeline), f"runs of {pipeline} that have not stopped")
    for bucket in buckets:
        refuse_writes(s3, bucket, partition)
    for bucket in buckets:
        repeat(context, partial(delete_objects, s3, bucket), f"objects in {bucket}")
    repeat(context, partial(delete_packages, sagemaker, group), f"model versions in {group}")


def repeat(context: LambdaContext, work: Callable[[], int], what: str) -> None:
    """Do a piece of `work`, which returns how many items it found, until it finds none; raises OutOfTimeError."""
    total = 0
    while True:
        try:
            found = work()
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            found = 0  # the bucket, group or pipeline itself is gone
        total += found
        _log(of=what, found=found, in_all=total)
        if not found:
            return
        if context.get_remaining_time_in_millis() < _SPARE_MS:
            raise OutOfTimeError(
                f"there are still {what} ({total:,} seen to so far): run cdk destroy again: it resumes"
            )


def stop_runs(sagemaker: Boto3Client, pipeline: str) -> int:
    """Stop all running executions: SageMaker deletes no pipeline that has one, and its jobs would write."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(PipelineName=pipeline)
    status = {
        run["PipelineExecutionArn"]: run["PipelineExecutionStatus"]
        for page in pages
        for run in page["PipelineExecutionSummaries"]
        if run["PipelineExecutionStatus"] in ("Executing", "Stopping")
    }
    for arn in (arn for arn, now in status.items() if now == "Executing"):
        try:
            sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=str(uuid.uuid4()))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":  # it has just ended
                raise
    if status:
        time.sleep(_POLL_SECONDS)
    return len(status)


def refuse_writes(s3: Boto3Client, bucket: str, partition: str) -> None:
    """Deny new objects by the bucket's own policy: S3 delivers access logs late, and a late one would keep the bucket.

    The CDK's auto_delete_objects does the same (aws-cdk issue 26874).
    """
    try:
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        policy = {"Version": "2012-10-17", "Statement": []}
    if any(statement.get("Sid") == NO_WRITES for statement in policy["Statement"]):
        return
    policy["Statement"].append(
        {
            "Sid": NO_WRITES,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:{partition}:s3:::{bucket}/*",
        }
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    _log(bucket=bucket, writes="refused")


def delete_objects(s3: Boto3Client, bucket: str) -> int:
    """Delete up to a thousand versions and delete markers; raises RuntimeError that names one that S3 refuses."""
    page = s3.list_object_versions(Bucket=bucket)
    found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    if found:
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        for refused in answer.get("Errors", ()):
            raise RuntimeError(f"S3 does not delete {refused['Key']} in {bucket}: {refused['Code']}")
    return len(found)


def delete_packages(sagemaker: Boto3Client, group: str) -> int:
    """Delete the versions of one page: SageMaker deletes no group that has one."""
    page = sagemaker.list_model_packages(ModelPackageGroupName=group, MaxResults=100)["ModelPackageSummaryList"]
    for package in page:
        try:
            sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            time.sleep(_POLL_SECONDS)  # already deleted: the list is eventually consistent
    return len(page)


def _log(**fields: object) -> None:
    sys.stdout.write(f"{json.dumps(fields)}\n")
