"""A month, a season and a year: how many nights bring news, and what nights and standing costs add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.cost.fixed_costs import Line
from pipeline.cost.run_cost import Nights

# Medians of the seasons 2005 to 2019 in the real games: from the first to the last game 232 nights, 208 of them after a
# day with games (163 of the regular season). Each such night brings news, and by default news are trained on.
SEASON_NIGHTS: Final = 232
SEASON_GAME_DAYS: Final = 208
MONTH_NIGHTS: Final = 30
YEAR_NIGHTS: Final = 365


@dataclass(frozen=True)
class Span:
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
    spans: tuple[Span, ...]

    @property
    def standing_dollars(self) -> float:
        """What stands there, a month."""
        return sum(line.dollars for line in self.standing)


def estimate(
    nights: Nights, standing: Sequence[Line], runs_a_day: float, min_days_between_trainings: float = 0
) -> Estimate:
    """Months in and out of season, a season and a year, for a schedule that runs, and trains at most, so often."""
    in_season = MONTH_NIGHTS * SEASON_GAME_DAYS / SEASON_NIGHTS
    wanted = (
        ("month in season", MONTH_NIGHTS, in_season),
        ("month out of season", MONTH_NIGHTS, 0.0),
        ("season", SEASON_NIGHTS, float(SEASON_GAME_DAYS)),
        ("year", YEAR_NIGHTS, float(SEASON_GAME_DAYS)),
    )
    month = sum(line.dollars for line in standing)
    spans = []
    for name, count, news in wanted:
        runs = count * runs_a_day
        # news of several days wait for the next run, and for the least time between two trainings
        trainings = min(news, runs, count / min_days_between_trainings if min_days_between_trainings > 0 else news)
        dollars = trainings * nights.training.dollars + (runs - trainings) * nights.no_news.dollars
        spans.append(Span(name, count, runs, trainings, dollars, month * count / MONTH_NIGHTS))
    return Estimate(nights, tuple(standing), tuple(spans))
