"""The parts of check_deployment that need no account: times, ages, roles, the documented emails, exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError

from infra.settings.schedule_expression import next_start
from pipeline.contract.workload import read_definition
from scripts.check_deployment.__main__ import CHECKS, _checked
from scripts.check_deployment.deployed_environment import (
    EXIT_CODES,
    FAILED,
    OK,
    WARNING,
    CheckResult,
    DeployedEnvironment,
    worst,
)
from scripts.check_deployment.emails import SUBJECT_LIMIT, documented, overdue_emails
from scripts.check_deployment.runs import overdue
from scripts.check_deployment.service_behavior import _of_roles, times
from scripts.cloud.connection import DeployedPipeline

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_the_worst_line_decides() -> None:
    lines = [CheckResult("a", OK, ""), CheckResult("b", WARNING, ""), CheckResult("c", OK, "")]
    assert EXIT_CODES[worst([])] == EXIT_CODES[worst(lines[:1])] == 0
    assert EXIT_CODES[worst(lines)] == 3
    assert EXIT_CODES[worst([*lines, CheckResult("d", FAILED, "")])] == 1


@pytest.mark.parametrize(
    ("expression", "zone", "expected"),
    [
        ("cron(0 9 * * ? *)", "UTC", "2026-11-28 09:00"),
        ("cron(30 14 * * ? *)", "UTC", "2026-11-27 14:30"),
        ("cron(0 9 * * ? *)", "America/New_York", "2026-11-27 09:00"),
        ("cron(0 6 1 1 ? *)", "UTC", "2027-01-01 06:00"),
        ("cron(0 12 ? * FRI *)", "UTC", "2026-12-04 12:00"),  # now is not later than now
    ],
)
def test_the_next_start_is_that_of_the_schedules_own_zone(expression: str, zone: str, expected: str) -> None:
    found = next_start(expression, ZoneInfo(zone), NOW)
    assert found is not None
    assert f"{found:%Y-%m-%d %H:%M}" == expected


class Known(DeployedPipeline):
    """A pipeline whose deployed definition is a committed one."""

    def definition(self, version: int | None = None) -> dict[str, Any]:
        return read_definition("churn" if "churn" in self.name else "nba")


@pytest.mark.parametrize(
    ("name", "rows", "deploy"),
    [
        ("retraining-prod", "games", "npx cdk deploy -c env=prod"),
        ("retraining-churn-dev", "customers", "npx cdk deploy -c env=dev -c workload=churn"),
    ],
)
def test_the_deployed_definition_says_of_which_workload_it_is(name: str, rows: str, deploy: str) -> None:
    environment = DeployedEnvironment(Known(name, "", "", None, None))  # type: ignore[arg-type] # no client is called
    assert (environment.spec.rows, environment.deploy) == (rows, deploy)


def test_a_rate_counts_from_its_creation() -> None:
    assert next_start("rate(1 day)", ZoneInfo("UTC"), NOW) is None


@pytest.mark.parametrize(
    ("gap", "hours_ago", "status"),
    [(24, 29, None), (24, 31, FAILED), (24, None, WARNING), (None, 1000, None), (None, None, None)],
)
def test_a_run_is_overdue_after_the_longest_gap_and_six_hours(
    gap: float | None, hours_ago: int | None, status: str | None
) -> None:
    line = overdue(gap, NOW - timedelta(hours=hours_ago) if hours_ago else None, NOW, "start")
    assert (line.status if line else None) == status
    assert line is None or line.fix == "start"


def test_an_email_that_waits_for_more_than_an_hour_is_overdue() -> None:
    objects = [
        {"Key": "outbox/registry/sent", "Size": 0, "LastModified": NOW - timedelta(days=2)},
        {"Key": "outbox/registry/fresh", "Size": 9, "LastModified": NOW - timedelta(minutes=30)},
        {"Key": "outbox/registry/stuck", "Size": 9, "LastModified": NOW - timedelta(hours=2)},
    ]
    assert overdue_emails(objects, NOW) == ["outbox/registry/stuck"]


def test_times_of_a_job() -> None:
    training = {
        "CreationTime": NOW,
        "TrainingStartTime": NOW + timedelta(seconds=81),
        "TrainingEndTime": NOW + timedelta(seconds=93),
        "BillableTimeInSeconds": 95,
    }
    assert times(training, "TrainingJob") == "81 s until it started, 12 s, 95 s billed"
    processing = {"CreationTime": NOW, "ProcessingStartTime": NOW, "ProcessingEndTime": NOW + timedelta(seconds=9)}
    assert times(processing, "ProcessingJob").startswith("0 s until it started, 9 s (its cost: Cost Explorer")
    assert times({"CreationTime": NOW}, "ProcessingJob") == ""


def test_calls_in_the_name_of_our_roles_are_told_apart_and_a_denied_one_fails() -> None:
    def event(role: str, **more: str) -> dict[str, object]:
        return {"userIdentity": {"sessionContext": {"sessionIssuer": {"arn": role}}}, **more}

    roles = {"arn:jobs": "jobs", "arn:pipeline": "pipeline"}
    events = [
        event("arn:jobs"),
        event("arn:pipeline", errorCode="AccessDenied", errorMessage="not authorized"),
        event("arn:somebody", errorCode="AccessDenied"),
        {"userIdentity": {"type": "AWSService"}},
    ]
    lines = list(_of_roles("kms:Encrypt", events, roles))
    assert [(line.status, "jobs" in line.reason) for line in lines] == [(OK, True), (FAILED, False)]
    assert "denied to the role of the pipeline: not authorized" in lines[1].reason
    (line,) = _of_roles("kms:Encrypt", events[2:], roles)
    assert (line.status, "was not called" in line.reason) == (OK, True)


def test_every_email_of_the_page_can_be_sent() -> None:
    subjects = [email.subject for email in documented()]
    assert len(subjects) == len(set(subjects)) >= 4
    assert all(email.text and len(f"[TEST] {email.subject}") <= SUBJECT_LIMIT for email in documented())


def test_a_call_that_is_not_allowed_is_a_warning_and_the_others_go_on() -> None:
    def refused(_: object) -> None:
        answer = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized to perform: x"}}
        raise ClientError(answer, "ListServiceQuotas")  # type: ignore[arg-type] # the parts that are read

    (line,) = _checked("quota", refused, None)  # type: ignore[arg-type] # a check that only raises
    assert line.status == WARNING
    assert line.reason.startswith("cannot be checked: ListServiceQuotas: AccessDeniedException: not authorized")
    assert "ask for the permission" in line.fix


@pytest.mark.parametrize("read", ["[][0]", "{}['a']", "next(iter(()))", "int('x')", "None + 1", "'%' % 1"])
def test_what_has_another_form_is_a_line_and_the_others_go_on(read: str) -> None:
    def check(_: object) -> Iterator[CheckResult]:
        yield CheckResult("", OK, str(eval(read)))  # noqa: S307 - the texts above

    (line,) = _checked("overdue alarm", check, None)  # type: ignore[arg-type] # it reads no environment
    assert (line.check, line.status) == ("overdue alarm", FAILED)
    assert line.reason.startswith("what it reads has another form")


def test_each_thing_that_only_an_account_can_tell_is_a_line() -> None:
    assert set(CHECKS) >= {
        *("metadata of versions", "outputs", "user of containers", "start-up", "calls of the service"),
        *("overdue alarm", "Spark"),
    }
