"""Whose keys are whose, and which policies bind: in moto's state (what was deployed), or in a synthesised template.

Keys of the form `ROLE@SERVICE` are those of a role that a service has taken on: `nba-JobRole-1@sagemaker`. Whether it
may is asked of the role's trust policy at each call, as AWS asks when the service takes it on.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from iam_emulation.actions import ACCOUNT
from iam_emulation.policies import Decision, Document, Principal, Request, decide
from moto.awslambda.models import lambda_backends
from moto.iam.models import ManagedPolicy, Role, iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.sts.models import sts_backends

# Services of which AWS documents that they name the account for which they take on a role:
# infra/foundation/permissions.py.
_NAMES_THE_ACCOUNT = ("events", "sagemaker", "scheduler", "states")
ADMINISTRATOR = Principal(
    f"arn:aws:iam::{ACCOUNT}:root", [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}]
)


class UnknownKeyError(Exception):
    """Keys that belong to nobody in the account."""


def keys_of(role: str, service: str) -> dict[str, str]:
    """For boto3: the keys of a role, by its ARN or name, that a service has taken on."""
    return {"aws_access_key_id": f"{role.rpartition('/')[2]}@{service}", "aws_secret_access_key": "any"}


class Account(Protocol):
    """What the enforcement asks."""

    def role(self, name: str) -> tuple[Principal, Document]:
        """A role, and its trust policy; raises UnknownKeyError."""
        ...

    def user(self, access_key: str) -> Principal:
        """A person by her keys; raises UnknownKeyError."""
        ...

    def policy_of(self, arn: str) -> Document | None:
        """The policy of a bucket, topic, queue or key."""
        ...

    def key_of(self, arn: str) -> str | None:
        """The key that encrypts a bucket, a topic or a queue."""
        ...

    def owner_of(self, arn: str) -> str:
        """The account of a resource; empty where it is the caller's own."""
        ...

    def lacks(self, bucket: str, key: str) -> bool:
        """Whether there is no such object in a bucket that there is."""
        ...


def principal_of(account: Account, access_key: str) -> tuple[Principal, Decision]:
    """Who has these keys, and whether the service may have taken on the role."""
    name, _, service = access_key.partition("@")
    if not service:
        return account.user(access_key), Decision()
    role, trust = account.role(name)
    return role, taken_on(role.arn, trust, service)


def taken_on(role: str, trust: Document, service: str, account: str = ACCOUNT) -> Decision:
    """Whether the role's trust policy lets a service take it on for a resource of an account."""
    named = {"aws:sourceaccount": account} if service in _NAMES_THE_ACCOUNT else {}
    return decide(Principal(service=f"{service}.amazonaws.com"), Request("sts:AssumeRole", role, named), trust)


# --- what was deployed into moto --------------------------------------------------------------------------------------
_put_at: dict[tuple[str, str], float] = {}  # role, policy -> when it was put


@dataclass(frozen=True)
class MotoAccount:
    """moto's own state; `folder/propagation_seconds`, if there, is how long a role's new policy has no effect yet."""

    folder: Path | None = None
    sessions: bool = False  # whether sessions of STS, such as those of the CDK's bootstrap roles, may do everything

    def role(self, name: str) -> tuple[Principal, Document]:
        """With inline and managed policies, and the boundary."""
        backend = iam_backends[ACCOUNT]["aws"]
        found = next((role for role in backend.roles.values() if role.name == name), None)
        if found is None:
            raise UnknownKeyError(name)
        wait, now = self._propagation(), time.monotonic()
        inline = [
            json.loads(text)
            for policy, text in found.policies.items()
            if now - _put_at.get((name, policy), -wait) >= wait
        ]
        boundary = found.permissions_boundary_arn
        return (
            Principal(
                found.arn,
                [*inline, *map(_document, found.managed_policies.values())],
                _document(backend.managed_policies[boundary]) if boundary else None,
            ),
            json.loads(found.assume_role_policy_document),
        )

    def _propagation(self) -> float:
        file = self.folder / "propagation_seconds" if self.folder else None
        return float(file.read_text(encoding="utf-8")) if file and file.exists() else 0.0

    def user(self, access_key: str) -> Principal:
        """With inline and managed policies, of the user and of groups."""
        backend = iam_backends[ACCOUNT]["aws"]
        for user in backend.users.values():
            if any(key.access_key_id == access_key for key in user.access_keys):
                inline = [json.loads(text) for text in user.policies.values()]
                return Principal(user.arn, [*inline, *map(_document, user.managed_policies.values())])
        taken = sts_backends[ACCOUNT]["aws"].assumed_roles if self.sessions else []
        if any(session.access_key_id == access_key for session in taken):
            return ADMINISTRATOR
        raise UnknownKeyError(access_key)

    def policy_of(self, arn: str) -> Document | None:
        """As the service keeps it."""
        _, _, service, region, _, resource = arn.split(":", 5)
        if service == "s3":
            bucket = s3_backends[ACCOUNT]["aws"].buckets.get(resource.partition("/")[0])
            return json.loads(bucket.policy) if bucket and bucket.policy else None
        if service == "kms":
            return json.loads(kms_backends[ACCOUNT][region].keys[resource.partition("/")[2]].policy)
        if service == "sns":
            topic = sns_backends[ACCOUNT][region].topics.get(arn)
            return json.loads(topic.policy) if topic else None
        if service == "lambda":
            function = lambda_backends[ACCOUNT][region].get_function(arn)
            return {"Statement": function.policy.statements}
        if service == "sqs":
            queue = sqs_backends[ACCOUNT][region].queues.get(resource)
            return json.loads(queue.policy) if queue and queue.policy else None
        return None

    def key_of(self, arn: str) -> str | None:
        """As the service keeps it."""
        _, _, service, region, _, resource = arn.split(":", 5)
        if service == "s3":
            bucket = s3_backends[ACCOUNT]["aws"].buckets.get(resource)
            rules = (bucket.encryption or {}).get("Rule", {}) if bucket else {}
            rule = rules[0] if isinstance(rules, list) else rules
            return rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
        if service == "sns":
            topic = sns_backends[ACCOUNT][region].topics.get(arn)
            return topic.kms_master_key_id or None if topic else None
        queue = sqs_backends[ACCOUNT][region].queues.get(resource)
        return queue.kms_master_key_id or None if queue else None

    def owner_of(self, arn: str) -> str:
        """There is one account."""
        return ""

    def lacks(self, bucket: str, key: str) -> bool:
        """As S3 has it."""
        found = s3_backends[ACCOUNT]["aws"].buckets.get(bucket)
        return found is not None and key not in found.keys


def note_when_policies_are_put() -> None:
    """Since when a role has had a policy, for `propagation_seconds`; calling it again changes nothing."""
    put = Role.put_policy
    if hasattr(put, "__wrapped__"):
        return

    @functools.wraps(put)
    def put_policy(role: Role, name: str, text: str) -> Any:
        _put_at.setdefault((role.name, name), time.monotonic())
        return put(role, name, text)

    Role.put_policy = put_policy


def _document(policy: ManagedPolicy) -> Document:
    return json.loads(next(version.document for version in policy.versions if version.is_default))


# --- a synthesised template -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TemplateAccount:
    """A template's roles and policies, resolved; resources are what `names` (logical id part -> ARN) says.

    For tests whose buckets and topics are moto's, or a dictionary, and were not deployed.
    """

    roles: Mapping[str, tuple[Principal, Document]]
    policies: Mapping[str, Document]
    keys: Mapping[str, str]
    absent: Any = field(default=lambda bucket, key: False)

    def role(self, name: str) -> tuple[Principal, Document]:
        """By a part of its logical id."""
        found = [known for logical_id, known in self.roles.items() if name in logical_id]
        if len(found) != 1:
            raise UnknownKeyError(name)
        return found[0]

    def user(self, access_key: str) -> Principal:
        """A template has no people."""
        raise UnknownKeyError(access_key)

    def policy_of(self, arn: str) -> Document | None:
        """By its ARN; an object has its bucket's."""
        return self.policies.get(arn.partition("/")[0] if arn.startswith("arn:aws:s3") else arn)

    def key_of(self, arn: str) -> str | None:
        """By its ARN."""
        return self.keys.get(arn)

    def owner_of(self, arn: str) -> str:
        """There is one account."""
        return ""

    def lacks(self, bucket: str, key: str) -> bool:
        """As the test's own world has it."""
        return bool(self.absent(bucket, key))
