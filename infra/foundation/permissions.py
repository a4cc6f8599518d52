"""Policy statements: exact actions, and a reason for each wildcard in a resource.

CDK's `grant_*` methods are not used for roles, because they grant `s3:GetObject*` and the like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

# Reasons for a wildcard in a resource.
RUN_ID_LATER: Final = "The id of a run is generated when it starts."
KEYS_HAVE_RUN_ID: Final = "Keys contain the id of a run, which is generated when it starts."
JOBS_NAMED_LATER: Final = "SageMaker generates the names of a run's jobs, with the prefix pipelines-."
NUMBERED_LATER: Final = "The registry numbers a version when it is registered."


def allow(
    role: iam.Role | iam.ManagedPolicy,
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    why: str | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> None:
    """Add a statement to a role or a managed policy.

    `why` is the reason for a wildcard among the resources, and needed when there is one.
    Raises ValueError for a wildcard in an action, and for one in a resource without a reason.
    """
    if any("*" in action for action in actions):
        raise ValueError(f"{role.node.path}: wildcard action among {list(actions)}")
    statement = iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)
    role.add_statements(statement) if isinstance(role, iam.ManagedPolicy) else role.add_to_policy(statement)
    wild = [resource for resource in resources if "*" in resource]
    if wild and not why:
        raise ValueError(f"{role.node.path}: {wild} has a wildcard: say why")
    for resource in wild:
        finding = _flatten(cdk.Stack.of(role).resolve(resource))
        acknowledge(role, f"AwsSolutions-IAM5[Resource::{finding}]", str(why))


# SageMaker: dg/security-confused-deputy-prevention.html; EventBridge and its Scheduler:
# UserGuide/cross-service-confused-deputy-prevention.html; Step Functions: dg/procedure-create-iam-role.html.
_SENDS_SOURCE_ACCOUNT: Final = ("events", "sagemaker", "scheduler", "states")


def service_principal(service: str) -> iam.ServicePrincipal:
    """A service that may assume a role, for resources of this account only (the confused deputy problem).

    Where AWS does not document that the service sends the account, it is compared if it is sent.
    """
    operator = "StringEquals" if service in _SENDS_SOURCE_ACCOUNT else "StringEqualsIfExists"
    return iam.ServicePrincipal(
        f"{service}.amazonaws.com", conditions={operator: {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}}
    )


def allow_outbox(role: iam.Role, bucket: s3.IBucket, key: kms.IKey, prefix: str) -> None:
    """Keep emails below a prefix (`infra.lambda_shared.outbox`), list the bucket and use its key."""
    objects = [bucket.arn_for_objects(f"{prefix}*")]
    allow(role, ["s3:GetObject", "s3:PutObject"], objects, why="Each email is an object, named when it is recorded.")
    allow(role, ["s3:ListBucket"], [bucket.bucket_arn])  # without it a missing object looks like a forbidden one
    allow(role, ["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn])


def arn(service: str, resource: str, *, region: str = cdk.Aws.REGION, account: str = cdk.Aws.ACCOUNT_ID) -> str:
    """The ARN of a resource (`log-group:*`, `role/name`), of the stack's account and region if none is given."""
    return f"arn:{cdk.Aws.PARTITION}:{service}:{region}:{account}:{resource}"


def only_through(service: str) -> dict[str, Any]:
    """The condition that a key is used by a service (`s3`) of the region, for what the caller may read there."""
    return {"StringEquals": {"kms:ViaService": f"{service}.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"}}


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Suppress a finding of cdk-nag on this construct, with a reason."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))


def _flatten(resource: Any) -> str:  # noqa: ANN401 - a piece of a template
    """A resolved resource as cdk-nag writes it: `<LogicalId.Arn>/runs/*`."""
    if isinstance(resource, str):
        return resource
    ((function, value),) = resource.items()
    if function == "Fn::Join":
        return str(value[0]).join(_flatten(part) for part in value[1])
    return f"<{value}>" if function == "Ref" else f"<{value[0]}.{value[1]}>"
