"""The alert topic with its email subscriptions, the alarms that publish to it, and the dead-letter queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.foundation.kms_keys import ENCRYPT_MESSAGES
from infra.foundation.permissions import acknowledge, allow
from infra.settings.settings import Settings

FIVE_MINUTES: Final = cdk.Duration.minutes(5)
DEAD_LETTER_DAYS: Final = 14  # the most that SQS keeps a message


class Alerts(Construct):
    """`topic` sends email to the alert addresses; alarms may publish to it.

    `alarm_on`, `command` and `dead_letters` are for every construct that can fail.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.key = key
        self.alarms: list[cloudwatch.IAlarm] = []
        self.queues: list[sqs.IQueue] = []
        self.topic = self.email_topic(self, "Topic", "something went wrong", settings.alert_emails)
        self._action = actions.SnsAction(self.topic)
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
            )
        )

    def email_topic(self, scope: Construct, construct_id: str, about: str, addresses: Sequence[str]) -> sns.Topic:
        """A topic with the messages' key, which takes TLS only and emails the addresses."""
        # At most 100 letters, digits, blanks and hyphens: AWSCloudFormation/latest/TemplateReference, AWS::SNS::Topic.
        name = f"{self._settings.pipeline_name} - {about}"
        topic = sns.Topic(scope, construct_id, display_name=name, master_key=self.key, enforce_ssl=True)
        for address in addresses:
            topic.add_subscription(subscriptions.EmailSubscription(address))
        return topic

    def allow_publish(self, role: iam.Role, topic: sns.ITopic | None = None) -> None:
        """Let a role publish to the topic (the alerts', if none is given) and use its key."""
        allow(role, ["sns:Publish"], [(topic or self.topic).topic_arn])
        allow(role, ENCRYPT_MESSAGES, [self.key.key_arn])

    def command(self, script: str) -> str:
        """A command for an email, to be copied as it is."""
        return f"`python -m scripts.{script} --pipeline {self._settings.pipeline_name} --region {cdk.Aws.REGION}`"

    def alarm_on(
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        *,
        summary: str,
        action: str,
        threshold: float = 1,
        below: bool = False,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        """An alarm at `threshold` or more (or, with `below`, under it) in all periods; it emails in ALARM and in OK.

        `summary` is the first sentence of the email, `action` what to do; the runbook has more under the alarm's name.
        """
        comparison = cloudwatch.ComparisonOperator
        name = _kebab(construct_id)
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=f"{self._settings.pipeline_name}-{name}",
            alarm_description=f'{summary} {action} More: docs/runbook.md, "{name}".',
            metric=metric,
            threshold=threshold,
            comparison_operator=(
                comparison.LESS_THAN_THRESHOLD if below else comparison.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
            ),
            evaluation_periods=periods,
            datapoints_to_alarm=periods,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        self.alarms.append(alarm)
        return alarm

    def dead_letters(self, scope: Construct, construct_id: str, *, content: str) -> sqs.Queue:
        """An encrypted dead-letter queue with an alarm; `content` describes its messages in the email."""
        queue = sqs.Queue(
            scope,
            construct_id,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self.key,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(DEAD_LETTER_DAYS),
        )
        self.queues.append(queue)
        acknowledge(queue, "AwsSolutions-SQS3", "It is itself the queue for dead letters, of rules and schedules.")
        self.alarm_on(
            f"{scope.node.id}{construct_id}",
            queue.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES, statistic="Maximum"),
            summary=f"Not delivered: {content}.",
            action=f"Read the messages of queue {queue.queue_name} (ERROR_MESSAGE or the body has the reason), fix the "
            "cause, then purge the queue: the alarm lasts until it is empty.",
        )
        return queue


def _kebab(name: str) -> str:
    """`FailedStart` -> `failed-start`."""
    return "".join(f"-{ch.lower()}" if ch.isupper() and i else ch.lower() for i, ch in enumerate(name))
