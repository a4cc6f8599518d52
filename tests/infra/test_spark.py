"""What AggregateOnSpark is deployed with: the region's image, its code as an asset, and no right beyond these two."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from resolved_template import ACCOUNT, REGION, Resolver, Template, resources
from synthesis import Synthesise, cdk_context
from test_deployed_definition import deployed, spark_code
from test_policies import may

from infra.settings.settings import Settings
from infra.settings.settings_validation import SettingError
from pipeline.contract.code_version import PACKAGE, all_steps
from pipeline.workloads.nba.spark.archive import archived_files

JOB = "TrainingJobRole"
OWN = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/our-spark:3.5"
ASSETS = f"arn:aws:s3:::cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"


def spark_job(template: Template, **pseudo: str) -> dict[str, Any]:
    """The request of AggregateOnSpark, deployed to a region."""
    (pipeline,) = resources(template, "AWS::SageMaker::Pipeline").values()
    body = Resolver(template, pseudo)(pipeline["PipelineDefinition"]["PipelineDefinitionBody"])
    (step,) = [s for s in all_steps(json.loads(body)["Steps"]) if s["Name"] == "AggregateOnSpark"]
    arguments: dict[str, Any] = step["Arguments"]
    return arguments


@pytest.mark.parametrize(
    ("region", "suffix", "image"),
    [
        ("eu-central-1", "amazonaws.com", "906073651304.dkr.ecr.eu-central-1.amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn", "671472414489.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "amazonaws.com", "271483468897.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("us-iso-east-1", "c2s.ic.gov", "000000000000.dkr.ecr.us-iso-east-1.c2s.ic.gov"),  # AWS has none there
    ],
)
def test_the_image_is_that_of_the_region(prod: Template, region: str, suffix: str, image: str) -> None:
    found = spark_job(prod, **{"AWS::Region": region, "AWS::URLSuffix": suffix})["AppSpecification"]["ImageUri"]
    assert found == f"{image}/sagemaker-spark-processing:3.5-cpu"


def test_jobs_may_pull_that_image_and_no_other_of_its_account(prod: Template) -> None:
    spark = f"arn:aws:ecr:{REGION}:173754725891:repository"
    assert may(prod, JOB, "ecr:BatchGetImage", f"{spark}/sagemaker-spark-processing")
    assert not may(prod, JOB, "ecr:BatchGetImage", f"{spark}/another")


def test_another_image_by_setting_needs_no_table(synthesise: Synthesise) -> None:
    template = synthesise(env="dev", spark_image_uri=OWN)
    assert spark_job(template)["AppSpecification"]["ImageUri"] == OWN
    assert may(template, JOB, "ecr:BatchGetImage", "arn:aws:ecr:eu-west-1:444455556666:repository/our-spark")
    assert not [name for name in template.get("Mappings", {}) if "Spark" in name]


def test_an_image_that_is_not_in_ecr_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"spark_image_uri: 'apache/spark:3\.5' cannot be used; allowed: an image in"
    ):
        Settings.from_context({"spark_image_uri": "apache/spark:3.5"})


def test_the_code_is_an_asset_that_the_job_reads_and_starts(root: Path, prod: Template, tmp_path: Path) -> None:
    from app import build

    build(cdk_context(root, env="prod"), str(tmp_path)).synth()
    (manifest,) = tmp_path.glob("*.assets.json")
    files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    (entry,) = [file for file in files.values() if file["source"]["path"].endswith(".zip")]
    assert entry["source"]["packaging"] == "file"
    with zipfile.ZipFile(tmp_path / entry["source"]["path"]) as archive:
        paths = {f"pipeline/{path.relative_to(PACKAGE).as_posix()}": path for path in archived_files()}
        assert set(archive.namelist()) == {"__main__.py", *paths}
        for name, path in paths.items():
            assert archive.read(name) == path.read_bytes()
    (path,) = tmp_path.glob("*.template.json")
    job = spark_job(json.loads(path.read_text(encoding="utf-8")))
    (code,) = [item["S3Input"] for item in job["ProcessingInputs"] if item["InputName"] == "code"]
    name = spark_code(prod)  # of another synthesis: the same files, the same name
    assert code["S3Uri"] == f"s3://{ASSETS.rpartition(':')[2]}/{name}"
    assert [destination["objectKey"] for destination in entry["destinations"].values()] == [name]
    assert job["AppSpecification"]["ContainerEntrypoint"] == ["python3", f"{code['LocalPath']}/{name}"]


def test_jobs_read_that_object_of_the_bucket_and_no_other(prod: Template) -> None:
    assert may(prod, JOB, "s3:GetObject", f"{ASSETS}/{spark_code(prod)}")
    assert not may(prod, JOB, "s3:GetObject", f"{ASSETS}/another.zip")
    assert not may(prod, JOB, "s3:PutObject", f"{ASSETS}/{spark_code(prod)}")
    (listing,) = [
        statement
        for policy in resources(prod, "AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "s3:ListBucket" and "cdk-hnb659fds" in json.dumps(statement["Resource"])
    ]
    assert listing["Condition"] == {"StringEquals": {"s3:prefix": spark_code(prod)}}


def test_the_deployed_pipeline_takes_another_count_when_it_is_started(prod: Template) -> None:
    defaults = {p["Name"]: p["DefaultValue"] for p in deployed(prod)["Parameters"]}
    assert defaults["AggregateInstanceCount"] == 1
    count = spark_job(prod)["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    assert count == {"Get": "Parameters.AggregateInstanceCount"}
