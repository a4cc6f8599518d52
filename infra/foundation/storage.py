"""The buckets: data in, artifacts out, and the access logs of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.foundation.kms_keys import removal
from infra.foundation.permissions import acknowledge
from infra.settings.settings import Settings

RUNS_PREFIX = "runs/"
ACCESS_LOG_DAYS = 90
OLD_VERSION_DAYS = 30


class Storage(Construct):
    """`data` holds the rows below the data prefix, `artifacts` what runs write and the champion.

    Encrypted with the customer key, versioned, TLS only, nothing public. Files of a run expire (`run_retention_days`);
    champion, last-evaluated record and predictions stay.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        old_versions = s3.LifecycleRule(
            id="old-versions",
            noncurrent_version_expiration=cdk.Duration.days(OLD_VERSION_DAYS),
            abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
        )
        old_runs = s3.LifecycleRule(
            id="old-runs", prefix=RUNS_PREFIX, expiration=cdk.Duration.days(settings.run_retention_days)
        )
        old_logs = s3.LifecycleRule(
            id="old-logs",
            expiration=cdk.Duration.days(ACCESS_LOG_DAYS),
            noncurrent_version_expiration=cdk.Duration.days(1),
        )
        # S3 cannot deliver access logs to a bucket with a customer key.
        logs = self._bucket("AccessLogs", settings, [old_logs], encryption=s3.BucketEncryption.S3_MANAGED)
        acknowledge(
            logs, "AwsSolutions-S1", "It holds the access logs of the other buckets; logging them would never end."
        )
        encrypted: dict[str, Any] = {
            "encryption": s3.BucketEncryption.KMS,
            "encryption_key": key,
            "bucket_key_enabled": True,  # one call to KMS for many objects: a hundredth of the cost
            "server_access_logs_bucket": logs,
        }
        self.data = self._bucket("Data", settings, [old_versions], server_access_logs_prefix="data/", **encrypted)
        self.artifacts = self._bucket(
            "Artifacts", settings, [old_versions, old_runs], server_access_logs_prefix="artifacts/", **encrypted
        )
        for bucket in (self.data, self.artifacts):
            # EventBridge gets new objects: a completion marker may start a run, the monitor's numbers become metrics,
            # the endpoint follows champion.json. The property itself: CDK's option adds a function that changes the
            # bucket after its creation.
            cfn: s3.CfnBucket = bucket.node.default_child  # type: ignore[assignment]
            cfn.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
            )
        self.all = (self.data, self.artifacts, logs)
        for bucket in self.all:
            if bucket.policy:
                # It lives as long as its bucket: a retained bucket must still refuse plain HTTP, a deleted one must
                # refuse writes once it is empty.
                bucket.policy.apply_removal_policy(cdk.RemovalPolicy.RETAIN)

    def _bucket(
        self,
        name: str,
        settings: Settings,
        rules: Sequence[s3.LifecycleRule],
        **options: Any,  # noqa: ANN401 - what s3.Bucket takes
    ) -> s3.Bucket:
        return s3.Bucket(
            self,
            name,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=rules,
            removal_policy=removal(settings),
            **options,
        )


def object_created(bucket: s3.IBucket, *keys: object) -> events.EventPattern:
    """The event of a new object; `keys` are texts or matchers of EventBridge."""
    return events.EventPattern(
        source=["aws.s3"],
        detail_type=["Object Created"],
        detail={"bucket": {"name": [bucket.bucket_name]}, "object": {"key": list(keys)}},
    )
