"""Which policy to choose: on earlier seasons, scored on later ones.

Two rules, both fixed by the earlier seasons alone:

    best      the lowest log loss
    cheapest  of the policies that the earlier seasons cannot tell from the best (the interval of the difference reaches
              zero, and its upper bound keeps the pipeline's own margin), the cheapest in dollars; at equal dollars that
              with fewer mails, then the better one

"Cannot tell from" is not "as good as": docs/findings.md shows what the second rule has cost on real games.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.backtest.results import PolicyResult, differences
from pipeline.backtest.service import Losses, Service
from pipeline.evaluation import metrics

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Pick:
    """A policy on the later seasons: log loss, differences to never and to the best of the earlier ones, rank."""

    name: str
    log_loss: float
    against_never: metrics.Difference
    against_best: metrics.Difference
    rank: int


@dataclass(frozen=True)
class Choice:
    """What was chosen on the seasons up to `last_season`; every number of a pick is of the later seasons."""

    last_season: int
    n_earlier: int
    n_later: int
    n_eligible: int  # policies that the earlier seasons cannot tell from the best
    best: Pick
    cheapest: Pick
    default: Pick | None  # the pipeline's own policy, which had no choice


def choose(
    results: list[PolicyResult],
    losses: Losses,
    service: Service,
    last_season: int,
    *,
    margin: float,
    default: str = "",
) -> Choice | None:
    """Choose on the seasons up to `last_season`; None where the span has none before or none after."""
    earlier: BoolArray = service.season <= last_season
    if earlier.all() or not earlier.any():
        return None
    games = service.n_rows
    on_earlier = losses.log_loss[:, earlier].sum(axis=1) / games[earlier].sum()
    best = int(on_earlier.argmin())
    to_best = differences(losses.log_loss, losses.log_loss[best], service, earlier)
    eligible = [n for n, d in enumerate(to_best) if n == best or (d.lower <= 0.0 and d.upper <= margin)]

    def cost(number: int) -> tuple[float, float, float]:
        result = results[number]
        mails = result.oncall_mails_a_month + result.approver_mails_a_month
        return result.dollars, mails, float(on_earlier[number])

    def pick(number: int) -> Pick:
        return _pick(number, best, results, losses, service, ~earlier)

    defaults = [number for number, result in enumerate(results) if result.name == default]
    return Choice(
        last_season=last_season,
        n_earlier=int(games[earlier].sum()),
        n_later=int(games[~earlier].sum()),
        n_eligible=len(eligible),
        best=pick(best),
        cheapest=pick(min(eligible, key=cost)),
        default=pick(defaults[0]) if defaults else None,
    )


def _pick(
    number: int, best: int, results: list[PolicyResult], losses: Losses, service: Service, later: BoolArray
) -> Pick:
    loss = losses.log_loss[:, later].sum(axis=1) / service.n_rows[later].sum()
    row = losses.log_loss[[number]]
    return Pick(
        name=results[number].name,
        log_loss=float(loss[number]),
        against_never=differences(row, losses.log_loss[0], service, later)[0],
        against_best=differences(row, losses.log_loss[best], service, later)[0],
        rank=int((loss < loss[number]).sum()) + 1,
    )
