"""The budget: emails the alert addresses when the month's costs of this pipeline, actual or forecast, pass a limit.

It counts what carries the tag `pipeline`, so that tag must be activated for cost allocation, once per account:
docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html. Until then it counts nothing.
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.foundation.foundation import Foundation
from infra.foundation.permissions import arn
from infra.settings.tag_rules import PIPELINE_TAG

# Of the budget: half of it spent is early enough to check, all of it forecast is early enough to act.
SPENT_PERCENT: Final = (50, 100)
FORECAST_PERCENT: Final = 100


class Budget(Construct):
    """A budget that publishes to the alerts' topic."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        settings, topic, account = foundation.settings, foundation.alerts.topic, cdk.Aws.ACCOUNT_ID
        topic.add_to_resource_policy(
            # docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {"aws:SourceArn": arn("budgets", "*", region="")},
                },
            )
        )
        limits = [("ACTUAL", percent) for percent in SPENT_PERCENT] + [("FORECASTED", FORECAST_PERCENT)]
        budget = budgets.CfnBudget(
            self,
            "Budget",
            budget={
                "budgetName": f"{settings.pipeline_name}-{cdk.Aws.REGION}",  # unique in the account, not per region
                "budgetType": "COST",
                "timeUnit": "MONTHLY",
                "budgetLimit": {"amount": settings.monthly_budget_usd, "unit": "USD"},
                "costFilters": {"TagKeyValue": [f"user:{PIPELINE_TAG}${settings.pipeline_name}"]},
            },
            notifications_with_subscribers=[
                {
                    "notification": {
                        "notificationType": kind,
                        "comparisonOperator": "GREATER_THAN",
                        "threshold": percent,
                        "thresholdType": "PERCENTAGE",
                    },
                    "subscribers": [{"subscriptionType": "SNS", "address": topic.topic_arn}],
                }
                for kind, percent in limits
            ],
        )
        budget.node.add_dependency(topic)  # with its policy: Budgets refuses a topic that it may not publish to
