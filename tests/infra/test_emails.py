"""What people read about versions, also where less is known than usual; docs/emails.md has the usual ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from approval_worlds import EVALUATION

from infra.lambda_shared.emails import (
    Email,
    _number,
    approval_notice,
    problem_notice,
    sns_message,
    sns_subject,
    withdrawal_notice,
)
from infra.lambda_shared.environment import Environment

ENVIRONMENT = Environment("group", "bucket", "p", "alerts", "approvers", "aws", "eu-west-1", "111122223333")
OPTIONS = "--aws --pipeline p --region eu-west-1"
PACKAGE: dict[str, Any] = {"ModelPackageVersion": 3, "ModelPackageDescription": "a candidate"}
CARRIED = {
    "primary_metric": "log_loss",
    "loss": "0.6212",
    "n_rows": "1300",
    "difference_to_incumbent": "-0.0045",
    "difference_lower": "-0.0071",
    "difference_upper": "-0.0019",
    "champion_version": "2",
}


def lines(known: dict[str, str] | None = None, evaluation: dict[str, Any] | None = None) -> list[str]:
    package = {**PACKAGE, "CustomerMetadataProperties": known} if known is not None else PACKAGE
    return approval_notice(package, evaluation, ENVIRONMENT).text.split("\n")


def test_a_version_of_which_nothing_is_known_is_announced() -> None:
    assert approval_notice({"ModelPackageVersion": 3}, None, ENVIRONMENT) == Email(
        "[p] version 3 waits for approval: loss -",
        f"""Version 3 of group waits for your approval.



evaluation.json could not be read: the champion's own numbers are in the report.

The package names no report.

To approve it (the next run then predicts with it):
  python -m scripts.review_model approve --version 3 --reason "..." {OPTIONS}
To reject it:
  python -m scripts.review_model reject --version 3 --reason "..." {OPTIONS}

""",
    )


def test_the_numbers_that_a_package_carries() -> None:
    found = lines(
        {**CARRIED, "report": "s3://b/r.html", "trigger": "drift", "image": "i", "other": "x", "git_revision": ""}
    )
    assert found[2:] == [
        "a candidate",
        "",
        f"{'log loss':<20}{'0.6212':>26}",
        f"{'rows':<20}{'1,300':>26}",
        "Log loss, candidate less champion (2): -0.0045 (95 % interval -0.0071 to -0.0019).",
        "evaluation.json could not be read: the champion's own numbers are in the report.",
        "",
        "Report:",
        "  https://eu-west-1.console.aws.amazon.com/s3/object/b?region=eu-west-1&prefix=r.html",
        "  aws s3 cp s3://b/r.html . --region eu-west-1",
        "",
        "To approve it (the next run then predicts with it):",
        f'  python -m scripts.review_model approve --version 3 --reason "..." {OPTIONS}',
        "To reject it:",
        f'  python -m scripts.review_model reject --version 3 --reason "..." {OPTIONS}',
        "",
        "trigger: drift",
        "image: i",
        "",
    ]
    assert "Loss, candidate less champion (none): - (95 % interval - to -)." in lines({"difference_to_incumbent": ""})


def test_the_subject_has_the_log_loss() -> None:
    mail = approval_notice({**PACKAGE, "CustomerMetadataProperties": CARRIED}, None, ENVIRONMENT)
    assert mail.subject == "[p] version 3 waits for approval: log loss 0.6212"


def test_the_lineage_in_its_order() -> None:
    names = ("image", "definition_hash", "git_revision", "fingerprint", "as_of_date", "execution", "trigger")
    assert lines(dict.fromkeys(names, "x"))[-8:] == [
        *("trigger: x", "execution: x", "as of date: x", "fingerprint: x", "git revision: x", "definition hash: x"),
        *("image: x", ""),
    ]


def table(evaluation: dict[str, Any]) -> list[list[str]]:
    """The table's rows of numbers."""
    return [line.split() for line in lines({}, evaluation)[4:11]]


def test_candidate_beside_champion_on_the_same_games() -> None:
    assert table(EVALUATION) == [
        ["candidate", "champion", "(version", "1)", "Elo-logistic"],
        ["log", "loss", "0.6212", "0.6257", "0.6200"],
        ["Brier", "score", "-", "-", "0.2100"],
        ["accuracy", "0.6500", "0.6400", "0.6500"],
        ["AUC", "-", "-", "0.7000"],
        ["calibration", "error", "0.0182", "0.0203", "0.0200"],
        ["games", "1,300", "1,300", "1,312"],
    ]
    assert lines({}, EVALUATION)[4] == " " * 20 + "".join(
        f"{title:>26}" for title in ("candidate", "champion (version 1)", "Elo-logistic")
    )
    assert lines({}, EVALUATION)[10] == f"{'games':<20}{'1,300':>26}{'1,300':>26}{'1,312':>26}"
    assert lines({}, EVALUATION)[11:15] == [
        "",
        "Lower is better: log loss, Brier score, calibration error. Basis: the champion's own record and its "
        "shipped weights.",
        "Log loss, candidate less champion: -0.0045 (95 % interval -0.0071 to -0.0019) on 1,300 games, 2023-11-02 to "
        "2025-02-28.",
        "Why it was registered: better than the champion.",
    ]


def test_without_a_champion_the_candidate_stands_beside_elo_on_the_evaluated_games() -> None:
    first: dict[str, Any] = copy.deepcopy(EVALUATION)
    first["comparison"] |= {"champion_exists": "no", "metrics": None}
    del first["metrics"]["champion"]
    assert table(first)[:2] == [
        ["candidate", "no", "champion", "Elo-logistic"],
        ["log", "loss", "0.6200", "-", "0.6200"],
    ]
    assert any(line.startswith("Log loss, candidate less Elo-logistic: -0.0045 ") for line in lines({}, first))
    first["comparison"]["metrics"] = {"candidate": {}, "baseline": {"log_loss": 0.5}}
    assert table(first)[1] == ["log", "loss", "-", "-", "0.5000"]


def test_simulated_games_are_called_so() -> None:
    said = "These games are simulated: none is real."
    assert said in lines({}, {**EVALUATION, "simulated": True})
    assert said not in lines({}, EVALUATION)


@pytest.mark.parametrize(
    "evaluation",
    [
        {"comparison": {}},
        {"comparison": []},
        {"comparison": 1},
        {**EVALUATION, "comparison": {**EVALUATION["comparison"], "n_rows": "many"}},  # type: ignore[dict-item]
        {**EVALUATION, "comparison": {**EVALUATION["comparison"], "metrics": 5}},  # type: ignore[dict-item]
    ],
    ids=["KeyError", "TypeError", "TypeError 2", "ValueError", "AttributeError"],
)
def test_a_file_of_another_program_is_no_reason_to_be_silent(evaluation: dict[str, Any]) -> None:
    assert "evaluation.json could not be read: the champion's own numbers are in the report." in lines({}, evaluation)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(None, "-"), ("", "-"), ("x", "-"), (0.62124, "0.6212"), ("-0.5", "-0.5000"), (0, "0.0000")],
        *[(1, "1.000"), (-1, "-1.000"), (2, "2"), (-2, "-2"), (1312.0, "1,312"), (1.5, "1.500"), (12.3456, "12.35")],
    ],
)
def test_numbers(value: object, text: str) -> None:
    assert _number(value) == text


def test_a_champion_that_left_and_a_problem() -> None:
    assert withdrawal_notice(3, ENVIRONMENT).subject == "[p] no champion: version 3 was withdrawn"
    told = problem_notice("version 3 is approved, but: no artifact: x", ENVIRONMENT)
    assert told.subject == "[p] version 3 is approved, but"
    assert told.text.startswith("version 3 is approved, but: no artifact: x\n\nEverything else continues.")
    for mail in (withdrawal_notice(3, ENVIRONMENT), told):
        assert f"  python -m scripts.review_model list {OPTIONS}\n" in mail.text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", "(no subject)"),
        (" \n ", "?"),
        ("two\nlines", "two?lines"),
        (" a  ~b\x7f", "a ~b?"),
        ("é!", "?!"),
        ("x" * 300, "x" * 99),
        ("x" * 98 + " y", "x" * 98),
        ("x" * 97 + " yz", "x" * 97 + " y"),
    ],
)
def test_a_subject_is_one_line_of_99_printable_characters(text: str, made: str) -> None:
    assert sns_subject(text) == made


def test_a_message_is_cut_where_sns_would_refuse_it() -> None:
    limit = 254 * 1024
    assert sns_message("x" * limit) == "x" * limit
    assert sns_message("x" * (limit + 1)) == "x" * limit + "\n(cut)\n"
    assert sns_message("x" * (limit - 1) + "é") == "x" * (limit - 1) + "\n(cut)\n", "no half character"
    assert sns_message("\ud800") == "\ud800"
