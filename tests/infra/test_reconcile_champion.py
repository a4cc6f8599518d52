"""What champion/ holds after a call, what is told of it, and that only the evaluated bytes are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import approval_worlds
import pytest
from approval_worlds import ALERTS, VARIABLES, MemoryWorld, champion, model
from random_worlds import HOURLY, connected

from infra.lambda_shared import reconcile_champion as champions
from infra.lambda_shared.reconcile_champion import PromotionError
from pipeline.contract import names as c

APPROVED, PENDING, REJECTED = "Approved", "PendingManualApproval", "Rejected"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryWorld]:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    with connected(MemoryWorld()) as made:
        yield made


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
    digests = {"{": "021fb596db81e6d0", "[": "245843abef9e72e7"}  # the beginnings of their SHA-256
    times = {n: f"{world.packages[n]['CreationTime'].timestamp():.3f}" for n in (1, 2)}
    assert named == [
        f"problem-approvals-{digests['[']}",
        f"problem-lost-2-{times[2]}",
        f"problem-pointer-{digests['{']}",
        f"problem-unusable-1-{times[1]}",
    ]
    assert {topic for topic, *_ in world.mails} == {ALERTS}


def test_an_empty_pointer_is_told_of_by_its_content(world: MemoryWorld) -> None:
    world.store("champion/champion.json", b"")
    world.deliver(HOURLY)
    assert "outbox/registry/problem-pointer-e3b0c44298fc1c14" in world.objects
    assert "champion/champion.json could not be read, and is written again" in world.mails[0][2]


def test_a_champion_that_leaves_is_told_of_with_the_id_of_its_leaving(world: MemoryWorld) -> None:
    world.register(APPROVED)
    world.deliver(HOURLY)
    world.decide(1, REJECTED)
    assert world.deliver(HOURLY) == {"champion": None, "sent": 1}
    left = champion(world)
    assert (left["version"], left["withdrawn"]["version"]) == (None, 1)
    assert f"outbox/registry/withdrawn-1-{left['withdrawn']['id']}" in world.objects
    ((topic, subject, _),) = world.mails
    assert (topic, subject) == (ALERTS, "[retraining-test] no champion: version 1 was withdrawn")


def test_a_version_that_the_list_does_not_show_yet_becomes_the_champion(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register(APPROVED)
    shown = world._pages
    empty = {"ModelPackageSummaryList": list[str]()}
    monkeypatch.setattr(
        world, "_pages", lambda operation, **given: [empty] if "packages" in operation else shown(operation, **given)
    )
    world.store("evaluated/last_evaluated.json", b'{"fingerprint": "games1", "decision": "registered"}')
    assert world.deliver(HOURLY)["champion"] is None
    assert world.deliver(world.notice(1))["champion"] == 1
    assert "evaluated/registered.json" in world.objects, "and its registration is noted"
    assert world.deliver(HOURLY)["champion"] == 1, "what was approved is asked for by its name"


def test_an_approval_that_an_event_tells_of_counts_although_the_version_was_approved_before(world: MemoryWorld) -> None:
    for _ in range(2):
        world.deliver(world.notice(world.register(APPROVED)))
    assert champion(world)["version"] == 2
    world.decide(1, APPROVED)
    assert world.deliver(world.notice(1))["champion"] == 1


def test_without_its_record_of_approvals_the_version_in_use_stays(world: MemoryWorld) -> None:
    """The registry's times alone would say that version 2, which was edited, was approved last."""
    for _ in range(2):
        world.register(APPROVED)
    world.decide(1, APPROVED)
    assert world.deliver(world.notice(1))["champion"] == 1
    world.edit(2)
    del world.objects["approvals/approvals.json"]
    assert world.deliver(HOURLY)["champion"] == 1


def test_of_a_pointer_that_names_no_number_nothing_is_taken(world: MemoryWorld) -> None:
    world.store("champion/champion.json", b'{"version": "one"}')
    assert world.deliver(HOURLY)["champion"] is None
    assert champion(world) == {"version": None}


def test_the_version_before_one_that_cannot_be_used_is_the_champion(world: MemoryWorld) -> None:
    for _ in range(2):
        world.register(APPROVED)
    del world.packages[2]["InferenceSpecification"]
    assert world.deliver(HOURLY) == {"champion": 1, "sent": 1}


def test_a_call_that_was_overtaken_looks_again(world: MemoryWorld) -> None:
    world.register(APPROVED)
    written: list[str] = []

    def another(when: str, call: str) -> None:
        """Before the record of approvals is written for the first time, somebody else writes it."""
        if (when, call) == ("before", "put_object") and seeded(world) and not written:
            world.store("approvals/approvals.json", b"{}")
            written.append("approvals/approvals.json")

    world.fails = another
    assert world.deliver(HOURLY)["champion"] == 1
    assert written


def seeded(world: MemoryWorld) -> bool:
    """Whether the first objects are there."""
    return c.SEED_OBJECTS.keys() <= world.objects.keys()


# --- only the evaluated bytes -----------------------------------------------------------------------------------------
@pytest.fixture
def with_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are registered with the digest of their artifact."""
    plain = approval_worlds.request

    def request(version: int, status: str) -> dict[str, object]:
        made = plain(version, status)
        made["CustomerMetadataProperties"][c.MODEL_SHA256] = hashlib.sha256(model(version)).hexdigest()
        return made

    monkeypatch.setattr(approval_worlds, "request", request)


def copies(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are copied from now on."""
    keys: list[str] = []
    copy = world.copy_object

    def counted(**given: object) -> None:
        keys.append(str(given["Key"]))
        copy(**given)

    monkeypatch.setattr(world, "copy_object", counted)
    return keys


@pytest.mark.usefixtures("with_digests")
def test_a_copy_is_made_once_and_kept(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    made = copies(world, monkeypatch)
    world.register(APPROVED)
    for _ in range(2):
        world.deliver(HOURLY)
    assert made == ["champion/1/model.tar.gz"]


@pytest.mark.usefixtures("with_digests")
@pytest.mark.parametrize("original", [True, False])
def test_other_bytes_are_put_back_or_given_up_and_told_of(world: MemoryWorld, original: bool) -> None:
    world.register(APPROVED)
    world.deliver(HOURLY)
    world.store("champion/1/model.tar.gz", b"weights of another")
    if not original:
        del world.objects["runs/run1/model.tar.gz"]
    assert world.deliver(HOURLY)["champion"] == (1 if original else None)
    assert world.read("champion/1/model.tar.gz") == (model(1) if original else None)
    told = [text for _, _, text in world.mails]
    assert (
        sum("champion/1/model.tar.gz held other bytes than the model that was evaluated" in text for text in told) == 1
    )
    assert sum("version 1 is approved, but has lost its artifact" in text for text in told) == (not original)
    assert sum(key.startswith("outbox/registry/replaced-") for key in world.objects) == 0
    assert sum(key.startswith("outbox/registry/problem-replaced-") for key in world.objects) == 1


@pytest.mark.usefixtures("with_digests")
def test_the_version_in_use_outlives_the_files_of_its_run(world: MemoryWorld) -> None:
    world.register(APPROVED)
    world.deliver(HOURLY)
    del world.objects["runs/run1/model.tar.gz"]
    pointer = champion(world)
    world.store("champion/champion.json", json.dumps({**pointer, "approved_by": "an earlier version"}).encode())
    assert world.deliver(HOURLY) == {"champion": 1, "sent": 0}
    assert champion(world) == pointer
    assert world.read("champion/1/model.tar.gz") == model(1)


@pytest.mark.usefixtures("with_digests")
def test_an_artifact_that_was_swapped_before_its_promotion_is_not_used(world: MemoryWorld) -> None:
    world.register(APPROVED)
    world.deliver(HOURLY)
    world.register(APPROVED)
    world.store("runs/run2/model.tar.gz", model(1))
    assert world.deliver(HOURLY) == {"champion": 1, "sent": 1}
    assert (
        "version 2 is approved, but has lost its artifact, or it is not the one that was evaluated"
        in (world.mails[0][2])
    )
