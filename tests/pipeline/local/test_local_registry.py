"""Model packages: versions without gaps or doubles, reviews."""

from __future__ import annotations

import threading

import pytest
from local_definitions import Json, Workbench

from pipeline.local.store.registry import APPROVED, REJECTED, Registry, RegistryError

MODEL = "s3://artifacts/m/model.tar.gz"


def request(**more: object) -> Json:
    containers = {"Containers": [{"Image": "i", "ModelDataUrl": MODEL}], "SupportedContentTypes": ["text/csv"]}
    return {"ModelPackageGroupName": "models", "InferenceSpecification": containers, **more}


@pytest.fixture
def registry(bench: Workbench) -> Registry:
    bench.put(MODEL, "model")
    return Registry(bench.store)


def test_a_package_is_described_as_the_service_describes_it(registry: Registry) -> None:
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://a/e.json"}}}
    package = registry.register(request(ModelMetrics=metrics, Tags=[{"Key": "a", "Value": "b"}]), "run-1")
    assert package["ModelPackageArn"] == "arn:aws:sagemaker:local-store:000000000000:model-package/models/1"
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelPackageStatus"] == "Completed"
    assert package["ModelMetrics"] == metrics
    assert "Tags" not in package
    assert registry.get("models", 1) == package
    assert registry.groups() == ("models",)


def test_the_description_has_the_services_members(registry: Registry) -> None:
    botocore_loaders = pytest.importorskip("botocore.loaders")
    shapes = botocore_loaders.Loader().load_service_model("sagemaker", "service-2")["shapes"]
    package = registry.register(request(CustomerMetadataProperties={"a": "b"}), "run-1")
    reviewed = registry.set_approval("models", 1, REJECTED, "calibration")
    for described in (package, reviewed):
        assert set(described) <= set(shapes["DescribeModelPackageOutput"]["members"])
        # The service gives no ModelPackageName for a version of a group.
        assert set(shapes["DescribeModelPackageOutput"]["required"]) - {"ModelPackageName"} <= set(described)


@pytest.mark.parametrize("value", ["drift, again", "", "x" * 257, 1])
def test_metadata_that_the_service_refuses_is_refused(registry: Registry, value: object) -> None:
    with pytest.raises(RegistryError, match="CustomerMetadataProperties trigger"):
        registry.register(request(CustomerMetadataProperties={"trigger": value}), "run-1")


def test_registrations_at_once_get_each_their_version(registry: Registry) -> None:
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


def test_a_review_is_recorded_and_can_change(registry: Registry) -> None:
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
def test_what_the_service_would_refuse_is_refused(registry: Registry, change: Json, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        registry.register(request(**change), "run-1")
    assert registry.packages("models") == ()


def test_an_unknown_version_lists_those_there_are(registry: Registry) -> None:
    registry.register(request(), "run-1")
    with pytest.raises(RegistryError, match="models has no version 7; it has 1"):
        registry.set_approval("models", 7, APPROVED)
    with pytest.raises(RegistryError, match="it has none"):
        registry.get("others", 1)
