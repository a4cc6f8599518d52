"""The runbook has a heading for everything that a mail may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from resolved_template import resources
from synthesis import Synthesise

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
