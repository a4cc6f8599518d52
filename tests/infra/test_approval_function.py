"""Single decisions of the function behind approvals: what an event tells, what is announced, what is logged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from approval_worlds import ALERTS, APPROVERS, EVALUATION, GROUP, VARIABLES, MemoryWorld, champion, refused
from botocore.exceptions import ClientError
from random_worlds import HOURLY, connected

from infra.handlers import approval
from infra.handlers import champion as champions
from infra.handlers.approval import told_approval
from infra.handlers.champion import PromotionError

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
    assert told_approval({**TOLD, **changed}) == told


@pytest.mark.parametrize("missing", TOLD)
def test_an_event_without_a_part_tells_of_none(missing: str) -> None:
    assert told_approval({name: value for name, value in TOLD.items() if name != missing}) == {}


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


def test_the_evaluation_is_read_from_where_the_package_says(world: MemoryWorld) -> None:
    world.register(PENDING)
    world.store("runs/run1/evaluation.json", json.dumps(EVALUATION).encode())
    world.deliver(HOURLY)
    assert "candidate less champion: -0.0045" in world.mails[0][2]


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
    world.services.outbox().record("other", ALERTS, approval.problem("a: b", SimpleNamespace(pipeline="p", region="r")))

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


# --- champion/ --------------------------------------------------------------------------------------------------------
def test_champion_json_and_the_record_of_approvals_are_files_for_people(world: MemoryWorld) -> None:
    world.register(APPROVED)
    world.deliver(HOURLY)
    for key in ("champion/champion.json", "approvals/approvals.json"):
        text = (world.read(key) or b"").decode()
        assert text == json.dumps(json.loads(text), indent=1) + "\n"
    assert champion(world)["version"] == 1


def test_nothing_is_written_where_all_agrees(world: MemoryWorld) -> None:
    for status in (REJECTED, APPROVED, REJECTED):
        if status == REJECTED and world.packages:
            world.decide(1, status)
        elif status == APPROVED:
            world.register(status)
        world.deliver(HOURLY)
        before = dict(world.objects)
        world.deliver(HOURLY)
        assert world.objects == before


def test_what_does_not_belong_to_champion_is_removed_and_the_rest_stays(world: MemoryWorld) -> None:
    world.register(APPROVED)
    world.deliver(HOURLY)
    world.store("champion/0/model.tar.gz", b"left over")
    world.deliver(HOURLY)
    assert [key for key in world.objects if key.startswith("champion/")] == [
        "champion/champion.json",
        "champion/1/model.tar.gz",
    ]


def test_after_twenty_rounds_lambda_tries_again(world: MemoryWorld) -> None:
    world.register(APPROVED)
    world.deliver(HOURLY)
    world.register(APPROVED)
    looks = 0

    def another(when: str, call: str) -> None:
        """Each time before the record of approvals is written, somebody else has written it."""
        nonlocal looks
        if (when, call) == ("before", "put_object"):
            looks += 1
            world.store("approvals/approvals.json", json.dumps({"by": looks}).encode())

    world.fails = another
    with pytest.raises(PromotionError, match="still differ after 20 rounds: it will be tried again"):
        world.deliver(HOURLY)
    assert champions.MAX_ROUNDS == 20


def test_problems_are_named_after_the_approval_or_the_content(world: MemoryWorld) -> None:
    """So that each is told once, and again when it comes back."""
    for _ in range(2):
        world.register(APPROVED)
    del world.packages[1]["InferenceSpecification"]
    del world.objects["runs/run2/model.tar.gz"]
    world.store("champion/champion.json", b"{")
    world.store("approvals/approvals.json", b"[")
    world.deliver(HOURLY)
    named = sorted(key.removeprefix("outbox/registry/") for key in world.objects if key.startswith("outbox/"))
    digests = {"{": "021fb596db81e6d0", "[": "245843abef9e72e7"}
    times = {n: f"{world.packages[n]['CreationTime'].timestamp():.3f}" for n in (1, 2)}
    assert named == [
        f"problem-approvals-{digests['[']}",
        f"problem-lost-2-{times[2]}",
        f"problem-pointer-{digests['{']}",
        f"problem-unusable-1-{times[1]}",
    ]
    assert {topic for topic, *_ in world.mails} == {ALERTS}
    assert GROUP in world.arn(1)
