"""`python -m scripts.show_execution` against an emulated AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from emulated_pipeline import PIPELINE, Cloud, emulated
from sagemaker_emulation import GENERIC_REASON, REGION, Run


@pytest.fixture
def cloud(root: Path, tmp_path: Path, definition: dict[str, Any]) -> Iterator[Cloud]:
    with emulated(root, tmp_path, definition) as made:
        yield made


def started(cloud: Cloud) -> Run:
    chosen = [{"Name": "TriggerReason", "Value": "schedule"}]
    answer = cloud.client("sagemaker").start_pipeline_execution(PipelineName=PIPELINE, PipelineParameters=chosen)
    return Run(answer["PipelineExecutionArn"])


def failed(cloud: Cloud) -> Run:
    run = started(cloud)
    jobs = f"arn:aws:sagemaker:{REGION}:123456789012"
    run.step("Prepare", "Succeeded", seconds=200, Metadata={"ProcessingJob": {"Arn": f"{jobs}:processing-job/p-1"}})
    run.step("HasNewData", "Succeeded", seconds=1, Metadata={"Condition": {"Outcome": "True"}})
    run.step("Train", "Succeeded", seconds=400, Metadata={"TrainingJob": {"Arn": f"{jobs}:training-job/t-1"}})
    run.fail("QualityGateFailed", "log loss 0.70 is above 0.68")
    run.end("Failed", "Step failure: One or multiple steps failed.")
    return run


def test_steps_durations_reasons_and_logs_of_the_newest(cloud: Cloud) -> None:
    started(cloud)
    run = failed(cloud)
    done = cloud.run("show_execution")
    assert done.code == 0, done.err
    assert done.out.startswith(run.arn)
    for expected in (
        "Failed after",
        "version 1 of the definition",
        "with TriggerReason=schedule",
        "Prepare: Succeeded after 3 min 20 s",
        "  HasNewData: true\n",
        "reason: log loss 0.70 is above 0.68",
        f"log: https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#logsV2:log-groups/log-group/"
        "$252Faws$252Fsagemaker$252FProcessingJobs$3FlogStreamNameFilter$3Dp-1",
        f"to run it again: python -m scripts.start_execution --param TriggerReason=schedule --pipeline {PIPELINE}",
    ):
        assert expected in done.out


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize(
    "module", [["show_execution"], ["promote_model", "--from", "dev", "--to", "prod", "--version", "1"]]
)
def test_a_page_of_a_proxy_in_place_of_the_answer_is_said(
    tmp_path: Path, root: Path, status: int, module: list[str]
) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<html><body>Sign in</body></html>")

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        account = [] if module == ["show_execution"] else ["--from-account", "111122223333"]
        done = Cloud(f"http://127.0.0.1:{server.server_port}", root, tmp_path).run(*module, *account)
        server.shutdown()
    assert (done.code, f"a web page came in place of AWS's answer (status {status})" in done.err) == (2, True)


def test_a_named_run_by_arn_and_by_id(cloud: Cloud) -> None:
    run = failed(cloud)
    started(cloud)
    by_arn = cloud.run("show_execution", run.arn, "--json", AWS_REGION=None)  # the region stands in the ARN
    by_id = cloud.run("show_execution", run.arn.rsplit("/", maxsplit=1)[-1], "--json")
    assert json.loads(by_arn.out) == json.loads(by_id.out)
    steps = json.loads(by_id.out)["steps"]
    assert steps[-1]["reason"] == "log loss 0.70 is above 0.68"
    outcomes = {step["name"]: step["outcome"] for step in steps}
    assert outcomes == {"Prepare": None, "HasNewData": True, "Train": None, "QualityGateFailed": None}


def test_the_reason_of_a_processing_step_is_what_its_container_wrote(cloud: Cloud) -> None:
    run = started(cloud)
    run.fail_processing("Prepare", "games.csv, line 88: home_points abc is not a whole number")
    run.fail_processing("Predict", None)
    job = f"arn:aws:sagemaker:{REGION}:123456789012:processing-job/gone"
    run.step("Evaluate", "Failed", FailureReason="ClientError: x", Metadata={"ProcessingJob": {"Arn": job}})
    run.end("Failed")
    shown = json.loads(cloud.run("show_execution", "--json").out)
    assert {step["name"]: step["reason"] for step in shown["steps"]} == {
        "Prepare": "games.csv, line 88: home_points abc is not a whole number",
        "Predict": GENERIC_REASON,
        "Evaluate": "ClientError: x",
    }


def test_more_steps_than_a_page(cloud: Cloud) -> None:
    run = started(cloud)
    for number in range(25):
        run.step(f"Step{number}", "Succeeded", seconds=1)
    shown = json.loads(cloud.run("show_execution", "--json").out)
    assert [step["name"] for step in shown["steps"]] == [f"Step{number}" for number in range(25)]


def test_what_is_missing_is_said(cloud: Cloud) -> None:
    never = cloud.run("show_execution")
    assert (never.code, "has not run yet" in never.err, "start_execution" in never.err) == (2, True, True)
    unknown = cloud.run("show_execution", "nosuchrun")
    assert (unknown.code, "Could not find pipeline execution" in unknown.err) == (2, True)
    assert cloud.run("show_execution", "arn:aws:sagemaker").code == 2
