"""The cost of runs and the fixed cost, over the spans of a workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.contract.spec import Span
from pipeline.cost.fixed_costs import CostItem
from pipeline.cost.run_cost import RunCosts

DAYS_A_MONTH: Final = 30


@dataclass(frozen=True)
class SpanCost:
    """A span of days: the cost of its runs, and the fixed cost."""

    name: str
    days: int
    runs: float
    trainings: float
    run_dollars: float
    fixed_dollars: float

    @property
    def dollars(self) -> float:
        return self.run_dollars + self.fixed_dollars


@dataclass(frozen=True)
class Estimate:
    run_costs: RunCosts
    fixed_costs: tuple[CostItem, ...]
    spans: tuple[SpanCost, ...]

    @property
    def fixed_dollars(self) -> float:
        return sum(line.dollars for line in self.fixed_costs)


def estimate(
    run_costs: RunCosts,
    fixed_costs: Sequence[CostItem],
    runs_a_day: float,
    min_days_between_trainings: float = 0,
    *,
    spans: Sequence[Span],
) -> Estimate:
    """Each span, for a schedule with so many runs; each day with new data trains, at most at the given interval."""
    month = sum(line.dollars for line in fixed_costs)
    costs = []
    for span in spans:
        runs = span.days * runs_a_day
        # new data of several days waits for the next run, and for the interval between two trainings
        limit = span.days / min_days_between_trainings if min_days_between_trainings > 0 else span.days_with_new_data
        trainings = min(span.days_with_new_data, runs, limit)
        dollars = trainings * run_costs.with_training.dollars + (runs - trainings) * run_costs.without_training.dollars
        costs.append(SpanCost(span.name, span.days, runs, trainings, dollars, month * span.days / DAYS_A_MONTH))
    return Estimate(run_costs, tuple(fixed_costs), tuple(costs))
