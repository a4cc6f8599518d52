"""The budget: off unless it is set; what it counts, whom it tells, and that it may."""

from __future__ import annotations

from typing import Any

import pytest
from resolved_template import ACCOUNT, Resolver, Template, only, resources
from synthesis import Synthesise

from infra.settings.settings import Settings
from infra.training.definition import deployed_definition
from pipeline.contract.code_version import all_steps


@pytest.fixture(scope="module")
def limited(synthesise: Synthesise) -> Template:
    return synthesise(env="prod", alert_emails="oncall@example.com", monthly_budget_usd="25", tags="team=data")


def test_no_budget_unless_it_is_set(prod: Template) -> None:
    assert not resources(prod, "AWS::Budgets::Budget")
    assert "budgets.amazonaws.com" not in str(prod)


def test_budgets_may_publish_and_encrypt_for_this_account_only(limited: Template) -> None:
    resolve = Resolver(limited)
    policy_id, policy = only(limited, "AWS::SNS::TopicPolicy", "Alerts")
    (publish,) = _of_budgets(policy["PolicyDocument"])
    assert publish["Action"] == "sns:Publish"
    assert resolve(publish["Condition"]) == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{ACCOUNT}:*"},
    }
    _, key = only(limited, "AWS::KMS::Key", "Messages")
    (encrypt,) = _of_budgets(key["KeyPolicy"])
    assert set(encrypt["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert resolve(encrypt["Condition"]) == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    (budget,) = [r for r in limited["Resources"].values() if r["Type"] == "AWS::Budgets::Budget"]
    assert policy_id in budget["DependsOn"], "Budgets refuses a topic that it may not publish to"
    _, data = only(limited, "AWS::KMS::Key", "KeysData")
    assert not _of_budgets(data["KeyPolicy"])


def _of_budgets(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for s in policy["Statement"] if s["Principal"] == {"Service": "budgets.amazonaws.com"}]


@pytest.mark.parametrize("chosen", [{"monthly_budget_usd": 25, "alert_emails": "a@example.com"}, {"tags": "team=data"}])
def test_jobs_carry_the_tags_because_a_pipeline_does_not_hand_on_its_own(chosen: dict[str, Any]) -> None:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    image = "111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining@sha256:" + "5" * 64
    settings = Settings.from_context({"image_uri": image, **chosen})
    model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"))
    jobs = [s for s in all_steps(deployed_definition(settings)["Steps"]) if s["Type"] in ("Processing", "Training")]
    assert jobs
    for job in jobs:
        tags = {tag["Key"]: tag["Value"] for tag in job["Arguments"]["Tags"]}
        assert tags == settings.all_tags
        assert tags.items() >= {"pipeline": "retraining-dev", "environment": "dev"}.items()
        assert "Tags" in model.operation_model(f"Create{job['Type']}Job").input_shape.members
