"""What is asked of the registry, and which packages of its answer are used."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from recording_client import RecordingClient, refusal

from infra.lambda_shared.registry import ModelRegistry

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/ours/"


def package(version: int, **more: Any) -> dict[str, Any]:
    described = {"ModelPackageGroupName": "ours", "ModelPackageVersion": version, "ModelPackageStatus": "Completed"}
    return {**described, **more}


def registry(*versions: int, **described: dict[str, Any]) -> tuple[ModelRegistry, RecordingClient]:
    """Its list shows the versions, one a page; `described` has by version's name what differs from a usual one."""
    client = RecordingClient(
        list_model_packages=[{"ModelPackageSummaryList": [{"ModelPackageArn": f"{ARN}{n}"}]} for n in versions],
        describe_model_package=lambda ModelPackageName: package(  # noqa: N803
            int(ModelPackageName.rsplit("/")[-1]), **described.get(f"v{ModelPackageName.rsplit('/')[-1]}", {})
        ),
    )
    return ModelRegistry(client, "ours"), client


def versions(packages: list[dict[str, Any]]) -> list[int]:
    return [one["ModelPackageVersion"] for one in packages]


def test_packages_are_those_that_are_approved_or_wait_or_are_named() -> None:
    ours, client = registry(1, 2)
    assert versions(ours.packages(f"{ARN}3", f"{ARN}1")) == [1, 2, 3]
    listed = [request for operation, request in client.requests if operation == "list_model_packages"]
    assert listed == [
        {"ModelPackageGroupName": "ours", "ModelApprovalStatus": status}
        for status in ("Approved", "PendingManualApproval")
    ]


def test_the_newest_are_the_last_ten_and_the_one_that_is_named_first() -> None:
    ours, client = registry(2, 1)
    assert versions(ours.newest(f"{ARN}3")) == [3, 2, 1]
    assert client.requests[0] == (
        "list_model_packages",
        {
            "ModelPackageGroupName": "ours",
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "PaginationConfig": {"MaxItems": 10},
        },
    )
    assert versions(ours.newest()) == [2, 1]


def test_an_incomplete_package_is_not_used() -> None:
    ours, _ = registry(1, 2, v2={"ModelPackageStatus": "InProgress"})
    assert versions(ours.packages()) == versions(ours.newest()) == [1]


@pytest.mark.parametrize(
    "described", [{"ModelPackageGroupName": "other"}, {"ModelPackageVersion": None}], ids=["group", "version"]
)
def test_a_package_that_is_no_version_of_the_group_is_not_used(described: dict[str, Any]) -> None:
    ours, _ = registry(1, 2, v2=described)
    assert versions(ours.packages()) == versions(ours.newest()) == [1]


@pytest.mark.parametrize("arn", [ARN.replace("ours", "other") + "1", "ours", "arn:aws:sagemaker:r:a:model-package/"])
def test_the_registry_is_not_asked_about_another_group(arn: str) -> None:
    ours, client = registry()
    assert ours.describe(arn) is None
    assert client.requests == []


@pytest.mark.parametrize("code", ["ValidationException", "ValidationError", "ResourceNotFound"])
def test_a_deleted_package_is_none(code: str) -> None:
    ours, client = registry(1)
    client.answers["describe_model_package"] = refusal(code)
    assert ours.describe(f"{ARN}1") is None
    assert ours.packages() == ours.newest() == []


def test_any_other_refusal_is_an_error() -> None:
    ours, client = registry(1)
    client.answers["describe_model_package"] = refusal("ThrottlingException")
    with pytest.raises(ClientError):
        ours.describe(f"{ARN}1")


CARD = {"ModelCardContent": "{}", "ModelCardStatus": "Approved"}


@pytest.mark.parametrize(
    ("before", "written"),
    [
        ({}, CARD),
        ({"ModelCard": None}, CARD),
        ({"ModelCard": {"ModelCardStatus": "Draft"}}, {"ModelCardContent": "{}"}),  # the status stays what it is
    ],
)
def test_a_package_gets_its_card(before: dict[str, Any], written: dict[str, str]) -> None:
    ours, client = registry()
    ours.write_card({"ModelPackageArn": f"{ARN}1", **before}, CARD)
    assert client.requests == [("update_model_package", {"ModelPackageArn": f"{ARN}1", "ModelCard": written})]
