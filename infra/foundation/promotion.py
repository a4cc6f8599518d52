"""Promotion of versions between accounts: who may read versions here, and the role that copies versions from there.

In the account of the model (`trusted_accounts`) the policies of bucket, key and group let the promoter of another
account read approved versions' files, and nothing else. In the account that it goes to (`promotes_from`) the promoter
is a role: it reads there, writes below one prefix here, and registers versions that wait for approval. Both sides must
allow (docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html).
"""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.foundation.foundation import Foundation
from infra.foundation.permissions import NUMBERED_LATER, allow, arn, only_through
from infra.foundation.storage import RUNS_PREFIX
from infra.settings.settings import Settings
from infra.training.construct import Training
from pipeline.contract.names import PROMOTED_PREFIX, promoter_name

# Of all that a run keeps: the artifact, and the evaluation with its report.
_OF_A_VERSION: Final = (f"{RUNS_PREFIX}*/train/*/output/model.tar.gz", f"{RUNS_PREFIX}*/evaluate/evaluation/*")
_KEYS_LATER: Final = "Keys contain the id of a run, or the account and number of a version."
_NAMED_THERE: Final = "The other account names its bucket and key; their policies name what may be read."


def trust_promoters(foundation: Foundation, training: Training) -> None:
    """Let the promoters of `trusted_accounts` read versions: the group's, the bucket's and the key's part of it."""
    settings, artifacts = foundation.settings, foundation.storage.artifacts
    name = promoter_name(f"{settings.spec.deployment}-*", "*")
    principals = [iam.AccountPrincipal(account) for account in settings.trusted_accounts]
    roles = [arn("iam", f"role/{name}", region="", account=account) for account in settings.trusted_accounts]
    promoter = {"ArnLike": {"aws:PrincipalArn": roles}}

    def allowed(action: str, resources: list[str], **others: Any) -> iam.PolicyStatement:  # noqa: ANN401 - conditions
        return iam.PolicyStatement(
            principals=principals, actions=[action], resources=resources, conditions={**promoter, **others}
        )

    files = [artifacts.arn_for_objects(pattern) for pattern in _OF_A_VERSION]
    artifacts.add_to_resource_policy(allowed("s3:GetObject", files))
    foundation.key.add_to_resource_policy(
        allowed("kms:Decrypt", ["*"], **only_through("s3"))
    )  # in its policy: this key
    versions = allowed("sagemaker:DescribeModelPackage", [training.versions_arn])
    training.group.model_package_group_policy = iam.PolicyDocument(statements=[versions])


class Promoter(Construct):
    """`role`, which anyone of the account whom IAM lets may take on, by its name of pipeline and region."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, training: Training) -> None:
        super().__init__(scope, construct_id)
        settings = foundation.settings
        self.role = iam.Role(
            self,
            "Role",
            role_name=promoter_name(settings.pipeline_name, cdk.Aws.REGION),
            assumed_by=iam.AccountRootPrincipal(),  # the account's own IAM policies say who
            description=f"{settings.pipeline_name}: copies approved versions of other accounts, to be approved here",
        )
        self._allow_reading_there(settings)
        self._allow_registration_here(foundation, training)

    def _allow_reading_there(self, settings: Settings) -> None:
        accounts = list(settings.promotes_from)
        theirs = {"aws:ResourceAccount": accounts}
        versions = f"model-package/{settings.spec.group}-*/*"
        groups = [arn("sagemaker", versions, region="*", account=account) for account in accounts]
        allow(self.role, ["sagemaker:DescribeModelPackage"], groups, why=NUMBERED_LATER)
        files = [f"arn:{cdk.Aws.PARTITION}:s3:::*/{files}" for files in _OF_A_VERSION]
        allow(self.role, ["s3:GetObject"], files, why=_NAMED_THERE, conditions={"StringEquals": theirs})
        keys = [arn("kms", "key/*", region="*", account=account) for account in accounts]
        through_s3 = {"StringLike": {"kms:ViaService": f"s3.*.{cdk.Aws.URL_SUFFIX}"}}
        allow(self.role, ["kms:Decrypt"], keys, why=_NAMED_THERE, conditions=through_s3)

    def _allow_registration_here(self, foundation: Foundation, training: Training) -> None:
        allow(self.role, ["sagemaker:DescribePipeline"], [training.pipeline_arn])
        training.allow_reading_versions(self.role)
        pending = {"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}
        group = [training.group.attr_model_package_group_arn, training.versions_arn]
        allow(self.role, ["sagemaker:CreateModelPackage"], group, why=NUMBERED_LATER, conditions=pending)
        # The registry looks up the image in the caller's name (AmazonSageMakerModelRegistryFullAccess has both).
        allow(self.role, ["ecr:BatchGetImage", "ecr:DescribeImages"], [training.image.repository_arn])
        promoted = foundation.storage.artifacts.arn_for_objects(f"{PROMOTED_PREFIX}*")
        allow(self.role, ["s3:GetObject", "s3:PutObject"], [promoted], why=_KEYS_LATER)
        use = ["kms:Decrypt", "kms:GenerateDataKey"]
        allow(self.role, use, [foundation.key.key_arn], conditions=only_through("s3"))
