"""Managed policies for people: one for approvers of versions, one for operators of the pipeline.

Neither includes the other: an operator cannot approve, an approver cannot start runs. Neither may change the
deployment, which needs the roles of `cdk bootstrap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.alarms.alerts import Alerts
from infra.endpoint.function.desired_endpoint import ATTEMPT
from infra.foundation.permissions import allow, sagemaker_arn
from infra.foundation.storage import RUNS_PREFIX, Storage
from infra.settings.settings import Settings
from infra.training.construct import Training
from infra.training.job_role import job_logs
from pipeline.contract import names as c
from pipeline.contract.history import runs, versions

_RUN_IDS_LATER: Final = "The id of a run is generated when it starts."
_NAMED_AT_RUN_TIME: Final = "SageMaker generates the names of a run's jobs, with the prefix pipelines-."
_NUMBERED_LATER: Final = "The registry numbers a version when it is registered."
_KEYS_LATER: Final = "Keys contain the id of a run, which is generated when it starts."


class UserPolicies(Construct):
    """`approver` and `operator`; the stack attaches them to no identity."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        training: Training,
        storage: Storage,
        key: kms.IKey,
        alerts: Alerts,
        workflows: Sequence[stepfunctions.StateMachine],
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings, self._training, self._storage, self._key = settings, training, storage, key
        name = settings.pipeline_name
        self.approver = self._policy("Approver", f"{name}: read versions and reports, approve and reject")
        self.operator = self._policy("Operator", f"{name}: start, stop, retry and read runs")
        for policy in (self.approver, self.operator):
            self._allow_reading(policy)
        self._allow_decisions(self.approver)
        self._allow_runs(self.operator)
        self._allow_diagnosis(self.operator, alerts, workflows)

    def _policy(self, construct_id: str, description: str) -> iam.ManagedPolicy:
        return iam.ManagedPolicy(self, construct_id, description=description)

    def _allow_reading(self, policy: iam.ManagedPolicy) -> None:
        """Find the pipeline, and read reports, the champion and the history of versions."""
        bucket = self._storage.artifacts
        allow(policy, ["sagemaker:ListPipelines"], ["*"], why="The action supports no resource-level permissions.")
        allow(policy, ["sagemaker:DescribePipeline"], [self._training.pipeline_arn])
        prefixes = (RUNS_PREFIX, *(f"{channel}/" for channel in (c.CHAMPION_CHANNEL, c.MONITOR_CHANNEL)))
        allow(policy, ["s3:GetObject"], [bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes], why=_KEYS_LATER)
        allow(policy, ["s3:GetObject"], [bucket.arn_for_objects(versions.HISTORY_KEY)])
        allow(policy, ["s3:ListBucket"], [bucket.bucket_arn])
        # Only through S3, for objects that they may read.
        through_s3 = {"StringEquals": {"kms:ViaService": self._via("s3")}}
        allow(policy, ["kms:Decrypt"], [self._key.key_arn], conditions=through_s3)

    def _allow_decisions(self, policy: iam.ManagedPolicy) -> None:
        decisions = {"StringEquals": {"sagemaker:ModelApprovalStatus": ["Approved", "Rejected"]}}
        read = ["sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"]
        allow(policy, read, [self._packages], why=_NUMBERED_LATER)
        allow(policy, ["sagemaker:UpdateModelPackage"], [self._packages], why=_NUMBERED_LATER, conditions=decisions)

    def _allow_runs(self, policy: iam.ManagedPolicy) -> None:
        pipeline = self._training.pipeline_arn
        allow(
            policy,
            [
                *("sagemaker:StartPipelineExecution", "sagemaker:ListPipelineExecutions"),
                *("sagemaker:ListPipelineVersions", "sagemaker:ListTags"),  # a tag has the limit of what a run may cost
            ],
            [pipeline],
        )
        allow(
            policy,
            [
                *("sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps"),
                *("sagemaker:ListPipelineParametersForExecution", "sagemaker:StopPipelineExecution"),
                "sagemaker:RetryPipelineExecution",
            ],
            [f"{pipeline}/execution/*"],
            why=_RUN_IDS_LATER,
        )
        allow(policy, ["s3:GetObject"], [self._storage.artifacts.arn_for_objects(runs.HISTORY_KEY)])
        jobs = sagemaker_arn(self, "processing-job", "pipelines-*")
        allow(policy, ["sagemaker:DescribeProcessingJob"], [jobs], why=_NAMED_AT_RUN_TIME)
        if self._settings.serving != "off":  # the runbook: retry a version that the endpoint could not be updated to
            allow(policy, ["s3:DeleteObject"], [self._storage.artifacts.arn_for_objects(ATTEMPT)])

    def _allow_diagnosis(
        self, policy: iam.ManagedPolicy, alerts: Alerts, workflows: Sequence[stepfunctions.StateMachine]
    ) -> None:
        """What the runbook uses: errors of workflows, logs, dead letters (to read and purge)."""
        allow(policy, ["states:ListExecutions"], [workflow.state_machine_arn for workflow in workflows])
        executions = [
            cdk.Stack.of(self).format_arn(
                service="states",
                resource="execution",
                resource_name=f"{workflow.state_machine_name}:*",
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for workflow in workflows
        ]
        allow(policy, ["states:DescribeExecution", "states:GetExecutionHistory"], executions, why=_RUN_IDS_LATER)
        allow(
            policy,
            ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:PurgeQueue", "sqs:ReceiveMessage"],
            [queue.queue_arn for queue in alerts.queues],
        )
        allow(policy, ["scheduler:GetSchedule"], [self._schedule])
        allow(policy, ["logs:FilterLogEvents"], self._logs(), why="Log streams are named after jobs, or by Lambda.")
        through_sqs = {"StringEquals": {"kms:ViaService": self._via("sqs")}}
        allow(policy, ["kms:Decrypt"], [alerts.key.key_arn], conditions=through_sqs)

    def _logs(self) -> list[str]:
        """The logs of the stack's functions, and those that all jobs of the account write to."""
        stack = cdk.Stack.of(self)
        functions = [part.log_group_arn for part in stack.node.find_all() if isinstance(part, logs.LogGroup)]
        return [*functions, *job_logs(stack)]

    @property
    def _schedule(self) -> str:
        name = self._settings.pipeline_name
        return cdk.Stack.of(self).format_arn(service="scheduler", resource="schedule", resource_name=f"{name}/{name}")

    def _via(self, service: str) -> str:
        stack = cdk.Stack.of(self)
        return f"{service}.{stack.region}.{stack.url_suffix}"

    @property
    def _packages(self) -> str:
        return sagemaker_arn(self, "model-package", f"{self._settings.group_name}/*")
