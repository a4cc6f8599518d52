"""Alarms about the runs themselves: one failed without a mail, or none succeeded for too long."""

from __future__ import annotations

import math

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from constructs import Construct

from infra.alerts import FIVE_MINUTES, Alerts
from infra.run_mails import RunMails
from infra.schedule_expression import longest_gap_hours
from infra.setting_rules import RUN_HOURS
from infra.settings import Settings
from infra.triggers import Triggers

NAMESPACE = "AWS/Sagemaker/ModelBuildingPipeline"
HOUR = cdk.Duration.hours(1)


class RunAlarms(Construct):
    """`failed_run`, and `nothing_ran` if the schedule is on."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        pipeline_name: str,
        alerts: Alerts,
        mails: RunMails,
        triggers: Triggers,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings, self._pipeline_name, self._alerts = settings, pipeline_name, alerts
        self.failed_run = self._alarm_on_failed_run(mails)
        if settings.enabled:
            self.nothing_ran = self._alarm_on_nothing(triggers)

    def _metric(self, name: str, period: cdk.Duration) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map={"PipelineName": self._pipeline_name},
            period=period,
            statistic="Sum",
        )

    def _alarm_on_failed_run(self, mails: RunMails) -> cloudwatch.CompositeAlarm:
        """A failed run has a mail with its reason; this speaks when that mail did not come.

        CloudWatch suppresses the alarm's actions while the workflow that writes mails has just succeeded: it waits five
        minutes for that, and ten more minutes cover that one of the two alarms is over before the other.
        """
        failed = self._alerts.alarm_on(
            "RunFailed",
            self._metric("ExecutionFailed", FIVE_MINUTES),
            what="A run failed.",
            todo="Mailed with its reason, or else by the alarm failed-run.",
            silent=True,
        )
        mailed = self._alerts.alarm_on(
            "MailWritten",
            mails.workflow.metric_succeeded(period=FIVE_MINUTES, statistic="Sum"),
            what="A mail about a run was written.",
            todo="Nothing to do: it keeps the alarm failed-run quiet.",
            silent=True,
        )
        alarm = cloudwatch.CompositeAlarm(
            self,
            "FailedRun",
            composite_alarm_name=f"{self._settings.pipeline_name}-failed-run",
            alarm_description="A run failed, but no step of it did (its role, or the definition), so no mail "
            "with a reason came. "
            f"`aws sagemaker list-pipeline-executions --pipeline-name {self._settings.pipeline_name} --max-results 5` "
            "shows PipelineExecutionFailureReason; mend it and start again: python -m scripts.start_execution.",
            alarm_rule=cloudwatch.AlarmRule.from_alarm(failed, cloudwatch.AlarmState.ALARM),
            actions_suppressor=mailed,
            actions_suppressor_wait_period=FIVE_MINUTES,
            actions_suppressor_extension_period=cdk.Duration.minutes(10),
        )
        self._alerts.mail_on(alarm)
        return alarm

    def _alarm_on_nothing(self, triggers: Triggers) -> cloudwatch.Alarm:
        """No successful run for the longest time between two, and six hours for the run itself; missing data breaches.

        After the first deploy there is no data at all, which would breach at once. CloudFormation tells EventBridge
        when it has created or changed the schedule; the rule that listens counts, and its count stands in for a
        successful run. So the watch begins with the schedule, and begins anew when it is changed or switched on. A
        rule needs no target to count. Should that event be lost, the alarm goes off after the first deploy, until the
        first run.
        """
        hours = math.ceil(longest_gap_hours(self._settings.schedule)) + RUN_HOURS
        changed = events.Rule(
            self,
            "ScheduleChanged",
            description="Counts, for the alarm nothing-ran: the watch begins when the schedule is created or changed",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Resource Status Change"],
                detail={
                    "stack-id": [cdk.Aws.STACK_ID],
                    "logical-resource-id": [cdk.Stack.of(self).get_logical_id(triggers.schedule)],
                    "status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]},
                },
            ),
        )
        triggers.schedule.node.add_dependency(changed)
        counted = cloudwatch.Metric(
            namespace="AWS/Events",
            metric_name="MatchedEvents",
            dimensions_map={"RuleName": changed.rule_name},
            period=HOUR,
            statistic="Sum",
        )
        either = cloudwatch.MathExpression(
            expression="SUM([succeeded, changed])",
            using_metrics={"succeeded": self._metric("ExecutionSucceeded", HOUR), "changed": counted},
            period=HOUR,
        )
        return self._alerts.alarm_on(
            "NothingRan",
            either,
            what=f"No run has succeeded for {hours} hours.",
            todo="Is the schedule on, and did it fire (EventBridge Scheduler console)? Was a run stopped, or did it "
            "fail (its mail says why)? `python -m scripts.show_execution` shows the last run. "
            "Start one: python -m scripts.start_execution.",
            below=True,
            periods=hours,
            missing_breaches=True,
        )
