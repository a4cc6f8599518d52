"""The numbers of each policy: scores of what was in service, interval against `never`, counts, mails, dollars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.policies import Policy
from pipeline.backtest.service import Losses, Service
from pipeline.backtest.simulate import Outcome
from pipeline.cost.run_cost import RunCosts
from pipeline.evaluation import metrics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

BOOTSTRAP_SEED: Final = 20_041_102
_DAYS_A_MONTH: Final = 365.25 / 12


@dataclass(frozen=True)
class PolicyResult:
    """One policy over the whole span. Differences are in log loss a game, `never`'s subtracted: negative is better."""

    policy: Policy
    name: str
    scores: metrics.Metrics
    difference: metrics.Difference
    by_season: Mapping[int, float]  # log loss
    counts: Mapping[str, int]
    promotions: tuple[str, ...]  # the days from which a version was in service
    oncall_mails_a_month: float
    approver_mails_a_month: float
    machine_hours: float
    dollars: float
    dollars_a_month: float

    def as_json(self) -> dict[str, Any]:
        """The result with plain types."""
        return {**asdict(self), "by_season": {str(k): v for k, v in self.by_season.items()}}


def differences(
    log_loss: FloatArray, baseline: FloatArray, service: Service, days: BoolArray | None = None
) -> list[metrics.Difference]:
    """Mean difference a game to `baseline` with its 95 % interval, for many policies at once.

    `log_loss` has the shape (policies, days), `baseline` (days,); `days` chooses some.
    """
    chosen = np.ones(len(service.days), dtype=np.bool_) if days is None else days
    _, week = np.unique(service.weeks[chosen], return_inverse=True)
    difference = (log_loss - baseline)[:, chosen]
    starts = np.flatnonzero(np.diff(week, prepend=-1))  # the days are in order
    sums = np.add.reduceat(difference, starts, axis=1)
    counts = np.add.reduceat(service.n_rows[chosen], starts).astype(np.float64)
    lower, upper = metrics.interval_of_mean(sums.T, counts, BOOTSTRAP_SEED)
    means = difference.sum(axis=1) / counts.sum()
    return [metrics.Difference(*map(float, row)) for row in zip(means, lower, upper, strict=True)]


def summarise(outcome: Outcome, losses: Losses, service: Service, nights: RunCosts) -> list[PolicyResult]:
    """Every policy's result, in their order; the first policy is `never`."""
    against_never = differences(losses.log_loss, losses.log_loss[0], service)
    months = len(service.world.nights) / _DAYS_A_MONTH
    extra_dollars = nights.with_training.dollars - nights.without_training.dollars
    extra_hours = nights.with_training.instance_hours - nights.without_training.instance_hours
    results = []
    for number, policy in enumerate(outcome.policies):
        counts = {name: int(values[number]) for name, values in outcome.counts.items()}
        dollars = counts["runs"] * nights.without_training.dollars + counts["trainings"] * extra_dollars
        results.append(
            PolicyResult(
                policy=policy,
                name=policy.name,
                scores=metrics.score(service.probabilities(outcome, number), service.target),
                difference=against_never[number],
                by_season=_by_season(losses.log_loss[number], service),
                counts=counts,
                promotions=tuple(_dates(service.world.nights[outcome.promoted[number] >= 0])),
                oncall_mails_a_month=float(outcome.oncall_mails[number] / months),
                approver_mails_a_month=float(outcome.approver_mails[number] / months),
                machine_hours=counts["runs"] * nights.without_training.instance_hours
                + counts["trainings"] * extra_hours,
                dollars=dollars,
                dollars_a_month=dollars / months,
            )
        )
    return results


def _by_season(log_loss: FloatArray, service: Service) -> dict[int, float]:
    seasons, position = np.unique(service.season, return_inverse=True)
    sums = np.bincount(position, weights=log_loss)
    games = np.bincount(position, weights=service.n_rows)
    return {int(season): float(total / n) for season, total, n in zip(seasons, sums, games, strict=True)}


def _dates(days: IntArray) -> list[str]:
    return [str(day) for day in days.astype("datetime64[D]")]
