"""Random worlds of the approval function: events lost, late, repeated and in any order, and errors at every call."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from approval_worlds import ALERTS, APPROVERS, Killed, MemoryWorld, champion, refused

from infra.approval.function import handler
from infra.lambda_shared.environment import APPROVALS_KEY
from pipeline.contract.promotion import next_approval_id, read_approvals

HOURLY = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
W = TypeVar("W")
LAMBDA_TRIES = 3  # of an event, before it is a dead letter


@contextmanager
def connected(world: W, function: Any = handler) -> Iterator[W]:
    """Lets a function (its handler's module) call the world."""
    connect = function.connect
    function.connect = lambda *_: world.services  # type: ignore[attr-defined]
    try:
        yield world
    finally:
        function.connect = connect


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


@dataclass(frozen=True)
class Played:
    """A world at its end: how many emails were due, which faults it had, and what is wrong, in words."""

    due: int
    faults: Counter[str]
    wrong: str


def play(seed: int | str) -> Played:
    """One world from its first event to the hourly checks after its last fault."""
    chance = random.Random(seed)  # noqa: S311 - worlds, not secrets
    with connected(MemoryWorld()) as world:
        world.fails = faults = Faults(chance, chance.choice([0.0, 0.02, 0.1, 0.3]))
        live(world, chance)
        settle(world)
        due, lost, doubled = counted(world)
        wrong = f"{lost} lost, {doubled} doubled, {world.mails}" if lost or doubled else ""
        if champion(world)["version"] != world.last_approved:
            wrong += f"champion {champion(world)['version']}, approved last {world.last_approved}"
        return Played(due, faults.seen, wrong)
