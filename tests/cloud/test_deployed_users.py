"""The policies for people: what the runbook asks of an operator and an approver works with theirs, and no more does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from deployments import ACCOUNT, IMAGE, REGION, Deployed, eventually

from infra.endpoint.function.desired_endpoint import ATTEMPT

pytestmark = pytest.mark.timeout(600)  # a deploy is in it


@pytest.fixture(scope="module", autouse=True)
def known_to_the_measurement(deployed: Deployed) -> None:
    """Which person has which policy, for test_permissions.py."""
    people = {f"arn:aws:iam::{ACCOUNT}:user/{name}": f"People{name}" for name in deployed.people}
    (deployed.account.log.parent / "people.json").write_text(json.dumps(people), encoding="utf-8")


def processing_job(deployed: Deployed) -> dict[str, Any]:
    """A job as the pipeline starts it."""
    steps = json.loads(deployed.pipeline["PipelineDefinition"])["Steps"]
    role = next(step for step in steps if step["Name"] == "Prepare")["Arguments"]["RoleArn"]
    cluster = {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5}
    return {
        "ProcessingJobName": "pipelines-users-Prepare",
        "RoleArn": role,
        "AppSpecification": {"ImageUri": IMAGE},
        "ProcessingResources": {"ClusterConfig": cluster},
    }


def denied(call: Any, **given: Any) -> bool:
    """Whether IAM is what refuses."""
    with pytest.raises(ClientError) as raised:
        call(**given)
    return bool(raised.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"))


def test_an_operator_starts_stops_and_retries_runs_and_approves_nothing(root: Path, deployed: Deployed) -> None:
    sagemaker = deployed.person("sagemaker", "Operator")
    run = sagemaker.start_pipeline_execution(PipelineName=deployed.outputs["PipelineName"])["PipelineExecutionArn"]
    sagemaker.stop_pipeline_execution(PipelineExecutionArn=run, ClientRequestToken="s" * 32)
    sagemaker.retry_pipeline_execution(PipelineExecutionArn=run, ClientRequestToken="r" * 32)
    described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=run)
    assert described["PipelineExecutionStatus"] == "Executing"
    made = deployed.client("sagemaker").create_processing_job(**processing_job(deployed))["ProcessingJobArn"]
    assert sagemaker.describe_processing_job(ProcessingJobName=made.rpartition("/")[2])["ProcessingJobStatus"]
    deployed.end_run(run)
    shown = deployed.account.operate(root, "scripts.show_execution", key=deployed.people["Operator"])
    assert run in shown, "the newest run, without its name"
    assert sagemaker.list_pipeline_versions(PipelineName=deployed.outputs["PipelineName"])
    asked = ("list", "--aws", "--pipeline", deployed.outputs["PipelineName"], "--region", REGION)  # as emails say
    deployed.account.operate(root, "scripts.review_model", *asked, key=deployed.people["Operator"])
    package = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{deployed.outputs['ModelPackageGroup']}/1"
    with pytest.raises(ClientError, match="ValidationException"):  # it is not there, and not denied
        sagemaker.describe_model_package(ModelPackageName=package)
    assert denied(sagemaker.update_model_package, ModelPackageArn=package, ModelApprovalStatus="Approved")
    assert denied(sagemaker.update_pipeline, PipelineName=deployed.outputs["PipelineName"])


def test_an_operator_reads_why_a_workflow_failed_and_what_was_not_delivered(deployed: Deployed) -> None:
    states, sqs = deployed.person("stepfunctions", "Operator"), deployed.person("sqs", "Operator")
    machine = deployed.resource("AWS::StepFunctions::StateMachine", "TriggersWorkflow")
    given = json.dumps({"id": "a", "detail": {"reason": "b"}})
    begun = deployed.client("stepfunctions").start_execution(stateMachineArn=machine, input=given)["executionArn"]
    assert states.list_executions(stateMachineArn=machine)["executions"]
    assert eventually(lambda: states.describe_execution(executionArn=begun)["status"] != "RUNNING")
    assert states.get_execution_history(executionArn=begun)
    urls = deployed.client("sqs").list_queues()["QueueUrls"]
    ours = [url for url in urls if "retraining-dev" in url]
    assert len(ours) >= 4
    for url in ours:
        assert sqs.get_queue_url(QueueName=url.rsplit("/", 1)[1])["QueueUrl"] == url
        assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        sqs.purge_queue(QueueUrl=url)
    assert denied(sqs.send_message, QueueUrl=ours[0], MessageBody="m")
    for run in deployed.runs():
        if run["PipelineExecutionStatus"] == "Executing":
            deployed.end_run(run["PipelineExecutionArn"])


def test_an_operator_reads_the_logs_that_mails_name_and_the_schedule(deployed: Deployed) -> None:
    admin, logs, name = deployed.client("logs"), deployed.person("logs", "Operator"), deployed.outputs["PipelineName"]
    jobs = [f"/aws/sagemaker/{kind}Jobs" for kind in ("Processing", "Training")]
    jobs.append(f"/aws/sagemaker/Endpoints/{name}")
    for group in (*jobs, "/aws/lambda/another"):
        admin.create_log_group(logGroupName=group)
    ours = [group["logGroupName"] for group in admin.describe_log_groups(logGroupNamePrefix=name)["logGroups"]]
    assert len(ours) == 5
    for group in (*ours, *jobs):
        assert logs.filter_log_events(logGroupName=group)["events"] is not None
        admin.create_log_stream(logGroupName=group, logStreamName="stream")
        assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert logs.describe_log_streams(logGroupName=group)["logStreams"]
        assert logs.get_log_events(logGroupName=group, logStreamName="stream")["events"] == []
    assert denied(logs.filter_log_events, logGroupName="/aws/lambda/another")
    assert deployed.person("scheduler", "Operator").get_schedule(Name=name, GroupName=name)["Name"] == name
    for group in (*jobs, "/aws/lambda/another"):
        admin.delete_log_group(logGroupName=group)


def test_an_operator_opens_the_pages_that_mails_link_to(deployed: Deployed) -> None:
    name, cloudwatch = deployed.outputs["PipelineName"], deployed.person("cloudwatch", "Operator")
    assert cloudwatch.get_dashboard(DashboardName=f"{name}-{REGION}")["DashboardBody"]
    assert cloudwatch.describe_alarms()["MetricAlarms"]
    metric = {"Namespace": "N", "MetricName": "M"}
    asked = [{"Id": "m", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "Sum"}}]
    now = datetime.now(UTC)
    assert cloudwatch.get_metric_data(MetricDataQueries=asked, StartTime=now - timedelta(1), EndTime=now)
    with pytest.raises(ClientError, match="ValidationException"):  # it is not there, and not denied
        deployed.person("sagemaker", "Operator").describe_training_job(TrainingJobName="pipelines-none-Train")


def test_both_read_reports_and_neither_reads_games(deployed: Deployed) -> None:
    bucket, admin = deployed.outputs["ArtifactBucket"], deployed.client("s3")
    for key in ("runs/a/evaluate/evaluation/report.html", "monitor/monitor.html"):
        admin.put_object(Bucket=bucket, Key=key, Body=b"page")
    for who in deployed.people:
        s3 = deployed.person("s3", who)
        for key in ("runs/a/evaluate/evaluation/report.html", "monitor/monitor.html", "champion/champion.json"):
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"]
        assert denied(s3.get_object, Bucket=deployed.outputs["DataBucket"], Key="games/games.csv")
        assert denied(s3.put_object, Bucket=bucket, Key="champion/champion.json", Body=b"{}")
    deployed.person("s3", "Operator").delete_object(Bucket=bucket, Key=ATTEMPT)
    for key in ("runs/a/evaluate/evaluation/report.html", "monitor/monitor.html"):
        admin.delete_object(Bucket=bucket, Key=key)


def test_an_approver_starts_nothing(deployed: Deployed) -> None:
    sagemaker = deployed.person("sagemaker", "Approver")
    assert denied(sagemaker.start_pipeline_execution, PipelineName=deployed.outputs["PipelineName"])
    assert sagemaker.list_pipelines()["PipelineSummaries"]


def test_the_hourly_check_for_failures_may_look_at_all_runs(deployed: Deployed) -> None:
    function = deployed.resource("AWS::Lambda::Function", "FailureNotifications")
    hourly = json.dumps({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
    answer = deployed.client("lambda").invoke(FunctionName=function, Payload=hourly.encode())
    assert "FunctionError" not in answer, answer["Payload"].read()
