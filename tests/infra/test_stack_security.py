"""What the template allows, encrypts and exposes; cdk-nag and cfn-lint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from iam_emulation.conditions import as_list
from resolved_template import ACCOUNT, REGION, Resolver, Template, only, resources
from synthesis import cdk_context
from test_policies import GUARDED, PACKAGE, arn, may

from pipeline.contract.rules.spec_rules import LONGEST_NAME


@pytest.fixture(scope="session")
def checked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Template, list[Any]]:
    """A template with all options on, the reasons for what cdk-nag does not like in its metadata, and what is left."""
    import aws_cdk as cdk
    import cdk_nag

    from app import build

    out = tmp_path_factory.mktemp("nag")
    everything = {"alert_emails": "a@example.com", "data_arrival": "true", "monthly_budget_usd": "25", **GUARDED}
    everything |= {"removal_policy": "destroy"}  # the function that empties buckets
    everything |= {"serving": "instance"}
    app = build(cdk_context(root, env="prod", **everything), str(out))
    cdk.Stack(app, "control")  # a stack in which the checks must find something, or they did not run
    cdk.aws_s3.CfnBucket(app.node.find_child("control"), "Open")
    cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app, write_suppressions_to_cloud_formation=True))
    with pytest.raises(RuntimeError, match="control/Open"):
        app.synth()
    report = json.loads((out / "validation-report.json").read_text(encoding="utf-8"))
    (template,) = out.glob("retraining-prod.template.json")
    return json.loads(template.read_text(encoding="utf-8")), report["pluginReports"]


def test_cdk_nag_finds_nothing_without_a_reason(checked: tuple[Template, list[Any]]) -> None:
    found = [violation for report in checked[1] for violation in report["violations"]]
    where = {(violation["ruleName"], json.dumps(violation["violatingConstructs"])) for violation in found}
    control = {(rule, place) for rule, place in where if "control/Open" in place}
    assert control, "the open bucket was not found: the checks did not run"
    assert where == control


def test_each_reason_is_a_sentence(checked: tuple[Template, list[Any]]) -> None:
    for resource in checked[0]["Resources"].values():
        for rule in resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", []):
            assert len(rule["reason"].split()) >= 6, rule
            assert rule["reason"].endswith("."), rule


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each statement of each policy of roles, buckets, topics, queues and keys."""
    for logical_id, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for key in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument"):
            for statement in properties.get(key, {}).get("Statement", []):
                yield logical_id, statement


def test_no_statement_allows_a_wildcard_action(checked: tuple[Template, list[Any]]) -> None:
    """A Deny may: it denies everything without TLS."""
    wild = [
        (where, action)
        for where, statement in statements(checked[0])
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        if "*" in action
    ]
    assert not wild


def test_wildcard_resources_have_a_written_reason(checked: tuple[Template, list[Any]]) -> None:
    template = checked[0]
    resolve = Resolver(template)
    seen = 0
    for where, statement in statements(template):
        if template["Resources"][where]["Type"] != "AWS::IAM::Policy" or statement["Effect"] == "Deny":
            continue
        reasons = template["Resources"][where].get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", [])
        explained = " ".join(rule["id"] for rule in reasons)
        for resource in as_list(statement["Resource"]):
            if "*" in str(resolve(resource)):
                seen += 1
                tail = str(resolve(resource)).rsplit("/", 1)[-1] if isinstance(resource, dict) else resource
                assert tail.rsplit(":", 1)[-1] in explained, (where, resolve(resource))
    assert seen > 5


def test_nobody_but_services_and_the_account_is_trusted(checked: tuple[Template, list[Any]]) -> None:
    for where, statement in statements(checked[0]):
        if statement["Effect"] == "Allow" and "Principal" in statement:
            principal = statement["Principal"]
            assert principal != "*", where
            assert "*" not in json.dumps(principal), where


def test_cfn_lint_is_clean(checked: tuple[Template, list[Any]]) -> None:
    from cfnlint.api import ManualArgs, lint

    # W3005: CDK lets a resource depend on a role with its policy; the role alone would follow from the ARN.
    found = lint(json.dumps(checked[0]), config=ManualArgs(regions=[REGION], ignore_checks=["W3005"]))
    assert not [f"{match.rule.id} {match.message} {list(match.path)}" for match in found]


JOB, PIPELINE, GATE, SCHEDULER = (f"{name}Role" for name in ("Job", "Pipeline", "Workflow", "Scheduler"))
PENDING = {"sagemaker_ModelApprovalStatus": "PendingManualApproval"}
TO_SAGEMAKER = {"iam_PassedToService": "sagemaker.amazonaws.com"}


def test_jobs_and_pipeline_cannot_approve_a_model(prod: Template) -> None:
    assert may(prod, PIPELINE, "sagemaker:CreateModelPackage", PACKAGE, **PENDING)
    for role in (JOB, PIPELINE, GATE, SCHEDULER):
        for action in ("sagemaker:UpdateModelPackage", "sagemaker:DeleteModelPackage"):
            assert not may(prod, role, action, PACKAGE)
    assert not may(prod, JOB, "sagemaker:CreateModelPackage", PACKAGE, **PENDING)


def test_jobs_write_only_what_is_theirs(prod: Template) -> None:
    artifacts, data = (arn(prod, "AWS::S3::Bucket", marked) for marked in ("Artifacts", "StorageData"))
    evaluated = ("evaluated/last_evaluated.json", "evaluated/report.html")
    for key in ("runs/x/model.tar.gz", *evaluated, "predictions/predictions.csv"):
        assert may(prod, JOB, "s3:PutObject", f"{artifacts}/{key}")
    for read in ("evaluated/registered.json", "champion/champion.json"):
        assert may(prod, JOB, "s3:GetObject", f"{artifacts}/{read}")
        assert not may(prod, JOB, "s3:PutObject", f"{artifacts}/{read}")
    assert may(prod, JOB, "s3:GetObject", f"{data}/games/games.csv")
    assert not may(prod, JOB, "s3:PutObject", f"{data}/games/games.csv")
    assert not may(prod, JOB, "s3:DeleteObject", f"{artifacts}/runs/x/model.tar.gz")
    assert not may(prod, PIPELINE, "s3:PutObject", f"{artifacts}/runs/x/model.tar.gz")


def test_pipeline_hands_out_no_role_but_its_jobs(prod: Template) -> None:
    job = arn(prod, "AWS::IAM::Role", JOB)
    assert may(prod, PIPELINE, "iam:PassRole", job, **TO_SAGEMAKER)
    assert not may(prod, PIPELINE, "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", **TO_SAGEMAKER)
    for role in (JOB, GATE, SCHEDULER):
        assert not may(prod, role, "iam:PassRole", job, **TO_SAGEMAKER)


def test_buckets_are_closed_encrypted_versioned_and_tidy(prod: Template) -> None:
    buckets = resources(prod, "AWS::S3::Bucket")
    assert len(buckets) == 3
    for name, bucket in buckets.items():
        assert all(bucket["PublicAccessBlockConfiguration"].values()), name
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        kind = "AES256" if "AccessLogs" in name else "aws:kms"
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == kind
        assert ("LoggingConfiguration" in bucket) == ("AccessLogs" not in name)
    _, artifacts = only(prod, "AWS::S3::Bucket", "Artifacts")
    expiring = {
        r["Prefix"]: r["ExpirationInDays"] for r in artifacts["LifecycleConfiguration"]["Rules"] if "Prefix" in r
    }
    assert expiring == {"runs/": 365}


@pytest.mark.parametrize("kind", ["AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"])
def test_only_tls_is_let_in(prod: Template, kind: str) -> None:
    policies = resources(prod, kind)
    assert policies
    for name, policy in policies.items():
        denied = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert any(s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for s in denied), name


def test_a_topic_is_displayed_in_documented_characters(prod: Template) -> None:
    """AWS::SNS::Topic: at most 100, "including hyphens, underscores, spaces, and tabs"; the schema has no rule."""
    for topic in resources(prod, "AWS::SNS::Topic").values():
        longest = topic["DisplayName"].replace("retraining", "x" * LONGEST_NAME)
        assert re.fullmatch(r"[A-Za-z0-9_ -]{1,100}", longest), longest


def test_keys_rotate_and_the_messages_key_lets_the_senders_in(prod: Template) -> None:
    for key in resources(prod, "AWS::KMS::Key").values():
        assert key["EnableKeyRotation"] is True
    _, messages = only(prod, "AWS::KMS::Key", "Messages")
    allowed = {
        service: set(as_list(s["Action"]))
        for s in messages["KeyPolicy"]["Statement"]
        for service in as_list(s["Principal"].get("Service", []))
    }
    for service in ("events.amazonaws.com", "cloudwatch.amazonaws.com"):
        assert allowed[service] == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert "sns.amazonaws.com" not in allowed, "its subscribers are people, and no queue has this key and a topic"
    for topic in resources(prod, "AWS::SNS::Topic").values():
        assert "Messages" in json.dumps(topic["KmsMasterKeyId"])


def test_a_permissions_boundary_binds_every_role(synthesise: Any) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    template = synthesise(env="dev", permissions_boundary=boundary, tags="team=data,cost=42", **GUARDED)
    roles = resources(template, "AWS::IAM::Role")
    assert {json.dumps(role.get("PermissionsBoundary")) for role in roles.values()} == {json.dumps(boundary)}


def test_tags_go_to_the_stack_and_so_to_every_resource(root: Path, tmp_path: Path) -> None:
    from app import build

    build(cdk_context(root, env="dev", tags="team=data,cost=42"), str(tmp_path)).synth()
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    tags = manifest["artifacts"]["retraining-dev"]["properties"]["tags"]
    assert tags == {"environment": "dev", "team": "data", "cost": "42", "pipeline": "retraining-dev"}


def test_what_is_retained_and_what_goes(prod: Template, dev: Template) -> None:
    """What a failed creation leaves would be in the way of the next one: so nothing is kept of that."""
    for template, kept, replaced in ((prod, "RetainExceptOnCreate", "Retain"), (dev, "Delete", "Delete")):
        policies = {
            (r["Type"], r.get("DeletionPolicy", "Delete"), r.get("UpdateReplacePolicy", "Delete"))
            for r in template["Resources"].values()
            if r["Type"] != "AWS::S3::BucketPolicy"
        }
        kinds = {kind for kind, *policy in policies if policy == [kept, replaced]}
        assert kinds >= {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::SageMaker::ModelPackageGroup"}
        assert not [kind for kind, policy, _ in policies if policy == "Retain"]


def test_the_first_objects_are_written_when_all_else_is_made(
    checked: tuple[Template, list[Any]], dev: Template
) -> None:
    """But the endpoint, which reads them: a bucket that holds something cannot be deleted when a creation is undone."""
    for template in (checked[0], dev):
        seeds, _ = only(template, "Custom::Champion")
        needed, new = set[str](), {seeds}
        while new:
            needed |= new
            new = {other for one in new for other in template["Resources"][one].get("DependsOn", ())} - needed
        later = {logical_id for logical_id in template["Resources"] if not _within(logical_id, needed, template)}
        assert all(logical_id.startswith("Serving") for logical_id in later), later


def _within(logical_id: str, needed: set[str], template: Template) -> bool:
    """Whether it is needed, or is part of what makes the seeds themselves, which is made before them."""
    return logical_id in needed or logical_id.startswith("Approval")


def test_a_bucket_has_its_policy_as_long_as_it_is_there(prod: Template, dev: Template) -> None:
    """A retained one would take plain HTTP without it; one that goes, late access logs after it was emptied."""
    for template, kept in ((prod, "RetainExceptOnCreate"), (dev, "Delete")):
        for kind, policy in (("AWS::S3::Bucket", kept), ("AWS::S3::BucketPolicy", "Retain")):
            found = [r["DeletionPolicy"] for r in template["Resources"].values() if r["Type"] == kind]
            assert found == [policy] * 3
