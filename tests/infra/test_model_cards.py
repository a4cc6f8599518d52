"""A version gets a model card that SageMaker takes, once, and a card that is refused hinders nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from approval_worlds import (
    ALERTS,
    APPROVERS,
    EVALUATION,
    FUNCTION_ARN,
    VARIABLES,
    MemoryWorld,
    champion,
    refused,
    request,
)
from model_card_schema import refusals
from random_worlds import HOURLY, connected

from infra.approval.function import handler
from pipeline.contract.model_card import CONTENT_CHARACTERS, card_content, is_written, package_card
from pipeline.local.run.run_summary import render_card

APPROVED, PENDING = "Approved", "PendingManualApproval"
PACKAGE = {**request(3, PENDING), "ModelPackageVersion": 3}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryWorld]:
    for name, value in {**VARIABLES, "MODEL_CONTACT": "ml-team@example.com"}.items():
        monkeypatch.setenv(name, value)
    with connected(MemoryWorld()) as made:
        yield made


def evaluated(world: MemoryWorld, status: str = PENDING, **changed: Any) -> int:
    """A version with its evaluation."""
    version = world.register(status)
    world.store(f"runs/run{version}/evaluation.json", json.dumps({**EVALUATION, **changed}).encode())
    return version


def content(world: MemoryWorld, version: int = 1) -> dict[str, Any]:
    return dict(json.loads(world.packages[version]["ModelCard"]["ModelCardContent"]))


def test_a_card_says_use_data_metrics_limits_lineage_and_contact() -> None:
    card = card_content(PACKAGE, EVALUATION, "ml-team@example.com")
    assert refusals(package_card(PACKAGE, EVALUATION)) == []
    assert card["model_overview"] == {
        "model_creator": "ml-team@example.com",
        "model_artifact": ["s3://artifacts/runs/run3/model.tar.gz"],
    }
    assert card["intended_uses"]["intended_uses"].startswith("Previews and discussions")
    assert "15,360 games" in card["training_details"]["training_observations"]
    comparison, limits = card["evaluation_details"]
    groups = {group["name"]: group["metric_data"] for group in comparison["metric_groups"]}
    assert [name for name in groups if "difference" not in name] == [
        *("candidate", "champion, version 1", "baseline: Elo-logistic", "constant"),
        "candidate, on the champion's games",
    ]
    assert groups["candidate"][0]["value"] == 0.62
    assert [entry["value"] for entry in groups["difference to the champion, 95 % interval"]] == [
        -0.0045,
        -0.0071,
        -0.0019,
    ]
    assert limits["metric_groups"][0]["metric_data"][0]["notes"].startswith("holds: <= 0.68; otherwise: ")
    record = card["additional_information"]["custom_details"]
    assert record["system_version"] == "nba-home-win, version 3"
    assert (record["data_from"], record["data_to"], record["data_rows"]) == ("2013-10-22", "2025-02-28", "15360")
    assert (record["git_revision"], record["trigger"], record["contact"]) == (
        "abc1234",
        "schedule",
        "ml-team@example.com",
    )


def test_without_words_and_champion_a_card_says_so() -> None:
    alone = {**EVALUATION["comparison"], "champion_exists": "no"}
    silent = dict.fromkeys(EVALUATION["use"], "") | {"risk": "Unknown"}
    card = card_content(PACKAGE, {**EVALUATION, "use": silent, "comparison": alone, "simulated": True})
    assert card["model_overview"]["model_creator"] == "not given"
    assert (
        card["intended_uses"]["intended_uses"] == "Decisions that the probability of a home win for each game supports."
    )
    assert "none is real" in card["additional_information"]["caveats_and_recommendations"]
    assert card["additional_information"]["custom_details"]["compared_with"] == "Elo-logistic"
    assert all("champion" not in group["name"] for group in card["evaluation_details"][0]["metric_groups"])


@pytest.mark.parametrize("text", ["x" * 5000, "two\nlines", "\u2028and\u0085others\x00", "🏀" * 3000, ""])
def test_whatever_the_words_are_sagemaker_takes_the_card(text: str) -> None:
    words = dict.fromkeys(EVALUATION["use"], text) | {"risk": "High"}
    limit = EVALUATION["quality"]["limits"][0] | {"words": text, "why": text}
    changed = {
        **dict.fromkeys(("title", "event", "row", "rows", "baseline", "summary", "reason", "fingerprint"), text),
        **{"use": words, "training_config": {f"{text[:9]}{n}": text for n in range(200)}},
        "quality": {"reason": text, "limits": [limit]},
    }
    assert refusals(package_card(PACKAGE, {**EVALUATION, **changed}, text)) == []


def test_a_card_that_is_too_long_is_refused_before_sagemaker_does() -> None:
    many = {"reason": "", "limits": EVALUATION["quality"]["limits"] * 1000}
    with pytest.raises(ValueError, match=rf"characters, and SageMaker takes {CONTENT_CHARACTERS:,}"):
        package_card(PACKAGE, {**EVALUATION, "quality": many})


def test_the_emulation_refuses_what_sagemaker_refuses() -> None:
    text = package_card(PACKAGE, EVALUATION)["ModelCardContent"]
    card = json.loads(text)
    for change in (
        {"model_overview": {"model_name": "m"}},
        {"model_package_details": {}},
        {"intended_uses": {"risk_rating": "Huge"}},
        {"additional_information": {"custom_details": {"a": "x" * 1025}}},
        {"evaluation_details": [{"name": "x" * 64}]},
    ):
        assert refusals({"ModelCardContent": json.dumps({**card, **change})}), change
    assert refusals({"ModelCardContent": json.dumps(card, indent=1)}) == ["more than one line"]
    assert refusals({"ModelCardContent": text, "ModelCardStatus": "Done"}) == ["status Done"]


def test_each_version_gets_its_card_once(world: MemoryWorld) -> None:
    evaluated(world)
    world.register(PENDING)  # its evaluation has expired
    evaluated(world, APPROVED)
    world.deliver(HOURLY)
    assert "ModelCard" not in world.packages[2]
    assert [world.packages[v]["ModelCard"]["ModelCardStatus"] for v in (1, 3)] == ["PendingReview"] * 2
    assert content(world)["model_overview"]["model_creator"] == "ml-team@example.com"
    assert champion(world)["version"] == 3
    assert ["Elo-logistic" in text for topic, _, text in sorted(world.mails) if topic == APPROVERS] == [True, False]
    written = {version: world.packages[version].get("LastModifiedTime") for version in (1, 3)}
    world.deliver(HOURLY)
    assert {version: world.packages[version].get("LastModifiedTime") for version in (1, 3)} == written


def test_a_card_of_people_stays_and_an_empty_one_is_filled(world: MemoryWorld) -> None:
    for empty in ({}, {"model_overview": {}}, {"intended_uses": {"purpose_of_model": "ours"}}):
        version = evaluated(world)
        card = {"ModelCardContent": json.dumps(empty), "ModelCardStatus": "Draft"}
        world.packages[version]["ModelCard"] = card
    world.deliver(HOURLY)
    assert [content(world, v)["intended_uses"]["purpose_of_model"][:4] for v in (1, 2, 3)] == ["NBA ", "NBA ", "ours"]
    assert {package["ModelCard"]["ModelCardStatus"] for package in world.packages.values()} == {"Draft"}
    assert is_written({"ModelCard": {"ModelCardContent": "not JSON"}})


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException", ""])
def test_a_card_that_is_refused_is_told_once_and_hinders_nothing(
    world: MemoryWorld, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(world, APPROVED, **({} if code else {"data": None}))
    evaluated(world, **({} if code else {"data": None}))

    def fail(when: str, call: str) -> None:
        if code and (when, call) == ("before", "update_model_package"):
            raise refused(code)

    world.fails = fail
    for _ in range(2):
        assert world.deliver(HOURLY)["champion"] == 1
    told = sorted(subject.split("] ")[1] for topic, subject, _ in world.mails if topic == ALERTS)
    assert told == ["version 1 has no model card", "version 2 has no model card"]
    assert sum(topic == APPROVERS for topic, *_ in world.mails) == 1
    assert all("it could not be written (" in text for topic, _, text in world.mails if topic == ALERTS)
    assert {f"outbox/registry/problem-card-{version}" for version in (1, 2)} <= world.objects.keys()
    logged = [json.loads(line).get("no_model_card") for line in capsys.readouterr().out.splitlines()]
    assert [sorted(reasons) for reasons in logged if reasons] == [["1", "2"]] * 2
    assert all(re.match(r"\w+Error: .", reason) for reasons in logged if reasons for reason in reasons.values())


def test_a_deploy_writes_no_card(world: MemoryWorld) -> None:
    """The function may not be allowed to yet, and a card must fail no deploy."""
    evaluated(world)
    context = SimpleNamespace(aws_request_id="r", invoked_function_arn=FUNCTION_ARN)
    environment = handler.Environment.of(VARIABLES, context)
    outbox = world.services.outbox("outbox/registry/")
    handler.follow(world.services, outbox, environment, {"RequestType": "Create", "ResponseURL": "https://x"})
    assert "ModelCard" not in world.packages[1]


def test_the_page_shows_what_the_card_says() -> None:
    card = card_content(PACKAGE, {**EVALUATION, "title": "<b>Wins</b> & losses"})
    page = render_card(card)
    assert "&lt;b&gt;Wins&lt;/b&gt; &amp; losses" in page
    assert "<b>" not in page
    for text in (
        "nba-home-win, version 3",
        "Elo-logistic",
        "0.62",
        "1,312",
        "MaxLogLoss",
        "Human oversight",
        "max depth",
    ):
        assert text.lower() in page.lower(), text
    assert render_card(card) == page
