"""The run-cost function: may the run that the workflow is about to start cost what it is estimated to cost?

Called by the workflow with `{"parameters": [{"Name": ..., "Value": ...}]}`, the run's; answers `{"refusal": null}`, or
the reason why the run may not start. It reads the definition that is deployed now, which may be one rolled back to.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3

from infra.lambda_shared.environment import LIMIT_VARIABLE, PIPELINE_VARIABLE, Boto3Client, LambdaContext
from pipeline.cost.run_limit import check_run_cost


@cache
def connect() -> Boto3Client:
    """A client of the region that the function runs in."""
    return boto3.client("sagemaker")


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, str | None]:
    """Lambda's entry. Raises what a call to SageMaker raised: the workflow tries again."""
    client, pipeline = connect(), os.environ[PIPELINE_VARIABLE]
    definition = json.loads(client.describe_pipeline(PipelineName=pipeline)["PipelineDefinition"])
    given = {parameter["Name"]: parameter["Value"] for parameter in event["parameters"]}
    refusal = check_run_cost(client, pipeline, definition, given, float(os.environ[LIMIT_VARIABLE]))
    sys.stdout.write(json.dumps({"refusal": refusal}) + "\n")
    return {"refusal": refusal}
