"""What the functions of the deployed stack keep of runs and of versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from approval_worlds import BUCKET, VARIABLES, MemoryWorld
from moto import mock_aws
from sagemaker_emulation import ACCOUNT, REGION, Run, taught

from infra.approval.function import handler as approval
from infra.failure_notifications.function import run_history
from infra.failure_notifications.function.run_history import HistoryError, entry_of, record_runs
from infra.lambda_shared.bucket import Bucket, S3Object
from pipeline.contract.code_version import all_steps
from pipeline.contract.history import runs, versions
from pipeline.contract.history.runs import DataWindow, RunEntry

JOB = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
PREPARED = {
    "as_of_date": "2025-03-01",
    "fingerprint": "f",
    "data_fingerprint": "rows",
    "code_version": "c1",
    "reason": "new rows",
    "data": {"first_date": "2020-01-01", "last_labelled_date": "2025-02-28", "n_labelled": 1_000},
}
EVALUATION = {
    "rows": "trips",
    "primary_metric": "mae",
    "metric_words": {"mae": {"label": "mean absolute error"}},
    "metrics": {"candidate": {"mae": 3.0}, "champion": {"mae": 3.5}, "baseline": {"mae": 4.0}},
    "reason": "better",
    "versions": {"code": "c1", "git": "abc", "definition": "d"},
}


class Account:
    """A pipeline in moto."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
        self.client, self.s3 = boto3.client("sagemaker", **keys), boto3.client("s3", **keys)
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.bucket = Bucket(self.s3, BUCKET)
        role = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
        self.client.create_pipeline(
            PipelineName="p", PipelineDefinition="{}", RoleArn=role, ClientRequestToken="t" * 32
        )

    def start(self) -> Run:
        given = [{"Name": "TriggerReason", "Value": "schedule"}, {"Name": "MaxDepth", "Value": "3"}]
        started = self.client.start_pipeline_execution(PipelineName="p", PipelineParameters=given)
        return Run(started["PipelineExecutionArn"])

    def put(self, key: str, content: dict[str, Any]) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(content).encode())

    def entry(self, run: Run) -> RunEntry:
        return entry_of(self.client, self.bucket, run.arn, lambda step: f"why {step['StepName']} failed")

    def record(self, run: Run, status: str, *, retried: bool = True) -> int:
        return record_runs(self.client, self.bucket, {run.arn: status}, lambda _: "why", retried=retried)

    @property
    def kept(self) -> list[RunEntry]:
        text = self.s3.get_object(Bucket=BUCKET, Key=runs.HISTORY_KEY)["Body"].read().decode()
        return [RunEntry.from_json(json.loads(line)) for line in text.splitlines()]


@pytest.fixture
def account() -> Iterator[Account]:
    with taught(), mock_aws():
        yield Account()


def registered(account: Account) -> Run:
    run = account.start()
    run_id = run.arn.rsplit("/", maxsplit=1)[-1]
    for name in ("Prepare", "Predict", "Evaluate"):
        run.step(name, "Succeeded", seconds=200, Metadata={"ProcessingJob": {"Arn": f"{JOB}:processing-job/{name}"}})
    run.step("HasNewData", "Succeeded", seconds=0, Metadata={"Condition": {"Outcome": "True"}})
    run.step("Register", "Succeeded", seconds=1, Metadata={"RegisterModel": {"Arn": f"{JOB}:model-package/g/7"}})
    account.put(runs.PREPARED_KEY.format(run_id=run_id), PREPARED)
    account.put(runs.EVALUATION_KEY.format(run_id=run_id), EVALUATION)
    account.put(runs.MONITOR_KEY, {"rows": "trips", "alarms": [{"what": "rows are late"}]})
    run.end("Succeeded")
    return run


def test_an_entry_has_what_the_service_and_the_files_say(account: Account) -> None:
    run = registered(account)
    entry = account.entry(run)
    assert (entry.status, entry.decision, entry.version, entry.reason) == ("Succeeded", "registered", 7, "better")
    assert (entry.candidate_loss, entry.champion_loss, entry.baseline_loss) == (3.0, 3.5, 4.0)
    assert (entry.loss, entry.rows, entry.git, entry.definition) == ("mean absolute error", "trips", "abc", "version 1")
    assert entry.data == DataWindow("2020-01-01", "2025-02-28", 1_000, "rows")
    assert (entry.trigger, entry.parameters["MaxDepth"]) == ("schedule", "3")
    assert entry.seconds == {"Prepare": 200.0, "Predict": 200.0, "Evaluate": 200.0}
    assert entry.alarms == ("rows are late",)
    assert entry.report == f"s3://{BUCKET}/{runs.REPORT_KEY.format(run_id=entry.run_id)}"


def test_alarms_of_another_run_and_files_of_no_shape_are_left_out(account: Account) -> None:
    first = registered(account)
    run = account.start()
    run.step("Prepare", "Succeeded", seconds=1)
    run.step("Predict", "Succeeded", seconds=1)
    run.execution.creation_time = run.execution.creation_time.replace(year=2030)
    account.put(runs.PREPARED_KEY.format(run_id=run.arn.rsplit("/", maxsplit=1)[-1]), {"data": {"n_labelled": "x"}})
    run.end("Succeeded")
    assert (account.entry(run).alarms, account.entry(run).data) == ((), None)
    assert account.entry(first).alarms


def test_no_news_a_failed_step_and_a_stopped_run(account: Account) -> None:
    quiet, failed, stopped = account.start(), account.start(), account.start()
    quiet.step("HasNewData", "Succeeded", seconds=0, Metadata={"Condition": {"Outcome": "False"}})
    quiet.end("Succeeded")
    failed.fail("QualityGateFailed", "below")
    failed.end("Failed")
    stopped.end("Stopped")
    found = [account.entry(run) for run in (quiet, failed, stopped)]
    assert [entry.decision for entry in found] == ["no-new-data", "failed", None]
    assert (found[1].failed_step, found[1].reason) == ("QualityGateFailed", "why QualityGateFailed failed")


def test_each_end_is_one_line_and_a_retried_run_has_another(account: Account) -> None:
    run = account.start()
    assert account.record(run, "Executing") == 0
    run.end("Failed")
    assert [account.record(run, "Failed", retried=again) for again in (True, True, False)] == [1, 0, 0]
    run.end("Failed")
    assert [account.record(run, "Failed", retried=again) for again in (False, True)] == [0, 1]
    run.end("Succeeded")
    assert account.record(run, "Failed") == 1, "an event of before the retry names a run that has ended since"
    assert [entry.status for entry in account.kept] == ["Failed", "Failed", "Succeeded"]


def test_the_oldest_lines_go_and_a_damaged_one_stays(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.s3.put_object(Bucket=BUCKET, Key=runs.HISTORY_KEY, Body=b"{damaged")
    monkeypatch.setattr(run_history, "KEPT_LINES", 3)
    for _ in range(3):
        run = account.start()
        run.end("Stopped")
        account.record(run, "Stopped")
    assert len(account.kept) == 3


def test_a_race_is_run_again(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading and writing somebody else writes: once, and then each time."""
    run, other = account.start(), account.start()
    for one in (run, other):
        one.end("Stopped")
    write, left = Bucket.write, iter([True])

    def raced(bucket: Bucket, key: str, text: str, *, over: S3Object) -> bool:
        if next(left, None):
            write(bucket, key, account.entry(other).line, over=over)
        return write(bucket, key, text, over=over)

    monkeypatch.setattr(Bucket, "write", raced)
    assert account.record(run, "Stopped") == 1
    assert {entry.run_id for entry in account.kept} == {one.arn.rsplit("/", maxsplit=1)[-1] for one in (run, other)}
    monkeypatch.setattr(Bucket, "write", lambda *_, **__: False)
    run.end("Stopped")
    with pytest.raises(HistoryError):
        account.record(run, "Stopped")


def test_the_files_are_where_the_definition_writes_them(definition: dict[str, Any]) -> None:
    text = json.dumps({step["Name"]: step for step in all_steps(definition["Steps"])})
    run = '{"Get": "Execution.PipelineExecutionId"}'
    for key in (runs.PREPARED_KEY, runs.EVALUATION_KEY):
        _, _, *folders = key.rsplit("/", 1)[0].split("/")
        values = ", ".join([run, *(f'"{folder}"' for folder in folders)])
        assert f'"Values": ["s3://${{ArtifactBucket}}/runs", {values}]' in text, key
    assert f"s3://${{ArtifactBucket}}/{runs.MONITOR_KEY.split('/')[0]}" in text


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> MemoryWorld:
    """The registry and the bucket in memory, and the function that follows them."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    made = MemoryWorld()
    monkeypatch.setattr(approval, "connect", lambda *_: made.services)
    return made


def test_what_was_in_service_is_kept_once_however_often_it_is_looked_at(world: MemoryWorld) -> None:
    for _ in range(2):
        world.register("PendingManualApproval")
    for version, status in ((1, "Approved"), (2, "Approved"), (2, "Rejected")):
        world.decide(version, status)
        for notice in (world.notice(version), {}, world.notice(1)):
            world.deliver(notice)
    events, faults = versions.read_events(world.objects[versions.HISTORY_KEY][0].decode(), "h")
    assert faults == []
    found = versions.services(events)
    assert [service.version for service in found] == [1, 2, 1]
    assert [service.until is None for service in found] == [False, False, True]
    assert found[1].left == "rejected: no reason given; version 1 followed"


def test_a_line_that_is_damaged_stays_and_hides_itself_only(world: MemoryWorld) -> None:
    world.store(versions.HISTORY_KEY, b"{damaged\n")
    world.register("Approved")
    world.deliver({})
    text = world.objects[versions.HISTORY_KEY][0].decode()
    assert text.startswith("{damaged\n")
    assert [event.event for event in versions.read_events(text, "h")[0]] == ["Approved", "InService"]
