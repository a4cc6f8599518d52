"""From a local run's candidate to the champion and back: registered, announced, approved, promoted, rolled back."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from deployments import IMAGE, Deployed, Mailbox, eventually
from emulated_run import AccountRun

from pipeline.contract.retrain_policy import LAST_EVALUATED_KEY, REGISTERED_KEY
from pipeline.local import local_deployment
from pipeline.workloads.nba.sample import write as write_sample

sys.path.append(str(Path(__file__).parents[1] / "scripts"))  # where pytest finds it only with the tests of the commands
from local_runs import run_local

pytestmark = pytest.mark.timeout(600)  # a deploy is in it

CANDIDATES = {1: "2", 2: "3"}  # version: the tree depth that makes it another model


@pytest.fixture(scope="module")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], Path]) -> Path:
    """A local store with two candidates of real runs on three simulated seasons."""
    folder = tmp_path_factory.mktemp("candidates")
    games = write_sample(folder / "games", date(2025, 3, 1))
    for path in sorted(games.glob("simulated_*.csv"))[:-3]:
        path.unlink()
    made = new_store(folder / "store")
    for depth in CANDIDATES.values():
        done = run_local(root, made, games, MaxDepth=depth)
        assert (done.code, done.json["decision"]) == (0, "registered"), done.err
    return made


def local_artifact(store: Path, version: int) -> bytes:
    """What the local run trained."""
    uri = local_package(store, version)["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    return (store / "objects" / uri.removeprefix("s3://")).read_bytes()


def local_package(store: Path, version: int) -> dict[str, Any]:
    """What the local run registered."""
    file = store / "registry" / local_deployment.MODEL_PACKAGE_GROUP / f"{version}.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def register(deployed: Deployed, store: Path, version: int, **metadata: str) -> str:
    """Do what a run in the cloud does, with what the local run made; the package's ARN."""
    package = local_package(store, version)
    execution = package["CustomerMetadataProperties"]["execution"].rpartition("/")[2]
    run = AccountRun.of(deployed, store, execution)
    try:
        run.jobs()
        run.aggregation()
        return run.register(package, **metadata)
    finally:
        deployed.end_run(run.arn)


def champion(deployed: Deployed) -> dict[str, Any]:
    """champion.json."""
    found = deployed.client("s3").get_object(Bucket=deployed.outputs["ArtifactBucket"], Key="champion/champion.json")
    return dict(json.loads(found["Body"].read()))


def files_in_use(deployed: Deployed) -> dict[str, bytes]:
    """What champion/ holds beside champion.json."""
    s3, bucket = deployed.client("s3"), deployed.outputs["ArtifactBucket"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="champion/").get("Contents", [])
    keys = {entry["Key"] for entry in listed} - {"champion/champion.json"}
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def decide(root: Path, deployed: Deployed, verb: str, version: int) -> None:
    """Approve or reject as an operator does; the command waits until champion/ has followed."""
    arguments = [verb, "--version", str(version), "--reason", f"{verb} {version}", "--aws"]
    deployed.account.operate(root, "scripts.review_model", *arguments, key=deployed.people["Approver"])


def in_use(deployed: Deployed, store: Path, version: int) -> bool:
    """Whether champion/ holds that version's own artifact, byte for byte, and nothing else."""
    files = {f"champion/{version}/model.tar.gz": local_artifact(store, version)}
    return champion(deployed)["version"] == version and files_in_use(deployed) == files


def served(deployed: Deployed) -> list[tuple[str, bytes]]:
    """Version and artifact of each model that there is; the endpoint's own must be among them."""
    sagemaker, s3 = deployed.client("sagemaker"), deployed.client("s3")
    found = {}
    for summary in sagemaker.list_models()["Models"]:
        container = sagemaker.describe_model(ModelName=summary["ModelName"])["PrimaryContainer"]
        assert container["Image"] == IMAGE
        bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
        artifact = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        found[summary["ModelName"]] = (container["Environment"]["MODEL_VERSION"], artifact)
    for endpoint in sagemaker.list_endpoints()["Endpoints"]:
        assert endpoint["EndpointName"] == deployed.outputs["EndpointName"]
        described = sagemaker.describe_endpoint(EndpointName=endpoint["EndpointName"])
        return [found.pop(described["EndpointConfigName"]), *found.values()]
    return list(found.values())


def is_served(deployed: Deployed, store: Path, version: int) -> bool:
    """Whether the endpoint serves that version's own artifact, and what it replaced is gone."""
    try:
        return served(deployed) == [(str(version), local_artifact(store, version))]
    except (ClientError, KeyError):  # something is being made or removed
        return False


@pytest.fixture(scope="module")
def approvers(deployed: Deployed) -> Mailbox:
    return Mailbox.subscribe(deployed.account, deployed.outputs["ApproversTopic"], "approvers")


def test_a_registered_version_is_announced_once_and_its_mail_holds_the_command_that_approves_it(
    root: Path, deployed: Deployed, store: Path, approvers: Mailbox
) -> None:
    arn = register(deployed, store, 1)
    mail = approvers.wait()
    known = local_package(store, 1)["CustomerMetadataProperties"]
    assert "version 1 waits for approval" in mail["Subject"]
    assert f"{float(known['loss']):.4f}" in mail["Message"]
    assert known["fingerprint"] in mail["Message"]
    assert champion(deployed) == {"version": None}

    told_again = {"ModelPackageArn": arn, "ModelPackageGroupName": deployed.outputs["ModelPackageGroup"]}
    deployed.put_event(
        {
            "source": "aws.sagemaker",
            "detail-type": "SageMaker Model Package State Change",
            "detail": {**told_again, "ModelPackageStatus": "Completed", "ModelApprovalStatus": "PendingManualApproval"},
        }
    )
    (command,) = re.findall(r"python -m (scripts\.review_model approve .*)", mail["Message"])
    deployed.account.operate(root, *shlex.split(command), key=deployed.people["Approver"])
    assert in_use(deployed, store, 1)
    assert champion(deployed)["lineage"]["fingerprint"] == known["fingerprint"]
    assert approvers.read() is None


def registered(deployed: Deployed) -> str | None:
    """The fingerprint of the candidate that is noted as registered."""
    try:
        noted = deployed.client("s3").get_object(Bucket=deployed.outputs["ArtifactBucket"], Key=REGISTERED_KEY)
    except ClientError:
        return None
    return str(json.loads(noted["Body"].read())["fingerprint"])


def test_a_version_that_waits_is_noted_for_the_next_night_and_not_put_into_service(
    deployed: Deployed, store: Path, approvers: Mailbox
) -> None:
    last_evaluated = (
        store / "objects" / local_deployment.ARTIFACT_BUCKET / LAST_EVALUATED_KEY
    )  # of the second candidate
    fingerprint = json.loads(last_evaluated.read_text(encoding="utf-8"))["fingerprint"]
    deployed.client("s3").upload_file(str(last_evaluated), deployed.outputs["ArtifactBucket"], LAST_EVALUATED_KEY)
    with pytest.raises(ClientError, match="customerMetadataProperties"):
        register(deployed, store, 2, trigger="drift, again")
    assert registered(deployed) != fingerprint
    register(deployed, store, 2)
    assert "version 2 waits for approval" in approvers.wait()["Subject"]
    assert eventually(lambda: registered(deployed) == fingerprint)
    assert in_use(deployed, store, 1)


def test_approve_roll_back_reject_withdraw(root: Path, deployed: Deployed, store: Path) -> None:
    alerts = Mailbox.subscribe(deployed.account, deployed.outputs["AlertsTopic"], "told-of-withdrawal")
    assert local_artifact(store, 1) != local_artifact(store, 2)
    assert eventually(lambda: is_served(deployed, store, 1)), "approved by the test before"
    decide(root, deployed, "approve", 2)
    assert in_use(deployed, store, 2)
    assert eventually(lambda: is_served(deployed, store, 2))
    decide(root, deployed, "approve", 1)  # the older one again: a roll-back
    assert in_use(deployed, store, 1)
    assert eventually(lambda: is_served(deployed, store, 1))
    decide(root, deployed, "reject", 1)  # falls back to the one approved before it
    assert in_use(deployed, store, 2)
    assert eventually(lambda: is_served(deployed, store, 2))
    assert alerts.read() is None
    decide(root, deployed, "reject", 2)
    assert champion(deployed)["version"] is None
    assert eventually(lambda: files_in_use(deployed) == {})
    assert "no champion: version 2 was withdrawn" in alerts.wait()["Subject"]
    sagemaker = deployed.client("sagemaker")
    assert eventually(lambda: not sagemaker.list_endpoints()["Endpoints"] and not sagemaker.list_models()["Models"])
    assert alerts.read() is None, "nothing failed on the way"
