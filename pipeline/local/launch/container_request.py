"""A job's request as SageMaker local mode takes it: files of this machine instead of objects in S3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.contract.names import DEFAULT_BASE_DIR
from pipeline.local.launch.hosts import host_count
from pipeline.local.launch.job import Job


def local_request(job: Job, base: Path) -> dict[str, Any]:
    """The request with inputs and outputs below `base` instead of in S3, and this machine instead of SageMaker's."""

    def placed(local_path: str) -> str:
        return f"file://{base}/{local_path.removeprefix(DEFAULT_BASE_DIR).strip('/')}"

    request = {name: value for name, value in job.request.items() if name not in ("NetworkConfig", "StoppingCondition")}
    kind = job.step_type.upper()
    request["Environment"] = {
        f"{kind}_JOB_NAME": job.name,
        f"{kind}_JOB_ARN": job.arn,
        **(request.get("Environment") or {}),
    }
    if job.step_type == "Training":
        request["ResourceConfig"] = {"InstanceType": "local", "InstanceCount": host_count(job.request)}
        request["OutputDataConfig"] = {"S3OutputPath": ""}  # the archives are made by the runner
        request["InputDataConfig"] = [
            {
                "ChannelName": channel["ChannelName"],
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": placed(f"{DEFAULT_BASE_DIR}/input/data/{channel['ChannelName']}"),
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel in request.get("InputDataConfig", [])
        ]
        return request
    cluster = {"InstanceType": "local", "InstanceCount": host_count(job.request)}
    request["ProcessingResources"] = {"ClusterConfig": cluster}
    request["ProcessingInputs"] = [
        {"InputName": item["InputName"], "S3Input": {**item["S3Input"], "S3Uri": placed(item["S3Input"]["LocalPath"])}}
        for item in request.get("ProcessingInputs", [])
    ]
    request["ProcessingOutputConfig"] = {
        "Outputs": [
            {
                "OutputName": item["OutputName"],
                # Local mode refuses Continuous. The folder is this machine's: the runner has what a failed job wrote.
                "S3Output": {
                    **item["S3Output"],
                    "S3Uri": placed(item["S3Output"]["LocalPath"]),
                    "S3UploadMode": "EndOfJob",
                },
            }
            for item in (request.get("ProcessingOutputConfig") or {}).get("Outputs", [])
        ]
    }
    return request


def image_of(request: Mapping[str, Any]) -> str:
    """The image that the job runs in."""
    return str(
        (request.get("AlgorithmSpecification") or {}).get("TrainingImage") or request["AppSpecification"]["ImageUri"]
    )


def is_isolated(request: Mapping[str, Any]) -> bool:
    """Whether the job has network isolation."""
    processing = (request.get("NetworkConfig") or {}).get("EnableNetworkIsolation")
    return bool(processing or request.get("EnableNetworkIsolation"))
