"""Two accounts in moto, each with a template's policies: who is in one, and asks about resources of the other.

Keys are those of sessions that moto's STS gave for a role of the target. SageMaker answers about a version of the other
account by its ARN, which moto does not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from iam_emulation.account import TemplateAccount, UnknownKeyError
from iam_emulation.policies import Document, Principal
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from moto.sts.models import sts_backends


@dataclass(frozen=True)
class Side:
    """One account: its id, its policies, and who owns which bucket."""

    id: str
    account: TemplateAccount
    bucket: str


@dataclass(frozen=True)
class TwoAccounts:
    """`target` has the role that reads in `source`; `role` is its name."""

    source: Side
    target: Side
    role_name: str

    def role(self, name: str) -> tuple[Principal, Document]:
        """No service takes part."""
        raise UnknownKeyError(name)

    def user(self, access_key: str) -> Principal:
        """Whose session it is: the role's own ARN is what policies see (aws:PrincipalArn)."""
        for session in sts_backends[self.target.id]["aws"].assumed_roles:
            if session.access_key_id == access_key and session.role_arn.endswith(f"/{self.role_name}"):
                principal, _ = self.target.account.role("PromoterRole")
                return Principal(f"arn:aws:iam::{self.target.id}:role/{self.role_name}", principal.policies)
        raise UnknownKeyError(access_key)

    def owner_of(self, arn: str) -> str:
        """By the account in the ARN, or by the bucket."""
        _, _, service, _, account, resource = arn.split(":", 5)
        if service == "s3":
            return next(side.id for side in (self.source, self.target) if side.bucket == resource.partition("/")[0])
        return account

    def _of(self, arn: str) -> TemplateAccount:
        return (self.source if self.owner_of(arn) == self.source.id else self.target).account

    def policy_of(self, arn: str) -> Document | None:
        """A version has its group's."""
        group, _, _ = arn.replace(":model-package/", ":model-package-group/").rpartition("/")
        return self._of(arn).policy_of(group if ":model-package/" in arn else arn)

    def key_of(self, arn: str) -> str | None:
        """Of a bucket."""
        return self._of(arn).key_of(arn)

    def lacks(self, bucket: str, key: str) -> bool:
        """Nothing asked for is missing."""
        return False


@contextmanager
def versions_of_other_accounts() -> Iterator[None]:
    """DescribeModelPackage takes the ARN of any account and region."""
    original = SageMakerResponse.describe_model_package

    @functools.wraps(original)
    def described(self: SageMakerResponse) -> Any:
        _, _, _, region, account, *_ = self._get_param("ModelPackageName").split(":")
        self.current_account, self.region = account, region
        assert sagemaker_backends[account][region] is self.sagemaker_backend
        return original(self)

    SageMakerResponse.describe_model_package = described
    try:
        yield
    finally:
        SageMakerResponse.describe_model_package = original
