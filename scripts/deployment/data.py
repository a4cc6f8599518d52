"""Inputs of a run (data, seed objects) and its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.contract import names as c
from scripts.deployment.check_result import FAILED, OK, CheckResult
from scripts.deployment.deployed_environment import DeployedEnvironment

_READ = (".csv", ".csv.gz", ".parquet")


def data(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The workload's files and, where the deployment wants them, those of its extra steps."""
    yield _below(environment, "data", str(environment.defaults["DataPrefix"]))
    for extra in environment.spec.inputs:
        prefix = str(environment.defaults.get(extra.parameter, c.NO_FOLDER))
        if prefix != c.NO_FOLDER:
            yield _below(environment, extra.channel, prefix)


def _below(environment: DeployedEnvironment, name: str, prefix: str) -> CheckResult:
    bucket, region = environment.data_bucket, environment.deployed.region
    pages = environment.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    found = [item for page in pages for item in page.get("Contents", [])]
    read = [item for item in found if item["Key"].lower().endswith(_READ) and item["Size"]]
    copy = f"aws s3 cp {prefix}/ s3://{bucket}/{prefix}/ --recursive --region {region}"
    if not found:
        return CheckResult(
            name, FAILED, f"nothing is below s3://{bucket}/{prefix}/, so step Prepare cannot start", copy
        )
    if not read:
        return CheckResult(name, FAILED, f"no CSV or Parquet file with content is below s3://{bucket}/{prefix}/", copy)
    return CheckResult(name, OK, _described(read, f"s3://{bucket}/{prefix}/"))


def _described(read: list[Mapping[str, Any]], place: str) -> str:
    newest = max(item["LastModified"] for item in read)
    size = sum(item["Size"] for item in read) / 1e6
    days = (datetime.now(UTC) - newest).days
    return f"{len(read)} files ({size:,.1f} MB) below {place}, the newest put there {newest:%Y-%m-%d} ({days} days ago)"


def seeds(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """The objects that the first run reads before any run has written them."""
    client = environment.client("s3")
    missing = []
    for key in environment.spec.all_seed_objects:
        listed = client.list_objects_v2(Bucket=environment.artifact_bucket, Prefix=key, MaxKeys=1)
        if key not in [item["Key"] for item in listed.get("Contents", [])]:
            missing.append(key)
    if missing:
        where = f"s3://{environment.artifact_bucket}/"
        yield CheckResult(
            "seed objects",
            FAILED,
            f"{', '.join(missing)} is missing from {where}: SageMaker fails a job whose input prefix holds nothing",
            environment.invoke("Approval"),
        )
    else:
        yield CheckResult("seed objects", OK, f"{len(environment.spec.all_seed_objects)} are there")


def outputs(environment: DeployedEnvironment) -> Iterator[CheckResult]:
    """What the last successful run must have written, under the very keys that others read.

    Only an account can tell whether S3 output URIs are taken as they are: a key with two slashes shows it.
    """
    succeeded = [run for run in environment.runs if run["PipelineExecutionStatus"] == "Succeeded"]
    if not succeeded:
        yield CheckResult("outputs", OK, "no run has succeeded yet")
        return
    client, bucket = environment.client("s3"), environment.artifact_bucket
    for key in (f"{c.PREDICTIONS_CHANNEL}/{c.PREDICTIONS_FILE}", f"{c.MONITOR_CHANNEL}/{c.MONITOR_FILE}"):
        folder = key.partition("/")[0]
        listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/").get("Contents", [])
        written = next((item["LastModified"] for item in listed if item["Key"] == key), None)
        if any(item["Key"].startswith(f"{folder}//") for item in listed):
            reason = f"SageMaker wrote below s3://{bucket}/{folder}// (two slashes), where nothing reads"
            yield CheckResult(
                "outputs", FAILED, reason, "take the slash off the output's URI: pipeline/definition/job_requests.py"
            )
        elif written is None or written < succeeded[0]["StartTime"]:
            reason = f"the run that succeeded last did not write s3://{bucket}/{key}"
            yield CheckResult(
                "outputs", FAILED, reason, environment.deployed.show_command(succeeded[0]["PipelineExecutionArn"])
            )
        else:
            yield CheckResult("outputs", OK, f"{key} was written {written:%Y-%m-%d %H:%M} UTC")
