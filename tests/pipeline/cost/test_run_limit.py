"""A run's estimate against a limit: what raises it, and what is not known."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.contract.workload import read_definition
from pipeline.cost.run_cost import default_run_costs
from pipeline.cost.run_limit import check_run_cost, last_seconds, refusal

LIMIT = 0.05
COST = default_run_costs(workload="nba").with_training.dollars


class SageMaker:
    """Runs, newest first, each with the steps that succeeded in it, and their seconds."""

    def __init__(self, *runs: dict[str, float], **step: Any) -> None:
        self.runs, self.fields, self.asked = runs, step, 0

    def list_pipeline_executions(self, **asked: Any) -> dict[str, Any]:
        assert (asked["SortBy"], asked["SortOrder"]) == ("CreationTime", "Descending")
        return {"PipelineExecutionSummaries": [{"PipelineExecutionArn": str(n)} for n in range(len(self.runs))]}

    def list_pipeline_execution_steps(self, **asked: Any) -> dict[str, Any]:
        self.asked += 1
        begin = datetime(2026, 11, 1, tzinfo=UTC)
        steps = self.runs[int(asked["PipelineExecutionArn"])].items()
        return {
            "PipelineExecutionSteps": [
                {"StepName": name, "StepStatus": "Succeeded", "StartTime": begin, "EndTime": begin + timedelta(0, s)}
                | self.fields
                for name, s in steps
            ]
        }


@pytest.fixture
def nba() -> dict[str, Any]:
    return copy.deepcopy(read_definition("nba"))


def asked(nba: dict[str, Any], **given: str) -> str | None:
    return check_run_cost(SageMaker(), "p", nba, given, LIMIT)


def test_the_limit_is_the_most_that_a_run_with_training_may_cost(nba: dict[str, Any]) -> None:
    assert refusal(nba, COST, {}) is None
    assert refusal(nba, COST * 0.99, {}) is not None


def test_instances_of_the_start_raise_the_estimate(nba: dict[str, Any]) -> None:
    assert asked(nba) is None
    assert asked(nba, TrainInstanceType="ml.m5.xlarge") is None, "one that is twice as large is still below the limit"
    refused = asked(nba, TrainInstanceCount="20")
    assert refused
    assert refused.startswith("a run that trains is estimated at $0.1")
    first, *_ = refused.partition("max_run_usd (0.05): ")[2].split(",")
    assert first.startswith("Train $0.")
    assert "(20 x ml.m5.large for 15" in first
    assert "Choose smaller or fewer instances" in refused


def test_a_price_that_is_not_known_refuses_and_says_where_to_add_it(nba: dict[str, Any]) -> None:
    refused = asked(nba, TrainInstanceType="ml.m7i.large")
    assert refused
    assert "cannot be compared with max_run_usd (0.05): no price for instance ml.m7i.large" in refused
    assert "pipeline/cost/prices.json" in refused


def test_a_price_that_was_not_verified_is_marked(nba: dict[str, Any]) -> None:
    """ml.t3.medium's price is verified for processing, and not for training."""
    refused = refusal(_with(nba, TrainInstanceType="ml.t3.medium"), 0.001, {})
    assert refused
    assert "? (1 x ml.t3.medium" in refused.partition("Train $")[2].partition(",")[0]
    assert "?" not in refused.partition("Prepare $")[2].partition(" (")[0]


def test_a_job_counts_as_long_as_it_last_took_also_where_it_was_never_measured(nba: dict[str, Any]) -> None:
    """More data than the measurement had: an hour on ml.m5.large."""
    assert refusal(nba, LIMIT, {"Train": 100}) is None, "shorter than the measurement"
    refused = refusal(nba, LIMIT, {"Train": 3600})
    assert refused
    assert "(1 x ml.m5.large for 3,600 s)" in refused
    assert "1 x ml.m5.xlarge for 3,600 s" in str(
        refusal(_with(nba, TrainInstanceType="ml.m5.xlarge"), LIMIT, {"Train": 3600})
    )
    for step in nba["Steps"]:
        step["Name"] = step["Name"].replace("Prepare", "Own")
    assert "how long Own takes is not known" in str(refusal(nba, 1, {}))
    assert refusal(nba, 1, {"Own": 200}) is None


def _with(definition: dict[str, Any], **values: str) -> dict[str, Any]:
    for parameter in definition["Parameters"]:
        parameter["DefaultValue"] = values.get(parameter["Name"], parameter["DefaultValue"])
    return definition


def test_the_newest_run_in_which_a_step_succeeded_counts() -> None:
    client = SageMaker({"Prepare": 10}, {"Prepare": 20, "Train": 30}, {"Train": 40})
    assert last_seconds(client, "p", {"Prepare", "Train"}) == {"Prepare": 10, "Train": 30}
    assert client.asked == 2, "older runs are not read"
    assert (
        last_seconds(SageMaker({"Train": 1}, CacheHitResult={"SourcePipelineExecutionArn": "a"}), "p", {"Train"}) == {}
    )
    assert last_seconds(SageMaker({"Train": 1}, StepStatus="Failed"), "p", {"Train"}) == {}
