"""What stands in the account: counted in a template, and nothing forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.cost.estimate import estimate
from pipeline.cost.fixed_costs import CostItem, EndpointSize, endpoint_item, resource_items, usage_items
from pipeline.cost.prices import PriceError, load_prices
from pipeline.cost.run_cost import RunCost, RunCosts
from pipeline.workloads.nba.spec import SPEC

PRICES = load_prices()
SPANS = SPEC.spans


def template(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"Resources": {f"Resource{place}": resource for place, resource in enumerate(resources)}}


def test_keys_and_dashboards_are_counted() -> None:
    found = resource_items(
        template(*[{"Type": "AWS::KMS::Key"}] * 2, {"Type": "AWS::CloudWatch::Dashboard"}, {"Type": "AWS::IAM::Role"}),
        PRICES,
    )
    assert {line.name: line.dollars for line in found} == {"2 keys": 2.0, "1 dashboard": 3.0}


def test_an_alarm_is_charged_for_each_metric_that_it_reads() -> None:
    plain = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors"}}
    metrics = [{"Id": "sum", "Expression": "SUM([a, b])"}, {"Id": "a", "MetricStat": {}}, {"Id": "b", "MetricStat": {}}]
    both = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": metrics}}
    (line,) = resource_items(template(plain, both), PRICES)
    assert line.name == "3 alarm metrics"
    assert line.dollars == pytest.approx(0.3)


def test_a_function_costs_what_its_hourly_rule_calls() -> None:
    function = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 1024}}
    hourly = {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(1 hour)"}}
    pattern = {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {}}}
    (line,) = resource_items(template(function, hourly, pattern), PRICES)
    assert line.dollars == pytest.approx(730 * (3 * PRICES["function_arm_gb_second"].usd + 0.2e-6))
    (idle,) = resource_items(template(function, pattern), PRICES)
    assert idle.dollars == 0


def test_a_resource_that_is_neither_priced_nor_free_is_refused() -> None:
    with pytest.raises(PriceError, match=r"no price for AWS::EC2::NatGateway: add it to pipeline/cost/fixed_costs\.py"):
        resource_items(template({"Type": "AWS::EC2::NatGateway"}), PRICES)


def test_an_endpoint_costs_its_hours_or_its_requests() -> None:
    machine = endpoint_item(PRICES, EndpointSize("ml.m5.large"), 0)
    assert machine.dollars == pytest.approx(730 * 0.115)
    two = endpoint_item(PRICES, EndpointSize("ml.m5.large", count=2), 0)
    assert (two.name, two.dollars) == ("endpoint, 2 times ml.m5.large", pytest.approx(2 * machine.dollars))
    assert endpoint_item(PRICES, EndpointSize("serverless"), 0).dollars == 0
    asked = endpoint_item(PRICES, EndpointSize("serverless"), 10_000)
    assert endpoint_item(PRICES, EndpointSize("serverless", memory_gib=4), 10_000).dollars == pytest.approx(
        2 * asked.dollars
    )
    assert asked.dollars == pytest.approx(10_000 * 0.1 * 2 * PRICES["serverless_gb_second"].usd)
    with pytest.raises(PriceError, match=r"ml\.t3\.medium has no price for hosting"):
        endpoint_item(PRICES, EndpointSize("ml.t3.medium"), 0)


def test_custom_metrics_are_charged_for_hours_with_data() -> None:
    def metrics(hours: float) -> float:
        lines = usage_items(PRICES, custom_metrics=6, metric_hours=hours, stored_gib=0, image_gib=0, emails=0)
        return sum(line.dollars for line in lines)

    assert metrics(730) == metrics(10_000) == pytest.approx(1.8)
    assert metrics(73) == pytest.approx(0.18)


def test_the_sums_of_months_season_and_year() -> None:
    both = RunCosts(without_training=RunCost((), 1.0), with_training=RunCost((), 3.0))
    found = estimate(both, [CostItem("keys", 10.0, "", True)], runs_a_day=1, spans=SPANS)
    spans = {span.name: span for span in found.spans}
    assert spans["month out of season"].dollars == pytest.approx(30 * 1 + 10)
    assert spans["season"].run_dollars == pytest.approx(208 * 3 + 24 * 1)
    assert spans["year"].run_dollars == pytest.approx(208 * 3 + 157 * 1)
    assert spans["month in season"].trainings == pytest.approx(30 * 208 / 232)


def test_fewer_runs_than_days_with_new_data_train_as_often_as_they_run() -> None:
    both = RunCosts(without_training=RunCost((), 1.0), with_training=RunCost((), 3.0))
    weekly = {span.name: span for span in estimate(both, [], runs_a_day=1 / 7, spans=SPANS).spans}
    assert weekly["season"].run_dollars == pytest.approx(232 / 7 * 3)
    off = {span.name: span for span in estimate(both, [], runs_a_day=0, spans=SPANS).spans}
    assert off["year"].dollars == 0


def test_trainings_wait_for_the_least_time_between_two() -> None:
    both = RunCosts(without_training=RunCost((), 1.0), with_training=RunCost((), 3.0))
    found = estimate(both, [], runs_a_day=1, min_days_between_trainings=30, spans=SPANS)
    spans = {span.name: span for span in found.spans}
    assert spans["month in season"].trainings == 1
    assert spans["month out of season"].trainings == 0
    assert spans["season"].trainings == pytest.approx(232 / 30)


def test_the_length_of_a_season_is_that_of_the_real_ones(real_games: Any) -> None:
    import pandas as pd

    games = pd.concat(pd.read_csv(file, usecols=["season", "date"]) for file in sorted(real_games.glob("*.csv")))
    seasons = games[games.season.between(2005, 2019)].assign(date=lambda g: pd.to_datetime(g.date)).groupby("season")
    (season,) = (span for span in SPANS if span.name == "season")
    assert seasons.date.nunique().median() == season.days_with_new_data
    assert ((seasons.date.max() - seasons.date.min()).dt.days + 1).median() == season.days
