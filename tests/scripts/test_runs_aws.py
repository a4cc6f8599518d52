"""`python -m scripts.runs --aws` against an emulated AWS: what a page asks for, how list and history go together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from click.testing import CliRunner
from emulated_pipeline import BUCKET, PIPELINE, deployed_definition
from moto import mock_aws
from sagemaker_emulation import ACCOUNT, REGION, Run, taught

from pipeline.contract.history import runs, versions
from pipeline.contract.history.runs import DataWindow, RunEntry
from pipeline.contract.history.versions import VersionEvent
from scripts.history import history as cloud
from scripts.review_model import main as review
from scripts.runs import main

AT = 1_740_000_000.0


@dataclass
class Account:
    """A deployed pipeline, the calls that a command makes, and the history that the functions have written."""

    calls: list[str] = field(default_factory=list)

    def start(self) -> str:
        """The id of a new run."""
        arn = boto3.client("sagemaker").start_pipeline_execution(PipelineName=PIPELINE)["PipelineExecutionArn"]
        return str(arn).rsplit("/", maxsplit=1)[-1]

    def end(self, run_id: str, status: str) -> None:
        Run(f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/{PIPELINE}/execution/{run_id}").end(status, "Step failure")

    def put(self, key: str, text: str) -> None:
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=text.encode())

    def json(self, *arguments: str, command: Any = main) -> Any:
        """What a command prints."""
        self.calls.clear()
        done = CliRunner().invoke(command, [*arguments, "--aws", "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def account(definition: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.setenv(name, REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    call, made = BaseClient._make_api_call, Account()  # type: ignore[attr-defined] # where every call goes through

    def counted(self: Any, operation: str, arguments: Any) -> Any:
        made.calls.append(operation)
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)
    with taught(), mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        boto3.client("sagemaker").create_pipeline(
            PipelineName=PIPELINE,
            PipelineDefinition=json.dumps(deployed_definition(definition)),
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/pipeline",
            ClientRequestToken="t" * 32,
        )
        yield made


def entry(run_id: str, n: int, **given: Any) -> RunEntry:
    data = DataWindow("2020-01-01", "2025-02-28", 1_000 + n, f"{n}")
    return RunEntry(run_id, "Succeeded", AT + n, AT + n + 600, decision="no-new-data", data=data, **given)


FIND = ["ListPipelines", "DescribePipeline"]  # once for a command: which pipeline, and the bucket of its definition


def test_a_page_is_three_calls_and_a_deployment_without_a_history_is_listed(account: Account) -> None:
    ids = [account.start() for _ in range(3)]
    account.end(ids[1], "Failed")
    rows = account.json("list")
    assert account.calls == [*FIND, "GetObject", "GetObject", "ListPipelineExecutions"]
    assert [row["run_id"] for row in rows] == ids[::-1]
    assert [row["status"] for row in rows] == ["Executing", "Failed", "Executing"]
    assert (rows[1]["decision"], rows[2]["cost_usd"]) == ("failed", None)


def test_more_runs_cost_one_call_more_for_each_page(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "PAGE", 10)
    ids = [account.start() for _ in range(23)]
    assert len(account.json("list", "--limit", "30")) == 23
    assert account.calls.count("ListPipelineExecutions") == 3
    assert account.calls.count("GetObject") == 2
    for run_id in ids:
        account.end(run_id, "Succeeded")
    account.put(runs.HISTORY_KEY, "".join(entry(run_id, n).line for n, run_id in enumerate(ids)))
    assert len(account.json("list", "--limit", "23")) == 23
    assert account.calls.count("ListPipelineExecutions") == 1, "the history knows the others"


def test_the_history_and_the_state_of_now_go_together(account: Account) -> None:
    """A run is in the history; one was retried since, and executes; one was deleted with an earlier pipeline."""
    known, retried = account.start(), account.start()
    account.end(known, "Succeeded")
    seconds = {"Prepare": 360.0, "Train": 3_600.0}
    lines = [
        entry("before", 0, parameters={"MaxDepth": "2"}),
        entry(known, 1, version=4, seconds=seconds, parameters={"TrainInstanceType": "ml.m5.xlarge"}),
        entry(retried, 2),
    ]
    account.put(runs.HISTORY_KEY, "{damaged\n" + "".join(line.line for line in lines))
    events = [
        VersionEvent("Approved", 4, AT, "arn:aws:iam::1:user/ann", "better"),
        VersionEvent("InService", 4, AT + 1),
    ]
    account.put(versions.HISTORY_KEY, versions.as_lines(events))
    rows = {row["run_id"]: row for row in account.json("list")}
    assert rows.keys() == {"before", known, retried}
    assert (rows[retried]["status"], rows[retried]["decision"]) == ("Executing", None)
    by = {"by": "arn:aws:iam::1:user/ann", "at": AT, "reason": "better"}
    assert rows[known]["approval"] == {"approved": True, **by}
    assert list(rows[known]["changed"]) == ["data", "parameters"]
    # an hour of an ml.m5.xlarge and a tenth of one of an ml.t3.medium
    assert rows[known]["cost_usd"] == pytest.approx(0.230 + 0.005, abs=0.002)
    (service,) = account.json("history", command=review)
    assert (service["version"], service["approved"]["by"]) == (4, "arn:aws:iam::1:user/ann")
    assert account.json("show", known)["run_id"] == known


def test_a_price_that_is_not_known_is_not_guessed(account: Account) -> None:
    run = entry("a", 1, seconds={"Train": 60.0}, parameters={"TrainInstanceType": "ml.none"})
    account.put(runs.HISTORY_KEY, run.line)
    assert [row["cost_usd"] for row in account.json("list")] == [None]


def test_the_page_links_to_the_console(account: Account, tmp_path: Any) -> None:
    report = f"s3://{BUCKET}/runs/a/evaluate/evaluation/report.html"
    account.put(runs.HISTORY_KEY, entry("a", 1, report=report, candidate_loss=0.6, loss="log loss").line)
    path = tmp_path / "runs.html"
    done = CliRunner().invoke(main, ["report", "--aws", "--output", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert f'href="https://{REGION}.console.aws.amazon.com/s3/object/{BUCKET}?' in path.read_text()
