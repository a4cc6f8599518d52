"""What nights and standing costs add up to over the spans that a workload names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.contract.spec import Span
from pipeline.cost.fixed_costs import Line
from pipeline.cost.run_cost import Nights

MONTH_NIGHTS: Final = 30


@dataclass(frozen=True)
class SpanCost:
    """Some nights in a row. Dollars: of all runs, and of what stands in the account all the while."""

    name: str
    nights: int
    runs: float
    trainings: float
    run_dollars: float
    standing_dollars: float

    @property
    def dollars(self) -> float:
        """Together."""
        return self.run_dollars + self.standing_dollars


@dataclass(frozen=True)
class Estimate:
    """The whole bill."""

    nights: Nights
    standing: tuple[Line, ...]
    spans: tuple[SpanCost, ...]

    @property
    def standing_dollars(self) -> float:
        """What stands there, a month."""
        return sum(line.dollars for line in self.standing)


def estimate(
    nights: Nights,
    standing: Sequence[Line],
    runs_a_day: float,
    min_days_between_trainings: float = 0,
    *,
    spans: Sequence[Span],
) -> Estimate:
    """Each span, for a schedule that runs, and trains at most, so often; by default each night with news trains."""
    month = sum(line.dollars for line in standing)
    costs = []
    for span in spans:
        runs = span.nights * runs_a_day
        # news of several days wait for the next run, and for the least time between two trainings
        waited = span.nights / min_days_between_trainings if min_days_between_trainings > 0 else span.with_news
        trainings = min(span.with_news, runs, waited)
        dollars = trainings * nights.training.dollars + (runs - trainings) * nights.no_news.dollars
        costs.append(SpanCost(span.name, span.nights, runs, trainings, dollars, month * span.nights / MONTH_NIGHTS))
    return Estimate(nights, tuple(standing), tuple(costs))
