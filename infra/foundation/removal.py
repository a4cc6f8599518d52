"""The removal policy of data, keys, logs and models."""

from __future__ import annotations

import aws_cdk as cdk

from infra.settings.settings import Settings


def removal(settings: Settings) -> cdk.RemovalPolicy:
    """Retain or destroy, by the setting; resources of a failed first deployment are deleted in both cases.

    Otherwise a first deployment that fails would leave buckets and keys behind, and the model package group, whose name
    is fixed, would refuse the second attempt.
    """
    return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain else cdk.RemovalPolicy.DESTROY
