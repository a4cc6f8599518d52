"""Whole files and seasons that no league has played: home and away exchanged, winners first, half-time scores, breaks.

Home teams won 54 to 73 % of the games of every season since 1946, and teams scored 68 points a game on average at the
least, 91 since the shot clock. A file's or a season's games are held against these bounds with room for chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from pipeline.ingest.quarantine import FILE, LINE, BadData, place
from pipeline.workloads.nba import columns as n
from pipeline.workloads.nba.game_data.game_rules import SHOT_CLOCK

FEWEST_GAMES: Final = 20  # of which a share says something
LOWEST_HOME_SHARE: Final = 0.54  # of a season (2021 and 2022, which spectators missed in part)
HIGHEST_HOME_SHARE: Final = 0.73  # (1951)
NOTED: Final = -2.5  # standard errors below the lowest share from which people are told
REFUSED: Final = 3.5  # standard errors beyond from which it is no chance
HIGHEST_TEAM_SHARE: Final = 0.25  # of the games at home, in a file or season that says something of home teams
LOWEST_MEAN: Final = 75  # points of a team and game since the shot clock
LOWEST_MEAN_BEFORE: Final = 50
HIGHEST_MEAN: Final = 140
MOST_PLAYOFFS: Final = 120  # games of a season: 15 series of 7 (89 in 2006), play-in games
MOST_REGULAR: Final = 1_240  # games of a season before its playoffs (1,230), the cup's final and play-in games
MOST_NEUTRAL: Final = 200  # games of a season, or a quarter of all (175 in 2020)
# Since 1990 no season has had two days without a game in its first five weeks; three follow the preseason, or two.
NO_BREAK_SINCE: Final = 1990
LONGEST_BREAK: Final = 2  # days from one with games to the next
PLAYOFFS_LAST_SINCE: Final = 1977  # before, the two leagues of the time ended on different days
FIRST_DAYS: Final = 21  # of a season: preseason games before 16 October have a rule of their own


@dataclass(frozen=True)
class _Played:
    """Games with a score of a file, a season, or both: how many, those not at a neutral site, and who won these."""

    where: str
    before_shot_clock: bool
    of_many_teams: bool  # at home: one team may lose as it likes
    games: int
    points: int
    at_home: int
    home_wins: int

    @property
    def mean(self) -> float:
        """Points of a team and game."""
        return self.points / self.games / 2

    def errors_from(self, share: float) -> float:
        """How many standard errors the share of home wins is above another."""
        return (self.home_wins - share * self.at_home) / math.sqrt(share * (1 - share) * self.at_home)

    @property
    def home_record(self) -> str:
        """The share of home wins, in words."""
        share = self.home_wins / self.at_home
        return f"{self.where}: home teams won {self.home_wins:,} of {self.at_home:,} games ({share:.0%})"


def check_plausible(games: pd.DataFrame, quarantine: pd.DataFrame) -> list[str]:
    """Notes on files and seasons whose games are unlikely; raises BadData, with `quarantine`, for the impossible.

    `games`: one row each, with FILE.
    """
    _refuse_other_flags(games, quarantine)
    notes = [*_breaks(games), *_unmarked_playoffs(games)]
    for played in _files_and_seasons(games[games[n.HOME_POINTS].notna()]):
        if played.games >= FEWEST_GAMES:
            _refuse_other_scores(played, quarantine)
        if played.at_home >= FEWEST_GAMES and played.of_many_teams:
            notes += _check_home(played, quarantine)
    return notes


def _refuse_other_flags(games: pd.DataFrame, quarantine: pd.DataFrame) -> None:
    """Flags that say the opposite, or something else."""
    seasons = games[n.SEASON].to_numpy(np.int64)
    n_games = np.bincount(seasons)
    limits = (n.PLAYOFF, np.full_like(n_games, MOST_PLAYOFFS)), (n.NEUTRAL_SITE, np.maximum(MOST_NEUTRAL, n_games // 4))
    for flag, most in limits:
        flagged = np.bincount(seasons, weights=games[flag].to_numpy() != 0)
        for season in np.flatnonzero(flagged > most)[:1].tolist():
            raise BadData(
                f"season {season}: {flag} is true for {int(flagged[season]):,} of {n_games[season]:,} games, and more "
                f"than {most[season]:,} are not possible: true and false seem to be exchanged, or the column says "
                "something else; correct it, or leave it out",
                quarantine,
            )


def _breaks(games: pd.DataFrame) -> Iterator[str]:
    """A note on each season that has a break after its first games; `games` may be still to come."""
    since = games[games[n.SEASON] >= NO_BREAK_SINCE]
    seasons, days = since[n.SEASON].to_numpy(), since[n.DATE].to_numpy().astype("datetime64[D]")
    for season in np.unique(seasons).tolist():
        of_season, counts = np.unique(days[seasons == season], return_counts=True)
        early = int(np.searchsorted(of_season, of_season[0] + FIRST_DAYS))
        ends = np.flatnonzero(np.diff(of_season[:early]).astype(np.int64) > LONGEST_BREAK)
        if len(ends) and counts[ends[-1] + 1 : early + FIRST_DAYS].sum() >= FEWEST_GAMES:
            last, first = of_season[ends[-1]], of_season[ends[-1] + 1]
            yield (
                f"season {season}: no game from {last + 1} to {first - 1}, and no season since {NO_BREAK_SINCE} had "
                f"two such days so early: the {counts[: ends[-1] + 1].sum():,} games before are preseason games, which "
                "do not belong here, or games are missing"
            )


def _unmarked_playoffs(games: pd.DataFrame) -> Iterator[str]:
    """Notes on seasons without their playoff games, and on games after the first playoff game of their season that are
    none; `games` may be still to come."""
    regular = games.loc[games[n.PLAYOFF] == 0, n.SEASON].value_counts().sort_index()
    for season, count in regular[regular > MOST_REGULAR].items():
        yield (
            f"season {season}: {count:,} games are not marked as playoff games, and no season has so many: its playoff "
            f"games count as others do; correct {n.PLAYOFF}, or add that column"
        )
    since = games[games[n.SEASON] >= PLAYOFFS_LAST_SINCE]
    is_playoff = since[n.PLAYOFF] != 0
    first = since[n.DATE].where(is_playoff).groupby(since[n.SEASON]).transform("min")
    late = since[~is_playoff & (since[n.DATE] > first)].sort_values(n.DATE)
    if len(late):
        yield (
            f"{len(late):,} game(s) after the first playoff game of their season are not marked as playoff games, as "
            f"all have been since {PLAYOFFS_LAST_SINCE} (first: {place(late[FILE].iloc[0], late[LINE].iloc[0])}): "
            f"correct {n.PLAYOFF}, or leave out games of other leagues"
        )


def _files_and_seasons(played: pd.DataFrame) -> Iterator[_Played]:
    """Each season of each file, then each season and each file: any of them can be the wrong one."""
    home, away = (played[points].to_numpy(np.int64) for points in n.POINTS)
    at_home = played[n.NEUTRAL_SITE].to_numpy() == 0
    sums = {"games": 1, "points": home + away, "at_home": at_home, "home_wins": at_home & (home > away)}
    # Summed by file, season and home team first: these are few.
    by_team = played[[FILE, n.SEASON, n.HOME_FRANCHISE]].assign(**sums)
    by_team = by_team.groupby([FILE, n.SEASON, n.HOME_FRANCHISE], observed=True, as_index=False).sum()
    for keys in ([FILE, n.SEASON], [n.SEASON], [FILE]):
        of_team = by_team.groupby([*keys, n.HOME_FRANCHISE], observed=True, as_index=False)["at_home"].sum()
        groups = by_team.groupby(keys, observed=True)
        busiest, first = of_team.groupby(keys, observed=True)["at_home"].max(), groups[n.SEASON].min()
        totals = groups[list(sums)].sum()
        columns = (busiest, first, *(totals[name] for name in sums))
        for where, *numbers in zip(totals.index, *(column.tolist() for column in columns), strict=True):
            at_most, season, games, points, n_at_home, home_wins = numbers
            many = at_most <= n_at_home * HIGHEST_TEAM_SHARE
            yield _Played(_where(where), season < SHOT_CLOCK, many, games, points, n_at_home, home_wins)


def _where(group: object) -> str:
    if isinstance(group, tuple):
        return ", ".join(map(_where, group))
    return group if isinstance(group, str) else f"season {group}"


def _refuse_other_scores(played: _Played, quarantine: pd.DataFrame) -> None:
    lowest = LOWEST_MEAN_BEFORE if played.before_shot_clock else LOWEST_MEAN
    if not lowest <= played.mean <= HIGHEST_MEAN:
        raise BadData(
            f"{played.where}: teams score {played.mean:.0f} points a game, and in no season did they score fewer than "
            f"{lowest} or more than {HIGHEST_MEAN}: these are no final scores (of a quarter or a half, perhaps, or of "
            "another league); put the final scores there",
            quarantine,
        )


def _check_home(played: _Played, quarantine: pd.DataFrame) -> list[str]:
    below = played.errors_from(LOWEST_HOME_SHARE)
    if below < -REFUSED:
        raise BadData(
            f"{played.home_record}, and in every season of the league they won more than half: home and away seem to "
            "be exchanged; name the columns the other way round, or set neutral_site for games at neutral sites",
            quarantine,
        )
    if played.errors_from(HIGHEST_HOME_SHARE) > REFUSED:
        raise BadData(
            f"{played.home_record}, and in no season of the league did they win more than three quarters: winners seem "
            "to be listed as home teams; put the team that was at home there",
            quarantine,
        )
    if below < NOTED:
        return [f"{played.home_record}, fewer than in any season: see whether home and away are exchanged"]
    return []
