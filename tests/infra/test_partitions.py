"""The same template deploys into every partition and region that has its resource types, and into two of an account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.helpers import REGIONS
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from iam_emulation.permissions import without_hash
from resolved_template import ACCOUNT, Resolver, Template
from synthesis import Synthesise

from infra.lambda_shared.console import console

PARTITIONS = {
    "aws": ("us-east-1", "amazonaws.com", "console.aws.amazon.com"),
    "aws-cn": ("cn-north-1", "amazonaws.com.cn", "console.amazonaws.cn"),
    "aws-us-gov": ("us-gov-west-1", "amazonaws.com", "console.amazonaws-us-gov.com"),
}
# Where a service is named as one that acts: its name is the same everywhere (aws-cdk-lib/region-info, standard names).
ACTING = ("Service", "iam:PassedToService", "Principal")


class Elsewhere(Resolver):
    """Resolves a template as CloudFormation does in some partition."""

    def __init__(self, template: Template, partition: str) -> None:
        region, suffix, _ = PARTITIONS[partition]
        stack = f"arn:{partition}:cloudformation:{region}:{ACCOUNT}:stack/s/0"
        pseudo = {"AWS::Region": region, "AWS::Partition": partition, "AWS::URLSuffix": suffix, "AWS::StackId": stack}
        super().__init__(template, pseudo)
        self._partition = partition

    def _ref(self, name: str) -> str:
        return super()._ref(name).replace("arn:aws:", f"arn:{self._partition}:")

    def _attribute(self, name: str, attribute: str) -> str:
        return super()._attribute(name, attribute).replace("arn:aws:", f"arn:{self._partition}:")


@pytest.fixture(scope="module")
def template(synthesise: Synthesise) -> Template:
    """With all options on, and the image built."""
    vpc = {"subnet_ids": "subnet-12345678", "security_group_ids": "sg-12345678"}
    options = {"data_arrival": "true", "monthly_budget_usd": "25", "removal_policy": "destroy", "serving": "instance"}
    return synthesise(env="prod", image_uri=None, **options, **vpc)


def texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text of a template, with the key that it is under."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from texts(value, name)
    elif isinstance(node, list):
        for item in node:
            yield from texts(item, key)
    else:
        yield key, str(node)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_arns_and_addresses_are_the_partitions_own(template: Template, partition: str) -> None:
    _, suffix, console_domain = PARTITIONS[partition]
    resources = {name: resource["Properties"] for name, resource in template["Resources"].items()}
    found = list(texts(Elsewhere(template, partition)(resources)))
    others = [f"arn:{other}:" for other in PARTITIONS if other != partition]
    assert [text for _, text in found if any(other in text for other in others)] == []
    assert any(f"arn:{partition}:states:::" in text for _, text in found)
    addresses = [text for key, text in found if "amazonaws" in text and key not in ACTING]
    assert any(f".dkr.ecr.{PARTITIONS[partition][0]}.{suffix}/" in text for text in addresses)
    if suffix != "amazonaws.com":
        assert [text for text in addresses if "amazonaws.com" in text.replace(suffix, "")] == []
    assert f"{console_domain}/cloudwatch" in console(PARTITIONS[partition][0], partition, "cloudwatch")  # of emails


def test_no_part_of_the_template_names_a_partition(template: Template) -> None:
    written = [text for _, text in texts({k: v for k, v in template.items() if k != "Mappings"})]
    assert [text for text in written if "arn:aws" in text] == []


# Types whose fixed names need not differ from one region of an account to the next. Others must: "All dashboards in
# your account are global" (API_PutDashboard), roles and budgets are the account's, and so are configurations of chats.
NAMED_IN_A_REGION = {
    *("AWS::CloudWatch::Alarm", "AWS::SageMaker::Pipeline", "AWS::SageMaker::ModelPackageGroup"),
    *("AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup"),
}


def fixed_names(template: Template, partition: str) -> set[tuple[str, str]]:
    """Type and name of each resource that is named by the deployment, and not by CloudFormation."""
    resolve = Elsewhere(template, partition)
    return {
        (resource["Type"], value)
        for resource in template["Resources"].values()
        for properties in [resolve(resource.get("Properties", {}))]
        for key, value in (properties | properties.get("Budget", {})).items()
        if key.endswith("Name") and key != "DisplayName" and value.startswith(("retraining-", "nba-home-win-"))
    }


def test_two_regions_of_an_account_do_not_share_a_name(everything: Template) -> None:
    one, other = (fixed_names(everything, partition) for partition in ("aws", "aws-us-gov"))
    assert {kind for kind, _ in one & other} == NAMED_IN_A_REGION
    assert {kind for kind, _ in one - other} >= {"AWS::CloudWatch::Dashboard", "AWS::Budgets::Budget", "AWS::IAM::Role"}


def test_what_would_be_replaced_though_its_name_is_fixed_or_it_is_attached_never_changes(
    prod: Template, everything: Template
) -> None:
    """An update of such a text fails with "already exists", or detaches a policy from people: they must stay."""
    found: dict[str, Any] = {}
    for template in (prod, everything):
        for logical_id, resource in template["Resources"].items():
            kind, properties = resource["Type"], resource.get("Properties", {})
            if kind not in (*NAMED_IN_A_REGION, "AWS::IAM::ManagedPolicy"):
                continue
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
            for path in schema["createOnlyProperties"]:
                name = path.removeprefix("/properties/")
                if not name.endswith("Name") and name in properties:
                    key = f"{without_hash(logical_id)} {name}"
                    assert found.setdefault(key, properties[name]) == properties[name]
    assert found == {
        "TrainingGroup ModelPackageGroupDescription": "Candidates of retraining-prod; the approved one is the champion",
        "PeopleApprover Description": "retraining-prod: read versions and reports, approve and reject",
        "PeopleApprover Path": "/",
        "PeopleOperator Description": "retraining-prod: start, stop, retry and read runs",
        "PeopleOperator Path": "/",
    }


def test_the_regions_that_lack_a_resource_type_are_in_the_documentation(everything: Template, root: Path) -> None:
    """CloudFormation refuses a template with a type that the region lacks; cfn-lint has each region's list."""
    page = (root / "docs" / "deploy.md").read_text(encoding="utf-8")
    rows = {}
    for kind in sorted({resource["Type"] for resource in everything["Resources"].values()}):
        without = [region for region in REGIONS if kind not in PROVIDER_SCHEMA_MANAGER.get_resource_types(region)]
        if without and not kind.startswith("Custom::"):
            rows[kind] = ", ".join(f"`{region}`" for region in sorted(without))
    assert [f"{kind}: {regions}" for kind, regions in rows.items() if f"| {regions} |" not in page] == []
    assert "AWS::SageMaker::ModelPackageGroup" in rows
