"""The local promotion: only the bytes that were evaluated, and no decision that was not taken."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import names as c
from pipeline.contract.history.versions import IN_SERVICE, read_events
from pipeline.local.store.local_champion import note_registration, promote, read_champion, versions_file
from pipeline.local.store.registry import APPROVED, REJECTED, LocalRegistry
from pipeline.local.store.store import Store
from pipeline.local.store.store_errors import StoreError

GROUP, BUCKET = "models", "artifacts"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two versions; the first is the champion."""
    store = Store(tmp_path / "store")
    for version in (1, 2):
        register(store, version)
    decide(store, 1, APPROVED)
    return store


def model(version: int) -> bytes:
    return f"weights of version {version}".encode()


def uri(version: int) -> str:
    return f"s3://{BUCKET}/runs/{version}/model.tar.gz"


def register(store: Store, version: int) -> None:
    store.write(store.object_path(uri(version)), model(version))
    request = {
        "ModelPackageGroupName": GROUP,
        "InferenceSpecification": {"Containers": [{"Image": "image", "ModelDataUrl": uri(version)}]},
        "CustomerMetadataProperties": {c.MODEL_SHA256: hashlib.sha256(model(version)).hexdigest()},
    }
    assert LocalRegistry(store).register(request, f"run{version}")["ModelPackageVersion"] == version


def decide(store: Store, version: int, status: str) -> None:
    LocalRegistry(store).set_approval(GROUP, version, status)
    promote(store, GROUP, BUCKET)


def in_use(store: Store) -> tuple[int | None, bytes | None]:
    metadata = read_champion(store, BUCKET)
    if metadata["version"] is None:
        return None, None
    return metadata["version"], store.object_path(f"s3://{BUCKET}/champion/{metadata['artifact']}").read_bytes()


def version_file(store: Store, version: int) -> Path:
    return store.root / "registry" / GROUP / f"{version}.json"


def test_the_champions_digest_is_that_of_the_evaluated_model(store: Store) -> None:
    assert in_use(store) == (1, model(1))
    assert read_champion(store, BUCKET)["sha256"] == hashlib.sha256(model(1)).hexdigest()


def test_a_version_of_other_bytes_is_not_promoted(store: Store) -> None:
    store.object_path(uri(2)).write_bytes(model(1))
    LocalRegistry(store).set_approval(GROUP, 2, APPROVED)
    (problem,) = promote(store, GROUP, BUCKET)
    assert problem == (
        f"version 2's artifact {store.object_path(uri(2))} is not the one that was evaluated (its SHA-256 is not "
        f"{hashlib.sha256(model(2)).hexdigest()[:12]}...): restore it, or reject that version"
    )
    assert in_use(store) == (1, model(1))


def test_an_edit_of_an_older_version_and_a_clock_that_was_set_back_move_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.local.store.registry.time.time", lambda: 1_000_000.0)
    decide(store, 2, APPROVED)
    assert in_use(store)[0] == 2, "approved after version 1, whatever the clock says"
    edited = json.loads(version_file(store, 1).read_text()) | {"LastModifiedTime": "2099-01-01T00:00:00.000Z"}
    store.write_json(version_file(store, 1), edited)
    promote(store, GROUP, BUCKET)
    assert in_use(store)[0] == 2
    decide(store, 1, APPROVED)
    assert in_use(store)[0] == 1, "a roll-back"


def test_a_lost_or_damaged_record_of_approvals_leaves_the_champion(store: Store) -> None:
    decide(store, 2, APPROVED)
    decide(store, 1, APPROVED)
    record = store.root / "registry" / f".{GROUP}.approvals.json"
    entry = json.loads(record.read_bytes())["2"]
    for text in ("", "{", '{"1": 2}', "[]", "[" * 100_000, json.dumps({"2": {**entry, "at": None}})):
        record.write_text(text)
        promote(store, GROUP, BUCKET)
        assert in_use(store)[0] == 1
    record.unlink()
    promote(store, GROUP, BUCKET)
    assert in_use(store)[0] == 1


def test_a_package_without_an_artifact_is_passed_over(store: Store) -> None:
    decide(store, 2, APPROVED)
    strange = json.loads(version_file(store, 2).read_text())
    del strange["InferenceSpecification"]
    store.write_json(version_file(store, 2), strange)
    (problem,) = promote(store, GROUP, BUCKET)
    assert "version 2 cannot be the champion" in problem
    assert in_use(store)[0] == 1


def test_a_swapped_champion_is_put_back_by_the_next_promotion(store: Store) -> None:
    store.object_path(f"s3://{BUCKET}/champion/1/model.tar.gz").write_bytes(model(2))
    promote(store, GROUP, BUCKET)
    assert in_use(store) == (1, model(1))


def test_a_damaged_champion_json_is_written_again(store: Store) -> None:
    pointer = store.object_path(f"s3://{BUCKET}/champion/champion.json")
    for damage in (b"", b"{", b"[]", b"null", b"{}", b'{"version": []}', b"[" * 100_000):
        pointer.write_bytes(damage)
        with pytest.raises(StoreError, match=r"champion.json is damaged .* approve a version again"):
            read_champion(store, BUCKET)
        promote(store, GROUP, BUCKET)
        assert in_use(store) == (1, model(1))
    pointer.write_text('{"version": "one"}')
    with pytest.raises(StoreError, match="its version is 'one'"):
        read_champion(store, BUCKET)


def test_the_champion_stays_where_its_version_cannot_be_read(store: Store) -> None:
    decide(store, 2, APPROVED)
    whole = version_file(store, 2).read_bytes()
    version_file(store, 2).write_text("{")
    promote(store, GROUP, BUCKET)
    assert in_use(store) == (2, model(2)), "nobody has taken version 2 out of use"
    register(store, 3)
    decide(store, 3, APPROVED)
    assert in_use(store) == (3, model(3)), "a newer version does not wait for the damaged one"
    version_file(store, 2).write_bytes(whole)
    decide(store, 3, REJECTED)
    assert in_use(store) == (2, model(2))


def test_a_version_that_was_given_up_is_no_champion(store: Store) -> None:
    decide(store, 2, APPROVED)
    version_file(store, 2).unlink()
    promote(store, GROUP, BUCKET)
    assert in_use(store) == (1, model(1))
    assert json.loads(version_file(store, 1).read_text())["ModelApprovalStatus"] == APPROVED


def test_without_an_approved_version_there_is_no_champion(store: Store, tmp_path: Path) -> None:
    assert read_champion(Store(tmp_path / "empty"), BUCKET) == {"version": None}
    decide(store, 1, REJECTED)
    assert read_champion(store, BUCKET) == {"version": None}
    assert [path.name for path in store.object_path(f"s3://{BUCKET}/champion").iterdir()] == ["champion.json"]


def test_the_registrys_folder(store: Store) -> None:
    """Runs of two versions of this code lock the same files, and read the same record."""
    assert {path.name for path in store.root.iterdir()} == {"cache", "executing", "objects", "registry", "runs", "tmp"}
    names = {path.name for path in (store.root / "registry").iterdir()}
    assert names == {GROUP, f".{GROUP}.lock", ".champion.lock", f".{GROUP}.approvals.json", f".{GROUP}.history.jsonl"}


def test_a_promotion_survives_a_power_failure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    LocalRegistry(store).set_approval(GROUP, 2, APPROVED)
    synced: list[Path] = []
    for module in ("store", "local_champion"):
        monkeypatch.setattr(f"pipeline.local.store.{module}.sync", synced.append)
    promote(store, GROUP, BUCKET)
    champion = store.object_path(f"s3://{BUCKET}/champion")
    assert synced[1::2] == [store.root / "registry", champion / "2", champion], "the model before its name"
    assert {path.parent for path in synced[::2]} == {store.root / "tmp"}


def test_the_history_tells_what_was_in_service_from_when(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for clock, version, status in ((4e9, 2, APPROVED), (5e9, 2, REJECTED), (6e9, 1, REJECTED)):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        decide(store, version, status)
        promote(store, GROUP, BUCKET)  # a second look finds nothing new
    events, _ = read_events(versions_file(store, GROUP).read_text(), "")
    in_service = [(event.version, event.at) for event in events if event.event == IN_SERVICE]
    assert in_service[1:] == [(2, 4e9), (1, 5e9), (None, 6e9)]
    assert in_service[0][0] == 1, "since its approval"


def edit(store: Store, version: int, **members: Any) -> None:
    """A version's file as somebody left it."""
    store.write_json(version_file(store, version), json.loads(version_file(store, version).read_bytes()) | members)


def test_without_a_record_the_version_in_use_stays_although_another_was_edited_later(store: Store) -> None:
    decide(store, 2, APPROVED)
    decide(store, 1, APPROVED)
    (store.root / "registry" / f".{GROUP}.approvals.json").unlink()
    for version in (1, 2):  # no count of approvals to go by
        metadata = {c.MODEL_SHA256: hashlib.sha256(model(version)).hexdigest()}
        edit(store, version, CustomerMetadataProperties=metadata, LastModifiedTime=f"2099-01-0{version}T00:00:00.000Z")
    promote(store, GROUP, BUCKET)
    assert in_use(store)[0] == 1


def test_a_version_approved_at_the_same_moment_was_not_approved_after_the_damaged_one(store: Store) -> None:
    decide(store, 2, APPROVED)
    record = store.root / "registry" / f".{GROUP}.approvals.json"
    approvals = json.loads(record.read_bytes())
    store.write_json(record, approvals | {"1": {**approvals["1"], "at": approvals["2"]["at"]}})
    version_file(store, 2).write_text("{")
    promote(store, GROUP, BUCKET)
    assert in_use(store)[0] == 2


MARKER = {"decision": "registered", "fingerprint": "f"}
NOTED = {"fingerprint": "f", "version": 4, "model_package_arn": "arn"}


@pytest.mark.parametrize(
    ("last_evaluated", "noted", "version"),
    [
        (MARKER, None, 2),  # of two, the newer
        (MARKER, {"fingerprint": "older", "version": 4}, 2),
        (MARKER, ["text"], 2),
        (MARKER, NOTED, 4),
        ({**MARKER, "fingerprint": "unknown"}, None, None),
        ({**MARKER, "decision": "failed"}, None, None),
        (["text"], None, None),
        (None, None, None),
    ],
)
def test_a_registration_is_noted_once(store: Store, last_evaluated: Any, noted: Any, version: int | None) -> None:
    for number in (1, 2):
        edit(store, number, CustomerMetadataProperties={"fingerprint": "f"})
    evaluated_path, path = (
        store.object_path(f"s3://{BUCKET}/evaluated/{name}.json") for name in ("last_evaluated", "registered")
    )
    for place, content in ((evaluated_path, last_evaluated), (path, noted)):
        if content is not None:
            store.write_json(place, content)
    note_registration(store, GROUP, BUCKET)
    assert (json.loads(path.read_bytes())["version"] if path.exists() else None) == version


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"null", b"[]", b"{}", b'{"decision": "registered"}', b"[" * 100_000]
)
def test_a_damaged_record_of_the_last_candidate_notes_nothing(store: Store, text: bytes) -> None:
    record = f"s3://{BUCKET}/evaluated/last_evaluated.json"
    store.write(store.object_path(record), text)
    note_registration(store, GROUP, BUCKET)
    assert store.readable_json(f"s3://{BUCKET}/evaluated/registered.json") is None
    assert (store.readable_json(record) is None) == (b"}" not in text)  # as the summary of a run reads it
