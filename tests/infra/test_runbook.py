"""The runbook has a heading for everything that a mail may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from resolved_template import resources
from synthesis import Synthesise

from infra.lambda_shared.environment import APPROVALS_KEY
from infra.lambda_shared.reconcile_champion import POINTER
from pipeline.contract.code_version import all_steps
from pipeline.contract.workload import read_definition


@pytest.fixture(scope="module")
def headings(root: Path) -> str:
    """All of them."""
    page = (root / "docs" / "runbook.md").read_text(encoding="utf-8")
    return "\n".join(re.findall("^## .*", page, re.MULTILINE))


def test_every_alarm_that_a_deployment_may_have(synthesise: Synthesise, headings: str) -> None:
    template = synthesise(env="prod", serving="serverless")
    names = [p["AlarmName"] for p in resources(template, "AWS::CloudWatch::Alarm").values()]
    assert len(names) >= 18
    assert not [name for name in names if f'"{name.removeprefix("retraining-prod-")}"' not in headings]


def test_every_step_and_run_that_can_fail(headings: str) -> None:
    subjects = [f"step {step['Name']} failed" for step in all_steps(read_definition("nba")["Steps"])]
    subjects += ["a run failed", "a run was stopped"]
    assert not [subject for subject in subjects if f'"{subject}"' not in headings]


def test_every_documented_subject_and_whatever_is_wrong_in_champion(root: Path, headings: str) -> None:
    """In a heading N is a number and ... is any text; what follows it in the subject says more."""
    page = (root / "docs" / "emails.md").read_text(encoding="utf-8")
    subjects = re.findall(r"^Subject: (?:\[\S+\] )(?:\S+: )?(.*)", page, re.MULTILINE)
    assert len(subjects) >= 8
    subjects += [f"{key} could not be read, and" for key in (POINTER, APPROVALS_KEY)]
    subjects.append("champion/3/model.tar.gz held other bytes than the model that was evaluated, and")
    patterns = [
        re.escape(heading).replace("N", r"\d+").replace(r"\.\.\.", ".*") for heading in re.findall('"(.+?)"', headings)
    ]
    assert not [subject for subject in subjects if not any(re.match(pattern, subject) for pattern in patterns)]
