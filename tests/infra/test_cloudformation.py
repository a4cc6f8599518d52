"""How a function answered CloudFormation, and what it makes of permissions that do not hold everywhere yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.lambda_shared import cloudformation
from infra.lambda_shared.environment import CLOCK

EVENT = {
    "RequestType": "Create",
    "ResponseURL": "https://cloudformation.example/answer",
    **{name: name.lower() for name in ("StackId", "RequestId", "LogicalResourceId")},
}


def refusal(code: str, message: str = "no identity-based policy allows it") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "PutObject")


# As each service says it.
DENIED = (
    refusal("AccessDenied"),
    refusal("AccessDeniedException"),
    refusal("AuthorizationError"),
    refusal("ValidationException", "Could not assume role arn:aws:iam::111122223333:role/endpoint. Please ensure that"),
)


class Refusing:
    """Work that is refused at first: at each of these seconds, and then done."""

    def __init__(self, clock: list[float], error: ClientError, until: float) -> None:
        self.clock, self.error, self.until, self.done = clock, error, until, 0

    def __call__(self) -> None:
        if self.clock[0] < self.until:
            raise self.error
        self.done += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed: only sleeping takes any."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", sleep)
    return now


def answer(work: Callable[[], object], kind: str = "Create") -> None:
    cloudformation.respond({**EVENT, "RequestType": kind}, on_deploy=work, on_delete=work)


@pytest.mark.parametrize("error", DENIED, ids=str)
@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_a_permission_that_comes_within_half_a_minute_is_waited_for(
    clock: list[float], answered: list[dict[str, Any]], error: ClientError, kind: str
) -> None:
    work = Refusing(clock, error, until=29)
    answer(work, kind)
    assert work.done == 1
    assert [said["Status"] for said in answered] == ["SUCCESS"]


def test_one_that_only_asks_for_the_time_gets_it_and_nothing_is_done(
    answered: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.9)
    done: list[int] = []
    event = {**EVENT, "ResourceType": CLOCK}
    cloudformation.respond(event, on_deploy=lambda: done.append(1))
    assert [said["Data"] for said in answered] == [{"Now": "1700000000"}]
    assert not done


def test_a_permission_that_does_not_come_fails_the_deploy_with_its_reason(
    clock: list[float], answered: list[dict[str, Any]]
) -> None:
    answer(Refusing(clock, refusal("AccessDenied"), until=1000))
    (said,) = answered
    assert said["Status"] == "FAILED"
    assert "no identity-based policy allows it" in said["Reason"]
    assert 30 <= clock[0] < 60


@pytest.mark.parametrize(
    "error", [refusal("NoSuchBucket"), refusal("ValidationException", "1 validation error detected"), ValueError("no")]
)
def test_another_error_is_answered_at_once(clock: list[float], answered: list[dict[str, Any]], error: Any) -> None:
    answer(Refusing(clock, error, until=1000))
    assert [said["Status"] for said in answered] == ["FAILED"]
    assert clock[0] == 0


def test_the_answer_is_as_cloudformation_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """crpg-ref-responses.html; the presigned address takes no content type."""
    asked: list[tuple[Any, int]] = []

    class Response:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    def take(request: Any, timeout: int) -> Response:
        asked.append((request, timeout))
        return Response()

    monkeypatch.setattr("urllib.request.urlopen", take)
    monkeypatch.setattr("time.time", lambda: 1.9)

    def fail() -> None:
        raise ValueError("x" * 2000)

    ids = {"StackId": "stackid", "RequestId": "requestid", "LogicalResourceId": "logicalresourceid"}
    said = cloudformation.respond({**EVENT, "PhysicalResourceId": "physical"}, on_deploy=fail)
    reason = "ValueError: " + "x" * 988
    assert said == {"Status": "FAILED", "Reason": reason, "PhysicalResourceId": "physical", "Data": {"Now": "1"}, **ids}
    ((request, timeout),) = asked
    assert (request.full_url, request.method, timeout) == ("https://cloudformation.example/answer", "PUT", 30)
    assert (request.headers, json.loads(request.data)) == ({"Content-type": ""}, said)
    done = cloudformation.respond(EVENT)
    assert (done["Status"], done["Reason"], done["PhysicalResourceId"]) == ("SUCCESS", "", "logicalresourceid")


@pytest.mark.parametrize(("kind", "done"), [("Create", "deploy"), ("Update", "deploy"), ("Delete", "removal")])
def test_a_removal_is_no_deploy(answered: list[dict[str, Any]], kind: str, done: str) -> None:
    seen: list[str] = []
    event = {**EVENT, "RequestType": kind, "ResourceType": "Custom::Champion"}
    cloudformation.respond(event, on_deploy=lambda: seen.append("deploy"), on_delete=lambda: seen.append("removal"))
    assert seen == [done]


@pytest.mark.parametrize(
    ("event", "deploy"), [(EVENT, True), ({"RequestType": "Create"}, False), ({"ResponseURL": "u"}, False), ({}, False)]
)
def test_who_calls(event: dict[str, Any], deploy: bool) -> None:
    assert cloudformation.is_deploy(event) is deploy


def test_it_asks_again_every_three_seconds_for_half_a_minute(
    clock: list[float], answered: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def work() -> None:
        asked.append(clock[0])
        raise refusal("AccessDenied")

    answer(work)
    assert asked == [3.0 * n for n in range(11)]
