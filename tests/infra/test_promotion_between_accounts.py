"""A version goes from one account to another: two emulated accounts whose policies are those of two templates.

The source is in another region and has another key. What AWS would refuse is refused: each statement of either side is
needed, the policies of bucket, key and group as well as those of the role.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import BufferedReader
from typing import Any

import boto3
import click
import pytest
from click.testing import CliRunner
from iam_emulation.account import TemplateAccount
from iam_emulation.enforcement import Gatekeeper, enforced
from iam_emulation.policies import Principal, Request, decide
from iam_emulation.templates import account_of
from iam_emulation.two_accounts import Side, TwoAccounts, versions_of_other_accounts
from moto import mock_aws
from resolved_template import Resolver, Template, only
from sagemaker_emulation import taught
from synthesis import Synthesise
from test_policies import EVERYTHING

from pipeline.contract.names import promoter_name
from scripts import promote_model

SOURCE, TARGET = EVERYTHING["promotes_from"], EVERYTHING["trusted_accounts"]
SOURCE_REGION, REGION = "eu-west-1", "us-east-1"
SOURCE_GROUP, GROUP = "nba-home-win-dev", "nba-home-win-prod"
ARN = f"arn:aws:sagemaker:{SOURCE_REGION}:{SOURCE}:model-package/{SOURCE_GROUP}/1"
MODEL, EVALUATION, REPORT = b"weights", b'{"summary": "better"}', b"<html></html>"
FOLDER = f"runs/promoted/{SOURCE}-{SOURCE_GROUP}-1"


@pytest.fixture(scope="module")
def prod(synthesise: Synthesise) -> Template:
    return synthesise(**EVERYTHING)


@pytest.fixture(scope="module")
def dev(prod: Template) -> Template:
    """The same with the names of the other environment: to synthesise it takes seconds."""
    text = (
        json.dumps(prod).replace("nba-home-win-prod", "nba-home-win-dev").replace("retraining-prod", "retraining-dev")
    )
    return dict(json.loads(text))


def side(template: Template, account: str, region: str, bucket: str) -> Side:
    """An account with a template's policies."""
    group = f"arn:aws:sagemaker:{region}:{account}:model-package-group/{SOURCE_GROUP if account == SOURCE else GROUP}"
    names = {
        "StorageArtifacts": f"arn:aws:s3:::{bucket}",
        "KeysData": f"arn:aws:kms:{region}:{account}:key/{bucket}",
        "TrainingGroup": group,
    }
    return Side(account, account_of(template, region, names, account), bucket)


@functools.cache
def _sts() -> Any:
    return boto3.client("sts", region_name=REGION, aws_access_key_id="FOOBARKEY", aws_secret_access_key="test")


@dataclass
class Accounts:
    """Both accounts, with a version that is approved in the source."""

    gatekeeper: Gatekeeper
    versions: dict[str, str]

    clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, account: str) -> Any:
        """A client of an administrator, whose calls nothing refuses."""
        if (service, account) not in self.clients:
            self.clients[service, account] = boto3.client(
                service,
                region_name=SOURCE_REGION if account == SOURCE else REGION,
                **self._administrator(account),
            )
        return self.clients[service, account]

    def _administrator(self, account: str) -> dict[str, str]:
        role = f"arn:aws:iam::{account}:role/administrator"
        keys = _sts().assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        self.gatekeeper.administrators = {*self.gatekeeper.administrators, keys["AccessKeyId"]}
        named = {
            "access_key_id": "AccessKeyId",
            "secret_access_key": "SecretAccessKey",
            "session_token": "SessionToken",
        }
        return {f"aws_{name}": keys[key] for name, key in named.items()}

    def promote(self, version: int = 1, *more: str) -> Any:
        """The command."""
        given = ("--from", "dev", "--to", "prod", "--version", str(version), "--region", REGION)
        return CliRunner().invoke(
            promote_model.main, [*given, "--from-account", SOURCE, "--from-region", SOURCE_REGION, "--json", *more]
        )

    def approve(self, status: str) -> None:
        self.client("sagemaker", SOURCE).update_model_package(
            ModelPackageArn=ARN, ModelApprovalStatus=status, ApprovalDescription="better, in each month"
        )

    def described(self) -> list[dict[str, Any]]:
        """The versions in the target."""
        client = self.client("sagemaker", TARGET)
        listed = client.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
        return [client.describe_model_package(ModelPackageName=one["ModelPackageArn"]) for one in listed]


def request(versions: dict[str, str], **metadata: str) -> dict[str, Any]:
    """CreateModelPackage's, as a run in the source makes it."""
    run = "s3://source/runs/abc"
    return {
        "ModelPackageGroupName": SOURCE_GROUP,
        "ModelPackageDescription": "log loss 0.62",
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": "theirs", "ModelDataUrl": f"{run}/train/job/output/model.tar.gz"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": f"{run}/evaluate/evaluation/evaluation.json",
                }
            }
        },
        "CustomerMetadataProperties": {
            **versions,
            "fingerprint": "games1",
            "model_sha256": hashlib.sha256(MODEL).hexdigest(),
            "report": f"{run}/evaluate/evaluation/report.html",
            "approval_id": "1-abc",
            **metadata,
        },
    }


@pytest.fixture
def accounts(dev: Template, prod: Template) -> Iterator[Accounts]:
    target = side(prod, TARGET, REGION, "target")
    name = promoter_name("retraining-prod", REGION)
    two = TwoAccounts(side(dev, SOURCE, SOURCE_REGION, "source"), target, name)
    _, pipeline = only(prod, "AWS::SageMaker::Pipeline")
    values = {"AWS::AccountId": TARGET, "AWS::Region": REGION}
    for logical_id in prod["Resources"]:
        if logical_id.startswith("StorageArtifacts") and len(logical_id) == len("StorageArtifacts") + 8:
            values[logical_id] = "target"
        if logical_id.startswith("KeysData"):
            values[f"{logical_id}.Arn"] = f"arn:aws:kms:{REGION}:{TARGET}:key/target"
    definition = Resolver(prod, values)(pipeline["PipelineDefinition"]["PipelineDefinitionBody"])
    steps = {step["Name"]: step for step in _all(json.loads(definition)["Steps"])}
    registered = steps["Register"]["Arguments"]["CustomerMetadataProperties"]
    versions = {key: registered[key] for key in ("workload", "code_version", "definition_hash", "git_revision")}
    with mock_aws(), taught(), versions_of_other_accounts():
        made = Accounts(Gatekeeper(two, {"FOOBARKEY"}), versions)  # moto's own keys
        with enforced(made.gatekeeper):
            theirs, ours = made.client("s3", SOURCE), made.client("s3", TARGET)
            theirs.create_bucket(Bucket="source", CreateBucketConfiguration={"LocationConstraint": SOURCE_REGION})
            ours.create_bucket(Bucket="target")
            for key, body in (
                ("train/job/output/model.tar.gz", MODEL),
                ("evaluate/evaluation/evaluation.json", EVALUATION),
                ("evaluate/evaluation/report.html", REPORT),
            ):
                theirs.put_object(Bucket="source", Key=f"runs/abc/{key}", Body=body)
            for account, group in ((SOURCE, SOURCE_GROUP), (TARGET, GROUP)):
                made.client("sagemaker", account).create_model_package_group(ModelPackageGroupName=group)
            made.client("sagemaker", SOURCE).create_model_package(**request(versions))
            made.approve("Approved")
            made.client("sagemaker", TARGET).create_pipeline(
                PipelineName="retraining-prod",
                PipelineDefinition=definition,
                ClientRequestToken="t" * 32,
                RoleArn=f"arn:aws:iam::{TARGET}:role/pipeline",
            )
            yield made


def _all(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from _all(step.get("Arguments", {}).get(branch, []))


def test_a_version_is_copied_with_its_lineage_and_waits_for_approval(accounts: Accounts) -> None:
    done = accounts.promote()
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["status"] == "PendingManualApproval"
    (package,) = accounts.described()
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == f"s3://target/{FOLDER}/model.tar.gz"
    assert container["Image"].startswith(("111122223333.dkr", "123456789012.dkr"))
    known = package["CustomerMetadataProperties"]
    assert known["promoted_from"] == ARN
    assert known["approved_there"] == "better in each month"
    assert known["report"] == f"s3://target/{FOLDER}/report.html"
    assert known["fingerprint"] == "games1"
    assert "approval_id" not in known
    s3 = accounts.client("s3", TARGET)
    for name, body in (("model.tar.gz", MODEL), ("evaluation.json", EVALUATION), ("report.html", REPORT)):
        found = s3.get_object(Bucket="target", Key=f"{FOLDER}/{name}")
        assert found["Body"].read() == body
        assert found["SSEKMSKeyId"] == f"arn:aws:kms:{REGION}:{TARGET}:key/target"  # not the source's
    assert "review_model approve --version 1" in done.stderr
    assert accounts.gatekeeper.denied == []


def test_to_promote_it_again_changes_nothing(accounts: Accounts) -> None:
    assert accounts.promote().exit_code == 0
    accounts.client("s3", TARGET).delete_object(Bucket="target", Key=f"{FOLDER}/report.html")
    again = accounts.promote()
    assert again.exit_code == 0
    assert (json.loads(again.stdout)["version"], json.loads(again.stdout)["promoted"]) == (1, False)
    assert "was promoted before" in again.stderr
    assert len(accounts.described()) == 1


@pytest.mark.parametrize("status", ["PendingManualApproval", "Rejected"])
def test_a_version_that_is_not_approved_is_refused(accounts: Accounts, status: str) -> None:
    accounts.approve(status)
    done = accounts.promote()
    assert done.exit_code == 1
    assert f"is {status}, not Approved: approve it there first" in done.stderr
    assert accounts.described() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"code_version": "older"}, "was made by another code"),
        ({"definition_hash": "older", "workload": "churn"}, "was made by another workload and definition"),
        ({"git_revision": "other"}, ""),
    ],
)
def test_a_version_of_other_code_is_refused(accounts: Accounts, changed: dict[str, str], message: str) -> None:
    theirs = accounts.client("sagemaker", SOURCE)
    theirs.create_model_package(**request(accounts.versions, **changed) | {"ModelApprovalStatus": "Approved"})
    done = accounts.promote(2)
    assert (done.exit_code, message in done.stderr) == (1 if message else 0, True), done.output


def test_other_bytes_than_were_evaluated_are_refused(accounts: Accounts) -> None:
    key = "runs/abc/train/job/output/model.tar.gz"
    accounts.client("s3", SOURCE).put_object(Bucket="source", Key=key, Body=b"replaced")
    done = accounts.promote()
    assert done.exit_code == 1
    assert f"{hashlib.sha256(MODEL).hexdigest()} was evaluated: who wrote it?" in done.stderr
    assert accounts.client("s3", TARGET).list_objects_v2(Bucket="target")["KeyCount"] == 0


def test_a_copy_with_other_bytes_is_refused(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.cloud import promotion

    right = promotion.digest
    monkeypatch.setattr(
        promotion, "digest", lambda read: right(read) if isinstance(read, BufferedReader) else "another"
    )
    done = accounts.promote()
    assert done.exit_code == 1
    assert "is not what was written" in done.stderr
    assert accounts.described() == []


def test_a_version_that_there_is_not(accounts: Accounts) -> None:
    done = accounts.promote(7)
    assert done.exit_code == 2
    assert "is that its number, and does the deployment there name this account in trusted_accounts?" in done.stderr


def test_a_session_of_another_role_reads_and_writes_nothing(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.promote_model.promoter_name", lambda *_: "another")
    assert accounts.promote().exit_code == 2
    assert accounts.described() == []


@pytest.mark.parametrize(
    ("known", "given", "found"),
    [
        *(([SOURCE], None, SOURCE), (SOURCE, None, SOURCE), (f" {SOURCE},", None, SOURCE)),
        *(([], "999999999999", "999999999999"), ([], None, "none"), ("", None, "none")),
    ],
)
def test_the_account_of_the_version(monkeypatch: pytest.MonkeyPatch, known: Any, given: str | None, found: str) -> None:
    monkeypatch.setattr(promote_model, "environment", lambda name: {"promotes_from": known} if name == "prod" else {})
    if found != "none":
        assert promote_model.source_account(given, "prod") == found
        return
    with pytest.raises(click.UsageError, match=r"with --from-account: promotes_from of prod in cdk\.json has none"):
        promote_model.source_account(given, "prod")


def without(account: TemplateAccount, place: str, action: str) -> TemplateAccount:
    """The account where an action is allowed no longer: by policies of resources, or by those of the promoter."""

    def less(document: Any) -> Any:
        found = copy.deepcopy(document)
        for statement in found["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if statement["Effect"] == "Allow" and (place == "role" or TARGET in str(statement.get("Principal"))):
                statement["Action"] = [one for one in actions if one != action] or ["none:None"]
        return found

    if place == "policies":
        return replace(account, policies={arn: less(document) for arn, document in account.policies.items()})
    roles = {
        name: (Principal(who.arn, [less(p) for p in who.policies]), trust) if "Promoter" in name else (who, trust)
        for name, (who, trust) in account.roles.items()
    }
    return replace(account, roles=roles)


NEEDED = (
    *(("source", "policies", a) for a in ("s3:GetObject", "kms:Decrypt", "sagemaker:DescribeModelPackage")),
    *(("target", "role", a) for a in ("s3:GetObject", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey")),
    *(("target", "role", f"sagemaker:{a}ModelPackage") for a in ("Describe", "Create")),
    *(("target", "role", f"sagemaker:{a}") for a in ("ListModelPackages", "DescribePipeline")),
)


def test_each_permission_is_needed(accounts: Accounts) -> None:
    two: Any = accounts.gatekeeper.account
    for of, place, action in NEEDED:
        there = getattr(two, of)
        less = replace(there, account=without(there.account, place, action))
        accounts.gatekeeper.account = replace(two, **{of: less})
        done = accounts.promote()
        assert done.exit_code == 2, (of, action, done.output)
        assert f"is not authorized to perform: {action}" in accounts.gatekeeper.denied[-1]
        assert accounts.described() == []
    accounts.gatekeeper.account = two
    assert accounts.promote().exit_code == 0


@pytest.fixture(scope="module")
def asked(dev: Template) -> Callable[..., bool]:
    """Whether the source lets a role of an account do something, whatever its own policies say."""
    account = side(dev, SOURCE, SOURCE_REGION, "source").account
    anything = [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}]

    def decided(who: str, action: str, resource: str, **context: str) -> bool:
        place = resource.replace(":model-package/", ":model-package-group/").rpartition("/")[0]
        policy = account.policy_of(place if "model-package" in resource else resource)
        known = {"aws:principalarn": who, "aws:securetransport": "true", "s3:tlsversion": "1.3", **context}
        return decide(Principal(who, anything), Request(action, resource, known), policy, SOURCE).allowed

    return decided


@pytest.mark.parametrize(
    ("account", "role", "key", "allowed"),
    [
        (TARGET, "retraining-prod-promoter-us-east-1", "runs/a/train/b/output/model.tar.gz", True),
        (TARGET, "retraining-prod-promoter-us-east-1", "runs/a/evaluate/evaluation/report.html", True),
        (TARGET, "retraining-prod-promoter-us-east-1", "runs/a/prepare/features/features.parquet", False),
        (TARGET, "retraining-prod-promoter-us-east-1", "champion/champion.json", False),
        (TARGET, "administrator", "runs/a/train/b/output/model.tar.gz", False),
        ("999999999999", "retraining-prod-promoter-us-east-1", "runs/a/train/b/output/model.tar.gz", False),
    ],
)
def test_who_may_read_what(asked: Callable[..., bool], account: str, role: str, key: str, allowed: bool) -> None:
    who = f"arn:aws:iam::{account}:role/{role}"
    trusted = account == TARGET and role != "administrator"
    assert asked(who, "s3:GetObject", f"arn:aws:s3:::source/{key}") is allowed
    assert not asked(who, "s3:PutObject", f"arn:aws:s3:::source/{key}")
    master = f"arn:aws:kms:{SOURCE_REGION}:{SOURCE}:key/source"
    assert asked(who, "kms:Decrypt", master, **{"kms:viaservice": f"s3.{SOURCE_REGION}.amazonaws.com"}) is trusted
    assert not asked(who, "kms:Decrypt", master)
    assert asked(who, "sagemaker:DescribeModelPackage", ARN) is trusted
    assert not asked(who, "sagemaker:UpdateModelPackage", ARN)
