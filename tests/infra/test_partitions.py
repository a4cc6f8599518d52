"""The same template deploys into every partition of AWS: each ARN and each address is the partition's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
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
