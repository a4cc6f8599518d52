"""A candidate whose registration failed is trained again by the next run; one that was registered is not.

The bucket and the registry are the emulated account's, the function is called as Lambda calls it, and what it leaves
beside the last-evaluated record is read by Prepare's own code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from approval_worlds import VARIABLES, MotoWorld, model, request
from botocore.exceptions import ClientError
from moto import mock_aws
from sagemaker_emulation import taught

from pipeline.contract.container import read_record
from pipeline.contract.names import EVALUATED_FILE
from pipeline.contract.workload import load_spec
from pipeline.evaluation.retrain_decision import (
    RetrainDecision,
    RetrainInputs,
    read_last_registered,
    should_retrain,
)

HOURLY = {"source": "aws.events", "detail-type": "Scheduled Event", "time": "2025-03-01T07:00:00Z", "detail": {}}
PENDING = "PendingManualApproval"
LOST = "the last candidate was to be registered, but the registry does not have it"


@pytest.fixture
def world(set_variables: Callable[..., None]) -> Iterator[MotoWorld]:
    set_variables(VARIABLES)
    with taught(), mock_aws():
        yield MotoWorld()


def evaluate(world: MotoWorld, fingerprint: str, decision: str = "registered") -> None:
    """What Evaluate leaves."""
    last_evaluated = {
        "fingerprint": fingerprint,
        "training_config_fingerprint": "training_config",
        "as_of_date": "2025-03-01",
        "decision": decision,
        "reason": "there is no champion yet",
        "metrics": {},
    }
    world.store("evaluated/last_evaluated.json", json.dumps(last_evaluated).encode())


def next_night(world: MotoWorld, folder: Path, fingerprint: str) -> RetrainDecision:
    """What Prepare decides on the same games, with the bucket's evaluated/ as its input."""
    for key in world.objects:
        if key.startswith("evaluated/"):
            (folder / key.removeprefix("evaluated/")).write_bytes(world.read(key) or b"")
    facts = {"fingerprint": fingerprint, "training_config_fingerprint": "training_config", "as_of_date": "2025-03-02"}
    retrain_inputs = RetrainInputs(
        facts, champion=False, trigger="schedule", min_days=30, limits={}, spec=load_spec("nba")
    )
    return should_retrain(read_record(folder, EVALUATED_FILE), read_last_registered(folder), retrain_inputs)


def register(world: MotoWorld, version: int, **metadata: str) -> None:
    """The Register step of a run, with what it needs in its place."""
    asked: dict[str, Any] = request(version, PENDING)
    asked["CustomerMetadataProperties"] |= metadata
    world.store(f"runs/run{version}/model.tar.gz", model(version))
    world.sagemaker.create_model_package(**asked)


def test_a_candidate_that_the_registry_refused_is_found_again(world: MotoWorld, tmp_path: Path) -> None:
    evaluate(world, "games1")
    with pytest.raises(ClientError, match="ValidationException"):
        register(world, 1, trigger="drift, again")
    for _ in range(2):  # however often the function is called, there is nothing to note
        world.deliver(HOURLY)
    assert "evaluated/registered.json" not in world.objects
    assert next_night(world, tmp_path, "games1") == RetrainDecision(True, LOST)
    register(world, 1)
    world.deliver(world.notice(1))
    assert json.loads(world.read("evaluated/registered.json") or b"") == {
        "fingerprint": "games1",
        "version": 1,
        "model_package_arn": world.notice(1)["detail"]["ModelPackageArn"],
    }
    again = next_night(world, tmp_path, "games1")
    assert again == RetrainDecision(False, "games, training config and code are those of the last evaluated candidate")


def test_the_hourly_check_makes_up_for_a_lost_notice(world: MotoWorld, tmp_path: Path) -> None:
    for version in range(1, 13):  # more than are looked at
        register(world, version)
    evaluate(world, "games13")
    world.deliver(HOURLY)
    assert next_night(world, tmp_path, "games13") == RetrainDecision(True, LOST)
    register(world, 13)
    world.deliver(HOURLY)
    assert not next_night(world, tmp_path, "games13").train


def test_the_registration_before_says_nothing_about_this_one(world: MotoWorld, tmp_path: Path) -> None:
    evaluate(world, "games1")
    register(world, 1)
    world.deliver(world.notice(1))
    evaluate(world, "games2")
    world.deliver(world.notice(1))  # delivered twice
    assert next_night(world, tmp_path, "games2") == RetrainDecision(True, LOST)
    register(world, 2)
    world.deliver(world.notice(2))
    world.deliver(world.notice(1))
    assert not next_night(world, tmp_path, "games2").train


def test_an_unreadable_note_is_written_again(world: MotoWorld, tmp_path: Path) -> None:
    evaluate(world, "games1")
    register(world, 1)
    world.store("evaluated/registered.json", b"{")
    assert next_night(world, tmp_path, "games1") == RetrainDecision(True, LOST)
    world.deliver(HOURLY)
    assert not next_night(world, tmp_path, "games1").train


def test_a_kept_champion_needs_no_registration(world: MotoWorld) -> None:
    evaluate(world, "games1", "champion-kept")
    register(world, 1)
    world.deliver(world.notice(1))
    assert "evaluated/registered.json" not in world.objects
