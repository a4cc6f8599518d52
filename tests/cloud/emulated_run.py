"""Does in the account what SageMaker does for a run: jobs in their role, registration in the pipeline's.

The requests and the files are those of a run of this machine; the account's policies decide about each call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from deployments import IMAGE, Deployed
from iam_emulation.account import keys_of

from pipeline.local import local_deployment

JOBS = ("Processing", "Training")


@dataclass(frozen=True)
class AccountRun:
    """A run of the deployed pipeline, which `store` has run as `execution_id` already."""

    deployed: Deployed
    store: Path
    execution_id: str
    arn: str

    @classmethod
    def of(cls, deployed: Deployed, store: Path, execution_id: str) -> AccountRun:
        """The run begins; the games are in the data bucket."""
        name = deployed.outputs["PipelineName"]
        run = deployed.client("sagemaker").start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
        games = store / "objects" / local_deployment.DATA_BUCKET
        for path in games.rglob("*"):
            if path.is_file():
                key = path.relative_to(games).as_posix()
                deployed.client("s3").upload_file(str(path), deployed.outputs["DataBucket"], key)
        return cls(deployed, store, execution_id, run)

    @cached_property
    def definition(self) -> dict[str, dict[str, Any]]:
        """The deployed steps by name."""
        return {step["Name"]: step for step in _flat(json.loads(self.deployed.pipeline["PipelineDefinition"])["Steps"])}

    @cached_property
    def role(self) -> str:
        """The jobs' role, which the definition names."""
        return str(self.definition["Prepare"]["Arguments"]["RoleArn"])

    def _in_role(self, service: str, role: str) -> Any:
        return self.deployed.client(service, **keys_of(role, "sagemaker"))

    @cached_property
    def pipeline(self) -> Any:
        """SageMaker's API in the pipeline's role."""
        return self._in_role("sagemaker", self.deployed.pipeline["RoleArn"])

    @cached_property
    def job_files(self) -> Any:
        """S3 in the jobs' role."""
        return self._in_role("s3", self.role)

    def jobs(self) -> None:
        """Every job that ran: started by the pipeline, its files read and written in its own role."""
        record = json.loads((self.store / "runs" / self.execution_id / "run.json").read_text(encoding="utf-8"))
        for step in record["steps"]:
            if step["type"] in JOBS and step["properties"]:
                self._start(step["type"], step["name"], self._of_account(step["properties"]))
                self._write(step["outputs"])
                self._look(step["outputs"])

    def _start(self, kind: str, step: str, described: dict[str, Any]) -> None:
        name = f"{kind}JobName"
        shape = self.pipeline.meta.service_model.operation_model(f"Create{kind}Job").input_shape
        request = {key: value for key, value in described.items() if key in shape.members}
        request[name] = f"pipelines-{self.arn.rpartition('/')[2]}-{step}-x"[:63]
        tags = self.definition[step]["Arguments"].get("Tags")
        getattr(self.pipeline, f"create_{kind.lower()}_job")(**request, **({"Tags": tags} if tags else {}))
        getattr(self.pipeline, f"describe_{kind.lower()}_job")(**{name: request[name]})
        for uri in _inputs(request):
            self._read(uri)

    def _read(self, uri: str) -> None:
        """All objects that begin with an address, as SageMaker downloads them."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        pages = self.job_files.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for entry in [entry for page in pages for entry in page.get("Contents", ())]:
            self.job_files.get_object(Bucket=bucket, Key=entry["Key"])

    def _write(self, outputs: list[str]) -> None:
        for uri in outputs:
            bucket, _, key = self._of_account(uri).removeprefix("s3://").partition("/")
            path = self.store / "objects" / uri.removeprefix("s3://")
            if path.is_file():
                self.job_files.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    def _look(self, outputs: list[str]) -> None:
        """What conditions and messages read of a step's property files, in the pipeline's role."""
        files = {file["FilePath"] for step in self.definition.values() for file in step.get("PropertyFiles", ())}
        for uri in outputs:
            if uri.rpartition("/")[2] in files:
                bucket, _, key = self._of_account(uri).removeprefix("s3://").partition("/")
                self._in_role("s3", self.deployed.pipeline["RoleArn"]).get_object(Bucket=bucket, Key=key)

    def aggregation(self) -> None:
        """The files of the steps for which this run had no play-by-play: their code, and what they leave."""
        for name in ("Aggregate", "AggregateOnSpark"):
            arguments = self.definition[name]["Arguments"]
            for entry in arguments["ProcessingInputs"]:
                if isinstance(uri := entry["S3Input"]["S3Uri"], str):
                    self._read(uri)
            for entry in arguments["ProcessingOutputConfig"]["Outputs"]:
                bucket, _, key = entry["S3Output"]["S3Uri"].removeprefix("s3://").partition("/")
                self.job_files.put_object(Bucket=bucket, Key=f"{key.rstrip('/')}/aggregated.json", Body=b"{}")

    def register(self, package: dict[str, Any], **metadata: str) -> str:
        """The package as the local run registered it; the ARN of the account's.

        SageMaker asks for the group first, even where there is one: so a report of a role that might not.
        """
        group = self.deployed.outputs["ModelPackageGroup"]
        try:
            self.pipeline.create_model_package_group(ModelPackageGroupName=group)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationException":
                raise
        names = ("ModelPackageDescription", "ModelApprovalStatus", "InferenceSpecification", "ModelMetrics")
        request = self._of_account({name: package[name] for name in names})
        known = {**package["CustomerMetadataProperties"], "execution": self.arn, "image": IMAGE, **metadata}
        made = self.pipeline.create_model_package(
            ModelPackageGroupName=group, CustomerMetadataProperties=known, **request
        )
        self.pipeline.describe_model_package(ModelPackageName=made["ModelPackageArn"])
        return str(made["ModelPackageArn"])

    def _of_account(self, value: Any, name: str = "") -> Any:
        """A request of this machine with the account's names in it."""
        if isinstance(value, dict):
            return {key: self._of_account(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [self._of_account(entry, name) for entry in value]
        named = {"RoleArn": self.role, "Image": IMAGE, "ImageUri": IMAGE, "TrainingImage": IMAGE}
        if name in ("KmsKeyId", "VolumeKmsKeyId"):
            return self.definition["Train"]["Arguments"]["OutputDataConfig"]["KmsKeyId"]
        if name in named or not isinstance(value, str):
            return named.get(name, value)
        for local, output in (
            (local_deployment.ARTIFACT_BUCKET, "ArtifactBucket"),
            (local_deployment.DATA_BUCKET, "DataBucket"),
        ):
            value = value.replace(f"s3://{local}/", f"s3://{self.deployed.outputs[output]}/")
        return value


def _inputs(request: dict[str, Any]) -> Iterator[str]:
    for entry in request.get("ProcessingInputs", ()):
        yield entry["S3Input"]["S3Uri"]
    for entry in request.get("InputDataConfig", ()):
        yield entry["DataSource"]["S3DataSource"]["S3Uri"]


def _flat(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            yield from _flat([*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]])
