"""The approval handler, invoked as Lambda invokes it, on moto and (for many sequences) on dictionaries."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from approval_worlds import (
    ALERTS,
    APPROVERS,
    EVALUATION,
    VARIABLES,
    MemoryWorld,
    MotoWorld,
    champion,
    event,
    model,
    refused,
    seeds_present,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from iam_emulation.account import TemplateAccount
from iam_emulation.enforcement import Gatekeeper, enforced
from moto import mock_aws
from moto.sagemaker.models import PAGINATION_MODEL
from random_worlds import connected
from sagemaker_emulation import REGION, taught

from infra.lambda_shared.environment import APPROVALS_KEY

HOURLY = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"


@pytest.fixture(autouse=True)
def variables(set_variables: Callable[..., None], approval_account: TemplateAccount) -> Iterator[None]:
    """The function has its role's keys, and IAM decides about what it asks of moto."""
    set_variables(VARIABLES, "ApprovalRole@lambda")
    with enforced(Gatekeeper(approval_account, {"test"})):
        yield


@contextmanager
def moto_world() -> Iterator[MotoWorld]:
    with taught(), mock_aws(config={"core": {"mock_credentials": False}}):  # the role's keys are used
        yield MotoWorld()


@contextmanager
def memory_world() -> Iterator[MemoryWorld]:
    with connected(MemoryWorld()) as world:
        yield world


@pytest.fixture
def world() -> Iterator[MotoWorld]:
    with moto_world() as made:
        yield made


# --- any order, at least once -------------------------------------------------------------------------------------

# What people and runs do, and after how many further actions each notice of it arrives (several: duplicates).
delays = st.lists(st.integers(0, 4), min_size=1, max_size=3)
registration = st.tuples(st.just("register"), st.sampled_from([PENDING, PENDING, APPROVED]), delays)
decision = st.tuples(st.integers(0, 9), st.sampled_from([APPROVED, APPROVED, REJECTED, PENDING]), delays)
histories = st.lists(st.one_of(registration, decision), min_size=1, max_size=8)


def act(world: Any, what: Any, status: str) -> int:
    """Do one thing; returns the version that it was done to."""
    n_versions = len(world.described())
    if what == "register" or n_versions == 0:
        return int(world.register(PENDING if what != "register" else status))
    version = what % n_versions + 1
    world.decide(version, status)
    return version


def play(world: Any, history: list[Any], order: random.Random) -> None:
    """Play a history, its notices late, repeated and in any order."""
    due: dict[int, list[dict[str, Any]]] = {}
    for now, (what, status, late) in enumerate(history):
        version = act(world, what, status)
        for delay in late:
            due.setdefault(now + delay, []).append(world.notice(version))
        deliver(world, due.pop(now, []), order)
    for now in sorted(due):
        deliver(world, due[now], order)


def deliver(world: Any, notices: list[dict[str, Any]], order: random.Random) -> None:
    order.shuffle(notices)
    for notice in notices:
        world.deliver(notice)


def check_agreement(world: Any) -> None:
    """champion/ holds what the registry says, that version's own artifact, and nothing else."""
    version = world.last_approved
    assert champion(world)["version"] == version
    kept = {key for key in world.objects if key.startswith("champion/")}
    if version is None:
        assert kept == {"champion/champion.json"}
    else:
        assert kept == {"champion/champion.json", f"champion/{version}/model.tar.gz"}
        assert world.read(f"champion/{version}/model.tar.gz") == model(version)


def check_writes(world: Any) -> None:
    """Each time that champion.json changed: the version was approved then, and its own artifact in place."""
    for version, approved, artifact in world.writes:
        assert version == approved
        assert version is None or artifact == model(version)


def check_history(world: Any, history: list[Any], order: random.Random) -> None:
    play(world, history, order)
    check_agreement(world)
    check_writes(world)
    assert seeds_present(world)
    texts = [text for topic, _, text in world.mails if topic == APPROVERS]
    assert len(texts) == len(set(texts)), "a version was announced twice"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories, st.randoms(use_true_random=False))
def test_random_histories_end_at_what_the_registry_says(history: list[Any], order: random.Random) -> None:
    with memory_world() as world:
        check_history(world, history, order)


ON_MOTO = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),  # to shrink an example at 5 ms a call takes minutes
}


@settings(max_examples=3, **ON_MOTO)
@given(histories, st.randoms(use_true_random=False))
def test_the_same_on_moto(history: list[Any], order: random.Random) -> None:
    with moto_world() as world:
        check_history(world, history, order)


def withdrawals(world: Any) -> list[tuple[str, str]]:
    """Subject and text of the mails about a champion that left without a successor."""
    return [(subject, text) for topic, subject, text in world.mails if topic == ALERTS]


def check_overlap(world: Any, history: list[Any], interruptions: list[Any]) -> None:
    """Play the history; then decisions and whole other invocations happen in the middle of one."""
    play(world, history, random.Random(0))  # noqa: S311 - any order will do
    approved = {p["ModelPackageVersion"] for p in world.described() if p["ModelApprovalStatus"] == APPROVED}
    late: list[int] = []

    def happen(what: Any, status: str) -> None:
        version = act(world, what, status)
        if status == APPROVED:
            approved.add(version)
        late.append(version)
        world.deliver(world.notice(version))

    world.calls, world.writes = 0, []
    in_use, told = champion(world)["version"], len(withdrawals(world))
    for call, what, status in interruptions:
        world.interruptions[call] = lambda what=what, status=status: happen(what, status)
    world.deliver(world.notice(1))
    world.interruptions.clear()
    check_agreement(world)
    for version, _, artifact in world.writes:
        assert version is None or version in approved, "never approved, and yet champion"
        assert artifact in (None, model(version or 0)), "another version's artifact"
    named = [in_use, *(version for version, *_ in world.writes)]
    left = [before for before, after in pairwise(named) if before is not None and after is None]
    assert len(withdrawals(world)) - told == len(left), "each withdrawal is told of once"


interruptions = st.lists(
    st.tuples(st.integers(1, 25), st.integers(0, 9), st.sampled_from([APPROVED, APPROVED, REJECTED])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories, interruptions)
def test_overlapping_invocations_and_decisions(history: list[Any], interruptions: list[Any]) -> None:
    """The notice of a decision is handled while another invocation is between reading and writing."""
    with memory_world() as world:
        check_overlap(world, history, interruptions)


@pytest.mark.parametrize("call", range(1, 9))
def test_a_withdrawal_in_the_middle_of_another_call_is_told_of_once(call: int) -> None:
    with memory_world() as world:
        world.register(APPROVED)
        world.deliver(world.notice(1))
        check_overlap(world, [], [(call, 0, REJECTED)])
        assert champion(world)["version"] is None
        assert len(withdrawals(world)) == 1


@settings(max_examples=2, **ON_MOTO)
@given(histories, interruptions)
def test_overlaps_on_moto(history: list[Any], interruptions: list[Any]) -> None:
    with moto_world() as world:
        check_overlap(world, history, interruptions)


# --- the story, on moto -------------------------------------------------------------------------------------------


def test_approve_roll_back_reject_withdraw(world: MotoWorld) -> None:
    for _ in range(2):
        world.register(PENDING)
    for version, status, expected in (
        (1, APPROVED, 1),
        (2, APPROVED, 2),
        (1, APPROVED, 1),  # a roll-back
        (1, REJECTED, 2),  # the approved one before it
        (2, REJECTED, None),
    ):
        world.decide(version, status)
        assert world.deliver(world.notice(version))["champion"] == expected
        check_agreement(world)
    ((subject, text),) = withdrawals(world)
    assert "version 2 was withdrawn" in subject
    assert "python -m scripts.review_model approve" in text
    world.deliver(world.notice(2))
    assert len(withdrawals(world)) == 1, "a repeated notice tells nobody again"


def test_more_versions_than_a_page(world: MotoWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAGINATION_MODEL["list_model_packages"], "limit_default", 5)
    for _ in range(12):
        world.register(APPROVED)
    world.decide(3, APPROVED)
    assert world.deliver(world.notice(12))["champion"] == 3


def test_seeds_are_written_once_and_never_over(world: MotoWorld) -> None:
    world.store("evaluated/last_evaluated.json", b'{"fingerprint": "known"}')
    world.deliver({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
    assert champion(world) == {"version": None}
    assert world.read("evaluated/last_evaluated.json") == b'{"fingerprint": "known"}'


def test_a_package_of_another_group_is_none_of_ours(world: MotoWorld) -> None:
    world.sagemaker.create_model_package_group(ModelPackageGroupName="other")
    foreign = world.sagemaker.create_model_package(
        **{**_foreign(), "ModelPackageGroupName": "other", "ModelApprovalStatus": APPROVED}
    )
    result = world.deliver(event(foreign["ModelPackageArn"]))
    assert result == {"champion": None, "sent": 0}


def _foreign() -> dict[str, Any]:
    return {"InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": "s3://artifacts/x"}]}}


def test_a_deleted_package_is_no_champion(world: MotoWorld) -> None:
    for _ in range(2):
        world.register(APPROVED)
    assert world.deliver(world.notice(2))["champion"] == 2
    world.sagemaker.delete_model_package(ModelPackageName=world.notice(2)["detail"]["ModelPackageArn"])
    assert world.deliver(world.notice(2))["champion"] == 1


def test_a_lost_artifact_is_reported_and_the_one_before_is_used(world: MotoWorld) -> None:
    for _ in range(2):
        world.register(APPROVED)
    world.s3.delete_object(Bucket="artifacts", Key="runs/run2/model.tar.gz")
    for _ in range(3):
        world.deliver(world.notice(2))
        assert champion(world)["version"] == 1
    ((_, subject, text),) = world.mails
    assert "version 2 is approved, but has lost its artifact" in text
    assert len(subject) < 100


def test_the_version_in_use_outlives_its_run(world: MotoWorld) -> None:
    """Old runs expire; the copy in champion/ is as good, also when only the words of the approval change."""
    world.register(APPROVED)
    world.deliver(world.notice(1))
    world.s3.delete_object(Bucket="artifacts", Key="runs/run1/model.tar.gz")
    arn = world.notice(1)["detail"]["ModelPackageArn"]
    world.sagemaker.update_model_package(ModelPackageArn=arn, ApprovalDescription="looked again")
    assert world.deliver(world.notice(1))["champion"] == 1
    assert champion(world)["approval_reason"] == "looked again"
    assert world.read("champion/1/model.tar.gz") == model(1)


def test_an_edit_of_an_older_version_does_not_move_the_champion(world: MotoWorld) -> None:
    for _ in range(2):
        world.register(PENDING)
    for version in (1, 2):
        world.decide(version, APPROVED)
        world.deliver(world.notice(version))
    world.sagemaker.update_model_package(
        ModelPackageArn=world.arn(1), CustomerMetadataProperties={"note": "looked again"}
    )
    edited = event(world.arn(1), ModelApprovalStatus=APPROVED, UpdatedModelPackageFields=["CustomerMetadataProperties"])
    for notice in (edited, HOURLY):
        assert world.deliver(notice)["champion"] == 2


def test_a_lost_or_damaged_record_of_approvals_leaves_the_champion(world: MotoWorld) -> None:
    for _ in range(2):
        world.register(APPROVED)
    world.deliver(world.notice(2))
    world.sagemaker.update_model_package(ModelPackageArn=world.arn(1), CustomerMetadataProperties={"note": "x"})
    world.s3.delete_object(Bucket="artifacts", Key=APPROVALS_KEY)
    assert world.deliver(HOURLY)["champion"] == 2
    for _ in range(2):
        world.store(APPROVALS_KEY, b"{half")
        assert world.deliver(HOURLY)["champion"] == 2
    ((_, _, text),) = world.mails
    assert "approvals/approvals.json could not be read" in text


STRANGE = {
    "no specification": None,
    "no containers": {"Containers": []},
    "no artifact": {"Containers": [{"Image": "i"}]},
    "a folder": {"Containers": [{"Image": "i", "ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/f/"}}}]},
    "another bucket": {"Containers": [{"Image": "i", "ModelDataUrl": "s3://elsewhere/model.tar.gz"}]},
}


@pytest.mark.parametrize("specification", STRANGE.values(), ids=STRANGE)
def test_a_strange_package_is_reported_once_and_blocks_nothing(specification: dict[str, Any] | None) -> None:
    with memory_world() as world:
        world.register(APPROVED)
        strange, waiting = world.register(APPROVED), world.register(PENDING)
        package = {**world.packages[strange], "InferenceSpecification": specification}
        world.packages[strange] = {
            name: value for name, value in package.items() if value is not None and name != "CustomerMetadataProperties"
        }
        for _ in range(3):
            assert world.deliver(HOURLY)["champion"] == 1
        about = [text for _, _, text in world.mails if f"version {strange} is approved, but" in text]
        assert len(about) == 1
        assert len([subject for _, subject, _ in world.mails if f"version {waiting} waits" in subject]) == 1


def test_a_strange_package_that_waits_is_announced() -> None:
    with memory_world() as world:
        version = world.register(PENDING)
        for name in ("CustomerMetadataProperties", "InferenceSpecification", "ModelPackageDescription", "ModelMetrics"):
            del world.packages[version][name]
        assert world.deliver(HOURLY)["sent"] == 1
    foreign = {"ModelQuality": {"Statistics": {"S3Uri": "s3://artifacts/foreign.json"}}}
    for content in (b"{}", b"[1]", b"\xff", b'{"comparison": 3, "metrics": {}}'):
        with memory_world() as world:
            version = world.register(PENDING)
            world.packages[version]["ModelMetrics"] = foreign
            world.store("foreign.json", content)
            assert world.deliver(HOURLY)["sent"] == 1


def test_an_unreadable_pointer_is_replaced(world: MotoWorld) -> None:
    world.register(APPROVED)
    for damaged in (b"{half", b"\xff\xfe", b'{"version": "one"}', b"[]"):
        told = len(world.mails)
        world.store("champion/champion.json", damaged)
        for _ in range(2):
            assert world.deliver(world.notice(1))["champion"] == 1
        assert [text.split(",")[0] for _, _, text in world.mails[told:]] == ["champion/champion.json could not be read"]


# --- whom it tells, and what ----------------------------------------------------------------------------------------


def test_approvers_get_one_mail_with_numbers_and_commands(world: MotoWorld) -> None:
    world.register(PENDING)
    world.store("runs/run1/evaluation.json", json.dumps(EVALUATION).encode())
    assert world.deliver(world.notice(1))["sent"] == 1
    assert world.deliver(world.notice(1))["sent"] == 0
    ((topic, subject, text),) = world.mails
    assert topic == APPROVERS
    assert subject == "[retraining-test] version 1 waits for approval: log loss 0.6212"
    assert len(subject) < 100
    assert subject.isascii()
    assert ["log", "loss", "0.6212", "0.6257", "0.6200"] in [line.split() for line in text.splitlines()]
    assert "candidate less champion: -0.0045 (95 % interval -0.0071 to -0.0019) on 1,300 games" in text
    options = f"--aws --pipeline retraining-test --region {REGION}"
    assert f'python -m scripts.review_model approve --version 1 --reason "..." {options}' in text
    assert f'python -m scripts.review_model reject --version 1 --reason "..." {options}' in text
    assert "aws s3 cp s3://artifacts/runs/run1/report.html ." in text
    assert f"https://{REGION}.console.aws.amazon.com/s3/object/artifacts?region={REGION}&prefix=runs/run1" in text
    assert "trigger: schedule" in text


SHOWN = {"retraining-test": "retraining-prod", "nba-home-win": "nba-home-win-prod", REGION: "us-east-1"}


def test_the_documented_emails_are_what_is_sent(root: Path) -> None:
    page = (root / "docs" / "emails.md").read_text(encoding="utf-8")
    with memory_world() as world:
        world.register(PENDING)
        world.store("runs/run1/evaluation.json", json.dumps(EVALUATION).encode())
        world.deliver(HOURLY)
        world.decide(1, APPROVED)
        world.deliver(HOURLY)
        strange = world.register(APPROVED)
        del world.packages[strange]["InferenceSpecification"]
        world.decide(1, REJECTED)
        world.deliver(HOURLY)
        told = world.mails
    assert len(told) == 3
    for _, subject, text in told:
        shown = f"```text\nSubject: {subject}\n\n{text.rstrip()}\n```"
        for ours, theirs in SHOWN.items():
            shown = shown.replace(ours, theirs)
        assert shown in page, f"docs/emails.md does not show:\n{shown}"


def test_an_approved_registration_asks_nobody(world: MotoWorld) -> None:
    world.register(APPROVED)
    assert world.deliver(world.notice(1)) == {"champion": 1, "sent": 0}
    assert world.mails == []


# --- at a deploy ------------------------------------------------------------------------------------------------------


def deploy(kind: str) -> dict[str, Any]:
    ids = {"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Champion"}
    return {
        "RequestType": kind,
        "ResponseURL": "https://cloudformation.example",
        "ResourceType": "Custom::Champion",
        **ids,
    }


def test_a_deploy_seeds_and_honours_an_existing_registry(answered: Any) -> None:
    with memory_world() as world:
        world.register(APPROVED)
        world.deliver(deploy("Create"))
        assert champion(world)["version"] == 1
        assert seeds_present(world)
        world.deliver(deploy("Delete"))
        assert champion(world)["version"] == 1, "a deleted stack keeps its champion"
    assert [answer["Status"] for answer in answered] == ["SUCCESS", "SUCCESS"]
    assert {answer["PhysicalResourceId"] for answer in answered} == {"Champion"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories, st.randoms(use_true_random=False))
def test_the_end_of_a_stack_changes_no_object_and_no_version(answered: Any, history: list[Any], order: Any) -> None:
    """The function behind approvals deletes nothing when CloudFormation deletes its custom resource."""
    with memory_world() as world:
        play(world, history, order)
        before = dict(world.objects), world.described()
        world.deliver(deploy("Delete"))
        assert (dict(world.objects), world.described()) == before


def test_a_deploy_that_cannot_seed_fails_with_the_reason(answered: Any) -> None:
    with memory_world() as world:

        def broken(when: str, call: str) -> None:
            if (when, call) == ("before", "put_object"):
                raise refused("InternalError")

        world.fails = broken
        world.deliver(deploy("Update"))
    assert answered[0]["Status"] == "FAILED"
    assert "InternalError" in answered[0]["Reason"]
