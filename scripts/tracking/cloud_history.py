"""The runs and versions of a deployed pipeline: SageMaker's API, and the files that its jobs wrote to S3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.contract.history.runs import FAILED, STOPPED, SUCCEEDED
from pipeline.contract.reasons import processing_job
from scripts.cloud.connection import DeployedPipeline
from scripts.cloud.review import AwsReview
from scripts.output.execution import read
from scripts.tracking.ended_run import EndedRun


class CloudHistory:
    """A deployed pipeline as a history; what is read of S3 goes to `folder`."""

    def __init__(self, deployed: DeployedPipeline, folder: Path, experiment: str | None = None) -> None:
        self._deployed, self._folder, self._given = deployed, folder, experiment
        self._review = AwsReview(deployed, patience=0)
        self._s3 = deployed.session.client("s3", region_name=deployed.region)

    @property
    def experiment(self) -> str:
        """The given name, or the pipeline's, as in the definition's own MlflowConfig."""
        return self._given or self._deployed.name

    @property
    def model_name(self) -> str:
        """The given name, or that of the model package group."""
        return self._given or self._review.group

    def ended(self) -> list[tuple[str, str]]:
        """Each run that has ended, oldest first: its ARN, and its status."""
        pages = self._deployed.client.get_paginator("list_pipeline_executions").paginate(
            PipelineName=self._deployed.name, SortBy="CreationTime", SortOrder="Ascending"
        )
        runs = [run for page in pages for run in page["PipelineExecutionSummaries"]]
        return [
            (run["PipelineExecutionArn"].rpartition("/")[2], run["PipelineExecutionStatus"])
            for run in runs
            if run["PipelineExecutionStatus"] in (SUCCEEDED, FAILED, STOPPED)
        ]

    def read(self, execution_id: str) -> EndedRun:
        """Its steps, its parameters, and the jobs of its processing steps."""
        run = read(self._deployed, f"{self._deployed.arn}/execution/{execution_id}")
        steps = {step.name: step for step in run.steps}
        failed = next((step for step in run.steps if step.reason), None)
        outcome = steps["HasNewData"].outcome if "HasNewData" in steps else None
        version = steps["Register"].version if "Register" in steps else None
        return EndedRun(
            execution_id=execution_id,
            status=run.status,
            started_at=run.started.timestamp(),
            ended_at=run.changed.timestamp(),
            failure=f"{failed.name}: {failed.reason}" if failed else run.reason,
            parameters=run.parameters,
            seconds={s.name: (s.ended - s.started).total_seconds() for s in run.steps if s.started and s.ended},
            has_new_data=None if outcome is None else outcome == "true",
            version=int(version) if version else None,
            jobs=self._jobs(run.arn),
            fetch=self._fetch,
        )

    def _jobs(self, arn: str) -> dict[str, Mapping[str, Any]]:
        client = self._deployed.client
        pages = client.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
        names = {step["StepName"]: processing_job(step) for page in pages for step in page["PipelineExecutionSteps"]}
        return {step: client.describe_processing_job(ProcessingJobName=name) for step, name in names.items() if name}

    def _fetch(self, uri: str) -> Path | None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        path = self._folder / key
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._s3.download_file(bucket, key, str(path))
            except self._s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return None
                raise
        return path

    def packages(self) -> tuple[dict[str, Any], ...]:
        """The registered versions, oldest first."""
        return self._review.packages()

    @property
    def champion(self) -> int | None:
        """The version in use."""
        return self._review.champion
