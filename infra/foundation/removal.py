"""What becomes of data, keys, logs and models when the stack, or one of them, goes."""

from __future__ import annotations

import aws_cdk as cdk

from infra.settings.settings import Settings


def removal(settings: Settings) -> cdk.RemovalPolicy:
    """Kept, or deleted, as the deployment chose; what a failed deployment has just created is deleted in both cases.

    Otherwise a first deployment that fails would leave buckets and keys behind, and the model package group, whose name
    is fixed, would refuse the second attempt.
    """
    return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain else cdk.RemovalPolicy.DESTROY
