"""Settings: environments, overrides, and errors that name key, value and what is allowed."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthesis import IMAGE, cdk_context

from infra.settings.schedule_expression import ScheduleError, longest_gap_hours, runs_a_day
from infra.settings.settings import READERS, Settings
from infra.settings.settings_validation import SettingError
from pipeline.contract.names import promoter_name
from pipeline.contract.rules.calls import WorkloadError


def read(**options: Any) -> Settings:
    """Settings from `-c` options alone."""
    return Settings.from_context({"image_uri": IMAGE, **options})


def test_environments_of_cdk_json(root: Path) -> None:
    dev, prod = (Settings.from_context(cdk_context(root, env=name)) for name in ("dev", "prod"))
    assert (dev.environment, dev.enabled, dev.retain) == ("dev", False, False)
    assert (prod.environment, prod.enabled, prod.retain) == ("prod", True, True)
    assert prod.schedule == "cron(0 9 * * ? *)"
    assert dev.pipeline_name != prod.pipeline_name


def test_another_model_group_than_the_one_that_an_earlier_stack_left() -> None:
    assert read(env="dev").group_name == "nba-home-win-dev"
    assert read(env="dev", model_group="nba-home-win-dev-2").group_name == "nba-home-win-dev-2"


def test_dev_is_the_environment_that_nobody_names(root: Path) -> None:
    assert Settings.from_context(cdk_context(root)).environment == "dev"


def test_an_option_wins_over_the_environment(root: Path) -> None:
    assert Settings.from_context(cdk_context(root, env="dev", enabled="true")).enabled is True


def test_options_are_text_and_cdk_json_is_not() -> None:
    as_text = read(
        alert_emails="a@x.org, b@x.org",
        limits="MaxLogLoss=0.66,MinRows=500",
        instance_counts="Train=2",
        tags="a=1,b=2",
        enabled="False",
    )
    as_json = read(
        alert_emails=["a@x.org", "b@x.org"],
        limits={"MaxLogLoss": 0.66, "MinRows": 500},
        instance_counts={"Train": 2},
        tags={"a": "1", "b": 2},
        enabled=False,
    )
    assert as_text == as_json
    assert as_text.alert_emails == ("a@x.org", "b@x.org")
    assert as_text.limits == {"MaxLogLoss": 0.66, "MinRows": 500}
    assert as_text.instance_counts == {"Train": 2}


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("env", "staging", "one of dev, prod"),
        ("image_uri", "retraining:latest", "ECR"),
        ("image_uri", "111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining", "by its digest"),
        ("image_uri", "111122223333.dkr.ecr.us-east-1.amazonaws.com/retraining:1.0", "a tag may be moved"),
        ("spark_image_uri", "111122223333.dkr.ecr.us-east-1.amazonaws.com/spark", "tag or digest"),
        ("alert_emails", "oncall", "email address"),
        ("alert_emails", 5, "list"),
        ("approver_emails", ["a@b"], "email address"),
        ("model_contact", "two\nlines", "1 to 256 ASCII characters"),
        ("model_contact", "x" * 257, "1 to 256 ASCII characters"),
        ("alert_endpoints", "http://events.example.com", "https://events.example.com/alerts"),
        ("alert_endpoints", "https://me:secret@events.example.com", "https://events.example.com/alerts"),
        ("alert_endpoints", "arn:aws:sns:us-east-1:111122223333:topic", "arn:aws:sqs:us-east-1"),
        ("slack", "workspace=T0123ABCD", "all of workspace, channel and nothing else"),
        ("slack", "workspace=T0123ABCD,channel=#alerts", "a channel such as C0123ABCD, not its name for channel"),
        ("slack", {"workspace": "acme", "channel": "C0123ABCD"}, "T0123ABCD for workspace, not 'acme'"),
        ("microsoft_teams", "tenant=1,group=2,channel=3", "1a2b3c4d-1111-2222-3333-1a2b3c4d5e6f for tenant, not '1'"),
        ("trusted_accounts", "prod", "account ids of 12 digits"),
        ("trusted_accounts", "111122223333,arn:aws:iam::111122223333:root", "account ids of 12 digits"),
        ("trusted_accounts", 111122223333, "a list, or text with commas"),
        ("trusted_accounts", "11112222333", "account ids of 12 digits"),
        ("trusted_accounts", "1111222233334", "account ids of 12 digits"),
        ("trusted_accounts", ",".join(str(111122223333 + n) for n in range(11)), "at most 10 of them, not 11"),
        ("promotes_from", "*", "account ids of 12 digits"),
        ("promotes_from", ["111122223333", "111122223333"], "each of them once"),
        ("schedule", "every night", "neither cron"),
        ("schedule", "cron(0 25 * * ? *)", "hours: '25' is not from 0 to 23"),
        ("schedule", "cron(0 9 * * * *)", "exactly one of day-of-month and day-of-week must be ?"),
        ("schedule", "cron(0 9 31 2 ? *)", "it never fires"),
        ("schedule", "cron(0 9 1 * ? *)", "at most 162 hours"),
        ("schedule", "rate(0 days)", "neither cron"),
        ("time_zone", "America/NewYork", "did you mean America/New_York"),
        ("time_zone", "../etc/passwd", "IANA"),
        ("enabled", "yes", "true or false"),
        ("data_arrival", 1, "true or false"),
        ("completion_marker", "a/b", "file name"),
        ("events_prefix", "/play", "a folder below the data bucket"),
        ("events_prefix", "games", 'beside "games", which holds the games'),
        ("events_prefix", "games/plays", 'beside "games", which holds the games'),
        ("approval", "automatik", "did you mean automatic"),
        ("model_group", "nba_home_win", "lower-case letters, digits and hyphens"),
        ("model_group", "NbaHomeWin", "lower-case letters, digits and hyphens"),
        ("instance_types", "Train=m5.large", "ml.m5.large for Train"),
        ("instance_types", "Trian=ml.m5.large", "did you mean Train"),
        ("instance_counts", "Training=2", "counts of Train, Aggregate, not Training (did you mean Train?)"),
        ("instance_counts", "Train=0", "a whole number from 1 to 100 for Train, not '0'"),
        ("instance_counts", "Train=101", "a whole number from 1 to 100 for Train"),
        ("instance_counts", {"Train": 2.5}, "a whole number from 1 to 100 for Train"),
        ("instance_counts", "2", "name=value"),
        ("serving_instance_type", "ml.m5.lage", "did you mean ml.m5.large"),
        ("serving_instance_type", "ml.m6g.large", "not arm64"),
        ("limits", "MaxLogLos=0.6", "did you mean MaxLogLoss"),
        ("limits", "MaxLogLoss=low", "a number above 0 for MaxLogLoss"),
        ("limits", {"MaxLogLoss": True}, "a number above 0 for MaxLogLoss"),
        ("limits", "MaxLogLoss=nan", "a number above 0 for MaxLogLoss"),
        ("limits", "MinRows=10.5", "a whole number from 0 for MinRows"),
        ("limits", "MaxAccuracy=72", "from 0 to 1 for MaxAccuracy"),
        ("limits", "MaxAccuracy", "name=value"),
        ("log_retention_days", 42, "365"),
        ("log_retention_days", True, "365"),
        ("run_retention_days", 3, "from 7 to 3650"),
        ("monthly_budget_usd", "-5", "a whole number from 0 to 1000000"),
        ("max_run_usd", "2,50", "dollars from 0 to 1000000, such as 2.50"),
        ("max_run_usd", "-1", "dollars from 0 to 1000000, such as 2.50"),
        ("max_run_usd", "1e9", "dollars from 0 to 1000000, such as 2.50"),
        ("max_run_usd", 1_000_001, "dollars from 0 to 1000000, such as 2.50"),
        ("monthly_budget_usd", "9.99", "a whole number from 0 to 1000000"),
        ("removal_policy", "delete", "retain, destroy"),
        ("subnet_ids", "subnet-1", "subnet-0123456789abcdef0"),
        ("mlflow_arn", "arn:aws:sagemaker:us-east-1:111122223333:mlflow-server/a", "a tracking server or an app"),
        ("mlflow_arn", "http://127.0.0.1:5000", "a tracking server or an app"),
        ("permissions_boundary", "boundary", "ARN"),
        ("permissions_boundary", "arn:aws:iam::amazon:policy/x", "ARN"),
        ("permissions_boundary", "arn:aws:iam::11112222333:policy/x", "ARN"),
        ("permissions_boundary", "arn:aws:iam::111122223333:role/x", "ARN"),
        ("permissions_boundary", "arn:aws:iam::111122223333:policy/*", "ARN"),
        ("alert_emails", "on call@example.com", "email address"),
        ("alert_emails", "a@example", "email address"),
        ("alert_emails", "a..b@example.com", "email address"),
        ("alert_emails", "a@exam_ple.com", "email address"),
        ("alert_emails", "ö@example.com", "email address"),
        ("alert_emails", f"{'a' * 65}@example.com", "email address"),
        ("alert_emails", "a@x.org,b@x.org,A@X.org", "each of them once, not a@x.org twice"),
        ("approver_emails", ["a@x.org", "a@x.org"], "each of them once, not a@x.org twice"),
        ("subnet_ids", "subnet-12345678,subnet-12345678", "each of them once, not subnet-12345678 twice"),
        ("subnet_ids", ",".join(f"subnet-{n:08x}" for n in range(17)), "at most 16 of them, not 17"),
        ("security_group_ids", ",".join(f"sg-{n:08x}" for n in range(6)), "at most 5 of them, not 6"),
        ("time_zone", "localtime", "a region and city"),
        ("time_zone", "Factory", "a region and city"),
        ("time_zone", "posixrules", "a region and city"),
        ("time_zone", "posix/America/New_York", "a region and city"),
        ("time_zone", "Etc/GMT+5", "a region and city"),
        ("time_zone", "EST", "a region and city"),
        ("time_zone", "EST5EDT", "a region and city"),
        ("time_zone", "america/new_york", "did you mean America/New_York"),
        ("time_zone", "", "a region and city"),
        ("limits", "MaxLogLoss=0.6,MaxLogLoss=0.7", "each name once, not MaxLogLoss twice"),
        ("limits", "MaxLogLoss=0", "above 0"),
        ("tags", {"aws:mine": "1"}, "begin with aws:"),
        ("tags", {"AWS:mine": "1"}, "begin with aws:"),
        ("tags", {"team": ""}, "values of 1 to 256"),
        ("tags", {"team": "a,b"}, "values of 1 to 256"),
        ("tags", {"team": "data\n"}, "values of 1 to 256"),
        ("tags", {" team": "data"}, "no space at an end"),
        ("tags", {"t" * 129: "data"}, "names of 1 to 128"),
        ("tags", {"team": "d" * 257}, "values of 1 to 256"),
        ("tags", {"team": "a", "Team": "b"}, "differ in more than case, not 'team' twice"),
        ("tags", {"pipeline": "mine"}, "other names than the stack's own"),
        ("tags", {"Pipeline": "mine"}, "other names than the stack's own"),
        ("tags", {"Environment": "mine"}, "other names than the stack's own"),
        ("tags", {"git-revision": "mine"}, "other names than the stack's own"),
        ("tags", {f"t{n}": "x" for n in range(46)}, "at most 44 names"),
    ],
)
def test_a_wrong_value_is_refused_with_key_value_and_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    with pytest.raises(SettingError) as refused:
        read(**{key: value})
    assert str(refused.value).startswith(f"{key}: {value!r} cannot be used; allowed: ")
    assert allowed in str(refused.value)


def test_without_an_image_one_is_built() -> None:
    assert Settings.from_context({}).image_uri == ""


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "America/New_York", "America/Argentina/Ushuaia", "Europe/Berlin"])
def test_places_and_utc_are_time_zones(zone: str) -> None:
    assert read(time_zone=zone).time_zone == zone


@pytest.mark.parametrize("address", ["a+b@x.org", "o'neil@x-y.co.uk", "first.last@sub.example.museum", "A@X.ORG"])
def test_addresses_that_people_have(address: str) -> None:
    assert read(alert_emails=address).alert_emails == (address,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trusted_accounts", tuple(str(111122223333 + n) for n in range(10))),
        ("promotes_from", ("000000000001",)),
        ("permissions_boundary", "arn:aws:iam::111122223333:policy/team/boundary"),
        ("permissions_boundary", "arn:aws-us-gov:iam::aws:policy/PowerUserAccess"),
    ],
)
def test_accounts_and_boundaries_that_there_are(key: str, value: Any) -> None:
    assert getattr(read(**{key: value}), key) == value


PROD = "at least one address, because prod runs unattended and must report failures (cdk.json, environments, prod)"
BUDGET = "at least one address, because monthly_budget_usd only sends email to these"
VPC = "at least one, because the other setting of the VPC is given"
ENVIRONMENT = "an object that has an object of settings for dev"
TAGS = {f"tag-{n}": "x" * 200 for n in range(9)}  # with another of 71, 2,000 characters of JSON


@pytest.mark.parametrize(
    ("settings", "refused", "allowed"),
    [
        ({"env": "staging"}, "env: 'staging'", "one of dev, prod"),
        *(({"environments": value}, f"environments: {value!r}", ENVIRONMENT) for value in ("prod", [], {"dev": None})),
        ({"env": "prod"}, "alert_emails: ()", PROD),
        ({"monthly_budget_usd": "1"}, "alert_emails: ()", BUDGET),
        ({"subnet_ids": "subnet-12345678"}, "security_group_ids: ''", VPC),
        ({"security_group_ids": "sg-12345678"}, "subnet_ids: ''", VPC),
        (
            {"tags": {**TAGS, "last": "x" * 72}, "serving": "serverless"},
            f"tags: { {**TAGS, 'last': 'x' * 72} }",
            "at most 2000 characters of JSON with serving: a Lambda function's variables have 4 KB",
        ),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], refused: str, allowed: str) -> None:
    with pytest.raises(SettingError) as error:
        read(**settings)
    assert str(error.value) == f"{refused} cannot be used; allowed: {allowed}"


@pytest.mark.parametrize(
    "settings",
    [
        {"env": "prod", "enabled": "false"},
        {"env": "prod", "alert_emails": "oncall@example.com"},
        {"alert_emails": "oncall@example.com", "monthly_budget_usd": "1"},
        {"subnet_ids": "subnet-12345678", "security_group_ids": "sg-12345678"},
        {"tags": {**TAGS, "last": "x" * 71}, "serving": "serverless"},
        {"tags": {**TAGS, "last": "x" * 72}},
        {"environments": {"prod": None}},
    ],
)
def test_settings_that_go_together(settings: dict[str, Any]) -> None:
    read(**settings)


def test_a_promoter_whose_role_would_have_too_long_a_name_is_refused() -> None:
    settings = read(promotes_from="111122223333")
    replace(settings, environment="e" * 29)._check_together()
    long = replace(settings, environment="e" * 30)
    reason = f"none, because the name of its role, {promoter_name(long.pipeline_name, '<region>')}, is too long"
    with pytest.raises(SettingError) as error:
        long._check_together()
    assert str(error.value) == f"promotes_from: ('111122223333',) cannot be used; allowed: {reason}"
    replace(long, promotes_from=())._check_together()


def test_each_setting_has_a_default_and_a_meaning() -> None:
    assert (read().slack, read().tags, read().alert_emails, read().enabled) == ({}, {}, (), True)
    assert all(setting.metadata["meaning"] for setting in fields(Settings) if setting.name != "environment")


def test_names_and_tags_of_a_deployment() -> None:
    settings = read(env="prod", enabled="false", tags={"team": "data", "environment": "live"})
    assert settings.pipeline_name == "retraining-prod"
    assert settings.all_tags == {"environment": "live", "team": "data", "pipeline": "retraining-prod"}
    assert read().all_tags == {"environment": "dev", "pipeline": "retraining-dev"}
    assert (settings.retain, read(removal_policy="destroy").retain) == (True, False)


def test_a_workload_that_cannot_be_deployed_is_refused_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise WorkloadError(f"{name} has no definition.json")

    monkeypatch.setattr("infra.settings.settings.read_definition", refuse)
    with pytest.raises(SettingError, match=r"^nba has no definition\.json$"):
        read()


def test_an_unknown_setting_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SettingError, match=r"unknown setting alert_email \(did you mean alert_emails\?\)"):
        read(alert_email="a@x.org")


def test_the_cdks_own_keys_pass() -> None:
    read(**{"aws:cdk:version-reporting": True, "@aws-cdk/core:flag": True, "cli-telemetry:x": 1})


@settings(deadline=None)
@given(st.sampled_from(sorted(READERS)), st.text() | st.integers() | st.booleans() | st.lists(st.text()) | st.none())
def test_whatever_is_given_is_read_or_refused(key: str, value: Any) -> None:
    try:
        read(**{key: value})
    except SettingError as error:
        assert key in str(error) or "subnet_ids" in str(error)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("rate(1 day)", 24),
        ("rate(6 hours)", 6),
        ("rate(30 minutes)", 0.5),
        ("cron(0 9 * * ? *)", 24),
        ("cron(30 5 ? * MON-FRI *)", 72),
        ("cron(0 9,21 * * ? *)", 12),
        ("cron(0/15 8-17 * * ? *)", 14.25),
        ("cron(0 9 ? * 2,5 *)", 96),
        ("cron(0 9 1 * ? *)", 31 * 24),
        ("cron(0 0 29 2 ? *)", 4 * 366 * 24 - 3 * 24),
    ],
)
def test_longest_gap(expression: str, hours: float) -> None:
    assert longest_gap_hours(expression) == hours


@pytest.mark.parametrize(
    ("expression", "runs"),
    [
        ("rate(1 day)", 1),
        ("rate(6 hours)", 4),
        ("rate(2 days)", 0.5),
        ("cron(0 9 * * ? *)", 1),
        ("cron(0 9,21 * * ? *)", 2),
        ("cron(30 5 ? * MON-FRI *)", 5 / 7),
        ("cron(0/15 8-17 ? * SUN *)", 40 / 7),
    ],
)
def test_runs_a_day(expression: str, runs: float) -> None:
    assert runs_a_day(expression) == pytest.approx(runs, rel=0.002)


@pytest.mark.parametrize(
    "expression", ["cron(0 9 L * ? *)", "cron(0 9 ? * 2#1 *)", "cron(0 9 * * ? 2026)", "at(2026-01-01T00:00:00)"]
)
def test_schedules_that_are_not_used(expression: str) -> None:
    with pytest.raises(ScheduleError):
        longest_gap_hours(expression)
