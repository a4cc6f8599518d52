"""The values that expressions of a running pipeline can name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.local.plan.describe_responses import execution_arn, pipeline_arn, timestamp
from pipeline.local.plan.expressions import ExpressionError, Value
from pipeline.local.plan.plan import Plan
from pipeline.local.store.run_record import RunResult
from pipeline.local.store.store import Store, join_uri


class RunScope:
    """The parameters of a plan, the execution variables of a run, and the properties of its steps that have ended."""

    def __init__(self, plan: Plan, store: Store, run: Callable[[], RunResult], job_name: str = "") -> None:
        self._plan, self._store, self._run, self._job_name = plan, store, run, job_name

    @property
    def parameters(self) -> Mapping[str, Value]:
        """Values of the pipeline parameters."""
        return self._plan.parameters

    def execution(self, name: str) -> str | None:
        """The execution variable `name`, or None if there is no such one."""
        run = self._run()
        variables = {
            "PipelineName": run.pipeline_name,
            "PipelineArn": pipeline_arn(run.pipeline_name),
            "PipelineExecutionId": run.execution_id,
            "PipelineExecutionArn": execution_arn(run.pipeline_name, run.execution_id),
            "StartDateTime": timestamp(run.started_at),
            "CurrentDateTime": timestamp(time.time()),
            "TrainingJobName": self._job_name or None,
            "ProcessingJobName": self._job_name or None,
        }
        return variables.get(name)

    def properties(self, step: str) -> Mapping[str, Any]:
        """The Describe-shaped response of a step that has ended."""
        return self._run().step(step).properties

    def property_file(self, step: str, name: str) -> str:
        """The S3 location of a property file of a step that has ended."""
        file = next(item for item in self._plan.step(step).property_files if item.name == name)
        for output in self.properties(step).get("ProcessingOutputConfig", {}).get("Outputs", []):
            if output["OutputName"] == file.output_name:
                return join_uri(output["S3Output"]["S3Uri"], file.path)
        raise ExpressionError(
            f'property file "{name}" is in output "{file.output_name}", which is not one of step {step}'
        )

    def read_json(self, uri: str) -> object:
        """The JSON document at an S3 location; raises FileNotFoundError or ValueError."""
        return self._store.read_json(uri)
