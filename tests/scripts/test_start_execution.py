"""`python -m scripts.start_execution` against an emulated AWS."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulated_pipeline import PIPELINE, Cloud, emulated
from sagemaker_emulation import REGION, Run

from pipeline.cost.run_limit import LIMIT_TAG


@pytest.fixture
def cloud(root: Path, tmp_path: Path, definition: dict[str, Any]) -> Iterator[Cloud]:
    with emulated(root, tmp_path, definition) as made:
        yield made


def only_run(cloud: Cloud) -> dict[str, Any]:
    client = cloud.client("sagemaker")
    (summary,) = client.list_pipeline_executions(PipelineName=PIPELINE)["PipelineExecutionSummaries"]
    given = client.list_pipeline_parameters_for_execution(PipelineExecutionArn=summary["PipelineExecutionArn"])
    return {"arn": summary["PipelineExecutionArn"], "parameters": given["PipelineParameters"]}


def test_starts_with_the_parameters_as_text(cloud: Cloud) -> None:
    done = cloud.run(
        "start_execution", "--param", "AsOfDate=2025-03-01", "--param", "ForceTraining=yes", "--param", "MaxDepth=2"
    )
    assert done.code == 0, done.err
    run = only_run(cloud)
    assert done.out.strip() == run["arn"]
    assert run["parameters"] == [
        {"Name": "AsOfDate", "Value": "2025-03-01"},
        {"Name": "ForceTraining", "Value": "yes"},
        {"Name": "MaxDepth", "Value": "2"},
    ]
    assert f"scripts.show_execution {run['arn']}" in done.err


@pytest.mark.parametrize(
    ("reason", "value"), [("", "unspecified"), ("new\ngames", "new games"), ("a " * 200, ("a " * 128).strip())]
)
def test_any_reason_starts_a_run(cloud: Cloud, reason: str, value: str) -> None:
    """Prepare and Evaluate are given it as an argument: one line of at most 256 characters."""
    assert cloud.run("start_execution", "--param", f"TriggerReason={reason}").code == 0
    assert only_run(cloud)["parameters"] == [{"Name": "TriggerReason", "Value": value}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("MaxDepht=2", 'there is no parameter "MaxDepht"; did you mean "MaxDepth"?'),
        ("MaxDepth=deep", '"MaxDepth" is of type Integer'),
        ("ApprovalStatus=Maybe", '"ApprovalStatus" is one of PendingManualApproval, Approved'),
        ("ForceTraining=true", "\"ForceTraining\" is one of no, yes, not 'true'"),
        ("MaxDepth", "is not NAME=VALUE"),
        (
            "TrainInstanceCount=0",
            "step Train, ResourceConfig.InstanceCount: 0 instances (with TrainInstanceCount)",
        ),
        ("TrainInstanceType=ml.g5.xlarge", "ml.g5.xlarge has local storage"),
        ("EventsPrefix=games/plays", 'EventsPrefix "games/plays" and DataPrefix "games" overlap'),
    ],
)
def test_wrong_parameters_start_nothing(cloud: Cloud, given: str, message: str) -> None:
    done = cloud.run("start_execution", "--param", given)
    assert done.code == 2
    assert message in done.err
    if "=" in given and "Instance" not in given and "Prefix" not in given:
        assert "  MaxDepth  Integer  (default " in done.err
    runs = cloud.client("sagemaker").list_pipeline_executions(PipelineName=PIPELINE)
    assert runs["PipelineExecutionSummaries"] == []


def test_a_version_of_the_definition(cloud: Cloud, definition: dict[str, Any]) -> None:
    client = cloud.client("sagemaker")
    fewer = {**definition, "Parameters": [p for p in definition["Parameters"] if p["Name"] != "MaxDepth"]}
    client.update_pipeline(PipelineName=PIPELINE, PipelineDefinition=json.dumps(fewer))
    assert cloud.run("start_execution", "--param", "MaxDepth=2").code == 2, "the newest has no MaxDepth"
    assert cloud.run("start_execution", "--param", "MaxDepth=2", "--version", "1").code == 0
    described = client.describe_pipeline_execution(PipelineExecutionArn=only_run(cloud)["arn"])
    assert described["PipelineVersionId"] == 1
    unknown = cloud.run("start_execution", "--version", "9")
    assert (unknown.code, "has no version 9; it has 1 to 2" in unknown.err) == (2, True)


def limited(cloud: Cloud, limit: str) -> None:
    """As a deploy with max_run_usd leaves the pipeline."""
    client = cloud.client("sagemaker")
    arn = client.describe_pipeline(PipelineName=PIPELINE)["PipelineArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": LIMIT_TAG, "Value": limit}])


def test_a_run_that_would_cost_more_than_the_limit_is_not_started(cloud: Cloud) -> None:
    """Instances of the start, an unknown price, and then what the last run took."""
    limited(cloud, "0.05")
    many = cloud.run("start_execution", "--param", "TrainInstanceCount=20")
    assert (many.code, "not started: a run that trains is estimated at $0.1" in many.err) == (2, True)
    assert "above max_run_usd (0.05): Train $0." in many.err
    assert "(20 x ml.m5.large for 15" in many.err
    unknown = cloud.run("start_execution", "--param", "TrainInstanceType=ml.m5.2xlarge")
    assert (unknown.code, "no price for instance ml.m5.2xlarge" in unknown.err) == (2, True)
    assert cloud.client("sagemaker").list_pipeline_executions(PipelineName=PIPELINE)["PipelineExecutionSummaries"] == []
    assert cloud.run("start_execution").code == 0
    Run(only_run(cloud)["arn"]).step("Train", "Succeeded", seconds=7200)
    longer = cloud.run("start_execution")
    assert (longer.code, "(1 x ml.m5.large for 7,200 s)" in longer.err) == (2, True)
    only_run(cloud)


def wait_for_run(process: Any) -> Run:
    """The run that a started command names on stderr."""
    started = re.search(r"started (\S+)", process.stderr.readline())
    assert started
    return Run(started.group(1))


def test_wait_shows_each_step_and_exits_by_the_result(cloud: Cloud) -> None:
    process = cloud.start("start_execution", "--wait", "--interval", "0.2")
    run = wait_for_run(process)
    run.step("Prepare", "Executing")
    assert process.stderr.readline() == "Prepare: Executing\n"
    run.step("Prepare", "Succeeded", seconds=75)
    assert process.stderr.readline() == "Prepare: Succeeded after 1 min 15 s\n"
    run.end("Succeeded")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Prepare: Succeeded after 1 min 15 s" in out


def test_wait_on_a_failed_run_says_why_and_how_to_go_on(cloud: Cloud) -> None:
    process = cloud.start("start_execution", "--wait", "--interval", "0.2", "--param", "MaxDepth=2")
    run = wait_for_run(process)
    reason = "games.csv, line 88: home_points abc is not a whole number"
    run.fail_processing("Prepare", reason)
    run.end("Failed", "Step failure: One or multiple steps failed.")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"reason: {reason}\n" in out
    assert "See job logs" not in out
    assert f"to run it again: python -m scripts.start_execution --param MaxDepth=2 --pipeline {PIPELINE}" in out


def test_json(cloud: Cloud) -> None:
    process = cloud.start("start_execution", "--wait", "--json", "--interval", "0.2")
    run = wait_for_run(process)
    run.step("Prepare", "Succeeded", seconds=75)
    run.end("Stopped")
    out, _ = process.communicate(timeout=30)
    result = json.loads(out)
    assert (process.returncode, result["status"], result["arn"]) == (1, "Stopped", run.arn)
    assert result["steps"][0] == {
        "name": "Prepare",
        "status": "Succeeded",
        "outcome": None,
        "seconds": 75,
        "reason": None,
        "log": None,
    }


def test_what_is_missing_is_said_without_a_traceback(cloud: Cloud) -> None:
    before = time.monotonic()
    no_keys = cloud.run("start_execution", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert (no_keys.code, "no usable AWS credentials" in no_keys.err, "aws sso login" in no_keys.err) == (2, True, True)
    no_region = cloud.run("start_execution", AWS_REGION=None)
    assert (no_region.code, "give --region" in no_region.err) == (2, True)
    no_profile = cloud.run("start_execution", "--profile", "nobody")
    assert (no_profile.code, "nobody" in no_profile.err) == (2, True)
    unknown = cloud.run("start_execution", "--pipeline", "retraining-prod")
    assert unknown.code == 2
    assert f"there is no pipeline retraining-prod in {REGION}. There are: {PIPELINE}." in unknown.err
    elsewhere = cloud.run("start_execution", "--region", "us-east-1")
    assert (elsewhere.code, "npx cdk deploy" in elsewhere.err) == (2, True)
    assert time.monotonic() - before < 60, "a missing thing is said at once"


def test_several_pipelines_want_a_name(cloud: Cloud) -> None:
    cloud.client("sagemaker").create_pipeline(
        PipelineName="retraining-prod", PipelineDefinition="{}", RoleArn="arn:aws:iam::123456789012:role/pipeline",
        ClientRequestToken="u" * 32,
    )  # fmt: skip
    done = cloud.run("start_execution")
    assert (done.code, f"{PIPELINE}, retraining-prod. Name one with --pipeline" in done.err) == (2, True)


def test_no_answer_from_aws(cloud: Cloud) -> None:
    done = cloud.run("start_execution", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert (done.code, "AWS does not answer" in done.err) == (2, True)
