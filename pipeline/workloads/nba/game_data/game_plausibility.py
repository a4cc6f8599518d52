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

from pipeline.ingest.quarantine import FILE, BadData
from pipeline.workloads.nba.columns import AWAY_POINTS, DATE, HOME_FRANCHISE, HOME_POINTS, NEUTRAL_SITE, PLAYOFF, SEASON
from pipeline.workloads.nba.game_data.league_rules import SHOT_CLOCK

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
MOST_NEUTRAL: Final = 200  # games of a season, or a quarter of all (175 in 2020)
# Since 1990 no season has had two days without a game in its first five weeks; three follow the preseason, or two.
NO_BREAK_SINCE: Final = 1990
LONGEST_BREAK: Final = 2  # days from one with games to the next
FIRST_DAYS: Final = 21  # of a season: preseason games before 16 October have a rule of their own
_SEASONS: Final = 10_000  # more than there are
_TEAMS: Final = 1_000


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
    notes = list(_breaks(games))
    for played in _files_and_seasons(games[games[HOME_POINTS].notna()]):
        if played.games >= FEWEST_GAMES:
            _refuse_other_scores(played, quarantine)
        if played.at_home >= FEWEST_GAMES and played.of_many_teams:
            notes += _check_home(played, quarantine)
    return notes


def _refuse_other_flags(games: pd.DataFrame, quarantine: pd.DataFrame) -> None:
    """Flags that say the opposite, or something else."""
    seasons = games[SEASON].to_numpy(np.int64)
    n_games = np.bincount(seasons)
    limits = (PLAYOFF, np.full_like(n_games, MOST_PLAYOFFS)), (NEUTRAL_SITE, np.maximum(MOST_NEUTRAL, n_games // 4))
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
    since = games[games[SEASON] >= NO_BREAK_SINCE]
    seasons, days = since[SEASON].to_numpy(), since[DATE].to_numpy().astype("datetime64[D]")
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


def _files_and_seasons(played: pd.DataFrame) -> Iterator[_Played]:
    """Each season of each file, then each season and each file: any of them can be the wrong one."""
    home, away = (played[points].to_numpy(np.int64) for points in (HOME_POINTS, AWAY_POINTS))
    at_home = played[NEUTRAL_SITE].to_numpy() == 0
    file, team = (played[name].cat.codes.to_numpy(np.int64) for name in (FILE, HOME_FRANCHISE))
    # Summed by file, season and home team first: these are few.
    group, groups = pd.factorize((file * _SEASONS + played[SEASON].to_numpy(np.int64)) * _TEAMS + team)
    summands = (np.ones(len(played)), home + away, at_home, at_home & (home > away))
    sums = np.stack([np.bincount(group, weights=summand) for summand in summands])
    file_and_season, team = np.divmod(groups, _TEAMS)
    files, seasons = np.divmod(file_and_season, _SEASONS)
    names = played[FILE].cat.categories
    for numbers in (file_and_season, seasons, files * _SEASONS):
        several, of = np.unique(numbers, return_inverse=True)
        by_team, of_team = np.unique(numbers * _TEAMS + team, return_inverse=True)
        busiest = np.zeros(len(several))
        np.maximum.at(busiest, np.searchsorted(several, by_team // _TEAMS), np.bincount(of_team, weights=sums[2]))
        totals = np.stack([np.bincount(of, weights=row) for row in sums])
        for at, number in enumerate(several.tolist()):
            games, points, n_at_home, home_wins = (int(total) for total in totals[:, at])
            yield _Played(
                _where(names, *divmod(number, _SEASONS), of_file=numbers is not seasons),
                before_shot_clock=int(seasons[of == at].min()) < SHOT_CLOCK,
                of_many_teams=busiest[at] <= n_at_home * HIGHEST_TEAM_SHARE,
                games=games,
                points=points,
                at_home=n_at_home,
                home_wins=home_wins,
            )


def _where(files: pd.Index[str], file: int, season: int, *, of_file: bool) -> str:
    of_season = [f"season {season}"] if season else []
    return ", ".join([str(files[file]), *of_season] if of_file else of_season)


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
            "be exchanged; name the columns the other way round, or set neutral_site where nobody was at home",
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
