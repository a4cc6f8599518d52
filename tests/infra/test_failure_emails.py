"""What people read about a failed step or run where little is known, and which runs and steps are looked at."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from approval_worlds import ALERTS, PIPELINE
from botocore.exceptions import ClientError
from recording_client import RecordingClient, refusal
from run_worlds import VARIABLES, RunWorld
from sagemaker_emulation import REGION

from infra.failure_notifications.function import handler
from infra.failure_notifications.function.failure_emails import Run, run_failed, run_stopped, step_failed
from infra.lambda_shared.emails import Email

ARN = "arn:aws:sagemaker:eu-west-1:111122223333:pipeline/p/execution/x1"
RUN = Run(ARN, "p", "prod")
DASHBOARD = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/p-eu-west-1"
WHERE = f"""Run            {ARN}
Dashboard      {DASHBOARD}

What to do:    docs/runbook.md, "TITLE"
Details:       python -m scripts.show_execution {ARN}
Run again:     python -m scripts.start_execution --pipeline p --region eu-west-1
"""
RETRY = f"""Resume from this step, with the same parameters and definition, when the run has ended:
  aws sagemaker retry-pipeline-execution --region eu-west-1 --pipeline-execution-arn {ARN}
"""
NOON = datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=-5)))


def job(kind: str, name: str) -> dict[str, Any]:
    return {"Metadata": {kind: {"Arn": f"arn:aws:sagemaker:eu-west-1:111122223333:{name}"}}}


def test_a_step_of_which_nothing_is_known() -> None:
    assert step_failed(RUN, {"StepName": "Train"}, "", "drift") == Email(
        "[prod] p: step Train failed",
        f"""Step Train of pipeline p (environment prod) failed.

Reason
SageMaker gave none.

Triggered by   drift
Step started   at an unknown time
Step ended     at an unknown time, after an unknown time
Job            none
Logs           none
{WHERE.replace("TITLE", "step Train failed")}{RETRY}""",
    )


@pytest.mark.parametrize(
    ("kind", "name", "page", "group"),
    [
        ("ProcessingJob", "a/processing-job/j-1", "processing-jobs", "ProcessingJobs"),
        ("TrainingJob", "training-job/j-1", "jobs", "TrainingJobs"),
    ],
)
def test_a_step_with_a_job(kind: str, name: str, page: str, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Midway")
    time.tzset()
    step = {"StepName": "S", "StartTime": NOON, "EndTime": NOON + timedelta(seconds=630), **job(kind, name)}
    text = step_failed(RUN, step, "because", "schedule").text
    monkeypatch.undo()
    time.tzset()
    console = "https://eu-west-1.console.aws.amazon.com"
    log = f"cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Fsagemaker$252F{group}"
    assert "Reason\nbecause\n\nTriggered by   schedule\nStep started   2026-11-23T17:00:00Z\n" in text
    assert "Step ended     2026-11-23T17:10:30Z, after 10.5 minutes\n" in text
    assert f"Job            {console}/sagemaker/home?region=eu-west-1#/{page}/j-1\n" in text
    assert f"Logs           {console}/{log}$3FlogStreamNameFilter$3Dj-1\n" in text


def test_of_a_step_that_has_not_ended_no_time_is_told() -> None:
    text = step_failed(RUN, {"StepName": "S", "StartTime": NOON}, "r", "t").text
    assert "Step ended     at an unknown time, after an unknown time\n" in text


def test_after_a_fail_step_no_retry_is_offered() -> None:
    others = RUN.with_state(described("Failed"), [{}, {"Metadata": {"ProcessingJob": {}}}])
    assert step_failed(others, {"StepName": "S"}, "r", "t").text.endswith(RETRY)
    ended = RUN.with_state(described("Failed"), [{"Metadata": {}}, {"Metadata": {"Fail": {}}}])
    remedy = "               with --param NAME=VALUE; the same data with the same limits is not evaluated twice\n"
    text = step_failed(ended, {"StepName": "S"}, "r", "t").text
    assert text.endswith(WHERE.replace("TITLE", "step S failed") + remedy)


def described(status: str, **more: Any) -> dict[str, Any]:
    return {"PipelineExecutionStatus": status, "CreationTime": NOON, "LastModifiedTime": NOON, **more}


def test_a_run_that_failed_or_was_stopped() -> None:
    run = RUN.with_state(described("Failed", LastModifiedTime=NOON + timedelta(minutes=3)), [])
    assert run_failed(run, "manual") == Email(
        "[prod] p: a run failed",
        f"""A run of pipeline p (environment prod) failed, and no step of it did.

Reason
SageMaker gave none.

Triggered by   manual
Started        2026-11-23T17:00:00Z
Failed         2026-11-23T17:03:00Z, after 3.0 minutes
{WHERE.replace("TITLE", "a run failed")}""",
    )
    assert run_stopped(run, "manual") == Email(
        "[prod] p: a run was stopped",
        f"""A run of pipeline p (environment prod) was stopped before its end.
CloudTrail records who stopped it: event StopPipelineExecution.

Triggered by   manual
Started        2026-11-23T17:00:00Z
Stopped        2026-11-23T17:03:00Z, after 3.0 minutes
{WHERE.replace("TITLE", "a run was stopped")}""",
    )
    assert "Reason\nno role\n" in run_failed(RUN.with_state(described("Failed", FailureReason="no role"), []), "m").text


def test_a_run_is_what_the_service_says() -> None:
    run = RUN.with_state(
        described("Failed", FailureReason=None, LastModifiedTime=NOON + timedelta(seconds=1)), [{"a": 1}]
    )
    assert (run.id, run.status, run.reason, run.failed_steps) == ("x1", "Failed", "", [{"a": 1}])
    assert (run.started, run.changed) == (NOON.timestamp(), NOON.timestamp() + 1)
    assert (RUN.status, RUN.reason, RUN.started, RUN.changed, RUN.failed_steps) == ("", "", 0.0, 0.0, ())


# --- which runs and steps ---------------------------------------------------------------------------------------------
def services(**answers: Any) -> tuple[handler.RunServices, RecordingClient]:
    client = RecordingClient(**answers)
    made: Any = SimpleNamespace(sagemaker=client, clock=lambda: 1_000_000.0, pause=lambda _: None)
    return made, client


def test_the_hourly_call_looks_at_runs_of_two_days() -> None:
    statuses = {"a": "Failed", "b": "Succeeded", "c": "Executing", "d": "Stopped"}
    page = [{"PipelineExecutionArn": arn, "PipelineExecutionStatus": status} for arn, status in statuses.items()]
    pages = [{"PipelineExecutionSummaries": page[:2]}, {"PipelineExecutionSummaries": page[2:]}]
    made, client = services(list_pipeline_executions=pages)
    assert handler._recent(made, "p") == statuses
    request = {"PipelineName": "p", "CreatedAfter": 1_000_000.0 - 172_800, "SortOrder": "Descending"}
    assert client.requests == [("list_pipeline_executions", request)]


@pytest.mark.parametrize(
    ("given", "trigger"),
    [
        ([], "manual"),
        ([{"Name": "MaxDepth", "Value": "2"}], "manual"),
        ([{"Name": "TriggerReason"}], "manual"),
        ([{"Name": "TriggerReason", "Value": ""}], "manual"),
        ([{"Name": "MaxDepth", "Value": "2"}, {"Name": "TriggerReason", "Value": "drift"}], "drift"),
    ],
)
def test_what_started_a_run(given: list[dict[str, str]], trigger: str) -> None:
    made, client = services(list_pipeline_parameters_for_execution=[{}, {"PipelineParameters": given}])
    assert handler._trigger(made, ARN) == trigger
    assert client.requests == [("list_pipeline_parameters_for_execution", {"PipelineExecutionArn": ARN})]


def test_what_a_container_wrote() -> None:
    step = job("ProcessingJob", "processing-job/j-1")
    made, client = services(describe_processing_job={"ExitMessage": "bad data"})
    assert handler._exit_message(made, step) == "bad data"
    assert client.requests == [("describe_processing_job", {"ProcessingJobName": "j-1"})]
    assert handler._exit_message(services(describe_processing_job={})[0], step) is None
    assert handler._exit_message(made, job("TrainingJob", "training-job/j-1")) is None
    for code in ("ValidationException", "ResourceNotFound"):
        assert handler._exit_message(services(describe_processing_job=refusal(code))[0], step) is None
    with pytest.raises(ClientError):
        handler._exit_message(services(describe_processing_job=refusal("ThrottlingException"))[0], step)


def test_each_failure_of_a_step_has_a_name_of_its_own() -> None:
    """By its jobs, in any order; where it has none, by its start."""
    jobs = {"A": {"Arn": "1"}, "B": {"Arn": "2"}}
    steps: list[dict[str, Any]] = [
        {},
        {"StartTime": NOON},
        {"Metadata": {"Fail": {"ErrorMessage": "m"}}, "StartTime": NOON + timedelta(1)},
        {"Metadata": jobs, "StartTime": NOON},
        {"Metadata": {"A": {"Arn": "2"}}},
        {"Metadata": {"A": {"Arn": "1"}}},
    ]
    names = [handler._attempt(step) for step in steps]
    assert len(set(names)) == len(steps)
    assert {len(name) for name in names} == {12}
    assert names[0] == hashlib.sha256(b'[""]').hexdigest()[:12]
    assert handler._attempt({"Metadata": dict(reversed(jobs.items()))}) == names[3], "the start does not matter"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> RunWorld:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    made = RunWorld()
    monkeypatch.setattr(
        handler, "connect", lambda bucket: made.services if bucket == VARIABLES["ARTIFACT_BUCKET"] else None
    )
    return made


def pauses_of(world: RunWorld, event: dict[str, Any]) -> float:
    """How long the function waits for what an event tells of."""
    before = world.now()
    world.deliver(event)
    return world.now() - before


def test_a_failure_that_is_not_listed_yet_is_waited_for_a_minute_at_most(world: RunWorld) -> None:
    arn = world.begin()
    prepare = world.fail_step(arn, "Prepare")
    assert pauses_of(world, prepare) == 0
    assert pauses_of(world, {**prepare, "detail": {**prepare["detail"], "stepName": "Train"}}) == 50
    assert pauses_of(world, world.event(arn)) == 0, "an event about the run expects no step"
    world.behind.add(arn)
    assert pauses_of(world, prepare) == 50


@pytest.mark.parametrize(("after", "told"), [(599, 0), (600, 1)])
def test_a_run_without_a_failed_step_is_told_of_after_ten_minutes(world: RunWorld, after: int, told: int) -> None:
    arn = world.begin()
    ended = world.end(arn, "Failed")
    world.pass_time(after)
    assert world.deliver(ended) == {"sent": told}
    assert [subject for _, subject, _ in world.mails] == ["[prod] retraining-test: a run failed"] * told


@pytest.mark.parametrize("status", ["Executing", "Succeeded", "Stopping", "Stopped"])
def test_only_failed_runs_are_told_of_as_failed(world: RunWorld, status: str) -> None:
    ended = world.end(world.begin(), status)
    world.pass_time(3600)
    for _ in range(2):
        world.deliver(ended)
    told = [subject for _, subject, _ in world.mails]
    assert told == (["[prod] retraining-test: a run was stopped"] if status == "Stopped" else [])


def test_a_notice_is_named_after_what_failed(world: RunWorld) -> None:
    """So that what an earlier version of the function has told of is not told of again."""
    first, second, third = world.begin(), world.begin(), world.begin()
    world.fail_step(first, "Prepare")
    world.end(second, "Stopped")
    world.end(third, "Failed")
    world.pass_time(3600)
    assert world.deliver({"detail": {}}) == {"sent": 3}
    step = world.runs[first]["steps"]["Prepare"]
    assert {key for key in world.objects if key.startswith("outbox/")} == {
        f"outbox/runs/run1-Prepare-{handler._attempt(step)}",
        *("outbox/runs/run2-stopped", "outbox/runs/run3-failed"),
    }
    assert world.deliver({}) == {"sent": 0}
    assert {topic for topic, *_ in world.mails} == {ALERTS}
    texts = [text for _, _, text in world.mails]
    assert all("Triggered by   schedule\n" in text for text in texts)
    assert all(
        f"Run again:     python -m scripts.start_execution --pipeline {PIPELINE} --region {REGION}\n" in t
        for t in texts
    )
    assert all(f"Dashboard      https://{REGION}.console.aws.amazon.com/" in text for text in texts)
    assert "Reason\nbad data\n" in texts[0]


def test_an_event_is_about_its_run_alone(world: RunWorld, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = world.begin(), world.begin()
    for arn in (first, second):
        event = world.fail_step(arn, "Prepare")
    assert world.deliver(event) == {"sent": 1}
    assert f"Run            {second}\n" in world.mails[0][2]
    assert capsys.readouterr().out == json.dumps({"run": second, "sent": 1}) + "\n"


def test_the_hourly_call_asks_for_runs_of_this_pipeline(world: RunWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(handler, "_recent", lambda _, pipeline: asked.append(pipeline) or {})
    assert world.deliver({"detail": {}}) == {"sent": 0}
    assert asked == [PIPELINE]


def test_a_run_that_cannot_be_read_does_not_keep_the_others_back(world: RunWorld) -> None:
    first, second = world.begin(), world.begin()
    for arn in (first, second):
        world.fail_step(arn, "Prepare")
    del world.runs[first]["steps"]
    with pytest.raises(KeyError, match="steps"):
        world.deliver({})
    assert [f"Run            {second}\n" in text for _, _, text in world.mails] == [True]
