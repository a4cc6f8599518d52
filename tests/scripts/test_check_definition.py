"""The command that checks a definition: what it prints and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scripts.check_definition import main


def check(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def test_the_projects_own_definition_has_no_finding() -> None:
    done = check()
    assert (done.exit_code, done.stdout) == (0, "")
    assert "definition.json: no finding" in done.stderr


def test_findings_name_step_field_rule_and_source_and_exit_with_1(root: Path, tmp_path: Path) -> None:
    definition = json.loads((root / "pipeline" / "workloads" / "nba" / "definition.json").read_text(encoding="utf-8"))
    definition["Steps"][0]["Arguments"]["RoleArm"] = "x"
    (tmp_path / "other.json").write_text(json.dumps(definition), encoding="utf-8")
    done = check(str(tmp_path / "other.json"))
    assert done.exit_code == 1
    assert done.stdout.startswith("step Prepare, RoleArm: ")
    assert "[unknown-key: https://github.com/aws/sagemaker-python-sdk/issues/2746]" in done.stdout
    assert "1 finding: SageMaker would refuse other.json" in done.stderr
    (found,) = json.loads(check(str(tmp_path / "other.json"), "--json").stdout)["findings"]
    assert (found["step"], found["field"], found["rule"]) == ("Prepare", "RoleArm", "unknown-key")


def test_the_values_of_a_start_are_checked(root: Path) -> None:
    done = check("--param", "TrainInstanceType=ml.m6g.large", "--json")
    assert done.exit_code == 1
    rules = {found["rule"]: found["parameters"] for found in json.loads(done.stdout)["findings"]}
    assert rules == {"instance-type": ["TrainInstanceType"], "arm64-instance": ["TrainInstanceType"]}


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (["missing.json"], None, "missing.json"),
        (["-"], "{", "is not JSON"),
        (["-"], "[]", "no pipeline definition"),
        (["--param", "TrainInstanceTyp=x"], None, "there is no parameter"),
        (["--param", "x"], None, "NAME=VALUE"),
    ],
)
def test_what_cannot_be_read_exits_with_2(arguments: list[str], stdin: str | None, says: str) -> None:
    done = check(*arguments, stdin=stdin)
    assert done.exit_code == 2
    assert says in done.stderr


def test_the_list_of_rules_has_a_source_for_each() -> None:
    rules: list[dict[str, Any]] = json.loads(check("--rules", "--json").stdout)
    assert len(rules) > 40
    assert all(rule["source"].startswith("https://") for rule in rules)
    assert "nested-condition: A Condition step cannot be in a branch" in check("--rules").stdout
