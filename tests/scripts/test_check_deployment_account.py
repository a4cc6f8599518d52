"""What only an account can tell, as check_deployment tells it, on an emulated AWS with each answer planted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from emulated_pipeline import GROUP, PIPELINE, Cloud, deployed_definition, emulated
from sagemaker_emulation import ACCOUNT, REGION, Run

from scripts.check_deployment import registry, service_behavior
from scripts.check_deployment.deployed_environment import FAILED, OK, WARNING, CheckResult, DeployedEnvironment
from scripts.cloud.connection import connect

PREPARE, TRAIN = "pipelines-abc-Prepare-x", "pipelines-abc-Train-x"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs"
IMAGE = {"ImageUri": "image"}
CLUSTER = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 5}


@pytest.fixture
def cloud(root: Path, tmp_path: Path, definition: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with emulated(root, tmp_path, definition) as made:
        for name, value in made.environment().items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def environment(cloud: Cloud) -> DeployedEnvironment:
    return DeployedEnvironment(connect(PIPELINE, REGION, None))


def a_run(cloud: Cloud) -> Run:
    """A run whose Prepare and Train were jobs."""
    client = cloud.client("sagemaker")
    run = Run(client.start_pipeline_execution(PipelineName=PIPELINE)["PipelineExecutionArn"])
    client.create_processing_job(
        ProcessingJobName=PREPARE,
        RoleArn=ROLE,
        AppSpecification=IMAGE,
        ProcessingResources={"ClusterConfig": CLUSTER},
    )
    client.create_training_job(
        TrainingJobName=TRAIN,
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": "s3://bucket/train"},
        ResourceConfig=CLUSTER,
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    run.step("Prepare", "Succeeded", seconds=75, Metadata={"ProcessingJob": {"Arn": f"{arn}:processing-job/{PREPARE}"}})
    run.step("Train", "Succeeded", seconds=75, Metadata={"TrainingJob": {"Arn": f"{arn}:training-job/{TRAIN}"}})
    run.end("Succeeded")
    return run


def test_before_the_first_run_nothing_is_claimed(environment: DeployedEnvironment) -> None:
    lines = [*service_behavior.user_of_containers(environment), *service_behavior.start_up(environment)]
    assert [(line.status, line.reason) for line in lines] == [(OK, "no job has run yet")] * 2


@pytest.mark.parametrize("told", [True, False])
def test_a_container_that_could_not_change_its_user_said_so(
    cloud: Cloud, environment: DeployedEnvironment, told: bool
) -> None:
    a_run(cloud)
    logs, group = cloud.client("logs"), "/aws/sagemaker/ProcessingJobs"
    for name in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.delete_log_group(logGroupName=name["logGroupName"])
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=f"{PREPARE}/algo-1-1")
    text = "running as root, because this container cannot change its user (no right)" if told else "reading games"
    event = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": text}
    logs.put_log_events(logGroupName=group, logStreamName=f"{PREPARE}/algo-1-1", logEvents=[event])
    (line,) = service_behavior.user_of_containers(environment)
    assert line.status == (WARNING if told else OK)
    assert PREPARE in line.reason


def test_each_jobs_start_up_is_told(cloud: Cloud, environment: DeployedEnvironment) -> None:
    a_run(cloud)
    lines = [line.reason for line in service_behavior.start_up(environment)]
    assert [reason.partition(":")[0] for reason in lines] == ["Train"]  # moto says no times of a processing job
    assert "until it started" in lines[0]


def spark_lines(cloud: Cloud, definition: dict[str, Any], **defaults: Any) -> list[CheckResult]:
    changed = deployed_definition(definition)
    for parameter in changed["Parameters"]:
        parameter["DefaultValue"] = defaults.get(parameter["Name"], parameter["DefaultValue"])
    cloud.client("sagemaker").update_pipeline(PipelineName=PIPELINE, PipelineDefinition=json.dumps(changed))
    return list(service_behavior.spark(DeployedEnvironment(connect(PIPELINE, REGION, None))))


def test_spark_is_asked_for_only_where_it_is_used(cloud: Cloud, definition: dict[str, Any]) -> None:
    (line,) = spark_lines(cloud, definition)
    assert (line.status, "not used" in line.reason) == (OK, True)
    cluster = {"EventsPrefix": "play_by_play", "AggregateInstanceCount": 2}
    (line,) = spark_lines(cloud, definition, **cluster)
    assert (line.status, "has not run yet" in line.reason) == (WARNING, True)
    client = cloud.client("sagemaker")
    client.create_processing_job(
        ProcessingJobName="pipelines-abc-AggregateOnSpark-x",
        RoleArn=ROLE,
        AppSpecification=IMAGE,
        ProcessingResources={"ClusterConfig": CLUSTER},
    )
    (line,) = spark_lines(cloud, definition, **cluster)
    assert (line.status, "pipelines-abc-AggregateOnSpark-x is Completed" in line.reason) == (OK, True)


def test_numbers_that_a_version_does_not_carry_are_noticed(cloud: Cloud, environment: DeployedEnvironment) -> None:
    client = cloud.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName=GROUP)
    (line,) = registry.metadata(environment)
    assert (line.status, line.reason) == (OK, "no version is registered yet")
    del environment.packages
    client.create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={"loss": "Std:JsonGet"},
    )
    (line,) = registry.metadata(environment)
    assert (line.status, "loss='Std:JsonGet'" in line.reason) == (FAILED, True)


def test_the_alarm_about_an_overdue_run_waits_or_went_off_too_early(
    cloud: Cloud, environment: DeployedEnvironment
) -> None:
    (line,) = service_behavior.overdue_alarm(environment)
    assert (line.status, "the schedule is off" in line.reason) == (OK, True)
    client, name = cloud.client("cloudwatch"), f"{environment.name}-run-overdue"
    since = int(datetime.now(UTC).timestamp()) - 3 * 3600
    metric = {"Namespace": "N", "MetricName": "ExecutionSucceeded"}
    stat = {"Metric": metric, "Period": 3600, "Stat": "Sum"}
    expression = f"IF(EPOCH(TIME_SERIES(1)) < {since}, 1, FILL(succeeded, 0))"
    client.put_metric_alarm(
        AlarmName=name,
        ComparisonOperator="LessThanThreshold",
        EvaluationPeriods=30,
        Threshold=1.0,
        Metrics=[
            {"Id": "e", "Expression": expression, "ReturnData": True},
            {"Id": "succeeded", "MetricStat": stat, "ReturnData": False},
        ],
    )
    for state, status in (("OK", OK), ("ALARM", WARNING), ("INSUFFICIENT_DATA", WARNING)):
        client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="as it is")
        (line,) = service_behavior.overdue_alarm(environment)
        assert (line.status, f"is {state}" in line.reason) == (status, True)
