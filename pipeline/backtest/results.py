"""The numbers of each policy, and which one to choose: on earlier periods, scored on later ones.

Two rules of choice, both fixed by the earlier periods alone:

    best      the lowest loss
    cheapest  of the policies that the earlier periods cannot tell from the best (the interval of the difference reaches
              zero, and its upper bound keeps the pipeline's own margin), the cheapest in dollars; at equal dollars that
              with fewer emails, then the better one

"Cannot tell from" is not "as good as": docs/findings.md shows what the second rule has cost on real data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.backtest.policies import Policy
from pipeline.backtest.service import Service
from pipeline.backtest.simulate import Outcome
from pipeline.backtest.world import BoolArray, FloatArray, IntArray
from pipeline.contract.metrics import primary_metric
from pipeline.cost.run_cost import RunCosts
from pipeline.evaluation import metrics

BOOTSTRAP_SEED: Final = 20_041_102
_DAYS_A_MONTH: Final = 365.25 / 12


@dataclass(frozen=True)
class PolicyResult:
    """One policy over the whole span. Differences are in loss a row, `never`'s subtracted: negative is better."""

    policy: Policy
    name: str
    loss: float  # the mean of the task's primary metric
    scores: Mapping[str, float | int | None]  # the task's metrics, but those of quantiles
    difference: metrics.Difference
    by_period: Mapping[int, float]  # loss
    counts: Mapping[str, int]
    promotions: tuple[str, ...]  # the days from which a version was in service
    oncall_emails_a_month: float
    approver_emails_a_month: float
    machine_hours: float
    dollars: float
    dollars_a_month: float


def differences(
    losses: FloatArray, baseline: FloatArray, service: Service, days: BoolArray | None = None
) -> list[metrics.Difference]:
    """Mean difference a row to `baseline` with its 95 % interval, for many policies at once.

    `losses` has the shape (policies, days), `baseline` (days,); `days` chooses some.
    """
    chosen = np.ones(len(service.days), dtype=np.bool_) if days is None else days
    _, block = np.unique(service.blocks[chosen], return_inverse=True)
    difference = (losses - baseline)[:, chosen]
    starts = np.flatnonzero(np.diff(block, prepend=-1))  # the days are in order
    sums = np.add.reduceat(difference, starts, axis=1)
    counts = np.add.reduceat(service.n_rows[chosen], starts).astype(np.float64)
    lower, upper = metrics.interval_of_mean(sums.T, counts, BOOTSTRAP_SEED)
    means = difference.sum(axis=1) / counts.sum()
    return [metrics.Difference(*map(float, row)) for row in zip(means, lower, upper, strict=True)]


def spent(outcome: Outcome, run_costs: RunCosts) -> tuple[FloatArray, FloatArray]:
    """Dollars and instance hours of each policy's runs, of the shape (policies,)."""
    runs, trainings = outcome.counts["runs"], outcome.counts["trainings"]
    without, trained = run_costs.without_training, run_costs.with_training
    dollars = runs * without.dollars + trainings * (trained.dollars - without.dollars)
    return dollars, runs * without.instance_hours + trainings * (trained.instance_hours - without.instance_hours)


def summarise(outcome: Outcome, losses: FloatArray, service: Service, run_costs: RunCosts) -> list[PolicyResult]:
    """Every policy's result, in their order; the first policy is `never`."""
    against_never = differences(losses, losses[0], service)
    months = len(service.world.run_days) / _DAYS_A_MONTH
    dollars, hours = spent(outcome, run_costs)
    spec = service.world.spec
    results = []
    for number, policy in enumerate(outcome.policies):
        scores = metrics.scores(spec.task, service.predictions(outcome, number), service.target)
        results.append(
            PolicyResult(
                policy=policy,
                name=policy.name,
                loss=float(scores[primary_metric(spec).key] or 0.0),
                scores=scores,
                difference=against_never[number],
                by_period=_by_period(losses[number], service),
                counts={name: int(values[number]) for name, values in outcome.counts.items()},
                promotions=tuple(_dates(service.world.run_days[outcome.promoted[number] >= 0])),
                oncall_emails_a_month=float(outcome.oncall_emails[number] / months),
                approver_emails_a_month=float(outcome.approver_emails[number] / months),
                machine_hours=float(hours[number]),
                dollars=float(dollars[number]),
                dollars_a_month=float(dollars[number] / months),
            )
        )
    return results


def _by_period(losses: FloatArray, service: Service) -> dict[int, float]:
    periods, position = np.unique(service.period, return_inverse=True)
    sums = np.bincount(position, weights=losses)
    rows = np.bincount(position, weights=service.n_rows)
    return {int(period): float(total / n) for period, total, n in zip(periods, sums, rows, strict=True)}


def _dates(days: IntArray) -> list[str]:
    return [str(day) for day in days.astype("datetime64[D]")]


@dataclass(frozen=True)
class Pick:
    """A policy on the later periods: loss, differences to never and to the best of the earlier ones, rank."""

    name: str
    loss: float
    against_never: metrics.Difference
    against_best: metrics.Difference
    rank: int


@dataclass(frozen=True)
class Choice:
    """What was chosen on the periods up to `last_period`; every number of a pick is of the later periods."""

    last_period: int
    n_earlier: int
    n_later: int
    n_eligible: int  # policies that the earlier periods cannot tell from the best
    best: Pick
    cheapest: Pick
    default: Pick | None  # the pipeline's own policy, whatever the earlier periods say


def choose(
    outcome: Outcome,
    losses: FloatArray,
    service: Service,
    run_costs: RunCosts,
    last_period: int,
    *,
    margin: float,
    default: str = "",
) -> Choice | None:
    """Choose on the periods up to `last_period` alone; None where the span has none before or none after."""
    earlier: BoolArray = service.period <= last_period
    if earlier.all() or not earlier.any():
        return None
    rows = service.n_rows
    on_earlier = losses[:, earlier].sum(axis=1) / rows[earlier].sum()
    on_later = losses[:, ~earlier].sum(axis=1) / rows[~earlier].sum()
    best = int(on_earlier.argmin())
    to_best = differences(losses, losses[best], service, earlier)
    eligible = [n for n, d in enumerate(to_best) if n == best or (d.lower <= 0.0 and d.upper <= margin)]
    known = outcome.until(int(service.run_of_day[earlier][-1]) + 1)
    dollars, emails = spent(known, run_costs)[0], known.oncall_emails + known.approver_emails
    names = [policy.name for policy in outcome.policies]

    def pick(number: int) -> Pick:
        never, of_best = (differences(losses[[number]], losses[n], service, ~earlier)[0] for n in (0, best))
        rank = int((on_later < on_later[number]).sum()) + 1
        return Pick(names[number], float(on_later[number]), never, of_best, rank)

    return Choice(
        last_period=last_period,
        n_earlier=int(rows[earlier].sum()),
        n_later=int(rows[~earlier].sum()),
        n_eligible=len(eligible),
        best=pick(best),
        cheapest=pick(min(eligible, key=lambda n: (dollars[n], emails[n], on_earlier[n]))),
        default=pick(names.index(default)) if default in names else None,
    )


@dataclass(frozen=True)
class Bound:
    """The least summed loss of any schedule with at most so many promotions, which only hindsight finds."""

    promotions: int
    loss: float


def bounds(losses: FloatArray, start: IntArray, before: FloatArray, most: int) -> list[Bound]:
    """Bounds for 0, 1, ... `most` promotions.

    `losses` has the shape (candidates, days), candidates in order of `start`, the first day on which each may serve;
    `before` (days,) is the loss without any champion. No policy knows all labels: a candidate may be promoted only by
    the run that made it, and serves from the next run until another one does. With m promotions allowed,

        best(m, d) = min over s of  best(m - 1, start(s)) + loss of candidate s on the days [start(s), d)
    """
    n, days = losses.shape
    serving = np.arange(days)[None, :] >= start[:, None]
    total = np.zeros((n, days + 1))
    np.cumsum(np.where(serving, losses, 0.0), axis=1, out=total[:, 1:])
    total[np.arange(days + 1)[None, :] <= start[:, None]] = np.inf  # not yet in service
    best = np.concatenate([[0.0], np.cumsum(before)])
    found = [Bound(0, float(best[-1]))]
    for m in range(1, most + 1):
        with_one_more = np.minimum(best, (total + best[start][:, None]).min(axis=0))
        if not (with_one_more < best).any():
            break
        best = with_one_more
        found.append(Bound(m, float(best[-1])))
    return found
