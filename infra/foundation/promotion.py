"""Promotion of versions between accounts: who may read versions here, and the role that copies versions from there.

In the account of the model (`trusted_accounts`) the policies of bucket, key and group let the promoter of another
account read approved versions' files, and nothing else. In the account that it goes to (`promotes_from`) the promoter
is a role: it reads there, writes below one prefix here, and registers versions that wait for approval. Both sides must
allow (docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html).
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.foundation.permissions import allow, sagemaker_arn
from infra.foundation.storage import RUNS_PREFIX, Storage
from infra.settings.settings import Settings
from infra.training.construct import Training
from pipeline.contract.names import PROMOTED_PREFIX, promoter_name

# Of all that a run keeps: the artifact, and the evaluation with its report.
_OF_A_VERSION: Final = (f"{RUNS_PREFIX}*/train/*/output/model.tar.gz", f"{RUNS_PREFIX}*/evaluate/evaluation/*")
_NUMBERED_LATER: Final = "The registry numbers a version when it is registered."
_KEYS_LATER: Final = "Keys contain the id of a run, or the account and number of a version."
_NAMED_THERE: Final = "The other account names its bucket and key; their policies name what may be read."


def trust_promoters(
    stack: cdk.Stack, *, settings: Settings, storage: Storage, training: Training, key: kms.Key
) -> None:
    """Let the promoters of `trusted_accounts` read versions: the group's, the bucket's and the key's part of it."""
    name = promoter_name(f"{settings.spec.deployment}-*", "*")
    principals = [iam.AccountPrincipal(account) for account in settings.trusted_accounts]
    roles = [
        stack.format_arn(service="iam", region="", account=account, resource="role", resource_name=name)
        for account in settings.trusted_accounts
    ]
    promoter = {"ArnLike": {"aws:PrincipalArn": roles}}
    storage.artifacts.add_to_resource_policy(
        iam.PolicyStatement(
            principals=principals,
            actions=["s3:GetObject"],
            resources=[storage.artifacts.arn_for_objects(files) for files in _OF_A_VERSION],
            conditions=promoter,
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            principals=principals,
            actions=["kms:Decrypt"],
            resources=["*"],  # in a key policy: this key
            conditions={**promoter, "StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}},
        )
    )
    versions = iam.PolicyStatement(
        principals=principals,
        actions=["sagemaker:DescribeModelPackage"],
        resources=[sagemaker_arn(stack, "model-package", f"{settings.group_name}/*")],
        conditions=promoter,
    )
    training.group.model_package_group_policy = iam.PolicyDocument(statements=[versions])


class Promoter(Construct):
    """`role`, which anyone of the account whom IAM lets may take on, by its name of pipeline and region."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        storage: Storage,
        training: Training,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        self.role = iam.Role(
            self,
            "Role",
            role_name=promoter_name(settings.pipeline_name, stack.region),
            assumed_by=iam.AccountRootPrincipal(),  # the account's own IAM policies say who
            description=f"{settings.pipeline_name}: copies approved versions of other accounts, to be approved here",
        )
        self._allow_reading_there(settings, stack)
        self._allow_registration_here(settings, storage, training, key)

    def _allow_reading_there(self, settings: Settings, stack: cdk.Stack) -> None:
        accounts = list(settings.promotes_from)
        theirs = {"aws:ResourceAccount": accounts}
        groups = [
            stack.format_arn(
                service="sagemaker",
                region="*",
                account=account,
                resource="model-package",
                resource_name=f"{settings.spec.group}-*/*",
            )
            for account in accounts
        ]
        allow(self.role, ["sagemaker:DescribeModelPackage"], groups, why=_NUMBERED_LATER)
        files = [f"arn:{stack.partition}:s3:::*/{files}" for files in _OF_A_VERSION]
        allow(self.role, ["s3:GetObject"], files, why=_NAMED_THERE, conditions={"StringEquals": theirs})
        keys = [
            stack.format_arn(service="kms", region="*", account=account, resource="key", resource_name="*")
            for account in accounts
        ]
        through_s3 = {"StringLike": {"kms:ViaService": f"s3.*.{stack.url_suffix}"}}
        allow(self.role, ["kms:Decrypt"], keys, why=_NAMED_THERE, conditions=through_s3)

    def _allow_registration_here(self, settings: Settings, storage: Storage, training: Training, key: kms.IKey) -> None:
        allow(self.role, ["sagemaker:DescribePipeline"], [training.pipeline_arn])
        packages = sagemaker_arn(self, "model-package", f"{settings.group_name}/*")
        read = ["sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"]
        allow(self.role, read, [packages], why=_NUMBERED_LATER)
        pending = {"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}
        group = training.group.attr_model_package_group_arn
        allow(self.role, ["sagemaker:CreateModelPackage"], [group, packages], why=_NUMBERED_LATER, conditions=pending)
        # The registry looks up the image in the caller's name (AmazonSageMakerModelRegistryFullAccess has both).
        allow(self.role, ["ecr:BatchGetImage", "ecr:DescribeImages"], [training.image.repository_arn])
        promoted = storage.artifacts.arn_for_objects(f"{PROMOTED_PREFIX}*")
        allow(self.role, ["s3:GetObject", "s3:PutObject"], [promoted], why=_KEYS_LATER)
        stack = cdk.Stack.of(self)
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}}
        allow(self.role, ["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn], conditions=through_s3)
