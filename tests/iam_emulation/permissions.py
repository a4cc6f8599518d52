"""The permissions of a template, one action on one resource each, and which of them recorded questions of IAM need.

A permission is needed by a question that it alone allows: without it, that question would be denied.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iam_emulation.conditions import as_list
from iam_emulation.policies import Principal, Request, concerns

sys.path.append(str(Path(__file__).parents[1] / "infra"))  # where pytest finds it only with the tests of the stack
from resolved_template import Resolver

Template = dict[str, Any]
# What differs between deployments (and from one checkout to the next), and its name in the page.
_DIFFERENT = (
    (r"\b([A-Z][A-Za-z]*?)[0-9A-F]{8}\b", r"\1"),
    (r"\bretraining-(dev|prod)\b", "<pipeline>"),
    (r"\bnba-home-win-(dev|prod)\b", "<group>"),
    (r"\b[0-9a-f]{64}\b", "<digest>"),
    (r"\b[0-9]{12}\b", "<account>"),
    (r"\b(us-east-1|eu-west-1)\b", "<region>"),
)
# Types of policies, and where each names what it belongs to.
_ATTACHED = {
    "AWS::IAM::Policy": "Roles",
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SNS::TopicPolicy": "Topics",
    "AWS::SQS::QueuePolicy": "Queues",
}


@dataclass(frozen=True)
class Permission:
    """`holder` is the logical id of the role, managed policy, bucket, topic, queue, key or function that has it."""

    holder: str
    action: str
    resource: str
    condition: str = "{}"
    service: str = ""  # whom the policy of a resource lets in

    @property
    def key(self) -> str:
        """As evidence.json names it: no hash of a logical id, which a rename changes."""
        text = f"{without_hash(self.holder)}: {self.action} on {self.resource}"
        return text + (f" for {self.service}" if self.service else "")


@dataclass(frozen=True)
class Granted:
    """A permission, and the statement of its action and resource with a deployment's own names."""

    permission: Permission
    statement: Mapping[str, Any]


def without_hash(text: str) -> str:
    """`TrainingJobRole57E3DDCA` -> `TrainingJobRole`, and what differs between deployments as `<what it is>`."""
    for pattern, name in _DIFFERENT:
        text = re.sub(pattern, name, text)
    return text


def granted(template: Template, names: Mapping[str, str] | None = None) -> list[Granted]:
    """Every permission; `names` are the deployment's: `Ref` and `LogicalId.Attribute` to value."""
    deployed, shown = Resolver(template, dict(names or {})), Resolver(template, readable(template))
    found = []
    for holder, statement in attached(template):
        if statement["Effect"] != "Allow" or statement["Action"] == "sts:AssumeRole":
            continue
        services = as_list(statement.get("Principal", {}).get("Service", [])) or [""]
        named = str(shown(statement.get("Principal", {}).get("AWS", "")))
        account = named and ("the account" if "<account>" in named else "promoters of trusted accounts")
        condition = json.dumps(shown(statement.get("Condition", {})), sort_keys=True)
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                for service in services:
                    who = str(shown(service)) or account
                    permission = Permission(holder, action, without_hash(str(shown(resource))), condition, who)
                    only = {**statement, "Action": action, "Resource": resource}
                    only |= {"Principal": {"Service": service}} if service else {}
                    found.append(Granted(permission, deployed(only)))
    return found


def attached(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of a policy but those of trust, with the logical id of what has it."""
    for name, resource in template["Resources"].items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind in _ATTACHED:
            for holder in as_list(properties[_ATTACHED[kind]]):
                for statement in properties["PolicyDocument"]["Statement"]:
                    yield holder["Ref"], statement
        elif kind == "AWS::IAM::ManagedPolicy":
            for statement in properties["PolicyDocument"]["Statement"]:
                yield name, statement
        elif kind == "AWS::KMS::Key":
            for statement in properties["KeyPolicy"]["Statement"]:
                yield name, {**statement, "Resource": {"Fn::GetAtt": [name, "Arn"]}}
        elif "ModelPackageGroupPolicy" in properties:
            for statement in properties["ModelPackageGroupPolicy"]["Statement"]:
                yield name, statement
        elif kind == "AWS::Lambda::Permission":
            yield (
                properties["FunctionName"]["Fn::GetAtt"][0],
                {
                    "Effect": "Allow",
                    "Action": properties["Action"],
                    "Resource": properties["FunctionName"],
                    "Principal": {"Service": properties["Principal"]},
                    "Condition": {"ArnLike": {"aws:SourceArn": properties["SourceArn"]}},
                },
            )


def readable(template: Template) -> dict[str, str]:
    """Names for people: `<StorageArtifacts>` for a bucket, `<region>`, `<account>`."""
    names = {
        "AWS::Region": "<region>",
        "AWS::AccountId": "<account>",
        "AWS::Partition": "aws",
        "AWS::StackId": "<stack>",
    }
    for mapping in template.get("Mappings", {}).values():  # Spark's image is in an account of the region
        mapping.setdefault("<region>", {key: f"<{key.lower()} of the region>" for key in next(iter(mapping.values()))})
    for name, resource in template["Resources"].items():
        shown = f"<{name}>"
        names[name] = shown
        for attribute in ("Arn", "Name", "ModelPackageGroupArn", "QueueName", "TopicName"):
            names[f"{name}.{attribute}"] = f"arn:aws:s3:::{shown}" if resource["Type"] == "AWS::S3::Bucket" else shown
    return names


def names_of(
    template: Template, physical: Mapping[str, str], account: str, region: str, stack: str = ""
) -> dict[str, str]:
    """What `Ref` and `Fn::GetAtt` are in a deployment, by its physical ids."""
    names = {"AWS::AccountId": account, "AWS::Region": region, "AWS::StackId": stack}
    arns = {
        "AWS::IAM::Role": f"arn:aws:iam::{account}:role/{{}}",
        "AWS::S3::Bucket": "arn:aws:s3:::{}",
        "AWS::KMS::Key": f"arn:aws:kms:{region}:{account}:key/{{}}",
        "AWS::Logs::LogGroup": f"arn:aws:logs:{region}:{account}:log-group:{{}}:*",
        "AWS::SQS::Queue": f"arn:aws:sqs:{region}:{account}:{{}}",
        "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{region}:{account}:alarm:{{}}",
        "AWS::Lambda::Function": f"arn:aws:lambda:{region}:{account}:function:{{}}",
        "AWS::Events::Rule": f"arn:aws:events:{region}:{account}:rule/{{}}",
    }
    for logical, value in physical.items():
        kind, last = template["Resources"][logical]["Type"], re.split("[:/]", value)[-1]
        names[logical] = value
        arn = arns[kind].format(last) if kind in arns else value
        names |= {f"{logical}.Arn": arn, f"{logical}.ModelPackageGroupArn": value, f"{logical}.Name": last}
        if kind == "AWS::Logs::LogGroup":
            names[f"{logical}.Arn"] = arns[kind].format(value)
    return names


def needed(
    permissions: Iterable[Granted], holders: Mapping[str, str], questions: Iterable[Mapping[str, Any]]
) -> dict[Permission, set[str]]:
    """Which permissions recorded questions need, and by which operations; `holders` names who has an ARN."""
    by_holder: dict[str, list[Granted]] = {}
    for one in permissions:
        by_holder.setdefault(one.permission.holder, []).append(one)
    found: dict[Permission, set[str]] = {}
    for question in questions:
        if not question["allowed"]:
            continue
        request = Request(question["action"], question["resource"], question["context"])
        who = Principal(question["who"]) if question["who"].startswith("arn:") else Principal(service=question["who"])
        key = holders.get(request.resource.partition("/")[0] if ":s3:" in request.resource else request.resource, "")
        for holder in (holders.get(question["who"], ""), key):
            allowing = [one for one in by_holder.get(holder, ()) if concerns(one.statement, request, who)]
            if len(allowing) == 1:
                found.setdefault(allowing[0].permission, set()).add(question["operation"])
    return found
