"""The buckets: data in, artifacts out, and the access logs of both."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.foundation.permissions import acknowledge
from infra.foundation.removal import removal
from infra.settings.settings import Settings

RUNS_PREFIX = "runs/"
ACCESS_LOG_DAYS = 90
OLD_VERSION_DAYS = 30


class Storage(Construct):
    """`data` holds the rows below the data prefix, `artifacts` what runs write and the champion.

    Encrypted with the customer key, versioned, TLS only, nothing public. Files of a run expire (`run_retention_days`);
    champion, last-evaluated record and predictions stay.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self._removal = removal(settings)
        self._logs = self._log_bucket()
        old_versions = s3.LifecycleRule(
            id="old-versions",
            noncurrent_version_expiration=cdk.Duration.days(OLD_VERSION_DAYS),
            abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
        )
        old_runs = s3.LifecycleRule(
            id="old-runs", prefix=RUNS_PREFIX, expiration=cdk.Duration.days(settings.run_retention_days)
        )
        # EventBridge gets new objects: a completion marker may start a run, the monitor's numbers become metrics.
        self.data = self._bucket("Data", key, [old_versions], notify_eventbridge=True)
        # The endpoint follows champion.json, too.
        self.artifacts = self._bucket("Artifacts", key, [old_versions, old_runs], notify_eventbridge=True)
        self.all = (self.data, self.artifacts, self._logs)
        for bucket in self.all:
            if bucket.policy:
                # It lives as long as its bucket: a retained bucket must still refuse plain HTTP, a deleted one must
                # refuse writes once it is empty.
                bucket.policy.apply_removal_policy(cdk.RemovalPolicy.RETAIN)

    def _bucket(
        self, name: str, key: kms.IKey, rules: list[s3.LifecycleRule], *, notify_eventbridge: bool = False
    ) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,  # one call to KMS for many objects: a hundredth of the cost
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=rules,
            server_access_logs_bucket=self._logs,
            server_access_logs_prefix=f"{name.lower()}/",
            removal_policy=self._removal,
        )
        if notify_eventbridge:
            # The property itself: CDK's option adds a function that changes the bucket after its creation.
            cfn: s3.CfnBucket = bucket.node.default_child  # type: ignore[assignment]
            cfn.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
            )
        return bucket

    def _log_bucket(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,  # S3 cannot deliver access logs to a bucket with a customer key
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="old-logs",
                    expiration=cdk.Duration.days(ACCESS_LOG_DAYS),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                )
            ],
            removal_policy=self._removal,
        )
        acknowledge(
            bucket, "AwsSolutions-S1", "It holds the access logs of the other buckets; logging them would never end."
        )
        return bucket
