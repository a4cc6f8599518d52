"""The games of a simulated league as sample data. SIMULATED: no team and no result in it is real.

Writes OUT/simulated_<season>.csv (the columns of the data contract). Games before the as-of date have scores, those of
the week from it on have none. The past never changes: a later as-of date gives the same games,
and more of them.
"""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from pipeline.workloads.nba.columns import GAME_COLUMNS
from pipeline.workloads.nba.simulated_league import FIRST_SAMPLE_SEASON, N_TEAMS, Game, simulate_seasons

SAMPLE_AS_OF: Final = date(2025, 3, 1)
SAMPLE_SEED: Final = 20250301
UPCOMING_DAYS: Final = 7

TEAMS: Final = tuple(f"SIM{number:02d}" for number in range(1, N_TEAMS + 1))
COLUMNS: Final = GAME_COLUMNS[1:]  # without ids


def known_games(as_of: date, seed: int) -> dict[int, list[Game]]:
    """Each season's games that are known on the morning of `as_of`: the past, and the certain games of the next week.

    Raises ValueError where `as_of` is not after the first day of the first season.
    """
    # New seasons start in October; the year after is their name.
    seasons = simulate_seasons(as_of.year + (as_of.month >= 10), seed)
    first_day = min((games[0].day for games in seasons.values()), default=date(FIRST_SAMPLE_SEASON - 1, 10, 22))
    if as_of <= first_day:
        raise ValueError(f"{as_of} is before the first simulated game; give a day after {first_day}")
    horizon = as_of + timedelta(days=UPCOMING_DAYS)
    known = {
        season: [game for game in games if game.day < as_of or (game.day < horizon and game.known_from <= as_of)]
        for season, games in seasons.items()
    }
    return {season: games for season, games in known.items() if games}


def write(folder: Path, as_of: date = SAMPLE_AS_OF, seed: int = SAMPLE_SEED) -> Path:
    """Write the sample as of the morning of `as_of` into `folder` (created if missing) and return it.

    Raises ValueError where `as_of` is before the first simulated season.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for season, games in known_games(as_of, seed).items():
        with (folder / f"simulated_{season}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(_row(game, as_of) for game in games)
    return folder


def _row(game: Game, as_of: date) -> tuple[str | int, ...]:
    points: tuple[str | int, str | int] = ("", "") if game.day >= as_of else (game.home_points, game.away_points)
    flags = str(game.neutral).lower(), str(game.playoff).lower()
    return (game.day.isoformat(), game.season, TEAMS[game.home], TEAMS[game.away], *points, *flags)
