"""A simulated league of 30 teams: its schedule, its teams' strengths and its games. No team and no result is real.

The model is additive, in points. A game's margin is the difference of the teams' strengths, plus home advantage, minus
what a tired team loses, plus noise. Strengths wander from day to day, fall back half-way to the mean between seasons,
and dip while a star is injured, which recent form shows sooner than a rating does. Teams are numbers from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FIRST_SAMPLE_SEASON: Final = 2014
N_TEAMS: Final = 30
N_DAYS: Final = 300  # from the first day of a season; the finals end long before

# Points. Sizes are about the real league's: teams differ by 4 to 5, a game's noise is 12, being at home is worth 2.5.
STRENGTH_SD: Final = 4.2
CARRY_OVER: Final = 0.55  # share of a strength that survives the summer
DAILY_DRIFT: Final = 0.16
INJURY_RATE: Final = 1 / 90  # a team's chance each day that a star is hurt
INJURY_COST: Final = 4.0
MEAN_INJURY_DAYS: Final = 18
HOME_ADVANTAGE: Final = 2.5
BACK_TO_BACK_COST: Final = 2.6
THIRD_IN_FOUR_COST: Final = 1.0
MARGIN_SD: Final = 12.0
MEAN_TOTAL: Final = 204.0
TOTAL_GROWTH: Final = 2.0  # the game gets faster each season
TOTAL_SD: Final = 17.0

# A day's share of the games, Monday first; the break is the all-star week-end.
WEEKDAY_GAMES: Final = (8, 5, 10, 4, 10, 8, 7)
BREAK_DAYS: Final = range(113, 119)
NEUTRAL_GAMES: Final = 3
BRACKET: Final = (0, 7, 3, 4, 1, 6, 2, 5)  # places by wins, in the order in which winners meet
HOME_OF_BETTER: Final = (True, True, False, False, True, False, True)  # games 1 to 7 of a series

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Game:
    """A simulated game; `known_from` is the first day on which it is certain to be played."""

    day: date
    season: int
    home: int
    away: int
    home_points: int
    away_points: int
    neutral: bool
    playoff: bool
    known_from: date

    @property
    def winner(self) -> int:
        """The number of the team that won."""
        return self.home if self.home_points > self.away_points else self.away


@dataclass(frozen=True)
class Season:
    """What stays the same through a season; `strength` in points has shape (N_DAYS, N_TEAMS)."""

    number: int
    first_day: date
    rng: np.random.Generator
    strength: Floats

    def date_of(self, day: int) -> date:
        """The date of a day that is counted from the season's first."""
        return self.first_day + timedelta(days=day)


class Fixture(NamedTuple):
    """A regular-season game before it is played: days from the season's first day."""

    day: int
    home: int
    away: int


# --- schedule ---------------------------------------------------------------------------------------------------------
def pairings(rng: np.random.Generator) -> list[tuple[int, int]]:
    """The 1,230 (home, away) pairs of a season: 82 games a team, 41 of them at home.

    Twice each team of the other conference; within the conference of 15, four times, but three times the four
    neighbours on a random ring, where the extra home game goes round the ring.
    """
    pairs = [(home, away) for home in range(N_TEAMS) for away in range(N_TEAMS) if home != away]
    for conference in range(2):
        ring = rng.permutation(15) + 15 * conference
        for position, team in enumerate(ring):
            for distance in range(1, 8):
                other = ring[(position + distance) % 15]
                pairs.append((int(team), int(other)))
                if distance > 2:
                    pairs.append((int(other), int(team)))
    return pairs


def schedule(rng: np.random.Generator, first_day: date) -> list[Fixture]:
    """Spread the pairs over about 170 days: at most one game a team and day, and never three days in a row."""
    games = pairings(rng)
    pairs = np.array(games)
    open_games = np.ones(len(pairs), dtype=bool)
    games_left = np.full(N_TEAMS, 82)
    last_days = np.full((2, N_TEAMS), -9)  # of each team's last game, and of the one before
    fixtures: list[Fixture] = []
    day = 0
    while open_games.any():
        yesterday = last_days[0] == day - 1
        rested = ~(yesterday & (last_days[1] == day - 2))
        # Teams that lag behind play first; who played yesterday waits if it can.
        urgency = games_left - 3.0 * yesterday - 1.0 * (last_days[0] == day - 2)
        possible = np.flatnonzero(open_games & rested[pairs].all(axis=1))
        wish = urgency[pairs[possible]].sum(axis=1) + rng.uniform(0, 14, len(possible))
        chosen = first_disjoint(possible[np.argsort(-wish)].tolist(), games, n_games_on(day, first_day))
        fixtures += [Fixture(day, *games[number]) for number in chosen]
        teams = pairs[chosen].ravel()
        games_left[teams] -= 1
        last_days[1, teams], last_days[0, teams] = last_days[0, teams], day
        open_games[chosen] = False
        day += 1
    return fixtures


def n_games_on(day: int, first_day: date) -> int:
    """How many games the league wants on a day; the leftovers are played at the end."""
    if day in BREAK_DAYS:
        return 0
    return WEEKDAY_GAMES[(first_day.weekday() + day) % 7] if day < 165 else 14


def first_disjoint(order: list[int], pairs: list[tuple[int, int]], n_wanted: int) -> list[int]:
    """The first `n_wanted` games in `order` of which no two share a team."""
    chosen: list[int] = []
    busy: set[int] = set()
    for game in order:
        if len(chosen) == n_wanted:
            break
        teams = set(pairs[game])
        if not teams & busy:
            chosen.append(game)
            busy |= teams
    return chosen


# --- strengths --------------------------------------------------------------------------------------------------------
def strengths(rng: np.random.Generator, summer: Floats) -> tuple[Floats, Floats]:
    """Each team's strength on each day in points, shape (N_DAYS, N_TEAMS), without and with the cost of injuries."""
    steps = rng.normal(0, DAILY_DRIFT, (N_DAYS, N_TEAMS))
    healthy = summer + np.cumsum(steps, axis=0)
    hurt = np.zeros((N_DAYS, N_TEAMS))
    for day, team in np.argwhere(rng.random((N_DAYS, N_TEAMS)) < INJURY_RATE):
        hurt[day : day + 1 + int(rng.exponential(MEAN_INJURY_DAYS)), team] = INJURY_COST
    return healthy, healthy - hurt


def fatigue(fixtures: list[Fixture]) -> Floats:
    """Points that tired legs cost, shape (games, 2) for home and away; a team plays worse the day after a game."""
    played: list[list[int]] = [[-9] for _ in range(N_TEAMS)]
    cost = np.zeros((len(fixtures), 2))
    for number, fixture in enumerate(fixtures):
        for side, team in enumerate((fixture.home, fixture.away)):
            back_to_back = played[team][-1] == fixture.day - 1
            third_in_four = len(played[team]) > 1 and played[team][-2] >= fixture.day - 3
            cost[number, side] = BACK_TO_BACK_COST * back_to_back + THIRD_IN_FOUR_COST * third_in_four
            played[team].append(fixture.day)
    return cost


def scores(season: Season, expected_margin: Floats) -> list[tuple[int, int]]:
    """Home and away points for expected margins (home minus away); never equal."""
    rng, n_games = season.rng, len(expected_margin)
    margin = np.rint(expected_margin + rng.normal(0, MARGIN_SD, n_games)).astype(np.int64)
    overtime = rng.choice([-1, 1], n_games) * rng.integers(1, 8, n_games)
    margin = np.where(margin == 0, overtime, margin)
    mean_total = MEAN_TOTAL + TOTAL_GROWTH * (season.number - FIRST_SAMPLE_SEASON)
    total = rng.normal(mean_total, TOTAL_SD, n_games)
    # Within 1 to 250 whatever the noise.
    away = np.clip(np.rint((total - margin) / 2).astype(np.int64), 80 - np.minimum(margin, 0) // 2, 150)
    return list(zip((away + margin).tolist(), away.tolist(), strict=True))


# --- a season ---------------------------------------------------------------------------------------------------------
def play_season(number: int, seed: int, summer: Floats) -> tuple[list[Game], Floats]:
    """All games of one season, in the order played, and the healthy strengths at its end.

    Each season has its own generator, and is always played to its end: what was written of it once can't change.
    """
    rng = np.random.default_rng([seed, number])
    first_day = date(number - 1, 10, 22)
    fixtures = schedule(rng, first_day)
    healthy, strength = strengths(rng, summer)
    season = Season(number, first_day, rng, strength)
    games = play_fixtures(season, fixtures)
    n_wins = np.bincount([game.winner for game in games], minlength=N_TEAMS)
    games += play_playoffs(season, n_wins, start=fixtures[-1].day + 4)
    return games, healthy[-1]


def play_fixtures(season: Season, fixtures: list[Fixture]) -> list[Game]:
    """The regular season, a few of its games on a neutral court."""
    neutral = np.zeros(len(fixtures), dtype=bool)
    neutral[season.rng.choice(len(fixtures), NEUTRAL_GAMES, replace=False)] = True
    days, home, away = np.array(fixtures).T
    tired = fatigue(fixtures)
    margin = season.strength[days, home] - tired[:, 0] - season.strength[days, away] + tired[:, 1]
    points = scores(season, margin + HOME_ADVANTAGE * ~neutral)
    published = season.date_of(-60)
    return [
        Game(season.date_of(fixture.day), season.number, fixture.home, fixture.away, *score, flag, False, published)
        for fixture, score, flag in zip(fixtures, points, neutral.tolist(), strict=True)
    ]


def play_playoffs(season: Season, n_wins: npt.NDArray[np.int64], start: int) -> list[Game]:
    """Four rounds of best of seven from day `start`; a round starts when the one before has ended."""

    def rank(team: int) -> tuple[int, int]:
        return -int(n_wins[team]), team

    seeds = [sorted(range(15 * half, 15 * half + 15), key=rank) for half in range(2)]
    bracket = [half[place] for half in seeds for place in BRACKET]
    games: list[Game] = []
    while len(bracket) > 1:
        pairs = [sorted(bracket[first : first + 2], key=rank) for first in range(0, len(bracket), 2)]
        # Half of the series start a day later: games every evening.
        played = [play_series(season, (pair[0], pair[1]), start + number % 2) for number, pair in enumerate(pairs)]
        bracket = [series[-1].winner for series in played]
        games += [game for series in played for game in series]
        start = max((series[-1].day - season.first_day).days for series in played) + 2
    return sorted(games, key=lambda game: (game.day, game.home))


def play_series(season: Season, teams: tuple[int, int], start: int) -> list[Game]:
    """One best of seven, every other day from day `start`; the team with home advantage comes first in `teams`."""
    games: list[Game] = []
    wins = dict.fromkeys(teams, 0)
    # Four games are sure from the day before the first; a fifth and later one when both teams have won often enough.
    known_from = [season.date_of(start - 1)] * 4
    while max(wins.values()) < 4:
        day = start + 2 * len(games)
        home, away = teams if HOME_OF_BETTER[len(games)] else teams[::-1]
        margin = season.strength[day, home] - season.strength[day, away] + HOME_ADVANTAGE
        score = scores(season, np.array([margin]))[0]
        known = known_from[len(games)]
        games.append(Game(season.date_of(day), season.number, home, away, *score, False, True, known))
        wins[games[-1].winner] += 1
        if 4 + min(wins.values()) > len(known_from):
            known_from.append(season.date_of(day + 1))
    return games


def simulate_seasons(last_season: int, seed: int) -> dict[int, list[Game]]:
    """All games of the seasons from FIRST_SAMPLE_SEASON to `last_season`; the same seed gives the same ones."""
    summer = np.random.default_rng(seed).normal(0, STRENGTH_SD, N_TEAMS)
    # The fresh part of a strength that keeps the spread of the league the same from season to season.
    fresh_sd = STRENGTH_SD * np.sqrt(1 - CARRY_OVER**2)
    seasons: dict[int, list[Game]] = {}
    for season in range(FIRST_SAMPLE_SEASON, last_season + 1):
        seasons[season], end = play_season(season, seed, summer)
        fresh = np.random.default_rng([seed, season, 1]).normal(0, fresh_sd, N_TEAMS)
        summer = CARRY_OVER * (end - end.mean()) + fresh
    return seasons
