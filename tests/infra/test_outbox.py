"""No email is lost, and none comes twice: whatever event is lost or repeated, and whichever call fails.

Worlds are random; WORLDS=20000 in the environment plays more of them than the 2,000 of each run of the tests.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from approval_worlds import ALERTS, APPROVERS, VARIABLES, Killed, MemoryWorld, champion, refused

from infra.handlers import approval
from infra.handlers.mail import Mail, message, subject
from infra.handlers.outbox import CLAIM_SECONDS, Outbox
from infra.handlers.place import APPROVALS_KEY
from pipeline.promotion import next_approval_id, read_approvals

WORLDS = int(os.environ.get("WORLDS", "2000"))
HOURLY = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
LAMBDA_TRIES = 3  # of an event, before it is a dead letter


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@contextmanager
def connected(world: MemoryWorld) -> Iterator[MemoryWorld]:
    connect = approval.connect
    approval.connect = lambda *_: world.services  # type: ignore[assignment]
    try:
        yield world
    finally:
        approval.connect = connect


# --- random worlds --------------------------------------------------------------------------------------------------


@dataclass
class Faults:
    """Calls that fail before or after their effect, and processes that end.

    Left out is what no sender to SNS can survive: that it takes an email and does not say so, or that the process ends
    between its yes and the mark.
    """

    chance: random.Random
    share: float
    marking: bool = False
    seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, when: str, call: str) -> None:
        if (when, call) == ("after", "publish"):
            self.marking = True
            return
        marking, self.marking = self.marking, self.marking and call == "put_object" and when == "before"
        if self.chance.random() >= self.share:
            return
        if self.chance.random() < 0.2 and not marking:
            self.seen["killed"] += 1
            raise Killed
        self.seen[f"{when} {call}"] += 1
        raise refused("ThrottlingException" if when == "before" else "InternalError")


def invoke(world: MemoryWorld, event: dict[str, Any]) -> None:
    """As Lambda does: again after an error, then the event is a dead letter."""
    for _ in range(LAMBDA_TRIES):
        with suppress(Exception, Killed):
            world.deliver(event)
            return


def act(world: MemoryWorld, chance: random.Random) -> int:
    """A run registers a version, or a person decides about one or edits it."""
    if not world.packages or chance.random() < 0.35:
        return world.register(chance.choice([PENDING, PENDING, PENDING, APPROVED]))
    version = chance.choice(list(world.packages))
    if chance.random() < 0.2:
        # Before the first look at an approval, the registry alone cannot tell when it was, once the version was edited.
        seen = read_approvals(json.loads(world.read(APPROVALS_KEY) or b"{}")).get(version)
        if world.packages[version]["ModelApprovalStatus"] != APPROVED or (seen and seen.approved):
            world.edit(version)
    else:
        status = chance.choice([APPROVED, APPROVED, REJECTED, REJECTED, PENDING])
        world.decide(version, status, approval_id=next_approval_id(world.described()) if status == APPROVED else "")
    return version


def live(world: MemoryWorld, chance: random.Random) -> None:
    """Some weeks: events are lost, late, repeated and in any order, and the hourly check is one of those that fail."""
    late: list[dict[str, Any]] = []
    for _ in range(chance.randint(3, 10)):
        notice = world.notice(act(world, chance))
        late += [notice] * chance.choice([0, 1, 1, 2, 3])
        chance.shuffle(late)
        for _ in range(chance.randint(0, len(late))):
            invoke(world, late.pop())
        if chance.random() < 0.4:
            world.pass_time(3600)
            invoke(world, HOURLY)


def settle(world: MemoryWorld) -> None:
    """Two hourly checks without faults: the first may find a claim of a call that has died."""
    world.fails = lambda when, call: None
    for _ in range(2):
        world.pass_time(3600)
        world.deliver(HOURLY)


def counted(world: MemoryWorld) -> tuple[int, int, int]:
    """How many emails there should be, how many are missing, how many are too many."""
    named = [version for version, *_ in world.writes]
    left = sum(before is not None and after is None for before, after in pairwise([None, *named]))
    withdrawn = [text for topic, subject_, text in world.mails if topic == ALERTS and "was withdrawn" in subject_]
    announced = Counter(subject_.split()[2] for topic, subject_, _ in world.mails if topic == APPROVERS)
    waiting = [str(v) for v, p in world.packages.items() if p["ModelApprovalStatus"] == PENDING]
    lost = max(left - len(withdrawn), 0) + sum(announced[version] == 0 for version in waiting)
    doubled = max(len(withdrawn) - left, 0) + sum(times > 1 for times in announced.values())
    return left + len(waiting), lost, doubled


def test_no_email_is_lost_and_none_is_doubled_in_random_worlds_with_errors_at_every_call() -> None:
    total, faults = Counter[str](), Counter[str]()
    for seed in range(WORLDS):
        chance = random.Random(seed)  # noqa: S311 - worlds, not secrets
        with connected(MemoryWorld()) as world:
            world.fails = seen = Faults(chance, chance.choice([0.0, 0.02, 0.1, 0.3]))
            live(world, chance)
            settle(world)
            due, lost, doubled = counted(world)
            total.update(due=due, lost=lost, doubled=doubled)
            faults.update(seen.seen)
            assert (lost, doubled) == (0, 0), f"world {seed}: {lost} lost, {doubled} doubled, {world.mails}"
            assert champion(world)["version"] == world.last_approved, f"world {seed}"
    assert total["due"] > WORLDS, "there was something to tell of"
    calls = ("put_object", "get_object", "publish", "copy_object", "describe_model_package", "list_model_packages")
    assert all(faults[f"before {call}"] > WORLDS / 100 for call in calls), faults
    assert faults["after put_object"] > WORLDS / 100
    assert faults["killed"] > WORLDS / 100


@pytest.mark.parametrize("when", ["before", "after", "killed"])
def test_one_fault_at_each_call_in_turn(when: str) -> None:
    """A waiting version and a withdrawal, with the n-th call failing, for every n."""
    n = calls = 0
    while n <= calls:
        with connected(MemoryWorld()) as world:
            count, published = 0, False

            def fail(moment: str, call: str, nth: int = n) -> None:
                nonlocal count, published
                if moment == "after":
                    if when == "after" and count == nth and call != "publish":
                        raise refused("InternalError")
                    published = call == "publish"
                    return
                count += 1
                if count == nth and when != "after":
                    if when == "before":
                        raise refused("ThrottlingException")
                    if not (published and call == "put_object"):
                        raise Killed

            world.register(APPROVED)
            world.fails = fail
            invoke(world, world.notice(1))
            world.register(PENDING)
            invoke(world, world.notice(2))
            world.decide(1, REJECTED)
            invoke(world, world.notice(1))
            calls = count
            settle(world)
            assert counted(world)[1:] == (0, 0), f"call {n}"
            assert [s.split("]")[1] for _, s, _ in world.mails if "waits" in s or "withdrawn" in s].__len__() == 2
        n += 1
    assert n > 30, "there were calls to fail"


# --- single cases ---------------------------------------------------------------------------------------------------


def outbox(world: MemoryWorld) -> Outbox:
    """Of one invocation."""
    return world.services.outbox()


def test_two_invocations_at_once_send_one_email() -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Mail("subject", "text"))
    for call in range(1, 6):
        world.interruptions[world.calls + call] = lambda: outbox(world).deliver()
    outbox(world).deliver()
    assert len(world.mails) == 1


def test_a_repeated_decision_records_nothing() -> None:
    world = MemoryWorld()
    for _ in range(2):
        outbox(world).record("a", ALERTS, Mail("subject", "text"))
        outbox(world).deliver()
    assert len(world.mails) == 1


def test_a_claim_of_a_process_that_ended_is_taken_over_when_it_is_old() -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Mail("subject", "text"))

    def die(when: str, call: str) -> None:
        if (when, call) == ("before", "publish"):
            raise Killed

    world.fails = die
    with pytest.raises(Killed):
        outbox(world).deliver()
    world.fails = lambda when, call: None
    assert outbox(world).deliver() == 0, "it may still be sending"
    world.pass_time(CLAIM_SECONDS)
    assert outbox(world).deliver() == 1


def test_a_mark_that_cannot_be_written_at_first_is_written() -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Mail("subject", "text"))
    left = 3

    def fail(when: str, call: str) -> None:
        nonlocal left
        if world.mails and when == "before" and call == "put_object" and left:
            left -= 1
            raise refused("SlowDown")

    world.fails = fail
    assert outbox(world).deliver() == 1
    world.pass_time(3600)
    assert outbox(world).deliver() == 0


def test_one_email_that_cannot_be_sent_does_not_keep_the_others_back() -> None:
    world = MemoryWorld()
    for name in "abc":
        outbox(world).record(name, ALERTS, Mail(name, "text"))
    world.store(outbox(world).prefix + "a", b"none of ours")
    with pytest.raises(ValueError, match="not a notice"):
        outbox(world).deliver()
    assert [sent for _, sent, _ in world.mails] == ["b", "c"]


def test_a_version_that_was_decided_before_its_notice_was_sent_is_not_announced() -> None:
    with connected(MemoryWorld()) as world:
        world.register(PENDING)

        def throttled(when: str, call: str) -> None:
            if (when, call) == ("before", "publish"):
                raise refused("Throttled")

        world.fails = throttled
        invoke(world, world.notice(1))
        world.decide(1, REJECTED)
        settle(world)
        assert world.mails == []


@pytest.mark.parametrize("text", ["", "two\nlines", "é 日本 \x00", "x" * 300, " starts with a blank"])
def test_a_subject_is_as_sns_takes_it(text: str) -> None:
    made = subject(text)
    assert 0 < len(made) < 100
    assert made.isascii()
    assert made.isprintable()
    assert not made.startswith(" ")


def test_a_message_fits() -> None:
    assert message("short é") == "short é"
    assert len(message("é" * 300_000).encode()) < 256 * 1024
    assert message("é" * 300_000).endswith("(cut)\n")
