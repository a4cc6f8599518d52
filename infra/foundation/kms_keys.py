"""The two customer managed keys: one for data and jobs, one for topics and queues, which AWS services must use.

And the removal policy that they share with data, logs and models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.foundation.permissions import arn
from infra.settings.settings import Settings

# What the account's administrators may do through IAM: everything but wildcards.
_ADMINISTRATION: Final = (
    *("CancelKeyDeletion", "CreateGrant", "DescribeKey", "DisableKey", "DisableKeyRotation", "EnableKey"),
    *("EnableKeyRotation", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListKeyPolicies", "ListResourceTags"),
    *("PutKeyPolicy", "RevokeGrant", "ScheduleKeyDeletion", "TagResource", "UntagResource", "UpdateKeyDescription"),
    *("CreateAlias", "DeleteAlias", "UpdateAlias"),
)
_USE: Final = (
    *("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"),
    *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
)
ENCRYPT_MESSAGES: Final = ("kms:Decrypt", "kms:GenerateDataKey")


def removal(settings: Settings) -> cdk.RemovalPolicy:
    """Retain or destroy, by the setting; resources of a failed first deployment are deleted in both cases.

    Otherwise a first deployment that fails would leave buckets and keys behind, and the model package group, whose name
    is fixed, would refuse the second attempt.
    """
    return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain else cdk.RemovalPolicy.DESTROY


class KmsKeys(Construct):
    """`data` encrypts buckets, job volumes and logs; `messages` encrypts topics and queues.

    Two, because CloudWatch alarms and EventBridge dead letters must be able to use the key of topics and queues
    (without that, no email is sent, and no error shown), and neither needs access to the data.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        logs = _statement(
            [iam.ServicePrincipal(f"logs.{stack.region}.{stack.url_suffix}")],
            _USE,
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": arn("logs", "log-group:*")}},
        )
        # No condition on the source account: EventBridge does not name one when it uses a key.
        senders = [iam.ServicePrincipal(f"{service}.amazonaws.com") for service in ("events", "cloudwatch")]
        messages = _statement(senders, ENCRYPT_MESSAGES)
        this_account = {"StringEquals": {"aws:SourceAccount": stack.account}}
        budgets = _statement([iam.ServicePrincipal("budgets.amazonaws.com")], ENCRYPT_MESSAGES, this_account)
        statements = [messages, *([budgets] if settings.monthly_budget_usd else [])]
        self.data = self._key("Data", "data, models and job volumes", settings, [logs])
        self.messages = self._key("Messages", "alert topics and dead letters", settings, statements)

    def _key(self, name: str, what: str, settings: Settings, statements: Sequence[iam.PolicyStatement]) -> kms.Key:
        actions = [*(f"kms:{action}" for action in _ADMINISTRATION), *_USE]
        administration = _statement([iam.AccountRootPrincipal()], actions)
        return kms.Key(
            self,
            name,
            description=f"{settings.pipeline_name}: {what}",
            enable_key_rotation=True,
            policy=iam.PolicyDocument(statements=[administration, *statements]),
            removal_policy=removal(settings),
        )


def _statement(
    principals: Sequence[iam.IPrincipal], actions: Sequence[str], conditions: Mapping[str, Any] | None = None
) -> iam.PolicyStatement:
    """In a key policy the resource * is this key."""
    return iam.PolicyStatement(
        principals=list(principals), actions=list(actions), resources=["*"], conditions=conditions
    )
