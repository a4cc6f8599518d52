"""Policies are what the file says; a wrong one is refused with field, value and what is possible."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pipeline.backtest.policies import (
    NEVER,
    REFERENCE,
    Policy,
    PolicyError,
    RetrainSchedule,
    default_policy,
    parse_schedule,
    read_policies,
)
from pipeline.contract.workload import load_spec

NBA = load_spec("nba")


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("nightly", RetrainSchedule(min_days=1)),
        ("never", RetrainSchedule(min_days=NEVER)),
        ("every 90 days", RetrainSchedule(min_days=90)),
        ("every 200 rows", RetrainSchedule(min_rows=200)),
        ("each-period + on-drift", RetrainSchedule(each_period=True, on_drift=True)),
        ("monthly + on-loss + every 10 days", RetrainSchedule(min_days=10, on_loss=True)),
    ],
)
def test_schedules_are_read(text: str, schedule: RetrainSchedule) -> None:
    assert parse_schedule(text) == schedule


def test_a_block_is_the_product_of_its_lists_and_never_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text('- train: [weekly, monthly]\n  gate: ["off", superior]\n- train: never\n- window: 3\n')
    assert read_policies(NBA, file) == (
        REFERENCE,
        default_policy(NBA),
        Policy(train="weekly", gate="off"),
        Policy(train="weekly", gate="superior"),
        Policy(train="monthly", gate="off"),
        Policy(train="monthly", gate="superior"),
        Policy(window=3),
    )


def test_the_default_file_is_readable_and_names_differ() -> None:
    names = [policy.name for policy in read_policies(NBA)]
    assert len(names) > 30
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- train: hourly", r'block 1: train "hourly": "hourly" is none of nightly, weekly'),
        ("- trains: weekly", r'there is no field "trains": there are train, window'),
        ("- gate: strong", r'gate "strong" is none of standard, off'),
        ("- approver: soon", r'approver "soon" is none of immediate, strict, after N days'),
        ("- window: -1", r'window "-1" is not a whole number of periods'),
        ("- margin: much", r'margin "much" is not a number'),
        ("- margin: .nan", r'margin "nan" is not a number'),
        ("- max_age: .inf", r'max_age "inf" is not a number'),
        ("- train: 7", r'train "7" is not text: write it in quotation marks'),
        ("- gate: off", r'gate "False" is not text: write it in quotation marks'),
        ("- approver: [[strict]]", r"approver .+ is not text"),
        ("train: weekly", "not a list of policies"),
        ("- [", "cannot be read as YAML"),
    ],
)
def test_what_cannot_be_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(text)
    with pytest.raises(PolicyError, match=message):
        read_policies(NBA, file)


def test_gates_are_the_parameters_with_other_numbers() -> None:
    defaults = {"NonInferiorityMargin": 0.002, "MinImprovement": 0.001, "MaxChampionAgeDays": 30.0}
    assert Policy().limits(defaults) == defaults
    assert Policy(gate="superior").limits(defaults)["NonInferiorityMargin"] == 0
    assert Policy(gate="non-inferior").limits(defaults) == {**defaults, "MinImprovement": -math.inf}
    assert Policy(gate="off", margin=0.5).limits(defaults)["NonInferiorityMargin"] == 0.001
    assert Policy(improvement=3.0, max_age=7).limits(defaults) == {
        **defaults,
        "MinImprovement": 0.003,
        "MaxChampionAgeDays": 7,
    }
