"""An account as a template would make it, for tests whose buckets and topics are moto's and were not deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_emulation.account import MotoAccount, TemplateAccount
from iam_emulation.actions import ACCOUNT
from iam_emulation.permissions import attached
from iam_emulation.policies import Document, Principal
from resolved_template import Resolver, Template, resources


def account_of(template: Template, region: str, names: Mapping[str, str], account: str = ACCOUNT) -> TemplateAccount:
    """`names` says what the test's world calls a resource: a part of its logical id -> its ARN or name."""
    values = {"AWS::AccountId": account, "AWS::Region": region}
    for marked, value in names.items():
        (logical_id,) = [name for name in template["Resources"] if _is(name, marked)]
        values |= {logical_id: value, f"{logical_id}.Arn": value, f"{logical_id}.ModelPackageGroupArn": value}
    resolve = Resolver(template, values)
    policies: dict[str, list[Any]] = {}
    for holder, statement in attached(template):
        kind = template["Resources"][holder]["Type"]
        name: Any = {"Ref": holder} if kind == "AWS::SNS::Topic" else {"Fn::GetAtt": [holder, "Arn"]}
        policies.setdefault(str(resolve(name)), []).append(resolve(statement))
    documents = {name: {"Statement": statements} for name, statements in policies.items()}
    return TemplateAccount(
        _roles(template, resolve, documents), documents, _keys(template, resolve), MotoAccount().lacks
    )


def _is(logical_id: str, marked: str) -> bool:
    """`StorageArtifacts` is `StorageArtifacts08431D1F`, and no policy of it."""
    return logical_id.startswith(marked) and len(logical_id) == len(marked) + 8


def _roles(
    template: Template, resolve: Resolver, documents: Mapping[str, Document]
) -> dict[str, tuple[Principal, Document]]:
    found = {}
    for name, role in resources(template, "AWS::IAM::Role").items():
        own = str(resolve({"Fn::GetAtt": [name, "Arn"]}))
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        found[name] = (
            Principal(arn, [documents[own]] if own in documents else []),
            resolve(role["AssumeRolePolicyDocument"]),
        )
    return found


def _keys(template: Template, resolve: Resolver) -> dict[str, str]:
    found = {}
    for name, bucket in resources(template, "AWS::S3::Bucket").items():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        if key := rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID"):
            found[str(resolve({"Fn::GetAtt": [name, "Arn"]}))] = str(resolve(key))
    for name, topic in resources(template, "AWS::SNS::Topic").items():
        found[str(resolve({"Ref": name}))] = str(resolve(topic["KmsMasterKeyId"]))
    for name, queue in resources(template, "AWS::SQS::Queue").items():
        found[str(resolve({"Fn::GetAtt": [name, "Arn"]}))] = str(resolve(queue["KmsMasterKeyId"]))
    return found
