"""The deployed definition is definition.json with the constants bound, and nothing else, but what the settings say."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from resolved_template import ACCOUNT, REGION, Resolver, Template, only, resources
from synthesis import IMAGE, Synthesise

from infra.settings.settings import Settings
from infra.settings.settings_validation import SettingError
from infra.training.definition import bound_body, deployed_definition
from pipeline.contract.code_version import all_steps, code_version, step_files


def deployed(template: Template) -> dict[str, Any]:
    """The definition that SageMaker would get."""
    _, pipeline = only(template, "AWS::SageMaker::Pipeline")
    definition: dict[str, Any] = json.loads(
        Resolver(template)(pipeline["PipelineDefinition"]["PipelineDefinitionBody"])
    )
    return definition


def expected_constants(template: Template, root: Path) -> dict[str, str]:
    """The constants by hand: from the resources' made-up names and from the files."""

    def named(kind: str, marked: str, attribute: str) -> str:
        (name,) = [k for k in resources(template, kind) if marked in k]
        return str(Resolver(template)({"Fn::GetAtt": [name, attribute]} if attribute else {"Ref": name}))

    found = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    return {
        "ExecutionRoleArn": named("AWS::IAM::Role", "TrainingJobRole", "Arn"),
        "ImageUri": IMAGE,
        "DataBucket": named("AWS::S3::Bucket", "StorageData", ""),
        "ArtifactBucket": named("AWS::S3::Bucket", "StorageArtifacts", ""),
        "KmsKeyId": named("AWS::KMS::Key", "KeysData", "Arn"),
        "ModelPackageGroupName": "nba-home-win-prod",
        "CodeVersion": code_version("nba"),
        "GitRevision": found.stdout.strip() or "unknown",
        "DefinitionHash": hashlib.sha256(
            (root / "pipeline" / "workloads" / "nba" / "definition.json").read_bytes()
        ).hexdigest(),
        "SparkImageUri": "173754725891.dkr.ecr.us-east-1.amazonaws.com/sagemaker-spark-processing:3.5-cpu",
        "SparkCodeUri": f"s3://cdk-hnb659fds-assets-{ACCOUNT}-{REGION}/{spark_code(template)}",
        "SparkCodeFile": spark_code(template),
    }


def spark_code(template: Template) -> str:
    """The name of the archive's object: a digest of its content."""
    _, pipeline = only(template, "AWS::SageMaker::Pipeline")
    name: str = pipeline["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Sub"][1]["SparkCodeFile"]
    assert re.fullmatch(r"[0-9a-f]{64}\.zip", name)
    return name


def test_nothing_but_the_constants_differs(prod: Template, root: Path) -> None:
    text = (root / "pipeline" / "workloads" / "nba" / "definition.json").read_text(encoding="utf-8")
    for name, value in expected_constants(prod, root).items():
        assert f"${{{name}}}" in text
        text = text.replace(f"${{{name}}}", value)
    assert deployed(prod) == json.loads(text)
    assert "${" not in json.dumps(deployed(prod))


def test_settings_change_defaults_and_nothing_else(prod: Template, synthesise: Synthesise) -> None:
    changed = synthesise(
        env="prod",
        approval="automatic",
        instance_types="Train=ml.m5.xlarge",
        instance_counts="Aggregate=3,Train=4",
        limits="MaxLogLoss=0.66,MinRows=500",
        events_prefix="feeds/play_by_play",
    )
    before, after = deployed(prod), deployed(changed)
    defaults = {p["Name"]: p["DefaultValue"] for p in after["Parameters"]}
    assert defaults["ApprovalStatus"] == "Approved"
    assert (defaults["TrainInstanceType"], defaults["TrainInstanceCount"]) == ("ml.m5.xlarge", 4)
    assert defaults["AggregateInstanceCount"] == 3
    assert defaults["EventsPrefix"] == "feeds/play_by_play"
    assert (defaults["MaxLogLoss"], defaults["MinRows"]) == (0.66, 500)
    restored = copy.deepcopy(after)
    machines = ("TrainInstanceType", "TrainInstanceCount", "AggregateInstanceCount")
    others = ("EventsPrefix", "ApprovalStatus", *machines, "MaxLogLoss", "MinRows")
    for parameter, original in zip(restored["Parameters"], before["Parameters"], strict=True):
        if parameter["Name"] in others:
            assert parameter["DefaultValue"] != original["DefaultValue"]
            parameter["DefaultValue"] = original["DefaultValue"]
    assert restored == before


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("instance_types", {"Prepare": "ml.m5.larg"}, 'did you mean "ml.m5.large"?'),
        ("instance_types", {"Predict": "ml.m6g.large"}, "arm64"),
        ("events_prefix", "x" * 1025, "1,025 characters, the limit is 1,024"),
        ("tags", {f"t{n}": "x" for n in range(50)}, "at most 44 names"),
        ("subnet_ids", [f"subnet-{n:08x}" for n in range(17)], "at most 16 of them"),
    ],
)
def test_a_setting_that_sagemaker_would_refuse_in_a_job_is_refused_by_name(setting: str, value: Any, says: str) -> None:
    given: dict[str, Any] = {"image_uri": IMAGE, setting: value}
    if setting == "subnet_ids":
        given["security_group_ids"] = ["sg-12345678"]
    with pytest.raises(SettingError) as refused:
        deployed_definition(Settings.from_context(given))
    assert str(refused.value).startswith(f"{setting}: ")
    assert says in str(refused.value)


def test_a_machine_with_local_storage_is_asked_for_without_a_key_for_its_volume() -> None:
    given = {"image_uri": IMAGE, "instance_types": {"Train": "ml.g5.xlarge", "Prepare": "ml.g5.xlarge"}}
    jobs = {
        step["Name"]: step["Arguments"]
        for step in all_steps(deployed_definition(Settings.from_context(given))["Steps"])
    }
    clusters = {
        name: job.get("ResourceConfig") or job["ProcessingResources"]["ClusterConfig"]
        for name, job in jobs.items()
        if "ResourceConfig" in job or "ProcessingResources" in job
    }
    assert {name for name, cluster in clusters.items() if "VolumeKmsKeyId" not in cluster} == {"Train", "Prepare"}
    assert len(clusters) == 6


def test_a_vpc_is_added_to_each_job_and_nothing_else(synthesise: Synthesise, dev: Template) -> None:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    inside = deployed(
        synthesise(env="dev", subnet_ids="subnet-12345678,subnet-87654321", security_group_ids="sg-12345678")
    )
    vpc = {"SecurityGroupIds": ["sg-12345678"], "Subnets": ["subnet-12345678", "subnet-87654321"]}
    model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"))
    jobs = 0
    for step in all_steps(inside["Steps"]):
        if step["Type"] in ("Processing", "Training"):
            jobs += 1
            shape = model.operation_model(f"Create{step['Type']}Job").input_shape
            holder = step["Arguments"]["NetworkConfig"] if step["Type"] == "Processing" else step["Arguments"]
            members = shape.members["NetworkConfig"].members if step["Type"] == "Processing" else shape.members
            assert "VpcConfig" in members, "the API takes it there"
            assert holder.pop("VpcConfig") == vpc
            isolated = step["Arguments"].get("EnableNetworkIsolation", holder.get("EnableNetworkIsolation"))
            assert isolated is (step["Name"] != "AggregateOnSpark")
    assert jobs == 6
    assert inside == deployed(dev)


def test_versions_stand_on_the_pipeline(prod: Template, root: Path) -> None:
    constants = expected_constants(prod, root)
    _, pipeline = only(prod, "AWS::SageMaker::Pipeline")
    tags = {tag["Key"]: tag["Value"] for tag in pipeline["Tags"]}
    for tag, constant in (
        ("code-version", "CodeVersion"),
        ("definition-hash", "DefinitionHash"),
        ("git-revision", "GitRevision"),
    ):
        assert tags[tag] == constants[constant]
        assert constants[constant][:12] in pipeline["PipelineDescription"]


def test_a_constant_that_is_not_bound_is_refused() -> None:
    settings = Settings.from_context({"image_uri": IMAGE})
    with pytest.raises(ValueError, match=r"the definition names .*ImageUri"):
        bound_body(settings, {"ImageUri": IMAGE})


def test_code_version_follows_content_and_names_only(tmp_path: Path) -> None:
    files = ("ingest/files/read.py", "jobs/train.py", "serving/app.py")
    for name in ("__init__.py", "workloads/__init__.py", "requirements.txt", *files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    before = code_version("nba", tmp_path)
    (tmp_path / "jobs" / "train.pyc").write_text("compiled")
    (tmp_path / "other.py").write_text("runs in no step")
    (tmp_path / "serving" / "app.py").write_text("runs in no step")
    assert code_version("nba", tmp_path) == before
    (tmp_path / "jobs" / "train.py").write_text("changed")
    assert code_version("nba", tmp_path) != before


def test_code_version_covers_what_a_local_run_counts() -> None:
    names = {path.name for path in step_files("nba")}
    assert {"prepare.py", "train.py", "evaluate.py", "predict.py", "franchises.csv", "requirements.txt"} <= names


def test_the_pipeline_is_allowed_before_it_exists(prod: Template) -> None:
    """A pipeline whose roles have no policies yet would fail its first run."""
    (pipeline,) = [r for r in prod["Resources"].values() if r["Type"] == "AWS::SageMaker::Pipeline"]
    for part in ("TrainingJobRoleDefaultPolicy", "TrainingPipelineRoleDefaultPolicy", "TrainingGroup"):
        assert any(part in name for name in pipeline["DependsOn"])
    assert ACCOUNT not in json.dumps(prod["Resources"]).replace(IMAGE, "").replace(f"{REGION}:{ACCOUNT}:repository", "")


@pytest.mark.parametrize("kind", ["mlflow-app/app-ABC123", "mlflow-tracking-server/team"])
def test_the_mlflow_of_the_setting_is_the_definitions_own(synthesise: Synthesise, kind: str) -> None:
    """In the shape of the SDK's own definitions (sagemaker-python-sdk 5429), with the pipeline's name; else absent."""
    server = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}"
    with_it, without = (deployed(synthesise(env="dev", **given)) for given in ({"mlflow_arn": server}, {}))
    assert with_it.pop("MlflowConfig") == {
        "MlflowResourceArn": server,
        "MlflowExperimentName": "retraining-dev",
    }
    assert with_it == without
