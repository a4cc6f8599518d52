"""The requests of the function that lets a stack go, piece by piece, and which refusals are none."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from recording_client import RecordingClient, refusal

from infra.teardown.function import handler
from infra.teardown.function.handler import OutOfTimeError, repeat

GONE = ["NoSuchBucket", "ResourceNotFound", "ValidationException", "ValidationError"]


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def run(arn: str, status: str) -> dict[str, str]:
    return {"PipelineExecutionArn": arn, "PipelineExecutionStatus": status}


def test_runs_that_go_on_are_stopped_and_waited_for(pauses: list[float]) -> None:
    pages = [[run("a", "Executing"), run("b", "Succeeded")], [run("c", "Stopping"), run("d", "Executing")]]
    client = RecordingClient(list_pipeline_executions=[{"PipelineExecutionSummaries": page} for page in pages])
    assert handler.stop_runs(client, "p") == 3
    (listed, *stopped) = client.requests
    assert listed == ("list_pipeline_executions", {"PipelineName": "p"})
    assert [(operation, request["PipelineExecutionArn"]) for operation, request in stopped] == [
        ("stop_pipeline_execution", "a"),
        ("stop_pipeline_execution", "d"),
    ]
    assert len({request["ClientRequestToken"] for _, request in stopped}) == 2
    assert pauses == [2.0]


def test_without_one_there_is_nothing_to_wait_for(pauses: list[float]) -> None:
    client = RecordingClient(list_pipeline_executions=[{"PipelineExecutionSummaries": [run("b", "Failed")]}])
    assert handler.stop_runs(client, "p") == 0
    assert pauses == []


@pytest.mark.parametrize(("code", "borne"), [("ConflictException", True), ("ThrottlingException", False)])
def test_a_run_that_has_just_ended_needs_no_stop(code: str, borne: bool) -> None:
    pages = [{"PipelineExecutionSummaries": [run("a", "Executing")]}]
    client = RecordingClient(list_pipeline_executions=pages, stop_pipeline_execution=refusal(code))
    try:
        assert handler.stop_runs(client, "p") == 1
    except ClientError:
        assert not borne
    else:
        assert borne


OTHER = {"Sid": "Own", "Effect": "Deny"}
NO_WRITES = {
    **{"Sid": "NoWritesWhileItGoes", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject"},
    "Resource": "arn:aws-cn:s3:::b/*",
}


@pytest.mark.parametrize(
    ("answer", "put"),
    [
        (
            {"Policy": json.dumps({"Version": "v", "Statement": [OTHER]})},
            {"Version": "v", "Statement": [OTHER, NO_WRITES]},
        ),
        ({"Policy": json.dumps({"Version": "v", "Statement": [OTHER, NO_WRITES]})}, None),
        (refusal("NoSuchBucketPolicy"), {"Version": "2012-10-17", "Statement": [NO_WRITES]}),
        *((refusal(code), None) for code in GONE),
    ],
)
def test_a_bucket_refuses_writes_beside_what_it_refused_before(answer: Any, put: dict[str, Any] | None) -> None:
    client = RecordingClient(get_bucket_policy=answer)
    handler.refuse_writes(client, "b", "aws-cn")
    (asked, *written) = client.requests
    assert asked == ("get_bucket_policy", {"Bucket": "b"})
    assert [(request["Bucket"], json.loads(request["Policy"])) for _, request in written] == [("b", put)] * bool(put)


def test_any_other_refusal_is_an_error() -> None:
    for call in (
        lambda client: handler.refuse_writes(client, "b", "aws"),
        lambda client: handler.delete_packages(client, "g"),
    ):
        packages = {"ModelPackageSummaryList": [{"ModelPackageArn": "a"}]}
        denied = refusal("AccessDenied")
        with pytest.raises(ClientError):
            call(RecordingClient(get_bucket_policy=denied, list_model_packages=packages, delete_model_package=denied))


def test_versions_and_markers_are_deleted_by_the_page() -> None:
    page = {"Versions": [{"Key": "k", "VersionId": "1", "Size": 5}], "DeleteMarkers": [{"Key": "m", "VersionId": "2"}]}
    client = RecordingClient(list_object_versions=page)
    assert handler.delete_objects(client, "b") == 2
    objects = [{"Key": "k", "VersionId": "1"}, {"Key": "m", "VersionId": "2"}]
    assert client.requests == [
        ("list_object_versions", {"Bucket": "b"}),
        ("delete_objects", {"Bucket": "b", "Delete": {"Objects": objects, "Quiet": True}}),
    ]
    empty = RecordingClient()
    assert handler.delete_objects(empty, "b") == 0
    assert len(empty.requests) == 1
    client.answers["delete_objects"] = {"Errors": [{"Key": "k", "Code": "AccessDenied"}, {"Key": "m", "Code": "x"}]}
    with pytest.raises(RuntimeError, match="S3 does not delete k in b: AccessDenied"):
        handler.delete_objects(client, "b")


@pytest.mark.parametrize("code", [*GONE, None])
def test_packages_are_deleted_by_the_page(code: str | None, pauses: list[float]) -> None:
    page = {"ModelPackageSummaryList": [{"ModelPackageArn": "a"}, {"ModelPackageArn": "b"}]}
    client = RecordingClient(list_model_packages=page, delete_model_package=refusal(code) if code else {})
    assert handler.delete_packages(client, "g") == 2
    assert client.requests == [
        ("list_model_packages", {"ModelPackageGroupName": "g", "MaxResults": 100}),
        *(("delete_model_package", {"ModelPackageName": arn}) for arn in "ab"),
    ]
    assert pauses == ([2.0, 2.0] if code else []), "a list that lags behind is not asked at once"


def left(milliseconds: int) -> Any:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def test_a_piece_of_work_is_repeated_until_none_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    found = iter([1000, 500, 0])
    repeat(left(20_000), lambda: next(found), "objects in b")
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["of"], line["found"], line["in_all"]) for line in logged] == [
        ("objects in b", 1000, 1000),
        ("objects in b", 500, 1500),
        ("objects in b", 0, 1500),
    ]
    repeat(left(0), lambda: 0, "nothing, in no time")


def test_with_less_than_20_seconds_left_it_ends_and_says_how_far_it_came() -> None:
    with pytest.raises(OutOfTimeError) as ended:
        repeat(left(19_999), lambda: 1000, "objects in b")
    remedy = "run cdk destroy again: it resumes"
    assert str(ended.value) == f"there are still objects in b (1,000 seen to so far): {remedy}"


@pytest.mark.parametrize("code", [*GONE, "AccessDenied"])
def test_what_is_gone_is_no_work(code: str) -> None:
    def work() -> int:
        raise refusal(code)

    if code in GONE:
        repeat(left(60_000), work, "objects")
    else:
        with pytest.raises(ClientError):
            repeat(left(60_000), work, "objects")


# --- the whole --------------------------------------------------------------------------------------------------------
EVENT = {
    **{"RequestType": "Delete", "StackId": "stack-id", "RequestId": "r", "LogicalResourceId": "l"},
    "ResourceProperties": {"Buckets": ["games", "logs"], "Group": "g", "Pipeline": "p"},
    "ResponseURL": "https://cloudformation.example/answer",
}


class Account:
    """The clients that the function makes, and all their requests in one order."""

    def __init__(self, status: str) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.retries: dict[str, Any] = {}
        runs = iter([[run("a", "Executing")], []])
        self.client = RecordingClient(
            describe_stacks={"Stacks": [{"StackStatus": status}]},
            list_pipeline_executions=lambda **_: [{"PipelineExecutionSummaries": next(runs)}],
            get_bucket_policy=refusal("NoSuchBucketPolicy"),
            list_model_packages={"ModelPackageSummaryList": []},
        )

    def make(self, service: str, config: Any = None) -> RecordingClient:
        self.retries[service] = config and config.retries
        return self.client


@pytest.fixture
def account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account(request.param)
    monkeypatch.setattr("boto3.client", made.make)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: nullcontext())
    return made


def remove(milliseconds: int = 60_000) -> dict[str, Any]:
    arn = "arn:aws-cn:lambda:cn-north-1:111122223333:function:f"
    context: Any = SimpleNamespace(invoked_function_arn=arn, get_remaining_time_in_millis=lambda: milliseconds)
    return handler.handler(EVENT, context)


@pytest.mark.parametrize("account", ["DELETE_IN_PROGRESS"], indirect=True)
def test_first_runs_are_stopped_then_writes_refused_then_all_is_deleted(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = remove()
    assert (answer["Status"], answer["Reason"]) == ("SUCCESS", "")
    assert account.client.requests[0] == ("describe_stacks", {"StackName": "stack-id"})
    named = [
        (operation, request.get("PipelineName") or request.get("Bucket") or request.get("ModelPackageGroupName"))
        for operation, request in account.client.requests[1:]
    ]
    assert named == [
        *(("list_pipeline_executions", "p"), ("stop_pipeline_execution", None), ("list_pipeline_executions", "p")),
        *(("get_bucket_policy", "games"), ("put_bucket_policy", "games")),
        *(("get_bucket_policy", "logs"), ("put_bucket_policy", "logs")),
        *(("list_object_versions", "games"), ("list_object_versions", "logs"), ("list_model_packages", "g")),
    ]
    (policy, _) = [
        request["Policy"] for operation, request in account.client.requests if operation == "put_bucket_policy"
    ]
    assert "arn:aws-cn:s3:::games/*" in policy
    assert account.retries == {"cloudformation": None, **dict.fromkeys(("s3", "sagemaker"), RETRIES)}
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("of") or (line["bucket"], line["writes"]) for line in logged] == [
        *["runs of p that have not stopped"] * 2,
        *(("games", "refused"), ("logs", "refused")),
        *("objects in games", "objects in logs", "model versions in g"),
    ]


RETRIES = {"mode": "standard", "max_attempts": 10}


@pytest.mark.parametrize("account", ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"], indirect=True)
def test_while_the_stack_stays_nothing_goes(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert remove()["Status"] == "SUCCESS"
    assert [operation for operation, _ in account.client.requests] == ["describe_stacks"]
    kept = {"everything": "kept", "stack": "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
    assert json.loads(capsys.readouterr().out) == kept


@pytest.mark.parametrize("account", ["ROLLBACK_IN_PROGRESS"], indirect=True)
@pytest.mark.parametrize(
    ("answers", "left"),
    [
        ({}, "runs of p that have not stopped"),
        ({"list_object_versions": {"Versions": [{"Key": "k", "VersionId": "1"}]}}, "objects in games"),
        ({"list_model_packages": {"ModelPackageSummaryList": [{"ModelPackageArn": "a"}]}}, "model versions in g"),
    ],
)
def test_what_does_not_fit_into_one_call_fails_and_says_so(
    account: Account, answers: dict[str, Any], left: str
) -> None:
    if answers:
        account.client.answers |= {"list_pipeline_executions": [], **answers}
    answer = remove(milliseconds=1_000)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith(f"OutOfTimeError: there are still {left} (1 seen")
