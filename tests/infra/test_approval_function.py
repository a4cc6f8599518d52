"""Single decisions of the function behind approvals: what an event tells, what is announced, what is logged."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from approval_worlds import ALERTS, APPROVERS, VARIABLES, MemoryWorld, refused
from botocore.exceptions import ClientError
from random_worlds import HOURLY, connected
from recording_client import RecordingClient

from infra.approval.function import handler
from infra.approval.function.handler import approval_of
from infra.lambda_shared.bucket import Bucket

APPROVED, PENDING, REJECTED = "Approved", "PendingManualApproval", "Rejected"
TOLD = {
    "ModelApprovalStatus": APPROVED,
    "UpdatedModelPackageFields": ["ModelApprovalStatus"],
    "ModelPackageVersion": "3",
    "LastModifiedTime": "2026-11-25T09:00:00Z",
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryWorld]:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    with connected(MemoryWorld()) as made:
        yield made


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, {3: datetime(2026, 11, 25, 9, tzinfo=UTC).timestamp()}),
        ({"ModelApprovalStatus": REJECTED}, {}),
        ({"UpdatedModelPackageFields": ["CustomerMetadataProperties"]}, {}),
        ({"UpdatedModelPackageFields": []}, {}),
        ({"LastModifiedTime": None}, {}),
        ({"LastModifiedTime": "yesterday"}, {}),
        ({"ModelPackageVersion": None}, {}),
        ({"ModelPackageVersion": "three"}, {}),
    ],
)
def test_an_event_tells_of_an_approval(changed: dict[str, Any], told: dict[int, float]) -> None:
    assert approval_of({**TOLD, **changed}) == told


@pytest.mark.parametrize("missing", TOLD)
def test_an_event_without_a_part_tells_of_none(missing: str) -> None:
    assert approval_of({name: value for name, value in TOLD.items() if name != missing}) == {}


def test_a_notice_is_named_after_version_and_time_of_registration(world: MemoryWorld) -> None:
    """A group that was deleted and made again has the same versions at other times."""
    world.register(PENDING)
    assert world.deliver(HOURLY) == {"champion": None, "sent": 1}
    created = int(world.packages[1]["CreationTime"].timestamp())
    assert [key for key in world.objects if key.startswith("outbox/")] == [f"outbox/registry/waiting-1-{created}"]
    assert [topic for topic, *_ in world.mails] == [APPROVERS]
    world.pass_time(10)
    world.packages[1]["CreationTime"] = world.clock
    assert world.deliver(HOURLY)["sent"] == 1


def silence(world: MemoryWorld) -> None:
    """SNS takes nothing."""

    def fail(when: str, call: str) -> None:
        if (when, call) == ("before", "publish"):
            raise refused("Throttled")

    world.fails = fail


@pytest.mark.parametrize("happens", ["decided", "deleted", "made again", "nothing"])
def test_a_notice_is_sent_while_its_version_waits(world: MemoryWorld, happens: str) -> None:
    world.register(PENDING)
    silence(world)
    with pytest.raises(ClientError):
        world.deliver(HOURLY)
    world.fails = lambda when, call: None
    if happens == "decided":
        world.decide(1, REJECTED)
    elif happens == "deleted":
        del world.packages[1]
    elif happens == "made again":
        world.pass_time(10)
        world.packages[1]["CreationTime"] = world.clock
    sent = world.deliver(HOURLY)["sent"]
    assert sent == {"decided": 0, "deleted": 0, "made again": 1, "nothing": 1}[happens]


@pytest.mark.parametrize(
    "metrics", [None, {}, {"ModelQuality": None}, {"ModelQuality": {"Statistics": None}}, "no key", "not a word"]
)
def test_without_an_evaluation_a_version_is_announced(world: MemoryWorld, metrics: Any) -> None:
    world.register(PENDING)
    if isinstance(metrics, str):
        metrics = {"ModelQuality": {"Statistics": {"S3Uri": "s3://bucket" if metrics == "no key" else ""}}}
    world.packages[1]["ModelMetrics"] = metrics
    assert world.deliver(HOURLY)["sent"] == 1
    assert "evaluation.json could not be read" in world.mails[0][2]


def test_emails_are_sent_also_where_a_version_cannot_be_put_into_its_place(world: MemoryWorld) -> None:
    world.register(PENDING)
    world.services.outbox("outbox/registry/").record(
        "other", ALERTS, handler.problem_notice("a: b", SimpleNamespace(pipeline="p", region="r"))
    )

    def fail(when: str, call: str) -> None:
        if (when, call) == ("before", "describe_model_package"):
            raise refused("InternalError")

    world.fails = fail
    with pytest.raises(ClientError, match="InternalError"):
        world.deliver(HOURLY)
    assert [subject for _, subject, _ in world.mails] == ["[p] a"]


def test_what_is_in_use_is_logged(world: MemoryWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.register(APPROVED)
    world.deliver(world.notice(1))
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line == {"champion": 1, "named": world.arn(1)}


def test_the_registration_of_the_last_candidate_is_noted_once(world: MemoryWorld) -> None:
    world.register(PENDING)
    world.store("evaluated/last_evaluated.json", b'{"fingerprint": "games1", "decision": "registered"}')
    world.deliver(HOURLY)
    noted = world.objects["evaluated/registered.json"]
    found = {"fingerprint": "games1", "version": 1, "model_package_arn": world.arn(1)}
    assert noted[0].decode() == json.dumps(found, indent=1) + "\n"
    world.deliver(HOURLY)
    assert world.objects["evaluated/registered.json"] == noted, "not written again"
    world.register(PENDING)
    world.store("evaluated/last_evaluated.json", b'{"fingerprint": "games2", "decision": "registered"}')
    world.deliver(HOURLY)
    assert json.loads(world.read("evaluated/registered.json") or b"")["version"] == 2


def test_the_history_of_versions_is_appended_to(world: MemoryWorld) -> None:
    world.register(APPROVED)
    seen = [""]
    for status in (None, None, REJECTED):
        if status:
            world.decide(1, status)
        world.deliver(HOURLY)
        seen.append((world.read("history/versions.jsonl") or b"").decode())
    assert seen[1] == seen[2], "nothing new"
    for before, after, expected in (
        (seen[0], seen[1], [(APPROVED, 1), ("InService", 1)]),
        (seen[2], seen[3], [(REJECTED, 1), ("InService", None)]),
    ):
        new = [json.loads(line) for line in after.removeprefix(before).splitlines()]
        assert [(event["event"], event["version"]) for event in new] == expected


def test_a_deploy_follows_the_registry_and_leaves_emails_to_the_next_call(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: nullcontext())
    world.register(APPROVED)
    world.register(PENDING)
    ids = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "ResponseURL": "https://answer.example"}
    answer = world.deliver({"RequestType": "Create", **ids})
    assert (answer["Status"], answer["Reason"]) == ("SUCCESS", "")
    assert json.loads(world.read("champion/champion.json") or b"")["version"] == 1
    assert world.mails == []
    assert world.deliver(HOURLY) == {"champion": 1, "sent": 1}


# --- the monitor's numbers --------------------------------------------------------------------------------------------
def test_the_monitors_file_is_published_and_nothing_else_is_done(
    world: MemoryWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    world.register(APPROVED)
    today = datetime.now(UTC).date().isoformat()
    report = {"as_of_date": today, "summary": "it failed", "failure": "KeyError"}
    world.store("monitor/monitor.json", json.dumps(report).encode())
    assert world.deliver({"source": "aws.s3"}) == {"published": 1}
    metric, line = map(json.loads, capsys.readouterr().out.splitlines())
    assert (metric["PipelineName"], metric["MonitorFailures"]) == ("retraining-test", 1.0)
    assert line == {"monitor": "it failed", "as_of_date": today, "published": 1}
    assert list(world.objects) == ["runs/run1/model.tar.gz", "monitor/monitor.json"]


@pytest.mark.parametrize("content", [None, b"[]", b"{"])
def test_without_the_monitors_file_there_is_an_error(world: MemoryWorld, content: bytes | None) -> None:
    if content:
        world.store("monitor/monitor.json", content)
    with pytest.raises(ValueError, match=r"^monitor/monitor.json is no JSON object: the step Predict"):
        world.deliver({"source": "aws.s3"})


# --- what is passed on ------------------------------------------------------------------------------------------------
def test_the_function_works_on_its_own_group_and_bucket(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def connect(*names: str) -> Any:
        asked.append(names)
        return world.services

    with monkeypatch.context() as patch:  # undone before the world puts the real one back
        patch.setattr(handler, "connect", connect)
        assert world.deliver({}) == {"champion": None, "sent": 0}, "an event without details is an hourly one"
    assert asked == [("nba-home-win", "artifacts")]


def test_its_outbox_has_its_clock_and_its_pauses(world: MemoryWorld) -> None:
    outbox = world.services.outbox("outbox/registry/")
    assert (outbox.bucket, outbox.client, outbox.prefix) == (world.services.bucket, world, "outbox/registry/")
    assert (outbox.clock, outbox.pause) == (world.services.clock, world.services.pause)


@pytest.mark.parametrize(("age", "event", "lines"), [(0, HOURLY, 1), (86400, HOURLY, 0), (86400, {}, 1)])
def test_the_last_evaluation_is_published_when_it_is_due(
    world: MemoryWorld,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    age: int,
    event: Any,
    lines: int,
) -> None:
    world.store(
        "evaluated/last_evaluated.json", b'{"primary_metric": "log_loss", "metrics": {"candidate": {"log_loss": 0.6}}}'
    )
    now = int(time.time()) + age + 0.5
    monkeypatch.setattr("time.time", lambda: now)
    world.deliver(event)
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    published = [line for line in logged if "_aws" in line]
    assert [(line["PipelineName"], line["Role"], line["PrimaryLoss"]) for line in published] == [
        ("retraining-test", "candidate", 0.6)
    ] * lines
    assert all(line["_aws"]["Timestamp"] == int(now) * 1000 + 500 for line in published)


@pytest.mark.parametrize(
    ("uri", "answer", "evaluation"),
    [
        ("s3://theirs/a/e.json", b'{"a": 1}', {"a": 1}),
        ("s3://theirs/a/e.json", b"[]", None),
        ("s3://theirs/a/e.json", "AccessDenied", None),
        ("s3://theirs/a/e.json", "SlowDown", ClientError),
        *(("s3://theirs", b"{}", None), ("s3:///e.json", b"{}", None), ("", b"{}", None), (None, b"{}", None)),
    ],
)
def test_an_evaluation_is_read_from_its_own_bucket(uri: str | None, answer: bytes | str, evaluation: Any) -> None:
    def get(**_: str) -> dict[str, Any]:
        if isinstance(answer, str):
            raise refused(answer)
        return {"Body": io.BytesIO(answer), "ETag": "e", "LastModified": datetime.now(UTC)}

    client = RecordingClient(get_object=get)
    package = {"ModelMetrics": {"ModelQuality": {"Statistics": {} if uri is None else {"S3Uri": uri}}}}
    if evaluation is ClientError:
        with pytest.raises(ClientError):
            handler._evaluation(package, Bucket(client, "ours"))
    else:
        assert handler._evaluation(package, Bucket(client, "ours")) == evaluation
    complete = uri == "s3://theirs/a/e.json"
    assert client.requests == [("get_object", {"Bucket": "theirs", "Key": "a/e.json"})] * complete
