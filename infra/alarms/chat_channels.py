"""Who is told beside email: Slack and Microsoft Teams (Amazon Q Developer in chat applications), HTTPS and SQS.

Both topics go there, with the twin of each email (`infra.lambda_shared.notifications`) and what CloudWatch and Budgets
publish themselves, which the chats know. SNS decrypts what it delivers, so no subscriber needs the topics' key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_chatbot as chatbot
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.foundation.permissions import service_principal
from infra.settings.settings import Settings

SQS: Final = "arn:"  # begins an endpoint that is a queue


class ChatChannels(Construct):
    """The subscribers of the settings `alert_endpoints`, `slack` and `microsoft_teams`."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, topics: Sequence[sns.ITopic]) -> None:
        super().__init__(scope, construct_id)
        for of_topic, topic in enumerate(topics):
            for endpoint in settings.alert_endpoints:
                queue = endpoint.startswith(SQS)
                sns.CfnSubscription(
                    self,
                    # By its address: by its place in the list, one that moves up would be subscribed as it is already,
                    # and then unsubscribed with its old place.
                    f"{of_topic}{endpoint}",
                    topic_arn=topic.topic_arn,
                    protocol="sqs" if queue else "https",
                    endpoint=endpoint,
                    # A queue gets the JSON itself; over HTTPS, SNS's envelope has what its signature is checked with.
                    raw_message_delivery=True if queue else None,
                )
        if not (settings.slack or settings.microsoft_teams):
            return
        # The chat may do nothing: a role without permissions, and a guardrail that denies all of them
        # (without one it is AdministratorAccess).
        role = iam.Role(
            self,
            "Role",
            assumed_by=service_principal("chatbot"),
            description=f"{settings.pipeline_name}: lets a chat show notifications, and do nothing",
        )
        common: dict[str, Any] = {
            "configuration_name": f"{settings.pipeline_name}-{cdk.Aws.REGION}",  # unique in the account, not per region
            "iam_role_arn": role.role_arn,
            "guardrail_policies": [f"arn:{cdk.Aws.PARTITION}:iam::aws:policy/AWSDenyAll"],
            "sns_topic_arns": [topic.topic_arn for topic in topics],
        }
        if settings.slack:
            chatbot.CfnSlackChannelConfiguration(
                self,
                "Slack",
                slack_workspace_id=settings.slack["workspace"],
                slack_channel_id=settings.slack["channel"],
                **common,
            )
        if settings.microsoft_teams:
            chatbot.CfnMicrosoftTeamsChannelConfiguration(
                self,
                "MicrosoftTeams",
                teams_tenant_id=settings.microsoft_teams["tenant"],
                team_id=settings.microsoft_teams["group"],
                teams_channel_id=settings.microsoft_teams["channel"],
                **common,
            )
