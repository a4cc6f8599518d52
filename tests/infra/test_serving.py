"""What is deployed for serving: nothing by default; else who calls the function, what it may do, what people hear."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.events.models import EventPattern
from resolved_template import Resolver, Template, only, resources
from synthesis import Synthesise

from infra.endpoint.function.desired_endpoint import DesiredEndpoint, EndpointSettings

Recorded = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def serverless(synthesise: Synthesise) -> Template:
    return synthesise(env="prod", serving="serverless", serving_memory_mb="4096", alert_emails="a@example.com")


@pytest.fixture(scope="session")
def machines(synthesise: Synthesise) -> Template:
    vpc = {"subnet_ids": "subnet-12345678", "security_group_ids": "sg-12345678"}
    return synthesise(env="prod", serving="instance", serving_instance_count="2", **vpc)


def test_nothing_of_it_is_there_by_default(prod: Template) -> None:
    assert not [name for name in prod["Resources"] if name.startswith("Serving")]
    assert "AWS/SageMaker" not in json.dumps(prod["Resources"])


def plan_of(template: Template) -> EndpointSettings:
    """What the function is told, as it reads it."""
    _, function = only(template, "AWS::Lambda::Function", "Serving")
    return EndpointSettings.of(Resolver(template)(function["Environment"]["Variables"]))


def test_the_function_is_told_what_the_settings_say(serverless: Template, machines: Template) -> None:
    plan = plan_of(serverless)
    assert (plan.name, plan.kind, plan.memory_mb, plan.subnets) == ("retraining-prod", "serverless", 4096, [])
    assert plan.rollback_alarms == ["retraining-prod-endpoint-errors", "retraining-prod-endpoint-slow"]
    assert plan.tags["pipeline"] == "retraining-prod"
    plan = plan_of(machines)
    assert (plan.kind, plan.instance_type, plan.instance_count) == ("instance", "ml.m5.large", 2)
    assert (plan.subnets, plan.security_groups) == (["subnet-12345678"], ["sg-12345678"])
    role, _ = only(machines, "AWS::IAM::Role", "ServingEndpointRole")
    assert plan.role == Resolver(machines)({"Fn::GetAtt": [role, "Arn"]})


def test_a_machine_with_local_storage_is_asked_for_without_a_key_for_it(synthesise: Synthesise) -> None:
    plan = plan_of(synthesise(env="prod", serving="instance", serving_instance_type="ml.g5.xlarge"))
    champion = {"version": 1, "artifact": "1/model.tar.gz", "lineage": {"image": "image"}}
    assert "KmsKeyId" not in DesiredEndpoint(plan, champion).config()


def test_what_calls_it(serverless: Template, recorded: Recorded) -> None:
    resolve = Resolver(serverless)

    def matches(rule: str, event: dict[str, Any]) -> bool:
        _, properties = only(serverless, "AWS::Events::Rule", rule)
        return EventPattern(None, resolve(properties["EventPattern"])).matches_event(event)

    changed = recorded("endpoint_changed")
    assert matches("ServingEndpointChanged", changed)
    changed["detail"]["EndpointName"] = "another"
    assert not matches("ServingEndpointChanged", changed)
    written = recorded("object_created")
    written["detail"]["bucket"]["name"] = plan_of(serverless).bucket
    assert not matches("ServingPromoted", written)
    written["detail"]["object"]["key"] = "champion/champion.json"
    assert matches("ServingPromoted", written)
    _, bucket = only(serverless, "AWS::S3::Bucket", "Artifacts")
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True
    _, hourly = only(serverless, "AWS::Events::Rule", "ServingEveryHour")
    assert hourly["ScheduleExpression"] == "rate(1 hour)"
    for rule in ("ServingPromoted", "ServingEndpointChanged", "ServingEveryHour"):
        (target,) = only(serverless, "AWS::Events::Rule", rule)[1]["Targets"]
        assert target["DeadLetterConfig"]


def test_the_endpoint_goes_with_the_deployment_before_what_removes_it(serverless: Template) -> None:
    (custom,) = [r for r in serverless["Resources"].values() if r["Type"] == "Custom::Endpoint"]
    kinds = {serverless["Resources"][name]["Type"] for name in custom["DependsOn"]}
    assert {"AWS::IAM::Role", "AWS::IAM::Policy", "Custom::Champion"} <= kinds


def test_nothing_calls_the_function_any_more_when_the_endpoint_is_deleted(serverless: Template) -> None:
    """SageMaker tells of the deletion too, and the function creates an endpoint that is not there."""
    (endpoint,) = resources(serverless, "Custom::Endpoint")
    function, _ = only(serverless, "AWS::Lambda::Function", "ServingFunction")
    rules = {
        name: rule
        for name, rule in serverless["Resources"].items()
        if rule["Type"] == "AWS::Events::Rule" and function in json.dumps(rule["Properties"]["Targets"])
    }
    assert len(rules) == 3
    assert not [name for name, rule in rules.items() if endpoint not in rule.get("DependsOn", [])]
