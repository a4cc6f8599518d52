"""What later games' features need of the past, small enough to travel with a model.

The ratings on a morning, the last games of each team and of the league with what surprised in them, and
the schedule that was known. From it `asked_league` makes the league in which games to come are looked at, with the same
functions and the same bytes as from every game ever played: sums over past games are whole numbers, and ratings are
carried, not computed again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.workloads.nba.team_state.elo import BoolArray, IntArray, Schedule, elo_ratings
from pipeline.workloads.nba.team_state.league import (
    LEAGUE_GAMES,
    LEAGUE_HOME_GAMES,
    TEAM_GAMES,
    KnownGames,
    League,
    Running,
    resume,
)
from pipeline.workloads.nba.team_state.margin_ratings import running_margins

EPOCH: Final = date(1970, 1, 1)
_KEY: Final = b"league_state"


@dataclass(frozen=True)
class LeagueState:
    """A league on a morning; a franchise's number is its place in `franchises`, and its ratings have that place."""

    as_of: date
    franchises: tuple[str, ...]
    elo: tuple[float, ...]  # rating points
    margin: tuple[float, ...]  # points
    home_edge: float  # points
    past: KnownGames  # the latest with a result
    upcoming: KnownGames  # those known to come

    @property
    def last_season(self) -> int:
        """The latest season of a game with a result; 0 where there is none."""
        return int(self.past.season.max(initial=0))


def state_of(league: League, franchises: tuple[str, ...], upcoming: KnownGames, as_of: date) -> LeagueState:
    """What is kept of a league of played games; `franchises` are its teams by number, and those of `upcoming`.

    Raises ValueError where a game of the league lies on the morning's day or later, or has no result.
    """
    games, teams = league.games, len(franchises)
    if not games.played.all() or (games.day >= days_since_epoch(as_of)).any():
        raise ValueError(f"the state of {as_of} is made of games played before that day, and of nothing else")
    return LeagueState(
        as_of=as_of,
        franchises=franchises,
        elo=tuple(elo_ratings(teams, known=league.running.elo.now).now),
        margin=tuple(running_margins(teams, known=league.running.margins.teams.now).teams.now),
        home_edge=league.running.margins.edge,
        past=games.rows(_still_seen(games)),
        upcoming=upcoming,
    )


def _still_seen(games: Schedule) -> BoolArray:
    """Which games of a played league a feature of a later game can look back to."""
    seen = _latest(games)
    history = games.team_history()
    season = games.season.repeat(2)[history.order]
    last = np.append(history.owner_start[1:] != history.owner_start[:-1], True).nonzero()[0]  # of each owner
    owner = np.searchsorted(last, np.arange(len(season)))
    of_team = (last[owner] - np.arange(len(season)) < TEAM_GAMES) | (season == season[last[owner]])
    seen[history.order[of_team] // 2] = True
    return seen


def asked_league(state: LeagueState, asked: KnownGames) -> tuple[League, IntArray]:
    """The league in which games to come are looked at, and the row of each `asked` game in it.

    All asked games are taken to be scheduled, beside those of the known schedule, and count for the rest of later ones.
    An asked game takes the place of the known one of the same teams and day. `asked` may be in any order, and may hold
    teams without a past: their numbers follow those of `state.franchises`.
    """
    teams = max(len(state.franchises), asked.teams)
    concerned = np.zeros(teams, dtype=np.bool_)
    concerned[asked.home] = concerned[asked.away] = True
    past = state.past.rows(_latest(state.past) | _concerns(state.past, concerned))
    known = state.upcoming
    others = _concerns(known, concerned) & ~np.isin(_same_game(known, teams), _same_game(asked, teams))
    later = asked.followed_by(known.rows(others))
    order = np.argsort(later.day, kind="stable")
    running = Running(
        elo_ratings(teams, known=state.elo), running_margins(teams, known=state.margin, home_edge=state.home_edge)
    )
    league = resume(past.followed_by(later.rows(order)), running, first=len(past))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return league, place[: len(asked)]


def _latest(games: Schedule) -> BoolArray:
    """Which played games the features of the whole league look back to."""
    latest = np.zeros(len(games), dtype=np.bool_)
    latest[-LEAGUE_GAMES:] = True
    latest[np.flatnonzero(~games.neutral)[-LEAGUE_HOME_GAMES:]] = True
    return latest


def _concerns(games: Schedule, teams: BoolArray) -> BoolArray:
    return np.asarray(teams[games.home] | teams[games.away])


def _same_game(games: Schedule, teams: int) -> IntArray:
    """Equal for games of the same two teams on the same day."""
    pair = np.minimum(games.home, games.away) * teams + np.maximum(games.home, games.away)
    return np.asarray(games.day * teams**2 + pair)


def days_since_epoch(day: date) -> int:
    """Days since 1970-01-01, as games' days are counted."""
    return (day - EPOCH).days


# --- state.parquet: one row a game; ratings and morning are in its metadata -------------------------------------------
def write_state(target: Path | IO[bytes], state: LeagueState) -> None:
    """Write the state; what is read back equals it to the last bit."""
    known = state.past.followed_by(state.upcoming)
    facts = {
        "as_of": str(state.as_of),
        "franchises": state.franchises,
        "elo": state.elo,  # JSON writes a float so that it is read back as it was
        "margin": state.margin,
        "home_edge": state.home_edge,
        "n_past": len(state.past),
    }
    table = pa.table(vars(known)).replace_schema_metadata({_KEY: json.dumps(facts).encode()})
    pq.write_table(table, target)


def read_state(source: Path | pa.BufferReader) -> LeagueState:
    """Read what `write_state` wrote; raises ValueError, KeyError or TypeError where it is none."""
    table = pq.read_table(source)
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        raise ValueError("it holds no league's state")
    facts: dict[str, Any] = json.loads(metadata[_KEY])
    known = KnownGames(**{name: table[name].to_numpy() for name in table.column_names})
    n_past = int(facts["n_past"])
    return LeagueState(
        as_of=date.fromisoformat(facts["as_of"]),
        franchises=tuple(facts["franchises"]),
        elo=tuple(facts["elo"]),
        margin=tuple(facts["margin"]),
        home_edge=facts["home_edge"],
        past=known.rows(slice(n_past)),
        upcoming=known.rows(slice(n_past, None)),
    )
