"""What functions share with the stack: environment variables, keys, names; and a function's own ARN.

Without boto3: a synthesis should not load what it does not call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pipeline.contract import names as c

GROUP_VARIABLE: Final = "MODEL_PACKAGE_GROUP"
BUCKET_VARIABLE: Final = "ARTIFACT_BUCKET"
PIPELINE_VARIABLE: Final = "PIPELINE_NAME"
ENVIRONMENT_VARIABLE: Final = "ENVIRONMENT"
ALERTS_VARIABLE: Final = "ALERTS_TOPIC_ARN"
APPROVERS_VARIABLE: Final = "APPROVERS_TOPIC_ARN"
CONTACT_VARIABLE: Final = "MODEL_CONTACT"  # in model cards; may be empty
LIMIT_VARIABLE: Final = "MAX_RUN_USD"
SEEDS_VARIABLE: Final = "SEED_OBJECTS"  # JSON: those of the workload, besides core's
CHAMPION_PREFIX: Final = f"{c.CHAMPION_CHANNEL}/"
OUTBOX_PREFIX: Final = "outbox/registry/"  # one object for each email of the function that follows the registry
SERVING_OUTBOX_PREFIX: Final = "outbox/serving/"  # of the function that changes the endpoint
RUNS_OUTBOX_PREFIX: Final = "outbox/runs/"  # of the function that reports failed runs
APPROVALS_KEY: Final = "approvals/approvals.json"  # when each version was approved
# A custom resource that only wants to know when it was created or changed, and its attribute: seconds since 1970.
CLOCK: Final = "Custom::Clock"
NOW: Final = "Now"

Boto3Client = Any  # boto3 builds the types of its clients at run time


class LambdaContext(Protocol):
    """What is used of the context object that Lambda passes."""

    aws_request_id: str
    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True)
class Environment:
    """The deployment that a function belongs to."""

    group: str
    bucket: str
    pipeline: str
    alerts_topic: str
    approvers_topic: str
    partition: str
    region: str
    account: str
    contact: str = ""
    seeds: Mapping[str, str] = field(default_factory=dict)  # key in the artifact bucket -> content

    def package_arn(self, version: int) -> str:
        """Of a version of the group."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:model-package/{self.group}/{version}"

    @classmethod
    def of(cls, variables: Mapping[str, str], context: LambdaContext) -> Environment:
        """Raises KeyError for a variable that the deployment did not set."""
        _, partition, _, region, account, *_ = context.invoked_function_arn.split(":")
        return cls(
            group=variables[GROUP_VARIABLE],
            bucket=variables[BUCKET_VARIABLE],
            pipeline=variables[PIPELINE_VARIABLE],
            alerts_topic=variables[ALERTS_VARIABLE],
            approvers_topic=variables[APPROVERS_VARIABLE],
            partition=partition,
            region=region,
            account=account,
            contact=variables.get(CONTACT_VARIABLE, ""),
            seeds=json.loads(variables.get(SEEDS_VARIABLE, "{}")),
        )
