"""One run at a time, whatever comes when."""

from __future__ import annotations

import io
import json
import re
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from emulated_workflow import Runs, finish, run_workflow, start_workflow
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk as sdk_task
from resolved_template import ACCOUNT, REGION, Resolver, Template, only

from infra.triggers.function import handler
from pipeline.contract.service_text import argument

PIPELINE = "retraining-prod"


@pytest.fixture
def runs(aws: None, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """SageMaker's runs, as the workflow's calls see them."""
    runs = Runs(PIPELINE)
    monkeypatch.setattr(sdk_task, "boto_client_for", lambda **_: runs)
    return runs


@pytest.fixture
def workflow(prod: Template) -> dict[str, Any]:
    """The deployed workflow, waiting a second instead of a minute."""
    _, machine = only(prod, "AWS::StepFunctions::StateMachine", "TriggersWorkflow")
    definition: dict[str, Any] = json.loads(Resolver(prod)(machine["DefinitionString"]))
    assert definition["States"]["Wait"]["Seconds"] == 60
    definition["States"]["Wait"]["Seconds"] = 1
    return definition


def request(name: str, reason: str = "schedule") -> dict[str, Any]:
    """What a trigger hands to the workflow."""
    return {"id": name, "detail": {"reason": reason}}


def test_first_request_starts_the_first_run_with_its_reason(runs: Runs, workflow: dict[str, Any]) -> None:
    assert run_workflow(workflow, request("a", "data"))["status"] == "SUCCEEDED"
    (start,) = runs.starts
    assert start["PipelineParameters"] == [{"Name": "TriggerReason", "Value": "data"}]
    assert start["PipelineExecutionDisplayName"] == "auto-a"
    assert len(start["ClientRequestToken"]) >= 32, "SageMaker takes no shorter token"


def test_a_request_delivered_twice_starts_one_run(runs: Runs, workflow: dict[str, Any]) -> None:
    for _ in range(2):
        assert run_workflow(workflow, request("a"))["status"] == "SUCCEEDED"
    for run in runs.found:
        run["PipelineExecutionStatus"] = "Succeeded"
    assert run_workflow(workflow, request("a"))["status"] == "SUCCEEDED", "also when its run has ended"
    assert len(runs.starts) == 1


def test_a_retried_delivery_of_the_schedule_starts_one_run(runs: Runs, workflow: dict[str, Any]) -> None:
    for _ in range(3):
        assert run_workflow(workflow, request("2026-11-27T09:00:00Z"))["status"] == "SUCCEEDED"
        runs.found[0]["PipelineExecutionStatus"] = "Failed"
    (start,) = runs.starts
    assert start["PipelineExecutionDisplayName"] == "auto-2026-11-27T09-00-00Z"


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("drift, (again): 50 %", "drift, (again): 50 %"),
        ("two\nlines\t and  blanks ", "two lines and blanks"),
        ("", "unspecified"),
        ("é" * 300, "é" * 128),
        ({"why": ["not", "text"]}, '{"why":["not","text"]}'),
        (7, "7"),
    ],
)
def test_any_reason_starts_a_run(runs: Runs, workflow: dict[str, Any], reason: Any, value: str) -> None:
    """The requests are checked against the service's model; one line of 256 UTF-16 units is what a job takes."""
    assert run_workflow(workflow, {"id": "a", "detail": {"reason": reason}})["status"] == "SUCCEEDED"
    (start,) = runs.starts
    assert start["PipelineParameters"] == [{"Name": "TriggerReason", "Value": value}]
    assert argument(value) == value


@pytest.mark.parametrize("name", ["a", "2026-11-27T09:00:00Z", "--a__b--", "x" * 300, ("y" * 75) + ":z", 17])
def test_any_request_has_a_name_that_the_service_takes(runs: Runs, workflow: dict[str, Any], name: Any) -> None:
    assert run_workflow(workflow, {"id": name, "detail": {"reason": "r"}})["status"] == "SUCCEEDED"
    (start,) = runs.starts
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}", start["PipelineExecutionDisplayName"])


def test_the_next_night_starts_a_run_of_its_own(runs: Runs, workflow: dict[str, Any]) -> None:
    for night in ("a", "b"):
        run_workflow(workflow, request(night))
        runs.found[0]["PipelineExecutionStatus"] = "Failed"
    assert len(runs.starts) == 2


@pytest.mark.parametrize("status", ["Executing", "Stopping"])
def test_a_request_waits_for_a_run_by_hand(runs: Runs, workflow: dict[str, Any], status: str) -> None:
    by_hand = runs.begin(status=status)
    execution = start_workflow(workflow, request("a"))
    time.sleep(1.5)
    assert not runs.starts
    by_hand["PipelineExecutionStatus"] = "Succeeded"
    assert finish(execution)["status"] == "SUCCEEDED"
    assert len(runs.starts) == 1


def test_a_run_by_hand_does_not_stand_in_for_a_request(runs: Runs, workflow: dict[str, Any]) -> None:
    """It may have been started for another day or other data."""
    blocking = runs.begin()
    execution = start_workflow(workflow, request("a"))
    time.sleep(0.5)
    runs.begin(name="back-test", status="Succeeded")
    blocking["PipelineExecutionStatus"] = "Succeeded"
    finish(execution)
    assert len(runs.starts) == 1


def test_requests_that_wait_for_the_same_run_start_one(runs: Runs, workflow: dict[str, Any]) -> None:
    blocking = runs.begin(name="auto-night")
    executions = [start_workflow(workflow, request(name, "data")) for name in "abc"]
    time.sleep(0.5)
    blocking["PipelineExecutionStatus"] = "Succeeded"
    for execution in executions:
        assert finish(execution)["status"] == "SUCCEEDED"
    assert len(runs.starts) == 1


def test_two_requests_that_look_at_the_same_time_start_one(
    runs: Runs, workflow: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and starting another run begins: the token was used, and the request finds itself covered."""
    look = runs.list_pipeline_executions
    rivals = iter([request("rival", "data")])

    def look_and_be_overtaken(**wanted: Any) -> dict[str, Any]:
        seen = look(**wanted)
        for rival in rivals:  # the rival sees what this request saw, and is first to start
            assert run_workflow(workflow, rival)["status"] == "SUCCEEDED"
        return seen

    monkeypatch.setattr(runs, "list_pipeline_executions", look_and_be_overtaken)
    assert run_workflow(workflow, request("a"))["status"] == "SUCCEEDED"
    assert [start["PipelineExecutionDisplayName"] for start in runs.starts] == ["auto-rival"]


class Lambda:
    """Lambda, whose only function is the handler of this checkout, with the variables of the template."""

    def __init__(self, template: Template) -> None:
        self.name, self.function = only(template, "AWS::Lambda::Function", "RunCost")

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - as boto3 has them
        assert FunctionName == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"
        assert self.function["Handler"] == "infra.triggers.function.handler.handler"
        answer = handler.handler(json.loads(Payload), None)  # type: ignore[arg-type]
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture
def limited(everything: Template, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The workflow of a deployment with max_run_usd."""
    function = Lambda(everything)
    for name, value in Resolver(everything)(function.function["Environment"]["Variables"]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "connect", lambda: runs)
    monkeypatch.setattr(lambda_eval_utils, "boto_client_for", lambda **_: function)
    _, machine = only(everything, "AWS::StepFunctions::StateMachine", "TriggersWorkflow")
    definition: dict[str, Any] = json.loads(Resolver(everything)(machine["DefinitionString"]))
    definition["States"]["Wait"]["Seconds"] = 1
    return definition


def test_a_start_above_the_limit_fails_with_the_estimate(
    runs: Runs, limited: dict[str, Any], workflow: dict[str, Any]
) -> None:
    """The definition may be another than the stack's: one that was rolled back to."""
    assert run_workflow(limited, request("a"))["status"] == "SUCCEEDED"
    runs.found[0]["PipelineExecutionStatus"] = "Succeeded"
    for parameter in runs.definition["Parameters"]:
        if parameter["Name"] == "TrainInstanceCount":
            parameter["DefaultValue"] = 100
    runs.seconds["Train"] = 3600
    refused = run_workflow(limited, request("b"))
    assert (refused["status"], refused["error"]) == ("FAILED", "TooExpensive")
    assert refused["cause"].startswith("a run that trains is estimated at $11")
    assert "above max_run_usd (2.5): Train $11" in refused["cause"]
    assert len(runs.starts) == 1
    assert "Estimate" not in workflow["States"], "without the setting there is no limit, and no function"


def test_a_function_that_fails_is_asked_again_and_starts_nothing(
    runs: Runs, limited: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "connect", lambda: None)
    limited["States"]["Estimate"]["Retry"][0]["IntervalSeconds"] = 1
    limited["States"]["Estimate"]["Retry"][0]["MaxAttempts"] = 1
    limited["States"]["NotStarted"]["Choices"][0]["Condition"] = "{% $tries >= 2 %}"
    assert run_workflow(limited, request("a"))["error"] == "NotStarted"
    assert runs.starts == []


DRIFT = {"id": "event", "detail": {"reason": "drift"}, "forced_on": "2026-11-25T09:12:41Z"}


def test_drift_starts_a_run_that_trains_even_if_nothing_is_new(runs: Runs, workflow: dict[str, Any]) -> None:
    assert run_workflow(workflow, DRIFT)["status"] == "SUCCEEDED"
    (start,) = runs.starts
    given = {p["Name"]: p["Value"] for p in start["PipelineParameters"]}
    assert given == {"TriggerReason": "drift", "ForceTraining": "yes"}
    assert start["PipelineExecutionDisplayName"] == "auto-drift-2026-11-25"


def test_drift_starts_at_most_one_run_a_day(runs: Runs, workflow: dict[str, Any]) -> None:
    """Whichever alarm it is, however often, and however the first one ended."""
    for hour, status in ((9, "Succeeded"), (10, "Failed"), (23, "Succeeded")):
        knock = {**DRIFT, "id": f"event-{hour}", "forced_on": f"2026-11-25T{hour:02}:12:41Z"}
        assert run_workflow(workflow, knock)["status"] == "SUCCEEDED"
        runs.found[0]["PipelineExecutionStatus"] = status
    assert len(runs.starts) == 1
    run_workflow(workflow, {**DRIFT, "forced_on": "2026-11-26T00:12:41Z"})
    assert [start["PipelineExecutionDisplayName"] for start in runs.starts][-1] == "auto-drift-2026-11-26"


def test_drift_waits_for_the_nightly_run_that_found_it_and_is_not_covered_by_another(
    runs: Runs, workflow: dict[str, Any]
) -> None:
    """A nightly run that began since may find nothing new and train nothing."""
    nightly = runs.begin(name="auto-night")
    execution = start_workflow(workflow, DRIFT)
    time.sleep(0.5)
    runs.begin(name="auto-data", status="Succeeded")
    assert not runs.starts
    nightly["PipelineExecutionStatus"] = "Succeeded"
    assert finish(execution)["status"] == "SUCCEEDED"
    assert [start["PipelineExecutionDisplayName"] for start in runs.starts] == ["auto-drift-2026-11-25"]


def test_a_nightly_request_is_covered_by_a_run_of_drift_that_began_since(runs: Runs, workflow: dict[str, Any]) -> None:
    blocking = runs.begin()
    execution = start_workflow(workflow, request("night"))
    time.sleep(0.5)
    runs.begin(name="auto-drift-2026-11-25", status="Succeeded")
    blocking["PipelineExecutionStatus"] = "Succeeded"
    assert finish(execution)["status"] == "SUCCEEDED"
    assert not runs.starts


def test_a_start_that_is_refused_for_good_fails_with_its_reason(
    runs: Runs, workflow: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> dict[str, Any]:
        error = {"Error": {"Code": "ResourceNotFound", "Message": "no such pipeline"}}
        raise ClientError(
            {**error, "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "1"}}, "StartPipelineExecution"
        )

    monkeypatch.setattr(runs, "start_pipeline_execution", refuse)
    workflow["States"]["NotStarted"]["Choices"][0]["Condition"] = "{% $tries >= 2 %}"
    ended = run_workflow(workflow, request("a"))
    assert ended["status"] == "FAILED"
    assert "no such pipeline" in ended["cause"]
