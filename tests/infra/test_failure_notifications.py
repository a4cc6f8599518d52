"""Emails about failed steps and runs: which events ask for one, what it says, and that there is one of each."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from approval_worlds import ALERTS, BUCKET, Killed
from moto import mock_aws
from moto.events.models import EventPattern
from moto.sns.models import sns_backends
from random_worlds import Faults, connected
from resolved_template import Resolver, Template, resources
from run_worlds import PIPELINE_ARN, VARIABLES, RunWorld
from sagemaker_emulation import ACCOUNT, GENERIC_REASON, REGION, Run, taught

from infra.failure_notifications.function import handler
from pipeline.contract.history.runs import HISTORY_KEY, read_entries
from pipeline.contract.reasons import failure_reason

WORLDS = int(os.environ.get("WORLDS", "1000"))
HOURLY = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:runs"
Recorded = Callable[[str], dict[str, Any]]


@pytest.fixture(autouse=True)
def variables(set_variables: Callable[..., None]) -> None:
    set_variables(VARIABLES)


# --- which events ---------------------------------------------------------------------------------------------------


def answering(template: Template, event: dict[str, Any]) -> list[str]:
    """The rules that match an event."""
    return [
        name
        for name, properties in resources(template, "AWS::Events::Rule").items()
        if "EventPattern" in properties
        and EventPattern(None, Resolver(template)(properties["EventPattern"])).matches_event(event)
    ]


@pytest.mark.parametrize("name", ["step_failed_processing", "run_failed", "run_stopped", "run_succeeded"])
def test_a_failure_or_an_end_is_answered_by_one_rule_and_only_of_this_pipeline(
    prod: Template, recorded: Recorded, name: str
) -> None:
    event = recorded(name)
    (rule,) = answering(prod, event)
    assert "FailureNotifications" in rule
    event["detail"]["pipelineArn"] = event["detail"]["pipelineArn"].replace("retraining-prod", "retraining-dev")
    assert answering(prod, event) == []


def test_a_step_that_succeeds_is_answered_by_none(prod: Template, recorded: Recorded) -> None:
    assert answering(prod, recorded("step_succeeded")) == []


def test_every_recorded_event_names_its_source(root: Path) -> None:
    folder = root / "tests" / "infra" / "events"
    page = (folder / "README.md").read_text(encoding="utf-8")
    listed = {name for row in page.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+\.json)`", row)}
    assert listed == {path.name for path in folder.glob("*.json")}


# --- what it says ---------------------------------------------------------------------------------------------------


class Account:
    """A run in moto, and what the function sends about it."""

    def __init__(self) -> None:
        self.sagemaker = boto3.client("sagemaker", region_name=REGION)
        configuration = {"LocationConstraint": REGION}
        boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
        boto3.client("sns", region_name=REGION).create_topic(Name="alerts")
        role = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
        self.sagemaker.create_pipeline(
            PipelineName="retraining-test", PipelineDefinition="{}", RoleArn=role, ClientRequestToken="t" * 32
        )

    def start(self, trigger: str | None = "schedule") -> Run:
        """A run begins."""
        given = [{"Name": f"P{n}", "Value": "x"} for n in range(120)]  # more than a page
        given += [{"Name": "TriggerReason", "Value": trigger}] if trigger else []
        started = self.sagemaker.start_pipeline_execution(PipelineName="retraining-test", PipelineParameters=given)
        return Run(started["PipelineExecutionArn"])

    def told(self, event: dict[str, Any]) -> list[tuple[str, str]]:
        """Subject and text of what is sent because of an event."""
        sent = sns_backends[ACCOUNT][REGION].topics[ALERTS].sent_notifications
        before = len(sent)
        handler.handler(event, SimpleNamespace(aws_request_id="r", invoked_function_arn=FUNCTION))
        return [(notice[2], json.loads(notice[1])["email"]) for notice in sent[before:]]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(handler, "_PAUSE_SECONDS", 0.0)
    with taught(), mock_aws():
        handler.connect.cache_clear()
        yield Account()
        handler.connect.cache_clear()


def about(run: Run, **detail: str) -> dict[str, Any]:
    return {"source": "aws.sagemaker", "detail": {"pipelineExecutionArn": run.arn, **detail}}


BAD_DATA = 'games_2020.csv, line 88: home_points "abc" is not a whole number from 1 to 250'


def test_the_reason_of_a_processing_step_is_what_its_container_wrote(account: Account) -> None:
    run = account.start()
    run.fail_processing("Prepare", BAD_DATA)
    ((subject, text),) = account.told(about(run, stepName="Prepare"))
    assert subject == "[prod] retraining-test: step Prepare failed"
    assert f"Reason\n{BAD_DATA}\n" in text
    assert "See job logs" not in text
    assert "Triggered by   schedule" in text
    assert "retry-pipeline-execution" in text
    assert f"scripts.show_execution {run.arn}" in text
    assert account.told(about(run, stepName="Prepare")) == []
    assert account.told(HOURLY) == []


ODD = 'it\'s {odd} \\ and "quoted"\nwith a second line'


@pytest.mark.parametrize(
    ("message", "reason", "shown"),
    [
        (None, GENERIC_REASON, GENERIC_REASON),
        (None, "CapacityError: no machine", "CapacityError: no machine"),
        ("ended by SIGTERM", "ClientError: time limit", "ended by SIGTERM (SageMaker: ClientError: time limit)"),
        ("x" * 2000, GENERIC_REASON, "x" * 1024),
        ("\u00e9" * 2000, GENERIC_REASON, "\u00e9" * 512),
        (ODD, GENERIC_REASON, ODD),
    ],
)
def test_reasons_as_the_service_keeps_them(account: Account, message: str | None, reason: str, shown: str) -> None:
    run = account.start()
    run.fail_processing("Prepare", message, reason=reason)
    ((_, text),) = account.told(about(run, stepName="Prepare"))
    assert f"Reason\n{shown}\n\nTriggered" in text


def test_the_reason_of_training_stays_and_a_step_without_one_says_so(account: Account) -> None:
    run = account.start(trigger=None)
    job = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/t-1"
    run.step("Train", "Failed", seconds=3, FailureReason="y" * 2000, Metadata={"TrainingJob": {"Arn": job}})
    run.step("Register", "Failed", seconds=1)
    told = dict(account.told(about(run, stepName="Train")))
    train, register = (told[f"[prod] retraining-test: step {name} failed"] for name in ("Train", "Register"))
    assert f"Reason\n{'y' * 1024}\n" in train
    assert "Triggered by   manual" in train
    assert "TrainingJobs$3FlogStreamNameFilter$3Dt-1" in train
    assert "SageMaker gave none" in register
    assert "Job            none" in register


def test_a_fail_step_is_told_whole_and_offers_no_retry(account: Account) -> None:
    """The service refuses RetryPipelineExecution of a run that a Fail step has ended."""
    run = account.start()
    run.fail("QualityGateFailed", "z" * 4000)
    ((_, text),) = account.told(about(run, stepName="QualityGateFailed"))
    assert f"Reason\n{'z' * 3072}\n" in text
    assert "retry-pipeline-execution" not in text
    assert "scripts.start_execution" in text


def test_a_run_that_failed_without_a_failed_step_is_told_once_its_list_of_steps_has_settled(account: Account) -> None:
    run = account.start()
    run.end("Failed", "The role cannot be assumed.")
    assert account.told(about(run)) == [], "the list of its steps may be behind"
    run.execution.last_modified_time = datetime(2026, 11, 23, tzinfo=UTC)
    ((subject, text),) = account.told(HOURLY)
    assert subject == "[prod] retraining-test: a run failed"
    assert "no step of it did" in text
    assert "The role cannot be assumed." in text


def test_a_step_that_fails_again_after_a_retry_is_told_again(account: Account) -> None:
    run = account.start()
    for number in (1, 2):
        job = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/t-{number}"
        run.step("Train", "Failed", seconds=3, FailureReason="r", Metadata={"TrainingJob": {"Arn": job}})
        assert len(account.told(about(run, stepName="Train"))) == 1


BELOW_LIMITS = (
    "The candidate is below the quality limits: log loss 0.7012 is above the limit 0.68 (MaxLogLoss): the "
    "probabilities say little more than always the base rate"
)
SHOWN = {REGION: "us-east-1", ACCOUNT: "111122223333", "retraining-test": "retraining-prod"}


def test_documented_emails_are_what_is_sent(account: Account, root: Path) -> None:
    page = (root / "docs" / "emails.md").read_text(encoding="utf-8")
    start = datetime(2026, 11, 23, 9, 0, 14, tzinfo=UTC)
    bad = f"{BAD_DATA} (and 1,204 more bad rows: 4.1 % of all, limit MaxBadRowShare 0.01)"
    documented: tuple[Callable[[Run], None], ...] = (
        lambda run: run.fail_processing("Prepare", bad),
        lambda run: run.fail("QualityGateFailed", BELOW_LIMITS),
        lambda run: run.end("Failed", "The role arn:aws:iam::111122223333:role/pipeline cannot be assumed."),
        lambda run: run.end("Stopped"),
    )
    for happen in documented:
        run = account.start()
        happen(run)
        for step in getattr(run.execution, "steps", {}).values():
            step |= {"StartTime": start, "EndTime": start.replace(minute=4, second=40)}
        run.execution.creation_time, run.execution.last_modified_time = start, start.replace(minute=4, second=41)
        ((subject, text),) = account.told(HOURLY)
        for ours, theirs in {run.arn.rsplit("/", maxsplit=1)[-1]: "p4jn9xou8a8s", **SHOWN}.items():
            subject, text = subject.replace(ours, theirs), text.replace(ours, theirs)
        shown = f"```text\nSubject: {subject}\n\n{text.rstrip()}\n```"
        assert shown in page, f"docs/emails.md does not show:\n{shown}"


# --- one of each ----------------------------------------------------------------------------------------------------


def test_copies_at_once_and_in_any_order_are_one_email() -> None:
    """At each call of one invocation, another one handles the same failure from its start to its end."""
    n = calls = 0
    while n <= calls:
        with connected(RunWorld(), handler) as world:
            arn = world.begin()
            step = world.fail_step(arn, "Prepare")
            ended = world.end(arn, "Failed")
            world.interruptions[n] = lambda ended=ended, world=world: world.deliver(ended)
            world.deliver(step)
            calls = world.calls
            for event in (ended, HOURLY, step):
                world.deliver(event)
            assert len(world.mails) == 1
        n += 1
    assert n > 10


def test_a_failure_that_the_list_of_steps_does_not_show_yet_is_told_as_that_step() -> None:
    with connected(RunWorld(), handler) as world:
        arn = world.begin()
        step = world.fail_step(arn, "Prepare")
        ended = world.end(arn, "Failed")
        world.behind.add(arn)
        for event in (step, ended):
            world.deliver(event)
        assert world.mails == [], "nothing is claimed that is not so"
        world.behind.clear()
        world.deliver(HOURLY)
        assert [subject for _, subject, _ in world.mails] == ["[prod] retraining-test: step Prepare failed"]


def live(world: RunWorld, chance: random.Random) -> Counter[str]:
    """Some runs; returns the subjects that should have been sent."""
    due, late = Counter[str](), list[dict[str, Any]]()
    for _ in range(chance.randint(1, 4)):
        arn = world.begin()
        for name in chance.sample(["Prepare", "Predict", "Train"], chance.randint(0, 2)):
            late += [world.fail_step(arn, name)] * chance.choice([0, 1, 2, 3])
            due[f"step {name} failed"] += 1
        failed = bool(world.runs[arn]["steps"])
        status = "Failed" if failed else chance.choice(["Succeeded", "Failed", "Stopped"])
        late += [world.end(arn, status)] * chance.choice([0, 1, 2])
        due["a run failed"] += status == "Failed" and not failed
        due["a run was stopped"] += status == "Stopped"
        chance.shuffle(late)
        for _ in range(chance.randint(0, len(late))):
            for _ in range(3):
                with suppress(Exception, Killed):
                    world.deliver(late[-1])
                    break
            late.pop()
    return +due


def test_in_random_worlds_each_failure_is_one_email() -> None:
    total = faults = 0
    for seed in range(WORLDS):
        chance = random.Random(seed)  # noqa: S311 - worlds, not secrets
        with connected(RunWorld(), handler) as world:
            world.fails = seen = Faults(chance, chance.choice([0.0, 0.05, 0.2]))
            due = live(world, chance)
            world.fails = lambda when, call: None
            for _ in range(2):
                world.pass_time(3600)
                world.deliver(HOURLY)
            sent = Counter(subject.split(": ", 1)[1] for _, subject, _ in world.mails)
            assert sent == due, f"world {seed}"
            entries, damaged = read_entries(world.objects[HISTORY_KEY][0].decode(), "history")
            assert damaged == []
            assert {run_id: entry.status for run_id, entry in entries.items()} == {
                arn.rsplit("/", maxsplit=1)[-1]: run["status"] for arn, run in world.runs.items()
            }, f"world {seed}"
            total, faults = total + sent.total(), faults + seen.seen.total()
    assert total > WORLDS
    assert faults > WORLDS


def test_events_are_about_this_pipeline() -> None:
    assert RunWorld().event("a")["detail"]["pipelineArn"] == PIPELINE_ARN


@pytest.mark.parametrize(
    ("step", "message", "reason"),
    [
        ({}, None, ""),
        ({"FailureReason": "a"}, " ", "a"),
        ({"Metadata": {"Fail": {"ErrorMessage": "whole"}}, "FailureReason": "who"}, None, "whole"),
        ({"Metadata": {"Fail": {"ErrorMessage": "x"}}, "FailureReason": "another"}, None, "another"),
    ],
)
def test_failure_reason(step: dict[str, Any], message: str | None, reason: str) -> None:
    assert failure_reason(step, message) == reason
