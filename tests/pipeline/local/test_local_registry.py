"""Model packages: versions without gaps or doubles, reviews."""

from __future__ import annotations

import errno
import json
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
from local_definitions import Json, Workbench

from pipeline.contract.metrics import metric_words
from pipeline.contract.model_card import package_card
from pipeline.contract.promotion import APPROVAL_ID
from pipeline.contract.workload import load_spec
from pipeline.local.store.registry import APPROVED, PENDING, REJECTED, LocalRegistry, RegistryError

MODEL = "s3://artifacts/m/model.tar.gz"


def request(**more: object) -> Json:
    containers = {"Containers": [{"Image": "i", "ModelDataUrl": MODEL}], "SupportedContentTypes": ["text/csv"]}
    return {"ModelPackageGroupName": "models", "InferenceSpecification": containers, **more}


@pytest.fixture
def registry(bench: Workbench) -> LocalRegistry:
    bench.put(MODEL, "model")
    return LocalRegistry(bench.store)


def test_a_package_is_described_as_the_service_describes_it(registry: LocalRegistry) -> None:
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://a/e.json"}}}
    package = registry.register(request(ModelMetrics=metrics, Tags=[{"Key": "a", "Value": "b"}]), "run-1")
    assert package["ModelPackageArn"] == "arn:aws:sagemaker:local-store:000000000000:model-package/models/1"
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelPackageStatus"] == "Completed"
    assert package["ModelPackageStatusDetails"] == {"ValidationStatuses": [], "ImageScanStatuses": []}
    assert package["ModelMetrics"] == metrics
    assert "Tags" not in package
    assert registry.get("models", 1) == package
    assert registry.groups() == ("models",)


def test_the_description_has_the_services_members(registry: LocalRegistry) -> None:
    botocore_loaders = pytest.importorskip("botocore.loaders")
    shapes = botocore_loaders.Loader().load_service_model("sagemaker", "service-2")["shapes"]
    package = registry.register(request(CustomerMetadataProperties={"a": "b"}), "run-1")
    reviewed = registry.set_approval("models", 1, REJECTED, "calibration")
    for described in (package, reviewed):
        assert set(described) <= set(shapes["DescribeModelPackageOutput"]["members"])
        # The service gives no ModelPackageName for a version of a group.
        assert set(shapes["DescribeModelPackageOutput"]["required"]) - {"ModelPackageName"} <= set(described)


@pytest.mark.parametrize("value", ["drift, again", "", "x" * 257, 1])
def test_metadata_that_the_service_refuses_is_refused(registry: LocalRegistry, value: object) -> None:
    with pytest.raises(RegistryError, match="CustomerMetadataProperties trigger"):
        registry.register(request(CustomerMetadataProperties={"trigger": value}), "run-1")


def test_registrations_at_once_get_each_their_version(registry: LocalRegistry) -> None:
    barrier = threading.Barrier(8)

    def add(n: int) -> None:
        barrier.wait()
        for turn in range(5):
            registry.register(request(), f"run-{n}-{turn}")

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    packages = registry.packages("models")
    assert [package["ModelPackageVersion"] for package in packages] == list(range(1, 41))
    assert len({package["MetadataProperties"]["GeneratedBy"] for package in packages}) == 40


def test_a_review_is_recorded_and_can_change(registry: LocalRegistry) -> None:
    registry.register(request(), "run-1")
    rejected = registry.set_approval("models", 1, REJECTED, "calibration drifts")
    assert (rejected["ModelApprovalStatus"], rejected["ApprovalDescription"]) == (REJECTED, "calibration drifts")
    approved = registry.set_approval("models", 1, APPROVED)
    assert approved["ModelApprovalStatus"] == APPROVED
    assert "ApprovalDescription" not in approved
    assert registry.get("models", 1) == approved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ModelPackageGroupName": ""}, "ModelPackageGroupName"),
        ({"ModelPackageGroupName": "../x"}, "ModelPackageGroupName"),
        ({"ModelApprovalStatus": "Maybe"}, "'Maybe' is not one of"),
        ({"InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://a/none"}]}}, "Could not find model data"),
    ],
)
def test_what_the_service_would_refuse_is_refused(registry: LocalRegistry, change: Json, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        registry.register(request(**change), "run-1")
    assert registry.packages("models") == ()


def test_an_unknown_version_lists_those_there_are(registry: LocalRegistry) -> None:
    registry.register(request(), "run-1")
    with pytest.raises(RegistryError, match="models has no version 7; it has 1"):
        registry.set_approval("models", 7, APPROVED)
    with pytest.raises(RegistryError, match="it has none"):
        registry.get("others", 1)


def version_file(bench: Workbench, version: int = 1) -> Path:
    return bench.store.root / "registry" / "models" / f"{version}.json"


def change(bench: Workbench, **members: object) -> None:
    """Version 1's file as somebody left it; None takes a member away."""
    package = json.loads(version_file(bench).read_bytes()) | members
    kept = {name: value for name, value in package.items() if value is not None}
    version_file(bench).write_text(json.dumps(kept))


def test_a_file_of_the_registry_is_for_people_too(registry: LocalRegistry, bench: Workbench) -> None:
    package = registry.register(request(ModelApprovalStatus=APPROVED, MetadataProperties={"CommitId": "c"}), "run-1")
    assert package["ModelApprovalStatus"] == APPROVED
    assert package["MetadataProperties"] == {"CommitId": "c", "GeneratedBy": "run-1"}
    assert version_file(bench).read_text() == json.dumps(package, indent=1) + "\n"


@pytest.mark.parametrize("specification", [None, {}, {"Containers": []}, {"Containers": [{"Image": "i"}]}])
def test_a_package_without_an_artifact_of_its_own_is_registered(registry: LocalRegistry, specification: object) -> None:
    wanted = {"ModelPackageGroupName": "models", "InferenceSpecification": specification}
    given = {name: value for name, value in wanted.items() if value is not None}
    assert registry.register(given, "run-1")["ModelPackageVersion"] == 1


def test_a_step_that_registers_again_gets_its_version(registry: LocalRegistry, bench: Workbench) -> None:
    registry.register(request(), "run-1")
    change(bench, MetadataProperties=None)
    second = registry.register(request(), "run-2")
    assert second["ModelPackageVersion"] == 2
    assert registry.register(request(), "run-2") == second
    assert registry.register(request(), "run-3")["ModelPackageVersion"] == 3


def test_a_write_that_fails_names_the_version_and_leaves_nothing(
    registry: LocalRegistry, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.local.store.store.sync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        registry.register(request(), "run-1")
    assert caught.value.filename == str(version_file(bench))
    assert list((bench.store.root / "tmp").iterdir()) == []


def test_a_review_counts_approvals_and_keeps_what_was_known(registry: LocalRegistry) -> None:
    registry.register(request(CustomerMetadataProperties={"a": "b"}), "run-1")
    assert registry.set_approval("models", 1, REJECTED)["CustomerMetadataProperties"] == {"a": "b"}
    registry.register(request(), "run-2")
    for version, count, known in ((1, "1", {"a": "b"}), (2, "2", {}), (1, "3", {"a": "b"})):
        metadata = registry.set_approval("models", version, APPROVED)["CustomerMetadataProperties"]
        assert metadata.pop(APPROVAL_ID).partition("-")[0] == count
        assert metadata == known
    assert registry.set_approval("models", 2, PENDING)["ModelApprovalStatus"] == PENDING


def test_no_review_is_earlier_than_the_one_before_it(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.register(request(), "run-1")
    registry.register(request(), "run-2")
    for clock, version, at in ((0.5, 1, "00.500"), (0.5, 2, "00.501"), (0.2, 1, "00.502"), (0.6, 1, "00.600")):
        monkeypatch.setattr("pipeline.local.store.registry.time.time", lambda clock=clock: clock)
        review = registry.set_approval("models", version, REJECTED)
        assert review["LastModifiedTime"] == f"1970-01-01T00:00:{at}Z"


def test_a_version_and_its_review_survive_a_power_failure(
    registry: LocalRegistry, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("pipeline.local.store.store.sync", synced.append)
    registry.register(request(), "run-1")
    registry.set_approval("models", 1, APPROVED)
    assert [path.parent == bench.store.root / "tmp" for path in synced] == [True, False] * 2
    assert synced[1::2] == [version_file(bench).parent] * 2


def test_a_review_says_whose_it_is(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.local.store.registry.user_name", lambda: "lead")
    registry.register(request(), "run-1")
    assert registry.set_approval("models", 1, APPROVED)["LastModifiedBy"] == {"UserProfileName": "lead"}


NBA = load_spec("nba")
SCORES = {"log_loss": 0.62, "n_rows": 1312}
EVALUATION: Json = {
    **metric_words(NBA),
    **{"use": asdict(NBA.use), "simulated": True, "as_of_date": "2025-03-01", "fingerprint": "f", "summary": "good"},
    "training_config": {"max_depth": "2"},
    "data": {"first_date": "2013-10-22", "last_labelled_date": "2025-02-28", "n_modelled": 15360},
    "quality": {"reason": "every limit holds", "limits": []},
    "promotion": {"reason": "there is no champion yet", "limits": []},
    "metrics": {"candidate": SCORES, "champion": None, "baseline": SCORES, "constant": SCORES},
    "comparison": {
        **{"champion_exists": "no", "champion_version": "none", "basis": "compared with Elo-logistic", "n_rows": 1312},
        **{"first_date": "2023-11-02", "last_date": "2025-02-28", "difference": {"mean": -0.004}},
    },
    **{"decision": "registered", "reason": "there is no champion yet", "trigger": "manual"},
    "versions": {"code": "c", "git": "g", "definition": "d", "features": "f", "python": "3.11", "xgboost": "3.2"},
}
METRICS = {"ModelQuality": {"Statistics": {"S3Uri": "s3://artifacts/m/evaluation.json"}}}


def test_a_version_has_the_card_of_its_runs_evaluation(registry: LocalRegistry, bench: Workbench) -> None:
    bench.put("s3://artifacts/m/evaluation.json", json.dumps(EVALUATION))
    package = registry.register(request(ModelMetrics=METRICS), "run-1")
    card = package.pop("ModelCard")
    assert card == package_card(package, EVALUATION)
    assert "NBA home-win probability" in card["ModelCardContent"]


@pytest.mark.parametrize("evaluation", [None, "{", "{}", "[]", json.dumps({**EVALUATION, "training_config": 1})])
def test_a_version_without_an_evaluation_has_no_card(
    registry: LocalRegistry, bench: Workbench, evaluation: str | None
) -> None:
    if evaluation:
        bench.put("s3://artifacts/m/evaluation.json", evaluation)
    assert "ModelCard" not in registry.register(request(ModelMetrics=METRICS), "run-1")


def test_a_status_that_does_not_exist_is_refused(registry: LocalRegistry) -> None:
    registry.register(request(), "run-1")
    with pytest.raises(RegistryError, match="'Maybe' is not one of PendingManualApproval, Approved, Rejected"):
        registry.set_approval("models", 1, "Maybe")


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"ModelPackageVersion": 2}, "it is another version's"),
        ({"ModelApprovalStatus": "Maybe"}, "its status is 'Maybe'"),
        ({"ModelPackageArn": None}, "it has no ModelPackageArn"),
        ({"CreationTime": None}, "it has no CreationTime"),
        ({"CreationTime": "lately"}, "Invalid isoformat string: 'lately'"),
        ({"LastModifiedTime": {}}, "float() argument must be a string or a real number, not 'dict'"),
        ({"InferenceSpecification": {"Containers": 5}}, "object of type 'int' has no len()"),
        ({"InferenceSpecification": {"Containers": ["model"]}}, "'str' object has no attribute 'get'"),
        ({"CustomerMetadataProperties": 7}, "'int' object is not iterable"),
    ],
)
def test_a_damaged_version_takes_no_part_and_is_named(
    registry: LocalRegistry, bench: Workbench, members: Json, what: str
) -> None:
    registry.register(request(), "run-1")
    registry.register(request(), "run-2")
    change(bench, **members)
    sentence = (
        f"{version_file(bench)} is damaged ({what}): version 1 is ignored; restore the file from a backup, "
        "or remove it to give the version up"
    )
    assert registry.damaged("models") == {1: sentence}
    assert [package["ModelPackageVersion"] for package in registry.packages("models")] == [2]
    with pytest.raises(RegistryError) as caught:
        registry.get("models", 1)
    assert str(caught.value) == sentence


def test_a_file_that_is_no_json_or_cannot_be_read_is_damaged(registry: LocalRegistry, bench: Workbench) -> None:
    registry.register(request(), "run-1")
    version_file(bench).write_text("{")
    assert "is damaged (Expecting property name" in registry.damaged("models")[1]
    version_file(bench).write_text("[" * 100_000)
    assert "is damaged (it is nested too deeply)" in registry.damaged("models")[1]
    version_file(bench).unlink()
    version_file(bench).mkdir()
    assert registry.damaged("models")[1].startswith(f"{version_file(bench)}: is a directory; ")
