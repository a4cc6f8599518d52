"""The committed definition: current, valid for the service, complete, free of what belongs to an account."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from pipeline.contract import gates, parameters
from pipeline.contract.spec import Limit
from pipeline.contract.workload import load_spec
from pipeline.definition.service_rules import check_definition
from pipeline.local.plan.parameters import bind_constants

NBA = load_spec("nba")
CALLS = {"Processing": "CreateProcessingJob", "Training": "CreateTrainingJob", "RegisterModel": "CreateModelPackage"}
NAMES = {"Processing": "ProcessingJobName", "Training": "TrainingJobName"}
CONSTANTS = {
    "ExecutionRoleArn": "arn:aws:iam::111122223333:role/jobs",
    "ImageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/image@sha256:" + "0" * 64,
    "DataBucket": "data-bucket",
    "ArtifactBucket": "artifact-bucket",
    "KmsKeyId": "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000",
    "ModelPackageGroupName": "models",
    "CodeVersion": "c0de",
    "GitRevision": "abc1234",
    "DefinitionHash": "d" * 64,
    "SparkImageUri": "173754725891.dkr.ecr.us-east-1.amazonaws.com/sagemaker-spark-processing:3.5-cpu",
    "SparkCodeUri": "s3://assets-bucket/c0de.zip",
    "SparkCodeFile": "c0de.zip",
}


def walk(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            yield from walk(step["Arguments"]["IfSteps"])
            yield from walk(step["Arguments"]["ElseSteps"])


@pytest.fixture(scope="module")
def steps(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["Name"]: step for step in walk(definition["Steps"])}


@pytest.fixture(scope="module")
def jobs(steps: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [step for step in steps.values() if step["Type"] in ("Processing", "Training")]


def resolve(node: Any, definition: dict[str, Any]) -> Any:
    """Sample values for placeholders, references and functions."""
    if isinstance(node, dict):
        if set(node) == {"Get"}:
            what = node["Get"]
            if what.startswith("Parameters."):
                (parameter,) = [p for p in definition["Parameters"] if p["Name"] == what.removeprefix("Parameters.")]
                return parameter["DefaultValue"]
            return "s3://bucket/prefix" if what.startswith("Steps.") else "sample-execution"
        if set(node) == {"Std:Join"}:
            return node["Std:Join"]["On"].join(str(resolve(v, definition)) for v in node["Std:Join"]["Values"])
        if set(node) == {"Std:JsonGet"}:
            return "0.5"
        return {key: resolve(value, definition) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve(item, definition) for item in node]
    if isinstance(node, str):
        return re.sub(r"\$\{(\w+)\}", lambda m: CONSTANTS[m[1]], node)
    return node


def test_committed_definition_is_what_the_sdk_compiles_offline_twice(root: Path) -> None:
    """A child process without credentials, region, home or proxy compiles the committed bytes, and again the same."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {"HOME": "/nonexistent"}
    program = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network in this test')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from pipeline.contract.workload import load_workload\n"
        "from pipeline.definition.compile import compile_definition\n"
        "nba = load_workload('nba')\n"
        "first = compile_definition(nba); assert first == compile_definition(nba)\n"
        "import sys; sys.stdout.write(first)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    committed = (root / "pipeline" / "workloads" / "nba" / "definition.json").read_text(encoding="utf-8")
    assert done.stdout == committed, "definition.json is stale: run python -m pipeline.definition and commit the result"


@pytest.mark.parametrize("step_type", sorted(CALLS))
def test_requests_are_valid_for_botocores_service_model(
    step_type: str, definition: dict[str, Any], steps: dict[str, dict[str, Any]]
) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model(CALLS[step_type]).input_shape
    chosen = [step for step in steps.values() if step["Type"] == step_type]
    assert chosen
    for step in chosen:
        request = resolve(step["Arguments"], definition)
        if step_type in NAMES:
            request[NAMES[step_type]] = "sample"
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), f"{step['Name']}: {report.generate_report()}"


def test_sagemaker_takes_it_with_the_constants_bound_and_before(definition: dict[str, Any]) -> None:
    """Lengths, choices, ranges and all that botocore's validator does not know: pipeline.definition.service_rules."""
    assert [str(found) for found in check_definition(definition)] == []
    assert [str(found) for found in check_definition(bind_constants(definition, CONSTANTS))] == []


def test_each_parameter_is_referenced_and_has_a_default(definition: dict[str, Any]) -> None:
    text = json.dumps(definition["Steps"])
    assert [p["Name"] for p in definition["Parameters"]] == [p.name for p in parameters.parameters_of(NBA).all]
    for parameter in definition["Parameters"]:
        assert f'"Get": "Parameters.{parameter["Name"]}"' in text, f"{parameter['Name']} is used by no step"
        assert "DefaultValue" in parameter


def test_each_job_retries_the_services_faults_only(jobs: list[dict[str, Any]]) -> None:
    for step in jobs:
        kinds = {kind for policy in step["RetryPolicies"] for kind in policy["ExceptionType"]}
        assert kinds == {
            "Step.SERVICE_FAULT",
            "Step.THROTTLING",
            "SageMaker.JOB_INTERNAL_ERROR",
            "SageMaker.CAPACITY_ERROR",
            "SageMaker.RESOURCE_LIMIT",
        }, step["Name"]
        assert all(policy["BackoffRate"] > 1 and policy["MaxAttempts"] >= 3 for policy in step["RetryPolicies"])


def test_all_conditions_are_at_the_top_level_and_nothing_waits_for_one_by_name(
    definition: dict[str, Any], steps: dict[str, dict[str, Any]]
) -> None:
    """SageMaker takes no condition inside a condition, and no DependsOn on one."""
    assert [step["Name"] for step in definition["Steps"]] == [
        "Prepare",
        "Predict",
        "HasNewData",
        "QualityGate",
        "BeatsChampion",
        "NoAggregate",
        "NoSpark",
    ]
    branches = {
        step["Name"]: [[inner["Name"] for inner in step["Arguments"][side]] for side in ("IfSteps", "ElseSteps")]
        for step in steps.values()
        if step["Type"] == "Condition"
    }
    assert branches == {
        "HasNewData": [["Train", "Evaluate"], []],
        "QualityGate": [[], ["QualityGateFailed"]],
        "BeatsChampion": [["Register"], []],
        "NoAggregate": [[], ["Aggregate"]],
        "NoSpark": [[], ["AggregateOnSpark"]],
    }
    assert not [name for name, step in steps.items() if "DependsOn" in step]
    assert '"Not"' not in json.dumps(definition)


def test_what_conditions_compare_is_text_or_a_number(definition: dict[str, Any]) -> None:
    text = json.dumps(definition)
    assert "null" not in text
    assert {p["Type"] for p in definition["Parameters"]} == {"String", "Integer", "Float"}
    values = re.findall(r'"RightValue": ("[^"]*"|[^{]\S*?)[,}]', text)
    assert set(values) == {'"yes"', '"no"', '"none"', "1", "2"}


def test_play_by_play_is_left_out_or_aggregated_on_one_machine_or_on_a_cluster(
    definition: dict[str, Any], steps: dict[str, dict[str, Any]]
) -> None:
    defaults = {p["Name"]: p["DefaultValue"] for p in definition["Parameters"]}
    assert (defaults["EventsPrefix"], defaults["AggregateInstanceCount"]) == ("none", 1)
    count = {"Get": "Parameters.AggregateInstanceCount"}
    no_events = {"Type": "Equals", "LeftValue": {"Get": "Parameters.EventsPrefix"}, "RightValue": "none"}
    for name, kind, number in (("NoAggregate", "GreaterThanOrEqualTo", 2), ("NoSpark", "LessThanOrEqualTo", 1)):
        other = {"Type": kind, "LeftValue": count, "RightValue": number}
        assert steps[name]["Arguments"]["Conditions"] == [{"Type": "Or", "Conditions": [no_events, other]}]
    others = {name: step for name, step in steps.items() if "Aggregate" not in name and name != "NoSpark"}
    assert "Steps.Aggregate" not in json.dumps(others), "nothing waits for it"
    one, cluster = steps["Aggregate"]["Arguments"], steps["AggregateOnSpark"]["Arguments"]
    assert cluster["ProcessingOutputConfig"] == one["ProcessingOutputConfig"]
    assert cluster["ProcessingInputs"][:1] == one["ProcessingInputs"]
    program = cluster["AppSpecification"]
    assert program["ImageUri"] == "${SparkImageUri}"
    assert program["ContainerEntrypoint"] == ["python3", "/opt/ml/processing/input/code/${SparkCodeFile}"]
    assert program["ContainerArguments"] == ["--engine", "spark", *one["AppSpecification"]["ContainerArguments"]]
    machines = cluster["ProcessingResources"]["ClusterConfig"]
    assert machines["InstanceCount"] == count
    assert machines["InstanceType"] == {"Get": "Parameters.AggregateOnSparkInstanceType"}
    for item in cluster["ProcessingInputs"]:  # each host holds all of it, under one path
        assert item["S3Input"]["S3DataDistributionType"] == "FullyReplicated"


def test_only_numbers_reach_the_shell_of_smspark_submit(
    definition: dict[str, Any], steps: dict[str, dict[str, Any]]
) -> None:
    """It joins its arguments into one command line, and has not always quoted them."""
    kinds = {p["Name"]: p["Type"] for p in definition["Parameters"]}
    program = steps["AggregateOnSpark"]["Arguments"]["AppSpecification"]
    named = re.findall(r'"Parameters\.(\w+)"', json.dumps(program))
    assert named
    assert {kinds[name] for name in named} <= {"Integer", "Float"}
    fixed = [part for part in program["ContainerArguments"] if isinstance(part, str)]
    assert all(re.fullmatch(r"[a-z-]+", part) for part in fixed)


def test_only_the_hosts_of_the_cluster_may_talk_and_encrypted(jobs: list[dict[str, Any]]) -> None:
    networks = {step["Name"]: step["Arguments"].get("NetworkConfig") for step in jobs if step["Type"] == "Processing"}
    assert networks.pop("AggregateOnSpark") == {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": True,
    }
    assert all(network == {"EnableNetworkIsolation": True} for network in networks.values())


def test_each_job_is_limited_encrypted_and_isolated(jobs: list[dict[str, Any]]) -> None:
    names = {"Prepare", "Predict", "Train", "Evaluate", "Aggregate", "AggregateOnSpark"}
    assert {step["Name"] for step in jobs} == names
    for step in jobs:
        request = step["Arguments"]
        assert 0 < request["StoppingCondition"]["MaxRuntimeInSeconds"] <= 6 * 3600, step["Name"]
        if step["Type"] == "Processing":
            assert request["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == "${KmsKeyId}"
            assert request["ProcessingOutputConfig"]["KmsKeyId"] == "${KmsKeyId}"
            if step["Name"] != "AggregateOnSpark":  # the one exception, above
                assert request["NetworkConfig"]["EnableNetworkIsolation"] is True
        else:
            assert request["ResourceConfig"]["VolumeKmsKeyId"] == "${KmsKeyId}"
            assert request["OutputDataConfig"]["KmsKeyId"] == "${KmsKeyId}"
            assert request["EnableNetworkIsolation"] is True
            assert request["EnableInterContainerTrafficEncryption"] is True


def test_nothing_names_an_account_region_bucket_or_image(definition: dict[str, Any]) -> None:
    text = json.dumps(definition)
    assert re.findall(r"\b\d{12}\b", text) == []
    assert re.findall(r"\b(?:us|eu|ap|sa|ca|me|af|il|cn)(?:-gov)?-[a-z]+-\d\b", text) == []
    assert re.findall(r"arn:aws", text) == []
    assert set(re.findall(r"s3://([^/\"]*)", text)) == {"${DataBucket}", "${ArtifactBucket}"}
    images = re.findall(r'"(?:ImageUri|TrainingImage|Image)": "([^"]*)"', text)
    assert set(images) == {"${ImageUri}", "${SparkImageUri}"}
    assert images.count("${SparkImageUri}") == 1
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(CONSTANTS)


def test_outputs_end_without_a_slash_and_stable_inputs_with_one(jobs: list[dict[str, Any]]) -> None:
    """An input is an S3 prefix: without a slash, `champion` is one of `champion-2/` as well. An output is a folder.

    Where a step reads what another wrote, there is no slash: so no output of a step begins with the name of another.
    """
    for step in jobs:
        request = step["Arguments"]
        outputs = [item["S3Output"]["S3Uri"] for item in request.get("ProcessingOutputConfig", {}).get("Outputs", [])]
        outputs += [request["OutputDataConfig"]["S3OutputPath"]] if "OutputDataConfig" in request else []
        ends = [uri if isinstance(uri, str) else uri["Std:Join"]["Values"][-1] for uri in outputs]
        assert outputs
        assert not [end for end in ends if end.endswith("/")], step["Name"]
        assert not [one for one in ends for other in ends if one != other and other.startswith(one)], step["Name"]
        stable = [item["S3Input"]["S3Uri"] for item in request.get("ProcessingInputs", [])]
        texts = [uri if isinstance(uri, str) else uri["Std:Join"]["Values"][-1] for uri in stable if "Get" not in uri]
        assert all(text.endswith("/") or text == "${SparkCodeUri}" for text in texts), step["Name"]


def test_conditions_are_the_gates_rules(steps: dict[str, dict[str, Any]]) -> None:
    """Each rule of pipeline.contract.gates stands in the definition with its path, operator and parameter."""
    operators = {"<=": "LessThanOrEqualTo", ">=": "GreaterThanOrEqualTo"}

    def rendered(limit: Limit) -> tuple[str, str, str]:
        return operators[limit.operator], limit.path, f"Parameters.{limit.parameter}"

    def found(condition: dict[str, Any]) -> tuple[str, str, Any]:
        right = condition["RightValue"]
        return (
            condition["Type"],
            condition["LeftValue"]["Std:JsonGet"]["Path"],
            right["Get"] if isinstance(right, dict) else right,
        )

    quality = steps["QualityGate"]["Arguments"]["Conditions"]
    assert [found(c) for c in quality] == [rendered(limit) for limit in gates.quality_limits(NBA)]
    nobody = ("Equals", gates.CHAMPION_EXISTS_PATH, "no")
    beats = steps["BeatsChampion"]["Arguments"]["Conditions"]
    assert beats[: len(quality)] == quality, "where QualityGate fails the run, nothing is registered beside it"
    assert [[found(c) for c in either["Conditions"]] for either in beats[len(quality) :]] == [
        [nobody, rendered(gates.NON_INFERIOR)],
        [nobody, rendered(gates.BETTER), rendered(gates.OLD)],
    ]


def test_committed_spark_images_are_those_that_the_sdk_knows(root: Path) -> None:
    """In each of its regions the table gives the address that the SDK would, and its tag is that of our pyspark."""
    from sagemaker.core import image_uris

    images = json.loads((root / "pipeline" / "workloads" / "nba" / "spark" / "images.json").read_text(encoding="utf-8"))
    known = image_uris.config_for_framework("spark")["processing"]["versions"]
    assert images["accounts"] == known["3.5"]["registries"]
    assert max(known, key=lambda version: [int(part) for part in version.split(".")]) == "3.5"
    for region, account in images["accounts"].items():
        uri = image_uris.retrieve("spark", region, version="3.5", instance_type="ml.m5.xlarge")
        assert uri.startswith(f"{account}.dkr.ecr.{region}.")
        assert uri.endswith(f"/{images['repository']}:{images['tag']}")
    locked = (root / "requirements.txt").read_text(encoding="utf-8")
    assert re.search(rf"^pyspark=={images['tag'].partition('-')[0]}\.", locked, re.MULTILINE)


def test_check_says_when_the_file_is_stale(root: Path, tmp_path: Path) -> None:
    """`--check` exits 1 on any difference and changes nothing."""
    stale = tmp_path / "definition.json"
    stale.write_text("{}", encoding="utf-8")
    program = (
        "import pathlib, sys, pipeline.definition.compile as d\n"
        f"d.definition_file = lambda name: pathlib.Path({str(stale)!r})\n"
        "sys.exit(d.main(['--check']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "stale" in done.stderr
    assert stale.read_text(encoding="utf-8") == "{}"


def test_default_hyperparameters_are_the_models() -> None:
    """The pipeline's defaults and the model's own are one training config."""
    from pipeline.training.model import Hyperparameters

    assert {parameters.snake_case(p.name): p.default for p in parameters.parameters_of(NBA).hyperparameters} == asdict(
        Hyperparameters()
    )
