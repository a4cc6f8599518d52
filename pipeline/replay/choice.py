"""Which policy to choose: on earlier seasons, scored on later ones.

The rule is fixed before anybody looks at the later seasons: of the policies that the earlier ones cannot tell from the
best (the interval of the difference reaches zero, and its upper bound keeps the pipeline's own margin), the cheapest in
dollars; at equal dollars that with fewer mails, then the better one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.replay.results import PolicyResult, differences
from pipeline.replay.service import Losses, Service
from pipeline.steps import metrics

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """What was chosen on the seasons up to `last_season`, and what it was worth on the later ones.

    Log losses are of the later seasons; both differences, too. `eligible`: policies that it was the cheapest of.
    """

    last_season: int
    best: str  # lowest log loss on the earlier seasons
    chosen: str
    eligible: tuple[str, ...]
    n_earlier: int
    n_later: int
    earlier_log_loss: float
    later_log_loss: float
    later_never: metrics.Difference  # chosen minus never
    later_best: metrics.Difference  # chosen minus the best of the earlier seasons
    rank_later: int  # of the chosen one among all policies on the later seasons, 1 is best


def choose(
    results: list[PolicyResult], losses: Losses, service: Service, last_season: int, margin: float
) -> Choice | None:
    """Choose on the seasons up to `last_season`; None where the span has none before or none after."""
    earlier: BoolArray = service.season <= last_season
    if earlier.all() or not earlier.any():
        return None
    later = ~earlier
    games = service.n_games
    loss_earlier = losses.log_loss[:, earlier].sum(axis=1) / games[earlier].sum()
    loss_later = losses.log_loss[:, later].sum(axis=1) / games[later].sum()
    best = int(loss_earlier.argmin())
    to_best = differences(losses.log_loss, losses.log_loss[best], service, earlier)
    eligible = [n for n, d in enumerate(to_best) if n == best or (d.lower <= 0.0 and d.upper <= margin)]

    def cost(number: int) -> tuple[float, float, float]:
        result = results[number]
        mails = result.oncall_mails_a_month + result.approver_mails_a_month
        return result.dollars, mails, float(loss_earlier[number])

    chosen = min(eligible, key=cost)
    row = losses.log_loss[[chosen]]
    return Choice(
        last_season=last_season,
        best=results[best].name,
        chosen=results[chosen].name,
        eligible=tuple(results[n].name for n in eligible),
        n_earlier=int(games[earlier].sum()),
        n_later=int(games[later].sum()),
        earlier_log_loss=float(loss_earlier[chosen]),
        later_log_loss=float(loss_later[chosen]),
        later_never=differences(row, losses.log_loss[0], service, later)[0],
        later_best=differences(row, losses.log_loss[best], service, later)[0],
        rank_later=int((loss_later < loss_later[chosen]).sum()) + 1,
    )
