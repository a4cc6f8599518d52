"""What a run costs: which jobs run, what is billed of them, and the sums."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.prices import InstanceType, Price, PriceError, Prices, load_prices
from pipeline.cost.run_cost import (
    REQUESTS_OF_A_JOB,
    REQUESTS_OF_A_RUN,
    SLOW_STARTUP_SECONDS,
    PipelineJob,
    RunCosts,
    default_run_costs,
    job_cost,
    jobs,
    measured_needs,
    run_costs,
)

HOUR = 3600.0
LIST_PRICES = load_prices()
PRICES = Prices(
    region="nowhere",
    as_of="2026-01-01",
    instances={
        "slow": InstanceType("slow", 4, 0.5, {"processing": Price(1.0, True, "2026", "here")}),
        "quick": InstanceType("quick", 4, 1.0, {"training": Price(3.0, True, "2026", "here")}),
    },
    prices={
        "processing_storage_gb_month": Price(0.72, True, "2026", "here"),  # 0.001 a GB and hour
        "training_storage_gb_month": Price(1.44, True, "2026", "here"),
        **{unit: Price(1.0, True, "2026", "here") for unit in (*REQUESTS_OF_A_RUN, *REQUESTS_OF_A_JOB)},
    },
)


def processing(name: str, machine: Any) -> dict[str, Any]:
    cluster = {"InstanceType": machine, "InstanceCount": 1, "VolumeSizeInGB": 10}
    return {"Name": name, "Type": "Processing", "Arguments": {"ProcessingResources": {"ClusterConfig": cluster}}}


def training(name: str, machine: Any) -> dict[str, Any]:
    cluster = {"InstanceType": machine, "InstanceCount": 2, "VolumeSizeInGB": 10}
    return {"Name": name, "Type": "Training", "Arguments": {"ResourceConfig": cluster}}


DEFINITION = {
    "Parameters": [{"Name": "InstanceType", "DefaultValue": "slow"}],
    "Steps": [
        processing("Always", {"Get": "Parameters.InstanceType"}),
        {
            "Name": "IsNew",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": {"Std:JsonGet": {}}, "RightValue": "yes"}],
                "IfSteps": [training("Fit", "quick")],
                "ElseSteps": [],
            },
        },
    ],
}


def test_jobs_behind_a_condition_do_not_run_every_night() -> None:
    assert jobs(DEFINITION) == (
        PipelineJob("Always", "processing", "slow", 1, 10, always=True),
        PipelineJob("Fit", "training", "quick", 2, 10, always=False),
    )


UNKNOWN = {"Type": "Equals", "LeftValue": {"Std:JsonGet": {"Path": "x"}}, "RightValue": "yes"}
IS_SLOW = {"Type": "Equals", "LeftValue": {"Get": "Parameters.InstanceType"}, "RightValue": "slow"}
IS_MANY = {"Type": "GreaterThanOrEqualTo", "LeftValue": {"Get": "Parameters.Count"}, "RightValue": 2}


@pytest.mark.parametrize(
    ("conditions", "machine", "count", "sides"),
    [
        ([IS_SLOW], "slow", 1, "if"),
        ([IS_SLOW], "quick", 1, "else"),
        ([IS_SLOW, IS_MANY], "slow", 1, "else"),
        ([{"Type": "Or", "Conditions": [IS_SLOW, IS_MANY]}], "slow", 1, "if"),
        ([{"Type": "Or", "Conditions": [IS_SLOW, IS_MANY]}], "quick", 2, "if"),
        ([{"Type": "Or", "Conditions": [IS_SLOW, IS_MANY]}], "quick", 1, "else"),
        ([{"Type": "Or", "Conditions": [IS_SLOW, UNKNOWN]}], "slow", 1, "if"),
        ([{"Type": "Or", "Conditions": [UNKNOWN, IS_SLOW]}], "quick", 1, "undecided"),
        ([IS_SLOW, UNKNOWN], "quick", 1, "else"),
        ([UNKNOWN, IS_SLOW], "slow", 1, "undecided"),
        ([{"Type": "Not", "Condition": IS_SLOW}], "slow", 1, "undecided"),
    ],
)
def test_a_condition_on_parameters_is_decided_by_their_defaults(
    conditions: list[dict[str, Any]], machine: str, count: int, sides: str
) -> None:
    branches = {"IfSteps": [processing("If", "slow")], "ElseSteps": [processing("Else", "slow")]}
    step = {"Name": "Which", "Type": "Condition", "Arguments": {"Conditions": conditions, **branches}}
    defaults = [{"Name": "InstanceType", "DefaultValue": machine}, {"Name": "Count", "DefaultValue": count}]
    found = jobs({"Parameters": defaults, "Steps": [step]})
    expected = {"if": ["If"], "else": ["Else"], "undecided": ["If", "Else"]}[sides]
    assert [job.step for job in found] == expected
    assert all(job.always is (sides != "undecided") for job in found)


def test_the_sums_by_hand() -> None:
    found = run_costs(DEFINITION, {"Always": HOUR / 2, "Fit": HOUR}, PRICES, startup_seconds=HOUR)
    # Always: 1 h of start-up and 0.5 h of work at half the speed: 2 h at $1, and 10 GB for 2 h at $0.001
    run, job = sum(REQUESTS_OF_A_RUN.values()), sum(REQUESTS_OF_A_JOB.values())  # each unit is $1 here
    assert found.without_training.dollars == pytest.approx(2.02 + run + job)
    assert found.without_training.instance_hours == pytest.approx(2)
    # Fit: 1 h and 1 h on two instances: 4 h at $3, and 2 times 10 GB for 2 h at $0.002
    assert found.with_training.dollars == pytest.approx(2.02 + 12.08 + run + 3 * job)  # on three instances
    assert found.with_training.instance_hours == pytest.approx(2 + 4)


def test_a_machine_without_a_price_for_the_kind_of_job_is_refused() -> None:
    with pytest.raises(PriceError, match="slow has no price for training"):
        job_cost(PipelineJob("Fit", "training", "slow", 1, 10, always=True), 1.0, PRICES)


@given(
    st.floats(0, 1e5),
    st.floats(0, 1e5),
    st.sampled_from(
        [(m, kind) for m, machine in LIST_PRICES.instances.items() for kind in machine.hourly if kind != "hosting"]
    ),
)
def test_more_seconds_never_cost_less(seconds: float, more: float, machine: tuple[str, str]) -> None:
    name, kind = machine
    job = PipelineJob("Step", kind, name, 1, 10, always=True)
    assert job_cost(job, seconds + more, LIST_PRICES).dollars >= job_cost(job, seconds, LIST_PRICES).dollars


def every_job(definition: dict[str, Any]) -> dict[str, PipelineJob]:
    """Those of a start with the defaults, and those of play-by-play on one machine and on several."""
    found = {job.step: job for job in jobs(definition)}
    for instances in (1, 2):
        chosen = {"EventsPrefix": "play_by_play", "AggregateInstanceCount": instances}
        parameters = [{**p, "DefaultValue": chosen.get(p["Name"], p["DefaultValue"])} for p in definition["Parameters"]]
        found |= {job.step: job for job in jobs({**definition, "Parameters": parameters})}
    return found


def test_every_job_of_the_definition_was_measured(definition: dict[str, Any]) -> None:
    assert {"Aggregate", "AggregateOnSpark"} < set(every_job(definition))
    assert set(measured_needs()) == set(every_job(definition)), "run python -m benchmarks.job_needs --write"


def test_every_job_has_twice_the_memory_it_needs_and_its_files_fit(definition: dict[str, Any]) -> None:
    needs = measured_needs()
    for job in every_job(definition).values():
        own = needs[job.step]
        assert LIST_PRICES.instance(job.instance).memory_gib * 1024 >= 2 * own.peak_mib
        assert job.volume_gb * 1024 >= 20 * own.disk_mib


@pytest.mark.parametrize(
    "found", [default_run_costs(), default_run_costs(SLOW_STARTUP_SECONDS)], ids=["usual", "slow start"]
)
def test_the_aim_is_kept(found: RunCosts) -> None:
    """At most $0.02 without news and $0.06 with training, even if all the waiting were billed."""
    assert found.without_training.dollars <= 0.02
    assert found.without_training.dollars < found.with_training.dollars <= 0.06
    assert {cost.job.step for cost in found.without_training.jobs} == {"Prepare", "Predict"}
