"""Managed policies for people: one for approvers of versions, one for operators of the pipeline.

Neither includes the other: an operator cannot approve, an approver cannot start runs. Neither may change the
deployment, which needs the roles of `cdk bootstrap`.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from infra.endpoint.function.desired_endpoint import ATTEMPT, endpoint_log
from infra.foundation.foundation import Foundation
from infra.foundation.permissions import (
    JOBS_NAMED_LATER,
    KEYS_HAVE_RUN_ID,
    NUMBERED_LATER,
    RUN_ID_LATER,
    allow,
    arn,
    only_through,
)
from infra.foundation.storage import RUNS_PREFIX
from infra.training.construct import Training
from infra.training.job_role import JOB_LOGS
from pipeline.contract import names as c
from pipeline.contract.history import runs, versions


class UserPolicies(Construct):
    """`approver` and `operator`; the stack attaches them to no identity."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        training: Training,
        workflow: stepfunctions.StateMachine,
    ) -> None:
        super().__init__(scope, construct_id)
        self._foundation, self._training = foundation, training
        self._artifacts, name = foundation.storage.artifacts, foundation.settings.pipeline_name
        approver, operator = "read versions and reports, approve and reject", "start, stop, retry and read runs"
        self.approver = iam.ManagedPolicy(self, "Approver", description=f"{name}: {approver}")
        self.operator = iam.ManagedPolicy(self, "Operator", description=f"{name}: {operator}")
        for policy in (self.approver, self.operator):
            self._allow_reading(policy)
        self._allow_decisions(self.approver)
        self._allow_runs(self.operator)
        self._allow_diagnosis(self.operator, workflow)
        self._allow_pages(self.operator)

    def _allow_reading(self, policy: iam.ManagedPolicy) -> None:
        """Find the pipeline, and read reports, the champion, versions and their history."""
        bucket = self._artifacts
        allow(policy, ["sagemaker:ListPipelines"], ["*"], why="The action supports no resource-level permissions.")
        allow(policy, ["sagemaker:DescribePipeline"], [self._training.pipeline_arn])
        prefixes = (RUNS_PREFIX, *(f"{channel}/" for channel in (c.CHAMPION_CHANNEL, c.MONITOR_CHANNEL)))
        allow(
            policy,
            ["s3:GetObject"],
            [bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes],
            why=KEYS_HAVE_RUN_ID,
        )
        allow(policy, ["s3:GetObject"], [bucket.arn_for_objects(versions.HISTORY_KEY)])
        allow(policy, ["s3:ListBucket"], [bucket.bucket_arn])
        allow(policy, ["kms:Decrypt"], [self._foundation.key.key_arn], conditions=only_through("s3"))
        self._training.allow_reading_versions(policy)  # emails to operators tell of versions, too

    def _allow_decisions(self, policy: iam.ManagedPolicy) -> None:
        decisions = {"StringEquals": {"sagemaker:ModelApprovalStatus": ["Approved", "Rejected"]}}
        versions = [self._training.versions_arn]
        allow(policy, ["sagemaker:UpdateModelPackage"], versions, why=NUMBERED_LATER, conditions=decisions)

    def _allow_runs(self, policy: iam.ManagedPolicy) -> None:
        self._training.allow_reading_runs(policy)
        # A tag of the pipeline has the limit of what a run may cost.
        of_pipeline = ("StartPipelineExecution", "ListPipelineVersions", "ListTags")
        allow(policy, [f"sagemaker:{name}" for name in of_pipeline], [self._training.pipeline_arn])
        of_run = ["sagemaker:StopPipelineExecution", "sagemaker:RetryPipelineExecution"]
        allow(policy, of_run, [self._training.runs_arn], why=RUN_ID_LATER)
        allow(policy, ["s3:GetObject"], [self._artifacts.arn_for_objects(runs.HISTORY_KEY)])

    def _allow_diagnosis(self, policy: iam.ManagedPolicy, workflow: stepfunctions.StateMachine) -> None:
        """What the runbook uses: errors of the workflow, logs, dead letters (to read and purge), the endpoint."""
        alerts, settings = self._foundation.alerts, self._foundation.settings
        name, containers = settings.pipeline_name, list[str]()
        allow(policy, ["states:ListExecutions"], [workflow.state_machine_arn])
        executions = [arn("states", f"execution:{workflow.state_machine_name}:*")]
        allow(policy, ["states:DescribeExecution", "states:GetExecutionHistory"], executions, why=RUN_ID_LATER)
        allow(
            policy,
            ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:PurgeQueue", "sqs:ReceiveMessage"],
            [queue.queue_arn for queue in alerts.queues],
        )
        allow(policy, ["scheduler:GetSchedule"], [arn("scheduler", f"schedule/{name}/{name}")])
        functions = [p.log_group_arn for p in cdk.Stack.of(self).node.find_all() if isinstance(p, logs.LogGroup)]
        if settings.serving != "off":
            containers.append(arn("logs", f"log-group:{endpoint_log(name)}:*"))
            allow(policy, ["s3:DeleteObject"], [self._artifacts.arn_for_objects(ATTEMPT)])  # retry a version
        named_later = "Log streams are named after jobs and instances, or by Lambda."
        read_logs = ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"]
        allow(policy, read_logs, [*functions, *JOB_LOGS, *containers], why=named_later)
        allow(policy, ["kms:Decrypt"], [alerts.key.key_arn], conditions=only_through("sqs"))

    def _allow_pages(self, policy: iam.ManagedPolicy) -> None:
        """The pages of the console that emails link to: a job, its log, the dashboard with its alarms."""
        dashboard = f"dashboard/{self._foundation.settings.pipeline_name}-{cdk.Aws.REGION}"
        allow(policy, ["cloudwatch:GetDashboard"], [arn("cloudwatch", dashboard, region="")])
        alarms = arn("cloudwatch", "alarm:*")
        allow(policy, ["cloudwatch:DescribeAlarms"], [alarms], why="The console asks for all of them.")
        jobs = arn("sagemaker", "training-job/pipelines-*")
        allow(policy, ["sagemaker:DescribeTrainingJob"], [jobs], why=JOBS_NAMED_LATER)
        why = "The actions support no resource-level permissions (of metrics, data sets only)."
        allow(policy, ["cloudwatch:GetMetricData", "logs:DescribeLogGroups"], ["*"], why=why)
