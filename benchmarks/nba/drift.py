"""Does the monitor stay quiet through ordinary seasons, and how long does it take to see a fault? On real games.

in   ../shared/data/games/      every NBA game

Each morning of each season is judged by the functions that Predict calls, with what was known by then: by a champion of
before the season, and by one that is replaced each month. Games from 1994 on are the baseline of features, so that the
first seasons have one too; the champion is trained on games from 2004 on, as in production.

The limits were set by theory (once in 520 weeks of games) and not moved; tolerances, PSI and the calendar's slack were
chosen while looking at seasons 2005 to 2019. 2020 to 2023 are printed apart.

python -m benchmarks.nba.drift                    all tables (about six minutes of one core)
python -m benchmarks.nba.drift --quick            fewer seasons and faults
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.nba.drift_faults import FAULTS, Fault, FaultyData, none
from benchmarks.real_data import AS_OF, FIRST_SEASON, games_of
from pipeline.contract import names as c
from pipeline.monitoring.monitor_data import DataDays, look_at_data
from pipeline.monitoring.monitor_evidence import FAMILIES, Forecasts, evidence_by_day
from pipeline.monitoring.monitor_features import LabelledRows, compare_features
from pipeline.training.lean_xgboost import xgb
from pipeline.training.model import Hyperparameters, fit, predict
from pipeline.training.training_sets import feature_matrix
from pipeline.workloads.nba import columns as nba
from pipeline.workloads.nba.baseline import forecast as reference_forecast
from pipeline.workloads.nba.data import results as result_table
from pipeline.workloads.nba.features import feature_table
from pipeline.workloads.nba.monitor import Scores, score_evidence
from pipeline.workloads.nba.spec import SPEC
from pipeline.workloads.nba.team_state.feature_names import FEATURES, LAYOUT

FIRST_BASELINE: Final = 1994
ORDINARY: Final = range(2005, 2020)
LATER: Final = range(2020, 2024)
FAULT_SEASONS: Final = (2007, 2010, 2013, 2016, 2019)
SMALL_EDGE: Final = (2021, 2022, 2023)
FAULT_DAYS: Final = ("12-01", "01-10", "02-25")
WATCHED_DAYS: Final = 90  # after a fault; what is found later is called missed

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class TestedSeason:
    """All played games up to a season's end as arrays, and which of them are the season's."""

    X: NDArray[np.float32]
    day: IntArray
    season: IntArray
    playoff: NDArray[np.bool_]
    target: NDArray[np.float64]
    p_reference: NDArray[np.float64]  # of the season's games
    home: NDArray[Any]  # of the season's games
    away: NDArray[Any]
    points: NDArray[np.float64]  # (season's games, 2)
    number: int

    @property
    def rows(self) -> IntArray:
        return np.flatnonzero(self.season == self.number)


def season_of(world: FaultyData, number: int) -> TestedSeason:
    played = world.games[nba.HOME_POINTS].notna().to_numpy()
    kept = (
        played & (world.games[nba.SEASON] >= FIRST_BASELINE).to_numpy() & (world.games[nba.SEASON] <= number).to_numpy()
    )
    games, features = world.games[kept], world.features[kept]
    own = games[games[nba.SEASON] == number]
    known = world.games[played & (world.games[nba.SEASON] <= number).to_numpy()]
    results = result_table(known)
    return TestedSeason(
        X=feature_matrix(feature_table(features)),
        day=games[nba.DATE].to_numpy().astype("datetime64[D]").astype(np.int64),
        season=games[nba.SEASON].to_numpy().astype(np.int64),
        playoff=games[nba.PLAYOFF].to_numpy().astype(np.bool_),
        target=features[c.TARGET].to_numpy(dtype=np.float64),
        p_reference=reference_forecast(results, own[nba.GAME_ID].tolist(), date(FIRST_SEASON - 1, 8, 1)),
        home=own[nba.HOME_FRANCHISE].to_numpy().astype(str),
        away=own[nba.AWAY_FRANCHISE].to_numpy().astype(str),
        points=own[[nba.HOME_POINTS, nba.AWAY_POINTS]].to_numpy(dtype=np.float64),
        number=number,
    )


def champion_of(season: TestedSeason, cut_off: int) -> xgb.Booster:
    """The shipped weights of a champion that has seen the games before day `cut_off`."""
    known = (season.day < cut_off) & (season.season >= FIRST_SEASON)
    return fit(season.X[known], season.target[known], Hyperparameters(), LAYOUT)


def alarms(
    season: TestedSeason, champion: xgb.Booster, cut_off: int, since: int, until: int
) -> Iterator[tuple[int, str]]:
    """(day, part) of every alarm after the games of days [since, until), with a champion of `cut_off`."""
    rows = season.rows
    live = rows[season.day[rows] >= cut_off]
    own = live - rows[0]
    forecasts = Forecasts(
        predict(champion, season.X[live]),
        season.target[live],
        season.day[live],
        ((season.home[own], 1.0), (season.away[own], -1.0)),
        season.p_reference[own],
    )
    path = evidence_by_day(forecasts)
    scores = score_evidence(Scores(season.day[rows], season.home, season.away, *season.points.T), cut_off)
    for day in path.day[(path.day >= since) & (path.day < until)].tolist():
        at = int(np.searchsorted(path.day, day))
        yield from ((day, name) for name in FAMILIES if path.alarm(name)[at])
        if scores.alarm()[np.searchsorted(scores.day, day)]:
            yield day, "scores"
        known = slice(0, int(np.searchsorted(season.day, day, side="right")))
        seen = LabelledRows(season.X[known], season.day[known], season.season[known], season.playoff[known])
        if drifted := compare_features(seen, FEATURES, cut_off, SPEC.monitor).drifted:
            yield day, f"{c.DRIFT} ({drifted[0]})"


def print_false_alarms(world: FaultyData, numbers: range) -> None:
    """Per season the parts that called, and on how many mornings, for both kinds of champion."""
    print(f"{'season':>6} {'mornings':>9}  champion of before the season     champion of each month")
    totals: list[Counter[str]] = [Counter(), Counter()]
    n_mornings = 0
    for number in numbers:
        season = season_of(world, number)
        days = np.unique(season.day[season.rows])
        first, end = int(days[0]), int(days[-1]) + 1
        months = np.unique(days.astype("datetime64[D]").astype("datetime64[M]"))
        spans = [max(_day(f"{month}-01"), first) for month in months]
        called = [
            Counter(part for _, part in alarms(season, champion_of(season, first), first, first, end)),
            Counter(
                part
                for begin, stop in zip(spans, [*spans[1:], end], strict=True)
                for _, part in alarms(season, champion_of(season, begin), begin, begin, stop)
            ),
        ]
        n_mornings += len(days)
        for total, of_season in zip(totals, called, strict=True):
            total.update(dict.fromkeys(of_season, 1))
        print(f"{number:>6} {len(days):>9}  {_words(called[0]):<33} {_words(called[1])}", flush=True)
    print(f"{'seasons with a call':>16}  {_words(totals[0]):<33} {_words(totals[1])}")
    print(f"{n_mornings:,} mornings of {len(numbers)} seasons")


def _words(called: Counter[str]) -> str:
    return ", ".join(f"{part} {n}" for part, n in called.most_common()) or "quiet"


def print_calendar(games: pd.DataFrame, numbers: range) -> None:
    """Every morning of the years, summers too: calls where the feed is whole, and days until one where it stops."""
    day = np.sort(games[games[nba.HOME_POINTS].notna()][nba.DATE].to_numpy().astype("datetime64[D]").astype(np.int64))
    nothing = np.empty(0, dtype=np.int64)
    first, last = (_day(f"{year}-09-01") for year in (numbers[0] - 1, numbers[-1]))
    calls = [
        d
        for d in range(first, last)
        if look_at_data(SPEC, DataDays(day[: np.searchsorted(day, d)], nothing, nothing), as_of=d).alarms
    ]
    starts = [d for d in calls if d - 1 not in calls]
    print(
        f"\nfreshness on {last - first:,} mornings, in a feed that lists no games to come: {len(starts)} calls", end=""
    )
    print("".join(f"; from {np.datetime64(d, 'D')} for {_length(calls, d)} days" for d in starts))
    for scheduled in (True, False):
        waits = []
        for number in numbers:
            for month_day in FAULT_DAYS:
                stop = _fault_day(number, month_day)
                waits.append(_days_until_stale(day, stop, scheduled=scheduled))
        known = [wait for wait in waits if wait is not None]
        what = "lists games to come" if scheduled else "lists none"
        print(
            f"a feed that stops, and {what:<20} found {len(known)} of {len(waits)}, after {median(known):.0f} days "
            f"({min(known)} to {max(known)})"
        )


def _length(calls: list[int], start: int) -> int:
    known = set(calls)
    return next(n for n in range(1, 999) if start + n not in known)


def _days_until_stale(day: IntArray, stop: int, *, scheduled: bool) -> int | None:
    known, later = day[day < stop], day[day >= stop]
    for as_of in range(stop, stop + WATCHED_DAYS):
        late = later[later < as_of] if scheduled else later[:0]
        to_come = later[later >= as_of] if scheduled else later[:0]
        if look_at_data(SPEC, DataDays(known, to_come, late), as_of=as_of).alarms:
            return as_of - stop
    return None


def print_faults(games: pd.DataFrame, seasons: tuple[int, ...], faults: Mapping[str, Fault] = FAULTS) -> None:
    """Days until the first alarm of any part, for each fault, over seasons and days on which it begins."""
    n = len(seasons) * len(FAULT_DAYS)
    print(f"\n{'fault':<40}{'found':>9}{'days to detection':>24}   first seen by")
    for name, fault in faults.items():
        waits: list[int] = []
        seen_by: Counter[str] = Counter()
        for number in seasons:
            for month_day in FAULT_DAYS:
                begin = _fault_day(number, month_day)
                world = fault(games, pd.Timestamp(str(np.datetime64(begin, "D"))))
                season = season_of(world, number)
                first = int(season.day[season.rows][0])
                found = list(alarms(season, champion_of(season, first), first, begin, begin + WATCHED_DAYS))
                if found:
                    day = min(day for day, _ in found)
                    waits.append(day + 1 - begin)  # seen on the morning after
                    seen_by.update({part: 1 for when, part in found if when == day})
        times = f"{median(waits):.0f} ({min(waits)} to {max(waits)})" if waits else "-"
        print(f"{name:<40}{len(waits):>4} of {n:<2}{times:>24}   {_words(seen_by) if waits else 'nothing'}", flush=True)


def _fault_day(season: int, month_day: str) -> int:
    return _day(f"{season - 1 if month_day > '09' else season}-{month_day}")


def _day(text: str) -> int:
    return int(np.datetime64(text).astype("datetime64[D]").astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three seasons without faults, one with")
    arguments = parser.parse_args()
    games = games_of()
    ordinary = ORDINARY[-3:] if arguments.quick else ORDINARY
    world = none(games, pd.Timestamp(AS_OF))
    print("False alarms: parts that called without a fault, with the number of mornings")
    print_false_alarms(world, ordinary)
    if not arguments.quick:
        print("\nThe same for later seasons: 2020 was stopped and ended in a bubble, 2021 was short and without crowds")
        print_false_alarms(world, LATER)
    print_calendar(games, ordinary)
    print_faults(games, FAULT_SEASONS[-1:] if arguments.quick else FAULT_SEASONS)
    if not arguments.quick:
        print("\nThe same fault where home advantage is small: seasons 2021 to 2023")
        print_faults(games, SMALL_EDGE, dict(list(FAULTS.items())[:1]))


if __name__ == "__main__":
    main()
