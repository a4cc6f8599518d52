"""The definition's steps under the SDK's own LocalPipelineSession, with S3 from moto: how each night's steps ended.

python sdk_pipeline.py IMAGE SPARK_IMAGE GAMES_FOLDER EVENTS_FOLDER WORK_FOLDER PARAMETERS_JSON

A program of its own, because our local mode changes the SDK in the process that imports it. RegisterModel is left
out: the SDK's local mode does not know it.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import boto3
from containers import NIGHTS
from moto.server import ThreadedMotoServer
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.local import LocalPipelineSession
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.pipeline import Pipeline

from pipeline.contract import names as c
from pipeline.contract.workload import load_spec, load_workload
from pipeline.definition.compile import build_steps
from pipeline.definition.job_requests import Variables
from pipeline.local import local_deployment
from pipeline.local.store.local_champion import note_registration, promote
from pipeline.local.store.registry import LocalRegistry
from pipeline.local.store.store import Store
from pipeline.workloads.nba.spark.archive import write_archive

VARIABLES = Variables(load_spec("nba"))
BUCKETS = {"DataBucket": "data", "ArtifactBucket": "artifacts"}
NO_TELEMETRY = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


class Session(LocalPipelineSession, PipelineSession):
    """What the SDK's executor works with."""


def bound(node: Any, constants: dict[str, str]) -> Any:
    """A request with its deployment constants bound."""
    if isinstance(node, dict):
        return {key: bound(value, constants) for key, value in node.items()}
    if isinstance(node, list):
        return [bound(item, constants) for item in node]
    if isinstance(node, Join):
        return Join(on=node.on, values=[bound(value, constants) for value in node.values])
    if type(node) is str:
        for name, value in constants.items():
            node = node.replace(f"${{{name}}}", value)
        return "EndOfJob" if node == "Continuous" else node  # an upload mode that local mode refuses
    return node


def without_register(steps: list[Any], constants: dict[str, str]) -> list[Any]:
    """The steps with constants bound, and without RegisterModel."""
    kept = []
    for step in steps:
        if isinstance(step, ConditionStep):
            branches = [without_register(branch, constants) for branch in (step.if_steps, step.else_steps)]
            kept.append(
                ConditionStep(step.name, conditions=step.conditions, if_steps=branches[0], else_steps=branches[1])
            )
        elif step.step_type.value != "RegisterModel":
            if hasattr(step, "_request"):
                step._request = bound(step._request, constants)
            kept.append(step)
    return kept


def register(folder: Path, s3: Any, run: str) -> None:
    """What Register and an approval lead to, by our runner's registry: champion/ and the note of registration."""
    store = Store(folder)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="artifacts"):
        for item in page["Contents"]:
            path = store.object_path(f"s3://artifacts/{item['Key']}")
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file("artifacts", item["Key"], str(path))
    (model,) = store.object_path(f"s3://artifacts/runs/{run}/train").glob("*/output/model.tar.gz")
    evaluation = store.read_json(f"s3://artifacts/runs/{run}/evaluate/evaluation/evaluation.json")
    key = model.relative_to(store.object_path("s3://artifacts/")).as_posix()
    request = {
        "ModelPackageGroupName": local_deployment.MODEL_PACKAGE_GROUP,
        "ModelApprovalStatus": "Approved",
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": f"s3://artifacts/{key}"}]},
        "CustomerMetadataProperties": {"fingerprint": evaluation["fingerprint"]},
    }
    LocalRegistry(store).register(request, run)
    note_registration(store, local_deployment.MODEL_PACKAGE_GROUP, "artifacts")
    promote(store, local_deployment.MODEL_PACKAGE_GROUP, "artifacts")
    for channel in (c.CHAMPION_CHANNEL, c.EVALUATED_CHANNEL):
        for item in store.objects(f"s3://artifacts/{channel}/"):
            s3.upload_file(str(item.path), "artifacts", f"{channel}/{item.relative}")


def one_night(session: Any, s3: Any, parameters: dict[str, str]) -> dict[str, Any]:
    """Run the pipeline, and say how it and its steps ended."""
    typed = {name: type(VARIABLES[name].default_value)(value) for name, value in parameters.items()}
    execution = session.start_pipeline_execution("retraining", PipelineParameters=typed)
    run = execution.pipeline_execution_name
    steps = execution.step_execution.values()
    evaluation: dict[str, Any] = {}
    if execution.step_execution["Evaluate"].status == "Succeeded":
        key = f"runs/{run}/evaluate/{c.EVALUATION_CHANNEL}/{c.EVALUATION_FILE}"
        evaluation = json.loads(s3.get_object(Bucket="artifacts", Key=key)["Body"].read())
    return {
        "run": run,
        "status": execution.status,
        "failure": execution.failure_reason,
        "steps": {step.name: step.status for step in steps},
        "outcomes": {step.name: step.properties["Outcome"] for step in steps if "Outcome" in step.properties},
        "evaluation": evaluation,
    }


def main() -> None:
    """Run and print."""
    image, spark_image, games, events, work, given = sys.argv[1:]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    keys = boto3.Session(region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    endpoint = f"http://localhost:{port}"
    session = Session(
        boto_session=keys, default_bucket="artifacts", s3_endpoint_url=endpoint, sagemaker_config=NO_TELEMETRY
    )
    session.config = {"local": {"local_code": True, "container_root": work}}
    s3 = session.s3_client
    for bucket in BUCKETS.values():
        s3.create_bucket(Bucket=bucket)
    for prefix, folder in (("games", games), ("events", events)):
        for path in Path(folder).iterdir():
            s3.upload_file(str(path), "data", f"{prefix}/{path.name}")
    for key, text in load_spec("nba").all_seed_objects.items():
        s3.put_object(Bucket="artifacts", Key=key, Body=text.encode())
    write_archive(Path(work, "code.zip"))
    s3.upload_file(f"{work}/code.zip", "artifacts", "code/code.zip")

    constants = {**BUCKETS, "ImageUri": image, "ExecutionRoleArn": "local", "KmsKeyId": "local"}
    constants |= {"CodeVersion": "test", "GitRevision": "test", "DefinitionHash": "test"}
    constants |= {
        "SparkImageUri": spark_image,
        "SparkCodeUri": "s3://artifacts/code/code.zip",
        "SparkCodeFile": "code.zip",
    }
    pipeline = Pipeline(
        name="retraining",
        parameters=VARIABLES.all,
        pipeline_experiment_config=None,
        steps=without_register(build_steps(load_workload("nba"), VARIABLES), constants),
        sagemaker_session=session,
    )
    session.create_pipeline(pipeline, "the definition's steps")
    machines = {name: "local" for name in VARIABLES.parameters.defaults if name.endswith("InstanceType")}
    always = json.loads(given) | machines | {"EventsPrefix": "events"}
    results = {}
    for decision, changed in NIGHTS.items():
        results[decision] = one_night(session, s3, always | changed)
        if decision == "registered":
            register(Path(work, "store"), s3, results[decision]["run"])
    Path(work, "result.json").write_text(json.dumps(results))
    server.stop()


if __name__ == "__main__":
    logging.getLogger("sagemaker").setLevel(logging.ERROR)
    main()
