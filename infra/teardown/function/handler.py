"""The function that lets `cdk destroy` work by itself: runs are stopped, buckets emptied, model versions deleted.

There only with removal_policy=destroy. CloudFormation calls it as a custom resource, which it deletes before all that
the function works on. It acts only while the stack itself goes (deleted, or rolled back from its first creation): a
deployment that turns to removal_policy=retain deletes the custom resource too, and must delete nothing else.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.lambda_shared import cloudformation
from infra.lambda_shared.clients import Buckets, Runs
from infra.lambda_shared.environment import Context

GOING: Final = ("DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
NO_WRITES: Final = "NoWritesWhileItGoes"
_SPARE_MS: Final = 20_000  # to answer CloudFormation before Lambda ends the function
_POLL_SECONDS: Final = 2.0
_GONE: Final = ("NoSuchBucket", "ResourceNotFound", "ValidationException", "ValidationError")
_RETRIES: Final = Config(retries={"mode": "standard", "max_attempts": 10})


class OutOfTimeError(Exception):
    """There is more to do than fits into one call."""


@dataclass(frozen=True)
class Going:
    """What goes with the stack; buckets in this order, the one that gets the others' access logs last."""

    buckets: tuple[str, ...]
    group: str
    pipeline: str

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Going:
        """From the custom resource's properties."""
        return cls(tuple(properties["Buckets"]), properties["Group"], properties["Pipeline"])


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Lambda's entry."""
    return cloudformation.answer(event, at_removal=lambda: remove(event, context))


def remove(event: Mapping[str, Any], context: Context) -> None:
    """Remove what would keep CloudFormation from deleting the stack's pipeline, buckets and group."""
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"]
    if stack["StackStatus"] not in GOING:
        _log(everything="kept", stack=stack["StackStatus"])
        return
    going = Going.of(event["ResourceProperties"])
    partition = context.invoked_function_arn.split(":")[1]
    s3: Any = boto3.client("s3", config=_RETRIES)
    sagemaker: Any = boto3.client("sagemaker", config=_RETRIES)
    left = Left(context)
    left.until_none(partial(stop_runs, sagemaker, going.pipeline), f"runs of {going.pipeline} that have not stopped")
    for bucket in going.buckets:
        refuse_writes(s3, bucket, partition)
    for bucket in going.buckets:
        left.until_none(partial(delete_objects, s3, bucket), f"objects in {bucket}")
    left.until_none(partial(delete_packages, sagemaker, going.group), f"model versions in {going.group}")


@dataclass(frozen=True)
class Left:
    """Repeats a piece of work until none is left, as long as there is time."""

    context: Context

    def until_none(self, work: Callable[[], int], what: str) -> None:
        """`work` does a piece and returns how many it found; raises OutOfTimeError."""
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
            if self.context.get_remaining_time_in_millis() < _SPARE_MS:
                raise OutOfTimeError(
                    f"there are still {what} ({total:,} seen to so far): run cdk destroy again, it goes on from there"
                )


def stop_runs(sagemaker: Runs, pipeline: str) -> int:
    """Stop all runs that go on: SageMaker deletes no pipeline that has one, and its jobs would write."""
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


def refuse_writes(s3: Buckets, bucket: str, partition: str) -> None:
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


def delete_objects(s3: Buckets, bucket: str) -> int:
    """Delete up to a thousand versions and delete markers; raises RuntimeError that names one that S3 refuses."""
    page = s3.list_object_versions(Bucket=bucket)
    found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    if found:
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        for refused in answer.get("Errors", ()):
            raise RuntimeError(f"S3 does not delete {refused['Key']} in {bucket}: {refused['Code']}")
    return len(found)


def delete_packages(sagemaker: Runs, group: str) -> int:
    """Delete the versions of one page: SageMaker deletes no group that has one."""
    page = sagemaker.list_model_packages(ModelPackageGroupName=group, MaxResults=100)["ModelPackageSummaryList"]
    for package in page:
        try:
            sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            time.sleep(_POLL_SECONDS)  # deleted already: the list, an index, lags behind
    return len(page)


def _log(**fields: object) -> None:
    sys.stdout.write(f"{json.dumps(fields)}\n")
