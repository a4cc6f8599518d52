"""The function puts into use, and keeps in use, only the bytes that were evaluated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import approval_worlds
import pytest
from approval_worlds import MotoWorld, champion
from iam_emulation.account import TemplateAccount
from iam_emulation.enforcement import Gatekeeper, enforced
from moto import mock_aws
from sagemaker_emulation import taught
from serving_worlds import SETTINGS, EndpointWorld, champion_json

from infra.approval.function import handler
from infra.endpoint.function import handler as serving
from infra.endpoint.function.desired_endpoint import SETTINGS_VARIABLE
from infra.endpoint.function.reconcile_endpoint import ServingError
from pipeline.contract import names as c


@pytest.fixture(autouse=True)
def variables(set_variables: Callable[..., None], approval_account: TemplateAccount) -> Iterator[None]:
    """The function has its role's keys, and IAM decides about what it asks of moto."""
    set_variables({**approval_worlds.VARIABLES, SETTINGS_VARIABLE: SETTINGS.as_text()}, "ApprovalRole@lambda")
    with enforced(Gatekeeper(approval_account, {"test"})):
        yield


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A world whose versions were registered with the digest of their artifact."""
    plain = approval_worlds.request

    def with_digest(version: int, status: str) -> dict[str, Any]:
        made = plain(version, status)
        made["CustomerMetadataProperties"][c.MODEL_SHA256] = hashlib.sha256(approval_worlds.model(version)).hexdigest()
        return made

    monkeypatch.setattr(approval_worlds, "request", with_digest)
    with taught(), mock_aws(config={"core": {"mock_credentials": False}}):  # the role's keys are used
        made = MotoWorld()
        monkeypatch.setattr(handler, "connect", lambda *_: made.services)
        yield made


def approved(world: Any) -> int:
    version: int = world.register("PendingManualApproval")
    world.decide(version, "Approved")
    return version


def told(world: Any) -> str:
    """All emails to those who look after the pipeline."""
    return "\n".join(text for topic, _, text in world.mails if topic == approval_worlds.ALERTS)


def test_the_evaluated_bytes_are_promoted(world: Any) -> None:
    version = approved(world)
    world.deliver(world.notice(version))
    assert champion(world)["sha256"] == hashlib.sha256(approval_worlds.model(version)).hexdigest()
    assert world.read(f"champion/{version}/model.tar.gz") == approval_worlds.model(version)


def test_a_version_whose_artifact_was_swapped_is_not_promoted(world: Any) -> None:
    world.deliver(world.notice(approved(world)))
    second = approved(world)
    world.store(f"runs/run{second}/model.tar.gz", approval_worlds.model(1))
    world.deliver(world.notice(second))
    assert f"not the one that was evaluated: s3://artifacts/runs/run{second}/model.tar.gz" in told(world)
    assert champion(world)["version"] == 1


def test_a_champion_whose_bytes_were_swapped_is_put_back_and_reported_once(world: Any) -> None:
    version = approved(world)
    world.deliver(world.notice(version))
    world.store(f"champion/{version}/model.tar.gz", b"weights of another")
    world.deliver(world.notice(version))
    assert "champion/1/model.tar.gz held other bytes" in told(world)
    assert world.read(f"champion/{version}/model.tar.gz") == approval_worlds.model(version)
    world.deliver(world.notice(version))


def test_a_swapped_champion_without_its_original_leaves_for_the_one_before(world: Any) -> None:
    world.deliver(world.notice(approved(world)))
    second = approved(world)
    world.deliver(world.notice(second))
    for key in (f"champion/{second}/model.tar.gz", f"runs/run{second}/model.tar.gz"):
        world.store(key, b"weights of another")
    assert world.deliver(world.notice(second))["champion"] == 1
    assert "version 2 is approved, but has lost its artifact, or it is not the one" in told(world)
    assert world.read("champion/1/model.tar.gz") == approval_worlds.model(1)


def test_an_expired_original_does_not_cost_the_champion(world: Any) -> None:
    version = approved(world)
    world.deliver(world.notice(version))
    world.store(f"runs/run{version}/model.tar.gz", b"overwritten")
    world.deliver(world.notice(version))
    assert world.read(f"champion/{version}/model.tar.gz") == approval_worlds.model(version)


def test_an_endpoint_is_not_made_of_other_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = EndpointWorld()
    monkeypatch.setattr(serving, "connect", lambda *_: world.services)
    world.promote(1)
    pointer = {**json.loads(champion_json(1)), "sha256": hashlib.sha256(b"weights 1").hexdigest()}
    world.store("champion/champion.json", json.dumps(pointer).encode())
    world.store("champion/1/model.tar.gz", b"weights 2")
    with pytest.raises(ServingError, match="not the one that was evaluated"):
        world.invoke()
    assert not world.models
    world.store("champion/1/model.tar.gz", b"weights 1")
    world.quiet()
    assert world.endpoint
    assert world.endpoint["EndpointStatus"] == "InService"
