"""No email is lost, and none comes twice: whatever event is lost or repeated, and whichever call fails.

Worlds are random; WORLDS=20000 in the environment plays more of them than the 1,000 of each run of the tests.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from approval_worlds import ALERTS, VARIABLES, Killed, MemoryWorld, refused
from botocore.exceptions import ClientError
from random_worlds import APPROVED, PENDING, REJECTED, connected, counted, invoke, play, settle

from infra.lambda_shared.emails import Email
from infra.lambda_shared.outbox import CLAIM_SECONDS, Outbox

WORLDS = int(os.environ.get("WORLDS", "1000"))


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


# --- random worlds --------------------------------------------------------------------------------------------------


def test_no_email_is_lost_and_none_is_doubled_in_random_worlds_with_errors_at_every_call() -> None:
    total, faults = Counter[str](), Counter[str]()
    for seed in range(WORLDS):
        played = play(seed)
        total.update(due=played.due)
        faults.update(played.faults)
        assert not played.wrong, f"world {seed}: {played.wrong}"
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
    return world.services.outbox("outbox/registry/")


def test_two_invocations_at_once_send_one_email() -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Email("subject", "text"))
    for call in range(1, 6):
        world.interruptions[world.calls + call] = lambda: outbox(world).deliver()
    outbox(world).deliver()
    assert len(world.mails) == 1


def test_a_repeated_decision_records_nothing() -> None:
    world = MemoryWorld()
    for _ in range(2):
        outbox(world).record("a", ALERTS, Email("subject", "text"))
        outbox(world).deliver()
    assert len(world.mails) == 1


def test_a_claim_of_a_process_that_ended_is_taken_over_when_it_is_old() -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Email("subject", "text"))

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
    outbox(world).record("a", ALERTS, Email("subject", "text"))
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
        outbox(world).record(name, ALERTS, Email(name, "text"))
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


def claimed(world: MemoryWorld, *, at: float) -> None:
    """A notice that another invocation has claimed, on the world's clock."""
    notice = {"topic": ALERTS, "subject": "s", "text": "t", "claim": "another", "claimed_at": world.now() + at}
    world.store(outbox(world).prefix + "a", json.dumps(notice).encode())


@pytest.mark.parametrize(
    ("at", "sent"), [(0, 0), (-299, 0), (-300, 1), (1, 1)], ids=["now", "five minutes", "older", "in the future"]
)
def test_a_claim_holds_for_five_minutes(at: float, sent: int) -> None:
    """The functions that send end after two; a claim of the future is of a clock that was set back."""
    world = MemoryWorld()
    claimed(world, at=at)
    assert outbox(world).deliver() == sent
    assert len(world.mails) == sent


def test_a_claim_is_its_own_among_retries_and_none_without_a_name() -> None:
    world = MemoryWorld()
    claimed(world, at=0)
    assert replace(outbox(world), claim="another").deliver() == 1
    world.store(outbox(world).prefix + "b", json.dumps({"topic": ALERTS, "subject": "s", "text": "t"}).encode())
    assert outbox(world).deliver() == 1
    assert outbox(world).claim != outbox(world).claim


def test_a_notice_is_recorded_as_sns_takes_it_below_its_prefix() -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Email("two\nlines", "text"))
    notice = {"topic": ALERTS, "subject": "two?lines", "text": "text", "claim": "", "claimed_at": 0.0, "twin": ""}
    assert (world.read("outbox/registry/a") or b"").decode() == json.dumps(notice, indent=1)
    assert outbox(world).deliver() == 1
    assert world.mails == [(ALERTS, "two?lines", "text")]
    world.store("outbox/registry/a", b"x")
    world.store("outbox/registry/b", b"")
    assert outbox(world).names() == {"a": True, "b": False}
    assert outbox(world).names("b") == {"b": False}


def test_what_is_true_no_more_is_not_sent_and_what_is_sent_is_counted() -> None:
    world = MemoryWorld()
    for name in "cab":
        outbox(world).record(name, ALERTS, Email(name, "text"))
    assert outbox(world).deliver(lambda name: name != "b") == 2
    assert [sent for _, sent, _ in world.mails] == ["a", "c"]
    assert outbox(world).deliver() == 1


def test_a_mark_is_tried_for_24_seconds_and_then_the_error_is_raised() -> None:
    world, pauses = MemoryWorld(), list[float]()
    outbox(world).record("a", ALERTS, Email("subject", "text"))

    def fail(when: str, call: str) -> None:
        if world.mails and (when, call) == ("before", "put_object"):
            raise refused("SlowDown")

    world.fails = fail
    with pytest.raises(ClientError, match="SlowDown"):
        replace(outbox(world), pause=pauses.append).deliver()
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_after_an_error_of_sns_the_next_invocation_need_not_wait(capsys: pytest.CaptureFixture[str]) -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Email("subject", "text"))
    recorded = world.read("outbox/registry/a")
    broken = {"publish"}

    def fail(when: str, call: str) -> None:
        if when == "before" and call in broken:
            broken.add("put_object")  # from now on: also the claim cannot be given back
            raise refused(f"no {call}")

    world.fails = fail
    with pytest.raises(ClientError, match="no publish"):
        outbox(world).deliver()
    assert "outbox/registry/a stays claimed for 300 s" in capsys.readouterr().out
    assert outbox(world).deliver() == 0, "claimed"
    world.pass_time(300)
    broken = {"publish"}
    with suppress(ClientError):
        world.fails = lambda when, call: fail(when, call) if call == "publish" else None
        outbox(world).deliver()
    assert "notice a was not sent: " in capsys.readouterr().out
    assert world.read("outbox/registry/a") == recorded, "free again"
    world.fails = lambda when, call: None
    assert outbox(world).deliver() == 1


@pytest.mark.parametrize("text", ["[1]", '{"topic": "t"}', "x" * 100])
def test_an_object_that_is_no_notice_is_named_with_its_beginning(text: str) -> None:
    world = MemoryWorld()
    world.store("outbox/registry/a", text.encode())
    with pytest.raises(ValueError, match=re.escape(f"not a notice: {text[:80]!r}; remove the object")):
        outbox(world).deliver()


@pytest.mark.parametrize("call", [2, 3], ids=["before it is read", "before it is claimed"])
def test_a_notice_that_another_takes_meanwhile_is_not_sent_by_this_one(call: int) -> None:
    world = MemoryWorld()
    outbox(world).record("a", ALERTS, Email("subject", "text"))
    world.interruptions[world.calls + call] = lambda: claimed(world, at=0)
    assert outbox(world).deliver() == 0
    assert world.mails == []
