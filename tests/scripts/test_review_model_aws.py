"""`python -m scripts.review_model --aws` against an emulated AWS, with the approval handler listening."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from emulated_pipeline import BUCKET, GROUP, PIPELINE, Cloud, emulated
from sagemaker_emulation import ACCOUNT, ON_PACKAGE_CHANGE, REGION

from infra.approval.function import handler


def request(version: int) -> dict[str, Any]:
    return {
        "ModelPackageGroupName": GROUP,
        "ModelPackageDescription": f"log loss 0.62, candidate {version}",
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/runs/{version}/model.tar.gz"}]
        },
        "CustomerMetadataProperties": {
            "as_of_date": "2025-03-01",
            "primary_metric": "log_loss",
            "loss": "0.6212",
            "report": f"s3://{BUCKET}/runs/{version}/report.html",
        },
    }


@pytest.fixture
def cloud(root: Path, tmp_path: Path, definition: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A pipeline with two registered versions; the handler is called when a package changes."""
    with emulated(root, tmp_path, definition) as made:
        topics = [made.client("sns").create_topic(Name=name)["TopicArn"] for name in ("alerts", "approvers")]
        for name, value in {
            "AWS_ENDPOINT_URL": made.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "MODEL_PACKAGE_GROUP": GROUP,
            "ARTIFACT_BUCKET": BUCKET,
            "PIPELINE_NAME": PIPELINE,
            "ALERTS_TOPIC_ARN": topics[0],
            "APPROVERS_TOPIC_ARN": topics[1],
        }.items():
            monkeypatch.setenv(name, value)
        handler.connect.cache_clear()
        s3, sagemaker = made.client("s3"), made.client("sagemaker")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
        for version in (1, 2):
            sagemaker.create_model_package(**request(version))
            s3.put_object(Bucket=BUCKET, Key=f"runs/{version}/model.tar.gz", Body=f"weights {version}".encode())
        handle("")
        ON_PACKAGE_CHANGE.append(handle)
        yield made
        ON_PACKAGE_CHANGE.remove(handle)
        handler.connect.cache_clear()


def handle(arn: str) -> None:
    context = SimpleNamespace(
        aws_request_id=f"about {arn}", invoked_function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:approval"
    )
    handler.handler({"detail": {"ModelPackageArn": arn} if arn else {}}, context)


def champion(cloud: Cloud) -> dict[str, Any]:
    found = cloud.client("s3").get_object(Bucket=BUCKET, Key="champion/champion.json")
    return dict(json.loads(found["Body"].read()))


def promoted(cloud: Cloud) -> bytes:
    key = f"champion/{champion(cloud)['artifact']}"
    return bytes(cloud.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_the_story_of_two_versions(cloud: Cloud) -> None:
    """The same commands and the same words as on a local store."""
    listed = cloud.run("review_model", "list", "--aws")
    assert listed.code == 0, listed.err
    assert "none is in use" in listed.out
    assert "0.6212" in listed.out

    first = cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", "better in every month")
    assert first.code == 0, first.err
    assert "version 1 is approved and is now the champion\n" in first.out
    assert promoted(cloud) == b"weights 1"
    assert champion(cloud)["approval_reason"] == "better in every month"
    second = cloud.run("review_model", "approve", "--aws", "--version", "2", "--reason", "deeper trees")
    assert "version 2 is approved and is now the champion instead of version 1" in second.out
    back = cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", "back")
    assert (back.code, promoted(cloud)) == (0, b"weights 1")
    fallen = cloud.run("review_model", "reject", "--aws", "--version", "1", "--reason", "wrong after all")
    assert "version 2 is the champion again" in fallen.out
    none = cloud.run("review_model", "reject", "--aws", "--version", "2", "--reason", "so is this")
    assert "no version is in use now" in none.out
    assert champion(cloud)["version"] is None

    shown = cloud.run("review_model", "show", "--aws", "--version", "1")
    assert "rejected" in shown.out
    assert f"report: s3://{BUCKET}/runs/1/report.html" in shown.out
    assert json.loads(cloud.run("review_model", "show", "--aws", "--json").out)["ModelPackageVersion"] == 2


def test_refusals(cloud: Cloud) -> None:
    unknown = cloud.run("review_model", "approve", "--aws", "--version", "7", "--reason", "x")
    assert (unknown.code, "has no version 7; it has 1, 2" in unknown.err) == (2, True)
    for verb in ("approve", "reject"):
        wordless = cloud.run("review_model", verb, "--aws", "--version", "1")
        assert (wordless.code, "--reason" in wordless.err) == (2, True)


def test_a_decision_that_nobody_follows_is_said(cloud: Cloud) -> None:
    ON_PACKAGE_CHANGE.remove(handle)
    try:
        done = cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", "x", "--patience", "0.5")
    finally:
        ON_PACKAGE_CHANGE.append(handle)
    assert done.code == 1
    assert "your decision is recorded" in done.err
    assert "instead of 1" in done.err


def update(cloud: Cloud, version: int, **changed: Any) -> None:
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{GROUP}/{version}"
    cloud.client("sagemaker").update_model_package(ModelPackageArn=arn, **changed)


def test_a_reason_of_any_words_is_kept_as_the_service_takes_it(cloud: Cloud) -> None:
    reason = 'better, "in every" month;\nsee \x07 report ' + "x" * 2000
    done = cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", reason)
    assert done.code == 0, done.err
    kept = champion(cloud)["approval_reason"]
    assert kept.startswith('better, "in every" month; see report xxx')
    assert len(kept) == 1024
    blank = cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", " \n ")
    assert (blank.code, "--reason" in blank.err) == (2, True)


def test_an_edit_of_an_older_version_does_not_move_the_champion_and_a_roll_back_does(cloud: Cloud) -> None:
    for version in ("1", "2"):
        assert cloud.run("review_model", "approve", "--aws", "--version", version, "--reason", "x").code == 0
    update(cloud, 1, CustomerMetadataProperties={"note": "looked again"})
    assert champion(cloud)["version"] == 2
    before = champion(cloud)["lineage"]
    assert "approval_id" not in before, "to approve a version again changes nothing about its model"
    assert cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", "back").code == 0
    assert champion(cloud)["lineage"]["note"] == "looked again"


def test_a_version_that_cannot_be_the_champion_is_not_approved(cloud: Cloud) -> None:
    made = cloud.client("sagemaker").create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={"Containers": [{"Image": "image"}], "SupportedContentTypes": ["text/csv"]},
    )
    done = cloud.run("review_model", "approve", "--aws", "--version", "3", "--reason", "x")
    assert done.code == 1
    assert "cannot be the champion: it names no model.tar.gz" in done.err
    assert "Nothing was changed" in done.err
    described = cloud.client("sagemaker").describe_model_package(ModelPackageName=made["ModelPackageArn"])
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert cloud.run("review_model", "list", "--aws").code == 0


def test_a_decision_that_another_one_overtakes_is_not_claimed(cloud: Cloud) -> None:
    """Version 1 becomes the champion, and is rejected before the command has looked."""

    def overtake(_: str) -> None:
        """Rejected first: the command looks as soon as it sees the champion."""
        ON_PACKAGE_CHANGE.remove(overtake)
        update(cloud, 1, ModelApprovalStatus="Rejected", ApprovalDescription="no")
        cloud.client("s3").put_object(Bucket=BUCKET, Key="champion/champion.json", Body=b'{"version": 1}')

    ON_PACKAGE_CHANGE.remove(handle)
    ON_PACKAGE_CHANGE.append(overtake)
    try:
        done = cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", "x", "--patience", "60")
    finally:
        ON_PACKAGE_CHANGE.append(handle)
    assert done.code == 1
    assert "version 1 is Rejected now" in done.err
    assert "is now the champion" not in done.out


@pytest.mark.parametrize("damaged", [b"{half", b"[]", b'{"other": 1}'])
def test_an_unreadable_champion_json_stops_no_command(cloud: Cloud, damaged: bytes) -> None:
    cloud.client("s3").put_object(Bucket=BUCKET, Key="champion/champion.json", Body=damaged)
    assert "none is in use" in cloud.run("review_model", "list", "--aws").out
    assert cloud.run("review_model", "approve", "--aws", "--version", "1", "--reason", "x").code == 0
    assert champion(cloud)["version"] == 1
